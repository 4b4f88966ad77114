"""A load replaces its day: loading twice is loading once."""

from datetime import date

import pytest
from sqlalchemy import Engine, func, select

from prefect_healing.demo.data import flights
from prefect_healing.demo.warehouse import FLIGHTS, count_loads, count_rows, load_partition, prepare

DAY, ANOTHER_DAY = date(2013, 1, 5), date(2013, 1, 6)


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
