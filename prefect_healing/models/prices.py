"""What Claude models cost, in dollars a million tokens, as of November 2026."""

import re
from dataclasses import dataclass
from typing import Final

from prefect_healing.domain.usage import Usage

_MILLION: Final = 1_000_000
_CACHE_WRITE_FACTOR: Final = 1.25  # of the input price, for the five-minute cache that we use


@dataclass(frozen=True)
class Price:
    """Dollars a million tokens. A cache write costs 1.25 times the input price."""

    input_usd: float
    output_usd: float
    cache_read_usd: float

    def of(self, usage: Usage) -> float:
        """Return the dollars that `usage` cost."""
        return (
            usage.input_tokens * self.input_usd
            + usage.cache_write_tokens * self.input_usd * _CACHE_WRITE_FACTOR
            + usage.cache_read_tokens * self.cache_read_usd
            + usage.output_tokens * self.output_usd
        ) / _MILLION

    def ceiling(self, input_tokens: int, output_tokens: int) -> float:
        """Return the most that a call can cost: everything is written to the cache, nothing is read from it."""
        return self.of(Usage(cache_write_tokens=input_tokens, output_tokens=output_tokens))


_OPUS_5: Final = Price(5, 25, 0.50)
_SONNET_4: Final = Price(3, 15, 0.30)
_HAIKU_4: Final = Price(1, 5, 0.10)
_HAIKU_LONG: Final = Price(0.50, 2.50, 0.05)
_HAIKU_LONG_FROM_TOKENS: Final = 100_000

DEAREST: Final = Price(10, 50, 1.00)

PRICES: Final = {
    "claude-fable-5-1": Price(10, 50, 0.25),
    "claude-mythos-5-1": Price(10, 50, 0.25),
    "claude-fable-5": DEAREST,
    "claude-mythos-5": DEAREST,
    "claude-opus-5-5": Price(4, 20, 0.20),
    "claude-opus-5": _OPUS_5,
    "claude-opus-4-8": _OPUS_5,
    "claude-opus-4-7": _OPUS_5,
    "claude-opus-4-6": _OPUS_5,
    "claude-opus-4-5": _OPUS_5,
    "claude-sonnet-5-5": Price(2, 10, 0.10),
    "claude-sonnet-5": Price(2, 10, 0.20),
    "claude-sonnet-4-6": _SONNET_4,
    "claude-sonnet-4-5": _SONNET_4,
    "claude-haiku-5-5": Price(0.10, 0.50, 0.01),
    "claude-haiku-4-5": _HAIKU_4,
}


def price_of(model_id: str, prompt_tokens: int) -> Price:
    """Return the price of one call to a model.

    `prompt_tokens` is the call's whole input, cached or not: Haiku 5.5 costs five times as much from 100,000 on. A
    date at the end of an id is ignored. A model that is not in the table is priced as the dearest that is, so that a
    budget errs towards stopping early.
    """
    name = re.sub(r"-\d{8}$", "", model_id)
    if name == "claude-haiku-5-5" and prompt_tokens > _HAIKU_LONG_FROM_TOKENS:
        return _HAIKU_LONG
    return PRICES.get(name, DEAREST)


def priced(usage: Usage, model_id: str) -> Usage:
    """Return `usage` with its cost filled in."""
    prompt_tokens = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
    return usage.model_copy(update={"cost_usd": price_of(model_id, prompt_tokens).of(usage)})
