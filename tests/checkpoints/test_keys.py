"""Which rows break a gate: all of them by key, kept in the warehouse, or a refusal that says why not."""

from typing import Any

import pytest
import sqlalchemy as sa

from prefect_healing.checkpoints.findings import KEYS_MAX
from prefect_healing.settings import Settings
from prefect_healing.warehouse.connection import reading
from prefect_healing.warehouse.violation_keys import matched
from tests.checkpoints.conftest import Check
from tests.checkpoints.tables import (
    BAD,
    KNOWN_CARRIER,
    NO_NULL_SEATS,
    WITHOUT_SEATS,
    bookings,
    create_bookings,
    expects,
    gate,
)

SEATLESS = expects("unexpected_rows_expectation", unexpected_rows_query="SELECT * FROM {batch} WHERE carrier = '??'")


async def test_the_keys_of_all_rows_that_break_it_are_kept(check: Check, warehouse: Settings):
    """Left alone, Great Expectations names 20 of them on SQL, and none that says so."""
    found = await check(gate(NO_NULL_SEATS, KNOWN_CARRIER, SEATLESS), gate_id="g1")

    assert [(each.rows_kept, each.refusal) for each in found.violations] == [
        (WITHOUT_SEATS, None),
        (134, None),
        (134, None),
    ]
    for each in found.violations:
        kept = await reading(warehouse, lambda connection, id_=each.id: matched(connection, bookings(), BAD, "g1", id_))
        assert (kept.kept, kept.found, kept.shared, kept.gone) == (each.unexpected, each.unexpected, 0, 0)


async def test_a_warning_keeps_its_rows_too(check: Check):
    """It does not stop the gate, and a person may still want its rows moved."""
    [found] = (await check(gate({**NO_NULL_SEATS, "severity": "warning"}), gate_id="g1")).violations

    assert found.rows_kept == WITHOUT_SEATS


async def test_whoever_only_looks_keeps_nothing(check: Check, database_url: str):
    """Without a gate's id nothing is written."""
    [found] = (await check(gate(NO_NULL_SEATS))).violations

    assert (found.rows_kept, found.unexpected) == (0, WITHOUT_SEATS)
    engine = sa.create_engine(database_url, poolclass=sa.NullPool)
    assert sa.inspect(engine).get_table_names() == ["bookings"]


@pytest.mark.parametrize(
    ("expectation", "changes", "refusal"),
    [
        (NO_NULL_SEATS, {"key": ()}, "declares no key"),
        (NO_NULL_SEATS, {"key": ("booking_id", "seats")}, "no value in a column of their key"),
        (expects("expect_table_row_count_to_be_between", max_value=1), {}, "as a whole"),
        (expects("expect_column_mean_to_be_between", column="fare", max_value=1), {}, "as a whole"),
        (expects("expect_column_values_to_be_of_type", column="seats", type_="NONSENSE"), {}, "about the type"),
        (
            expects("unexpected_rows_expectation", unexpected_rows_query="SELECT carrier FROM {batch} LIMIT 3"),
            {},
            "without their whole key",
        ),
    ],
)
async def test_rows_that_cannot_be_named_are_refused_in_words(
    check: Check, expectation: Any, changes: dict[str, Any], refusal: str
):
    """A part of the rows would be worse than none."""
    [found] = (await check(gate(expectation), gate_id="g1", **changes)).violations

    assert found.status == "violated"
    assert found.rows_kept == 0
    assert refusal in (found.refusal or "")


async def test_more_rows_than_the_limit_are_refused(database_url: str):
    from prefect_healing.checkpoints.run import run_checkpoint

    create_bookings(database_url, rows=KEYS_MAX + 1)
    none_of_them = expects("expect_column_values_to_be_in_set", column="booking_id", value_set=[-1])
    settings = Settings(warehouse=database_url)

    [found] = (await run_checkpoint(gate(none_of_them), bookings(), BAD, settings, "g1")).violations

    assert (found.unexpected, found.rows_kept) == (KEYS_MAX + 1, 0)
    assert f"more than the {KEYS_MAX}" in (found.refusal or "")
