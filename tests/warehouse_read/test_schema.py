"""Schemas: what is kept of a good load, and what is told of a later one."""

from datetime import date
from typing import Any

import pytest
import sqlalchemy as sa

from prefect_healing.domain.catalog import Table
from prefect_healing.tools.warehouse_read import diff_schema
from prefect_healing.warehouse.column_types import family_of_name
from prefect_healing.warehouse.good_partitions import recent_good, remember_good, rows_when_good
from prefect_healing.warehouse.schema_history import SCHEMAS, last_good_schema
from tests.warehouse_read.conftest import DAY, About, Execute, In, ManifestServer

TRIPS = Table(name="trips", layer="staging", key=("id",), partition="day", upstreams=("vendor",))


@pytest.fixture
def trips(execute: Execute, run_in: In) -> In:
    """Make the table trips; return how to remember a good load of it."""
    execute("CREATE TABLE trips (id INTEGER, day DATE, fare INTEGER, note VARCHAR(20))")

    def remember(day: str, rows: int = 1) -> None:
        run_in(lambda connection: remember_good(connection, TRIPS, date.fromisoformat(day), rows))

    return remember


def kept(run_in: In) -> list[Any]:
    return run_in(lambda connection: connection.execute(sa.text(f"SELECT version FROM {SCHEMAS}")).scalars().all())


async def test_without_a_good_load_nothing_is_known_to_differ(trips: In, about: About):
    found = await diff_schema(about(TRIPS), "trips")

    assert (found.added, found.removed, found.changed, found.compared_with) == ((), (), (), None)


async def test_columns_that_came_went_and_changed_are_named(trips: In, execute: Execute, about: About):
    trips("2013-01-04")
    for change in (
        "DROP TABLE trips",
        "CREATE TABLE trips (id INTEGER, day DATE, fare VARCHAR(30), remark VARCHAR(200))",
    ):
        execute(change)

    found = await diff_schema(about(TRIPS), "trips", DAY)

    assert (found.added, found.removed) == (("remark",), ("note",))
    assert [(each.column, each.before, each.now) for each in found.changed] == [("fare", "integer", "text")]
    assert found.compared_with is not None
    assert found.compared_with.startswith("the good load of 2013-01-04")
    assert found.new_columns_rule == "escalate"


def test_a_schema_is_kept_only_when_it_changed(trips: In, execute: Execute, run_in: In):
    trips("2013-01-01")
    trips("2013-01-02")
    execute("ALTER TABLE trips ADD COLUMN tip INTEGER")
    trips("2013-01-03")

    assert kept(run_in) == [1, 2]
    schema = run_in(lambda connection: last_good_schema(connection, TRIPS))
    assert (schema.day, list(schema.columns)) == ("2013-01-03", ["id", "day", "fare", "note", "tip"])


def test_a_good_partition_is_remembered_once_with_its_latest_rows(trips: In, run_in: In):
    for day, rows in (("2013-01-01", 5), ("2013-01-02", 6), ("2013-01-01", 7)):
        trips(day, rows)

    assert run_in(lambda connection: rows_when_good(connection, TRIPS, date(2013, 1, 1))) == 7
    around = run_in(lambda connection: recent_good(connection, TRIPS, date(2013, 1, 2)))
    assert [(each.partition, each.rows) for each in around] == [("2013-01-01", 7)]


async def test_two_gates_that_remember_at_once_both_succeed(trips: In, run_in: In):
    """The tables are made once, and a change of the schema is kept once, whoever sees it first."""
    import asyncio

    await asyncio.gather(*(asyncio.to_thread(trips, f"2013-01-{day:02}") for day in range(1, 7)))

    assert kept(run_in) == [1]
    assert len(run_in(lambda connection: recent_good(connection, TRIPS))) == 6


async def test_what_the_source_sends_is_compared_with_what_it_sent(trips: In, about: About, vendor: ManifestServer):
    trips("2013-01-04")
    vendor.says["2013-01-04"] = (200, {"rows": 1, "columns": {"id": "int64", "fare": "integer", "unloaded": "str"}})
    vendor.says[DAY] = (
        200,
        {"rows": 1, "columns": {"id": "bigint", "fare": "string", "unloaded": "str", "tip": "int"}},
    )

    found = (await diff_schema(about(TRIPS, sources=(vendor.source(),)), "trips", DAY)).source

    assert found is not None
    assert (found.added, found.removed) == (("tip",), ())
    assert [(each.column, each.before, each.now) for each in found.changed] == [("fare", "integer", "text")]
    assert (found.not_in_table, found.not_in_source) == (("unloaded", "tip"), ("day", "note"))
    assert found.compared_with == "what it sent for 2013-01-04"


async def test_where_the_source_tells_nothing_of_the_past_its_columns_are_compared_with_the_table(
    trips: In, about: About, vendor: ManifestServer
):
    vendor.says[DAY] = (200, {"columns": {"id": "int", "day": "date", "fare": "int", "remark": "string"}})

    found = (await diff_schema(about(TRIPS, sources=(vendor.source(),)), "trips", DAY)).source

    assert found is not None
    assert (found.added, found.removed, found.compared_with) == (("remark",), ("note",), "the table")


async def test_a_silent_source_does_not_hide_the_table_s_own_change(
    trips: In, execute: Execute, about: About, vendor: ManifestServer
):
    trips("2013-01-04")
    execute("ALTER TABLE trips ADD COLUMN tip INTEGER")
    vendor.says["*"] = (503, b"down")

    found = await diff_schema(about(TRIPS, sources=(vendor.source(),)), "trips", DAY)

    assert found.added == ("tip",)
    assert found.source is not None
    assert "503" in found.source.note


@pytest.mark.parametrize(
    ("names", "family"),
    [
        ("integer int64 BIGINT INT(11) serial uint8 smallint", "integer"),
        ("NUMERIC(10,2) double float64 real decimal money", "number"),
        ("VARCHAR(20) text string object CHARACTER", "text"),
        ("timestamptz datetime64[ns] TIMESTAMP", "timestamp"),
        ("date", "date"),
        ("bool BOOLEAN", "boolean"),
        ("interval", "interval"),
        ("point", "point"),
    ],
)
def test_types_of_one_family_read_the_same(names: str, family: str):
    assert {family_of_name(name) for name in names.split()} == {family}
