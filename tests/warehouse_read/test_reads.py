"""What the warehouse tools tell of tables whose faults are known, the same on both databases."""

from datetime import date
from typing import Any

import pytest

from prefect_healing.domain.catalog import Table
from prefect_healing.errors import ToolFailed
from prefect_healing.tools.tool import AnyTool
from prefect_healing.tools.warehouse_read import (
    compare_row_counts,
    diff_schema,
    find_duplicates,
    table_statistics,
)
from prefect_healing.warehouse.good_partitions import remember_good
from tests.warehouse_read.conftest import DAY, FLIGHTS, About, Execute, In, ManifestServer

CANARIES = ("canary@example.org", "P-CANARY-77", "N4NARY", 424_242_424)
COLUMNS = "flight_id, flight_date, tailnum, dep_delay, fare, scheduled, cancelled, email, passport"
READS = (compare_row_counts, table_statistics, diff_schema, find_duplicates)


def row(flight_id: int | None, day: str = DAY, **changes: Any) -> dict[str, Any]:
    delay = None if flight_id is None else flight_id % 10
    values = (flight_id, day, "N4NARY", delay, 12.5, f"{day} 10:00:00", False, "canary@example.org", 424_242_424)
    return dict(zip(COLUMNS.split(", "), values, strict=True)) | changes


@pytest.fixture
def flights(execute: Execute) -> Execute:
    """Make the table flights, and return how to insert rows into it."""
    execute(
        "CREATE TABLE flights (flight_id INTEGER, flight_date DATE, tailnum VARCHAR(10), dep_delay INTEGER, "
        "fare NUMERIC(10, 2), scheduled TIMESTAMP, cancelled BOOLEAN, email TEXT, passport BIGINT)"
    )
    values = ", ".join(f":{name}" for name in COLUMNS.split(", "))

    def insert(*rows: dict[str, Any]) -> None:
        execute(f"INSERT INTO flights ({COLUMNS}) VALUES ({values})", list(rows))

    return insert


def good(run_in: In, *days: str, rows: int = 10) -> None:
    for day in days:
        run_in(lambda connection, day=day: remember_good(connection, FLIGHTS, date.fromisoformat(day), rows))


async def test_a_load_that_was_cut_short_has_fewer_rows_than_its_source(
    flights: Execute, run_in: In, about: About, vendor: ManifestServer
):
    flights(*(row(each) for each in range(6)))
    good(run_in, "2013-01-02", "2013-01-03", "2013-01-04", "2013-01-09")
    vendor.says[DAY] = (200, {"rows": 10, "nulls": {"dep_delay": 0, "unheard_of": 3}, "last_data": DAY})

    found = await compare_row_counts(about(sources=(vendor.source(),)), "flights", DAY)

    assert (found.target_rows, found.source_rows, found.source_has_partition) == (6, 10, True)
    assert (found.source_nulls, found.target_nulls) == ({"dep_delay": 0}, {"dep_delay": 0})
    assert (found.source, found.source_last_data, found.usual_rows) == ("vendor", DAY, 10)
    assert [each.partition for each in found.history] == ["2013-01-04", "2013-01-03", "2013-01-02", "2013-01-09"]


async def test_a_storm_is_in_the_source_too(flights: Execute, about: About, vendor: ManifestServer):
    """Odd data that the source agrees with are true."""
    flights(*(row(each, dep_delay=None if each < 4 else 1) for each in range(8)))
    vendor.says[DAY] = (200, {"rows": 8, "nulls": {"dep_delay": 4}})

    found = await compare_row_counts(about(sources=(vendor.source(),)), "flights", DAY)

    assert (found.target_rows, found.target_nulls) == (found.source_rows, found.source_nulls)


async def test_a_partition_that_the_source_lacks_is_told_with_its_newest_data(
    flights: Execute, about: About, vendor: ManifestServer
):
    vendor.says[DAY] = (404, {"last_data": "2013-01-04"})

    found = await compare_row_counts(about(sources=(vendor.source(),)), "flights", DAY)

    assert (found.target_rows, found.source_has_partition, found.source_rows) == (0, False, None)
    assert (found.source_up, found.source_last_data, found.usual_rows) == (True, "2013-01-04", None)


async def test_a_table_without_a_source_is_compared_with_its_own_past(flights: Execute, run_in: In, about: About):
    flights(row(1))
    good(run_in, DAY, rows=842)

    found = await compare_row_counts(about(), "flights", DAY)

    assert (found.source, found.source_up, found.rows_when_good) == (None, None, 842)


async def test_figures_stand_beside_the_usual_ones(flights: Execute, run_in: In, about: About, vendor: ManifestServer):
    days = [f"2013-01-{each:02}" for each in range(1, 5)]
    flights(*(row(each, day) for day in days for each in range(10)))
    flights(*(row(each, dep_delay=None if each < 5 else 900 + each) for each in range(10)))
    good(run_in, *days)
    vendor.says[DAY] = (200, {"rows": 10, "nulls": {"dep_delay": 5}})

    found = await table_statistics(about(sources=(vendor.source(),)), "flights", DAY)

    delay = next(each for each in found.columns if each.column == "dep_delay")
    assert (delay.nulls, delay.null_share, delay.distinct, delay.source_nulls) == (5, 0.5, 5, 5)
    assert (delay.minimum, delay.p25, delay.p50, delay.p75, delay.maximum) == (905, 906, 907, 908, 909)
    assert delay.usual is not None
    assert (delay.usual.null_share, delay.usual.minimum, delay.usual.p50, delay.usual.maximum) == (0, 0, 4, 9)
    assert found.compared_with == tuple(reversed(days))
    scheduled = next(each for each in found.columns if each.column == "scheduled")
    assert (scheduled.type, scheduled.minimum) == ("timestamp", "2013-01-05T10:00:00")
    fare = next(each for each in found.columns if each.column == "fare")
    assert (fare.type, fare.maximum, fare.distinct) == ("number", 12.5, 1)


async def test_an_empty_partition_and_null_columns_have_figures_too(flights: Execute, about: About):
    empty = await table_statistics(about(), "flights", "2013-02-01")
    flights(dict.fromkeys(COLUMNS.split(", ")) | {"flight_date": DAY})
    nothing = await table_statistics(about(), "flights", DAY)

    assert (empty.rows, empty.columns[0].nulls, empty.columns[0].null_share) == (0, 0, 0)
    assert "no row" in empty.note
    delay = next(each for each in nothing.columns if each.column == "dep_delay")
    assert (delay.nulls, delay.distinct, delay.minimum, delay.p50) == (1, 0, None, None)


async def test_no_value_of_a_text_or_sensitive_column_is_in_any_answer(
    flights: Execute, run_in: In, about: About, vendor: ManifestServer
):
    """Counts are all there is of them, whatever tool is asked."""
    flights(*(row(each) for each in range(20)), *(row(each) for each in range(5)), row(None))
    good(run_in, "2013-01-04")
    vendor.says["*"] = (200, {"rows": 20, "nulls": {"email": 0}, "columns": {"email": "string"}})
    ctx = about(sources=(vendor.source(),))

    answers = [(await tool.run(ctx, {"table": "flights", "partition": DAY})).model_dump_json() for tool in READS]

    assert not [(canary, answer) for canary in CANARIES for answer in answers if str(canary) in answer]
    assert '"email"' in answers[1]


async def test_text_of_a_table_that_shares_rows_has_a_minimum_and_sensitive_text_has_none(
    flights: Execute, about: About
):
    flights(row(1))
    shared = FLIGHTS.model_copy(update={"share_rows": True})

    answer = (await table_statistics(about(shared), "flights", DAY)).model_dump_json()

    assert "N4NARY" in answer
    assert "canary@example.org" not in answer
    assert "424242424" not in answer


async def test_words_in_a_column_of_numbers_are_counted_and_never_shown(
    execute: Execute, about: About, database_url: str
):
    """SQLite keeps words where numbers and dates are declared; PostgreSQL keeps infinite ones."""
    execute("CREATE TABLE odd (day DATE, number DOUBLE PRECISION, moment TIMESTAMP)")
    sqlite = database_url.startswith("sqlite")
    odd = ["canary", 9e999] if sqlite else ["NaN", "Infinity"]
    moments = ["canary", "2013-01-05 canary"] if sqlite else ["infinity", "-infinity"]
    values = [*zip(odd, moments, strict=True), (1.5, "2013-01-05 08:00:00"), (2.5, "2013-01-05 09:00:00")]
    execute(
        "INSERT INTO odd VALUES (:day, :number, :moment)",
        [{"day": DAY, "number": number, "moment": moment} for number, moment in values],
    )

    found = await table_statistics(about(Table(name="odd", layer="staging", partition="day")), "odd", DAY)

    number = next(each for each in found.columns if each.column == "number")
    assert (number.odd, number.minimum, number.maximum) == (2, 1.5, 2.5)
    assert "canary" not in found.model_dump_json()


@pytest.mark.filterwarnings("ignore:Did not recognize type 'point'")
async def test_figures_bear_names_and_types_of_all_kinds(execute: Execute, about: About, database_url: str):
    """Quotes and reserved words in names, time zones, huge decimals, json, and a table of no key."""
    postgres = database_url.startswith("postgres")
    execute(
        'CREATE TABLE "Kinds" ("select" INTEGER, "it\'s ""x"" y" NUMERIC, "from" DATE, at TIMESTAMP'
        + (" WITH TIME ZONE, doc JSON, tags TEXT[], spot POINT, id UUID)" if postgres else ", doc JSON)")
    )
    execute(
        """INSERT INTO "Kinds" ("select", "it's ""x"" y", "from", at, doc) VALUES """
        f"(1, {'1e400' if postgres else '1e30'}, '{DAY}', '{DAY} 23:30:00{'-05' if postgres else ''}', "
        """'{"a": 1}')"""
    )

    found = await table_statistics(about(Table(name="Kinds", layer="gold", partition="from")), "Kinds", DAY)

    by_name = {each.column: each for each in found.columns}
    assert by_name["select"].maximum == 1
    assert str(by_name['it\'s "x" y'].minimum).startswith("1.000000e+")
    assert by_name["at"].minimum in ("2013-01-06T04:30:00", f"{DAY}T23:30:00")
    assert by_name["spot"].type == "unknown" if postgres else "spot" not in by_name
    assert (by_name["doc"].type, by_name["doc"].distinct, by_name["doc"].minimum) == ("json", 1, None)


async def test_a_table_of_a_thousand_columns_has_a_bounded_answer(
    execute: Execute, run_in: In, about: About, vendor: ManifestServer
):
    names = [f"a_rather_long_name_of_a_column_{each}" for each in range(1_000)]
    execute(f"CREATE TABLE wide (day DATE, {', '.join(f'{name} INTEGER' for name in names)})")
    execute(f"INSERT INTO wide (day) VALUES ('{DAY}')")
    vendor.says["*"] = (200, {"rows": 1, "nulls": dict.fromkeys(names, 1), "columns": dict.fromkeys(names, "string")})
    wide = Table(name="wide", layer="staging", key=(names[-1],), partition="day", upstreams=("vendor",))
    run_in(lambda connection: remember_good(connection, wide, date(2013, 1, 4), 1))
    ctx = about(wide, sources=(vendor.source(),))

    answers = [
        (await tool.run(ctx, {"table": "wide", "partition": DAY})).model_dump_json(exclude_none=True) for tool in READS
    ]

    assert [len(answer) < 20_000 for answer in answers] == [True] * len(READS)


async def test_a_day_that_was_loaded_twice_has_every_key_twice(flights: Execute, about: About):
    flights(*(row(each) for each in (*range(10), *range(10))), row(3, "2013-01-06"), row(None))

    found = await find_duplicates(about(), "flights", DAY)

    assert (found.key, found.duplicated_keys, found.surplus_rows) == (("flight_id",), 10, 10)
    assert (found.copies, found.identical_rows, found.rows_without_key, found.rows) == ({2: 10}, 10, 1, 21)


async def test_corrections_share_a_key_and_nothing_else(flights: Execute, about: About):
    flights(row(1), row(1, fare=99), row(2))

    found = await find_duplicates(about(), "flights", DAY)

    assert (found.duplicated_keys, found.surplus_rows, found.identical_rows) == (1, 1, 0)


async def test_without_a_declared_key_nothing_is_a_duplicate(flights: Execute, about: About):
    with pytest.raises(ToolFailed, match="declares no key"):
        await find_duplicates(about(FLIGHTS.model_copy(update={"key": ()})), "flights", DAY)


@pytest.mark.parametrize("tool", READS, ids=lambda tool: tool.name)
@pytest.mark.parametrize(
    ("table", "partition", "says"),
    [
        ("flights", "2013-02-30", "is no partition"),
        ("flights", "'; drop table flights", "is no partition"),
        ("flights; drop table flights", DAY, "bears on this incident"),
        ("sqlite_master", DAY, "bears on this incident"),
        ("pg_catalog.pg_class", DAY, "bears on this incident"),
        ("ghost", DAY, "the warehouse has none of that name"),
    ],
)
async def test_what_is_not_declared_or_not_there_is_refused(
    flights: Execute, about: About, tool: AnyTool, table: str, partition: str, says: str
):
    ghost = Table(name="ghost", layer="staging", key=("id",), partition="day")

    with pytest.raises(ToolFailed, match=says):
        await tool.run(about(FLIGHTS, ghost), {"table": table, "partition": partition})


async def test_a_missing_partition_column_is_named(flights: Execute, about: About):
    undated = FLIGHTS.model_copy(update={"partition": "loaded_on"})
    whole = FLIGHTS.model_copy(update={"partition": None})

    with pytest.raises(ToolFailed, match="does not have: loaded_on"):
        await compare_row_counts(about(undated), "flights", DAY)
    with pytest.raises(ToolFailed, match="declares no partition column"):
        await table_statistics(about(whole), "flights", DAY)


async def test_rows_are_counted_where_the_key_column_is_gone(flights: Execute, execute: Execute, about: About):
    """A renamed key is what is being looked for; it must not stop the looking."""
    flights(row(1))
    execute("ALTER TABLE flights RENAME COLUMN flight_id TO id")

    assert (await compare_row_counts(about(), "flights", DAY)).target_rows == 1
    assert (await table_statistics(about(), "flights", DAY)).rows == 1
