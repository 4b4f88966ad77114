"""The mart three hops from the vendor: a delivery that failed quietly shows in it only by its age."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa

from prefect_healing.demo.data import flights
from prefect_healing.demo.departures import load_departures, load_until, replace_made, replace_raw
from prefect_healing.demo.faults import FaultParams, FaultRequest
from prefect_healing.demo.tables import DEPARTURE_BOARD, DEPARTURE_HOURS, DEPARTURE_TABLES, DEPARTURES, DEPARTURES_RAW
from prefect_healing.demo.vendor import VendorServer
from prefect_healing.demo.warehouse import count_rows

DAY, DAY_BEFORE = date(2013, 12, 31), date(2013, 12, 30)
MADE = DEPARTURE_TABLES[1:]


@pytest.fixture
def warehouse_url(database_url: str) -> str:
    """Name a new warehouse, once of each kind."""
    return database_url


def newest(warehouse: sa.Engine) -> list[tuple[date, timedelta]]:
    """Return newest day and age of each of the four tables."""
    with warehouse.connect() as connection:
        found = [
            connection.execute(sa.select(sa.func.max(table.c.flight_date), sa.func.max(table.c.loaded_at))).one()
            for table in DEPARTURE_TABLES
        ]
    return [(day, datetime.now(UTC) - loaded_at.replace(tzinfo=UTC)) for day, loaded_at in found]


def contents(warehouse: sa.Engine, table: sa.Table) -> Sequence[sa.Row[tuple[object, ...]]]:
    columns = [column for column in table.columns if column.name != "loaded_at"]
    with warehouse.connect() as connection:
        return connection.execute(sa.select(*columns).order_by(*columns)).all()


def test_each_table_is_made_from_the_one_before(warehouse: sa.Engine):
    replace_raw(warehouse, DAY, flights().of(DAY))
    for table in MADE:
        replace_made(warehouse, table.name, DAY)

    flown = sum(row["dep_time"] is not None for row in flights().of(DAY))
    assert count_rows(warehouse, DAY, DEPARTURES_RAW) == 776
    assert count_rows(warehouse, DAY, DEPARTURES) == flown
    assert sum(row.departures for row in contents(warehouse, DEPARTURE_HOURS)) == flown
    assert {row.origin for row in contents(warehouse, DEPARTURE_BOARD)} == {"EWR", "JFK", "LGA"}
    assert sum(row.departures for row in contents(warehouse, DEPARTURE_BOARD)) == flown


def test_the_board_says_what_the_source_says(warehouse: sa.Engine):
    load_until(warehouse, DAY, 0)

    (board,) = [row for row in contents(warehouse, DEPARTURE_BOARD) if row.origin == "JFK"]

    delays = [row["dep_delay"] for row in flights().of(DAY) if row["origin"] == "JFK" and row["dep_time"] is not None]
    assert board.departures == len(delays)
    assert board.mean_delay == pytest.approx(sum(map(int, delays)) / len(delays))


def test_a_load_replaces_its_day_and_leaves_the_others_alone(warehouse: sa.Engine):
    load_until(warehouse, DAY_BEFORE, 30)
    load_until(warehouse, DAY, 0)
    once = [contents(warehouse, table) for table in DEPARTURE_TABLES]

    load_until(warehouse, DAY, 0)

    assert [contents(warehouse, table) for table in DEPARTURE_TABLES] == once
    assert count_rows(warehouse, DAY_BEFORE, DEPARTURE_BOARD) == 3


def test_where_there_is_nothing_to_load_a_table_stays_as_it_is_and_grows_old(warehouse: sa.Engine):
    load_until(warehouse, DAY_BEFORE, 30)

    loaded = [replace_raw(warehouse, DAY, []), *(replace_made(warehouse, table.name, DAY) for table in MADE)]

    assert loaded == [0, 0, 0, 0]
    for day, age in newest(warehouse):
        assert day == DAY_BEFORE
        assert age > timedelta(hours=24)


def test_loaded_in_order_the_mart_is_fresh_again(warehouse: sa.Engine):
    load_until(warehouse, DAY_BEFORE, 30)

    replace_raw(warehouse, DAY, flights().of(DAY))
    for table in MADE:
        assert replace_made(warehouse, table.name, DAY) > 0

    for day, age in newest(warehouse):
        assert day == DAY
        assert age < timedelta(hours=1)


def test_a_delivery_that_fails_quietly_completes(
    prefect_server: str, vendor: VendorServer, warehouse: sa.Engine, warehouse_url: str, monkeypatch: pytest.MonkeyPatch
):
    """Prefect sees nothing wrong: the run is green, and only its log tells that nothing came."""
    monkeypatch.setenv("VENDOR_URL", vendor.url)
    monkeypatch.setenv("WAREHOUSE_URL", warehouse_url)
    vendor.ledger.put(FaultRequest(day=DAY, fault="late", params=FaultParams(requests=1)))

    states = [load_departures(DAY, return_state=True) for _ in range(2)]

    assert [state.is_completed() for state in states] == [True, True]
    assert [state.result() for state in states] == [0, 776]
    assert count_rows(warehouse, DAY, DEPARTURES_RAW) == 776
