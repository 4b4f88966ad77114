"""Dollars from tokens."""

import pytest

from prefect_healing.domain.usage import Usage
from prefect_healing.models.prices import DEAREST, PRICES, price_of, priced

MILLION = 1_000_000


@pytest.mark.parametrize(
    ("kind", "dollars"),
    [("input_tokens", 4.0), ("output_tokens", 20.0), ("cache_read_tokens", 0.2), ("cache_write_tokens", 5.0)],
)
def test_a_million_tokens_of_each_kind_cost_what_the_list_says(kind: str, dollars: float):
    assert priced(Usage(**{kind: MILLION}), "claude-opus-5-5").cost_usd == pytest.approx(dollars)


def test_costs_add_up():
    usage = Usage(input_tokens=1_000, output_tokens=2_000, cache_read_tokens=30_000, cache_write_tokens=4_000)

    assert priced(usage, "claude-opus-5").cost_usd == pytest.approx(0.005 + 0.05 + 0.015 + 0.025)


def test_an_unknown_model_is_priced_as_the_dearest():
    assert price_of("claude-next", 10) == DEAREST
    assert all(each.input_usd <= DEAREST.input_usd for each in PRICES.values())
    assert all(each.output_usd <= DEAREST.output_usd for each in PRICES.values())
    assert all(each.cache_read_usd <= DEAREST.cache_read_usd for each in PRICES.values())


def test_a_dated_id_is_the_model():
    assert price_of("claude-haiku-4-5-20251001", 10) == PRICES["claude-haiku-4-5"]


def test_long_prompts_to_haiku_cost_five_times_as_much():
    """The whole prompt decides, what is read from the cache included."""
    short = Usage(cache_read_tokens=100_000, output_tokens=1_000)
    long = Usage(cache_read_tokens=100_001, output_tokens=1_000)

    ratio = priced(long, "claude-haiku-5-5").cost_usd / priced(short, "claude-haiku-5-5").cost_usd
    assert ratio == pytest.approx(5, rel=1e-3)


def test_a_ceiling_assumes_that_all_input_is_written_to_the_cache():
    assert price_of("claude-opus-5-5", MILLION).ceiling(MILLION, 1_000) == pytest.approx(5.0 + 0.02)
