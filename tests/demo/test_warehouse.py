"""A load replaces its day: loading twice is loading once."""

from datetime import date

import pytest
from sqlalchemy import Engine, func, select, text

from prefect_healing.demo.data import flights
from prefect_healing.demo.tables import DEPARTURES_RAW, FLIGHTS
from prefect_healing.demo.warehouse import clear, count_loads, count_rows, load_partition, prepare
from prefect_healing.errors import ConfigurationError

DAY, ANOTHER_DAY = date(2013, 1, 5), date(2013, 1, 6)


@pytest.fixture
def warehouse_url(database_url: str) -> str:
    """Name a new warehouse, once of each kind."""
    return database_url


def test_a_day_loaded_twice_is_there_once(warehouse: Engine):
    for _ in range(2):
        assert load_partition(warehouse, DAY, flights().of(DAY)) == 720

    assert count_rows(warehouse, DAY) == 720
    assert count_loads(warehouse, DAY) == 2


def test_a_load_leaves_the_other_days_alone(warehouse: Engine):
    load_partition(warehouse, ANOTHER_DAY, flights().of(ANOTHER_DAY))
    load_partition(warehouse, DAY, flights().of(DAY))
    load_partition(warehouse, DAY, [])

    assert count_rows(warehouse, DAY) == 0
    assert count_rows(warehouse, ANOTHER_DAY) == flights().count(ANOTHER_DAY)


def test_a_load_that_breaks_off_leaves_the_day_as_it_was(warehouse: Engine):
    load_partition(warehouse, DAY, flights().of(DAY))
    broken = [*flights().of(DAY)[:3], {"carrier": "UA"}]

    with pytest.raises(KeyError):
        load_partition(warehouse, DAY, broken)

    assert count_rows(warehouse, DAY) == 720
    assert count_loads(warehouse, DAY) == 1


def test_what_was_loaded_is_what_the_source_has(warehouse: Engine):
    load_partition(warehouse, DAY, flights().of(DAY))

    with warehouse.connect() as connection:
        loaded = connection.execute(select(func.sum(FLIGHTS.c.dep_delay))).scalar_one()

    assert loaded == sum(row["dep_delay"] for row in flights().of(DAY) if isinstance(row["dep_delay"], int))


def test_preparing_a_warehouse_twice_does_no_harm(warehouse: Engine):
    load_partition(warehouse, DAY, flights().of(DAY))
    prepare(warehouse)

    assert count_rows(warehouse, DAY) == 720


def test_an_appended_load_doubles_its_day(warehouse: Engine):
    """Nothing in the table forbids it, as in most warehouses."""
    for _ in range(2):
        load_partition(warehouse, DAY, flights().of(DAY), append=True)

    assert count_rows(warehouse, DAY) == 1440
    assert count_loads(warehouse, DAY) == 2


def test_an_earlier_demo_in_the_same_warehouse_is_forgotten_and_other_days_stay(warehouse: Engine):
    for day in (DAY, ANOTHER_DAY):
        load_partition(warehouse, day, flights().of(day))

    clear(warehouse, [DAY])

    assert (count_rows(warehouse, DAY), count_loads(warehouse, DAY)) == (0, 0)
    assert count_rows(warehouse, ANOTHER_DAY) == flights().count(ANOTHER_DAY)


def test_a_table_that_is_not_the_demos_is_refused_and_left_alone(warehouse: Engine):
    with warehouse.begin() as connection:
        connection.execute(text("DROP TABLE departures_raw"))
        connection.execute(text("CREATE TABLE departures_raw (train varchar(9))"))

    with pytest.raises(ConfigurationError, match=r"table departures_raw that is not the demo's.*--warehouse"):
        prepare(warehouse)

    with warehouse.begin() as connection:
        assert connection.execute(text(f"SELECT count(*) FROM {DEPARTURES_RAW.name} WHERE train IS NULL")).scalar() == 0
