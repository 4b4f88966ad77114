"""A mart three hops from the vendor: departures_raw, departures, departure_hours, departure_board.

Each table has a loader of its own, which replaces one day. Where there is nothing to load of the day, the loader
leaves its table as it is and completes, so that a failed delivery shows in the mart only by its age.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from prefect import flow, get_run_logger, task

from prefect_healing.demo import pipeline
from prefect_healing.demo.data import Cell, Flight, flights
from prefect_healing.demo.tables import DEPARTURE_BOARD, DEPARTURE_HOURS, DEPARTURE_TABLES, DEPARTURES, DEPARTURES_RAW
from prefect_healing.demo.warehouse import connected, prepare

_Column = sa.ColumnElement[Any]  # what a column holds decides the database
_RAW_COLUMNS = ("carrier", "flight", "origin", "dep_time", "dep_delay")


@flow(name="load-departures", flow_run_name="load-departures-of-{day}", persist_result=True)
def load_departures(day: date) -> int:
    """Replace one day of `departures_raw` by what the vendor delivers; return how many rows were loaded."""
    return _said(day, DEPARTURES_RAW, load_raw(day, pipeline.extract_delivery(day)))


@flow(name="clean-departures", flow_run_name="clean-departures-of-{day}", persist_result=True)
def clean_departures(day: date) -> int:
    """Replace one day of `departures` by the rows of `departures_raw` that left."""
    return _said(day, DEPARTURES, rebuild(DEPARTURES.name, day))


@flow(name="count-departures", flow_run_name="count-departures-of-{day}", persist_result=True)
def count_departures(day: date) -> int:
    """Replace one day of `departure_hours` by what `departures` says."""
    return _said(day, DEPARTURE_HOURS, rebuild(DEPARTURE_HOURS.name, day))


@flow(name="publish-departures", flow_run_name="publish-departures-of-{day}", persist_result=True)
def publish_departures(day: date) -> int:
    """Replace one day of `departure_board` by what `departure_hours` says."""
    return _said(day, DEPARTURE_BOARD, rebuild(DEPARTURE_BOARD.name, day))


@task(persist_result=True)
def load_raw(day: date, rows: list[Flight]) -> int:
    """Replace the day of the first table, unless nothing came."""
    with connected(pipeline.warehouse_url()) as engine:
        prepare(engine)
        return replace_raw(engine, day, rows)


@task(persist_result=True)
def rebuild(table: str, day: date) -> int:
    """Replace the day of one of the other tables by what the table before it says, unless that is nothing."""
    with connected(pipeline.warehouse_url()) as engine:
        prepare(engine)
        return replace_made(engine, table, day)


def replace_raw(engine: sa.Engine, day: date, rows: Sequence[Flight]) -> int:
    """Replace one day of `departures_raw` in one transaction, unless there are no rows; return how many there are."""
    if not rows:
        return 0
    now = datetime.now(UTC)
    records: list[dict[str, Cell | date]] = [
        {"flight_date": day, "loaded_at": now, **{column: row[column] for column in _RAW_COLUMNS}} for row in rows
    ]
    with engine.begin() as connection:
        connection.execute(_without(DEPARTURES_RAW, day))
        connection.execute(sa.insert(DEPARTURES_RAW), records)
    return len(records)


def replace_made(engine: sa.Engine, table: str, day: date) -> int:
    """Replace one day of a table by what the one before it says, in one transaction, unless that is nothing."""
    made = next(each for each in _MADE if each.target.name == table)
    query = made.query(day)
    with engine.begin() as connection:
        count = connection.execute(sa.select(sa.func.count()).select_from(query.subquery())).scalar_one()
        if count:
            connection.execute(_without(made.target, day))
            connection.execute(sa.insert(made.target).from_select(list(query.selected_columns.keys()), query))
    return count


def load_until(engine: sa.Engine, day: date, hours_ago: float) -> None:
    """Let all four tables end with `day`, as if it had been loaded some hours ago: what the next night begins with."""
    replace_raw(engine, day, flights().of(day))
    for each in _MADE:
        replace_made(engine, each.target.name, day)
    with engine.begin() as connection:
        for table in DEPARTURE_TABLES:
            connection.execute(sa.update(table).values(loaded_at=datetime.now(UTC) - timedelta(hours=hours_ago)))


@dataclass(frozen=True)
class _Made:
    """How a table is made from the one before it: columns that are taken over, and sums over rows alike in those."""

    target: sa.Table
    source: sa.Table
    taken: tuple[_Column, ...]
    summed: tuple[_Column, ...] = ()

    def query(self, day: date) -> "sa.Select[*tuple[Any, ...]]":
        """Return the rows of one day as they are now."""
        now = sa.literal(datetime.now(UTC), sa.DateTime(timezone=True)).label("loaded_at")
        taken = [self.source.c.flight_date, *self.taken]
        query = sa.select(*taken, *self.summed, now).where(self.source.c.flight_date == day)
        return query.group_by(*taken) if self.summed else query.where(self.source.c.dep_time.is_not(None))


def _all_made() -> tuple[_Made, ...]:
    raw, left, hours = DEPARTURES_RAW.c, DEPARTURES.c, DEPARTURE_HOURS.c
    hour = (raw.dep_time // 100 % 24).label("hour")  # midnight is written 2400
    counted = sa.func.count().label("departures"), sa.func.sum(left.dep_delay).label("delay_minutes")
    departures = sa.func.sum(hours.departures)
    mean = (sa.cast(sa.func.sum(hours.delay_minutes), sa.Float) / departures).label("mean_delay")
    return (
        _Made(DEPARTURES, DEPARTURES_RAW, (raw.carrier, raw.flight, raw.origin, hour, raw.dep_delay)),
        _Made(DEPARTURE_HOURS, DEPARTURES, (left.origin, left.hour), counted),
        _Made(DEPARTURE_BOARD, DEPARTURE_HOURS, (hours.origin,), (departures.label("departures"), mean)),
    )


def _without(table: sa.Table, day: date) -> sa.Delete:
    return sa.delete(table).where(table.c.flight_date == day)


def _said(day: date, table: sa.Table, rows: int) -> int:
    if not rows:
        get_run_logger().warning("Nothing of %s to load: %s stays as it is", day, table.name)
    return rows


_MADE = _all_made()
