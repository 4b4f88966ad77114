"""DuckDB, which Great Expectations cannot ask itself: one partition goes through memory."""

from pathlib import Path

import pytest

from prefect_healing.checkpoints.run import run_checkpoint
from prefect_healing.settings import Settings
from prefect_healing.warehouse.connection import reading
from prefect_healing.warehouse.violation_keys import matched
from tests.checkpoints.tables import (
    BAD,
    GOOD,
    KNOWN_CARRIER,
    NEVER,
    NO_NULL_SEATS,
    ROWS,
    WITHOUT_SEATS,
    bookings,
    create_bookings,
    expects,
    gate,
)


@pytest.fixture
def duckdb(tmp_path: Path) -> Settings:
    """Return the settings of a DuckDB warehouse that has the table of bookings."""
    url = f"duckdb:///{tmp_path / 'warehouse.duckdb'}"
    create_bookings(url)
    return Settings(warehouse=url)


async def test_a_partition_is_checked_in_memory(duckdb: Settings):
    """Asked itself, Great Expectations sees a DuckDB without rows and says nothing of it."""
    row_count = expects("expect_table_row_count_to_be_between", min_value=ROWS, max_value=ROWS)
    wanted = gate(row_count, NO_NULL_SEATS, KNOWN_CARRIER)

    found = await run_checkpoint(wanted, bookings(), BAD, duckdb, "g1")

    assert [(each.checked, each.unexpected, each.rows_kept) for each in found.violations] == [
        (ROWS, WITHOUT_SEATS, WITHOUT_SEATS),
        (ROWS, 134, 134),
    ]
    kept = await reading(duckdb, lambda connection: matched(connection, bookings(), BAD, "g1", "V2"))
    assert (kept.kept, kept.found, kept.gone) == (134, 134, 0)


async def test_good_and_missing_partitions_are_told_apart(duckdb: Settings):
    good = await run_checkpoint(gate(KNOWN_CARRIER), bookings(), GOOD, duckdb)
    missing = await run_checkpoint(gate(KNOWN_CARRIER), bookings(), NEVER, duckdb)

    assert good.passed
    assert [each.status for each in missing.stopping] == ["missing"]
