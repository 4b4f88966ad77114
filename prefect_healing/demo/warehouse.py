"""The demo's warehouse: flights by day, a daily table made from them, and the history of loads."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.schema import CreateIndex, CreateTable

from prefect_healing.demo.data import Cell, Flight

_metadata = sa.MetaData()

FLIGHTS = sa.Table(
    "flights",
    _metadata,
    sa.Column("flight_date", sa.Date, nullable=False, index=True),
    sa.Column("carrier", sa.String(2), nullable=False),
    sa.Column("flight", sa.Integer, nullable=False),
    sa.Column("origin", sa.String(3), nullable=False),
    sa.Column("sched_dep_time", sa.Integer),
    sa.Column("sched_arr_time", sa.Integer),
    sa.Column("dest", sa.String(3), nullable=False),
    sa.Column("tailnum", sa.String(6)),
    sa.Column("dep_time", sa.Integer),
    sa.Column("dep_delay", sa.Integer),
    sa.Column("arr_time", sa.Integer),
    sa.Column("arr_delay", sa.Integer),
    sa.Column("air_time", sa.Integer),
    sa.Column("distance", sa.Integer),
)
"""One row a flight, partitioned by `flight_date`. As in most warehouses, nothing in the table forbids a duplicate."""

DAILY = sa.Table(
    "daily_delays",
    _metadata,
    sa.Column("flight_date", sa.Date, primary_key=True),
    sa.Column("airport", sa.String(3), primary_key=True),
    sa.Column("flights", sa.Integer, nullable=False),
    sa.Column("flown", sa.Integer, nullable=False),
    sa.Column("mean_dep_delay", sa.Float),
)
"""One row a day and airport; `mean_dep_delay` in minutes over the flights that left."""

LOADS = sa.Table(
    "load_history",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("flight_date", sa.Date, nullable=False),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("loaded_at", sa.DateTime(timezone=True), nullable=False),
)
"""One row each time a partition of `flights` was loaded: where repeated effects show."""

REQUIRED_COLUMNS = frozenset(column.name for column in FLIGHTS.columns) - {"flight_date"}


@contextmanager
def connected(url: str) -> Generator[sa.Engine]:
    """Yield an engine on the warehouse, and let its connections go afterwards."""
    engine = sa.create_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _share_sqlite)
    try:
        yield engine
    finally:
        engine.dispose()


def prepare(engine: sa.Engine) -> None:
    """Create the tables that are not there."""
    with engine.begin() as connection:
        for table in _metadata.sorted_tables:
            connection.execute(CreateTable(table, if_not_exists=True))
            for index in table.indexes:
                connection.execute(CreateIndex(index, if_not_exists=True))


def load_partition(engine: sa.Engine, day: date, rows: Sequence[Flight]) -> int:
    """Replace one day's flights, in one transaction; return how many rows it has now."""
    with engine.begin() as connection:
        connection.execute(sa.delete(FLIGHTS).where(FLIGHTS.c.flight_date == day))
        if rows:
            connection.execute(sa.insert(FLIGHTS), [_record(day, row) for row in rows])
        connection.execute(sa.insert(LOADS), {"flight_date": day, "rows": len(rows), "loaded_at": datetime.now(UTC)})
    return len(rows)


def replace_daily(engine: sa.Engine, day: date, records: Sequence[dict[str, Cell | float | date]]) -> int:
    """Replace one day's rows of the daily table, in one transaction; return how many it has now."""
    with engine.begin() as connection:
        connection.execute(sa.delete(DAILY).where(DAILY.c.flight_date == day))
        if records:
            connection.execute(sa.insert(DAILY), [dict(record) for record in records])
    return len(records)


def delays_by(engine: sa.Engine, day: date, column: str) -> dict[str, list[int | None]]:
    """Return the departure delays of one day, in minutes and None where it never left, by airport."""
    airport = FLIGHTS.c[column]
    query = sa.select(airport, FLIGHTS.c.dep_delay).where(FLIGHTS.c.flight_date == day).order_by(airport)
    delays: dict[str, list[int | None]] = {}
    with engine.connect() as connection:
        for name, delay in connection.execute(query):
            delays.setdefault(name, []).append(delay)
    return delays


def count_rows(engine: sa.Engine, day: date) -> int:
    """Return how many flights the warehouse has of one day."""
    query = sa.select(sa.func.count()).select_from(FLIGHTS).where(FLIGHTS.c.flight_date == day)
    with engine.connect() as connection:
        return connection.execute(query).scalar_one()


def count_loads(engine: sa.Engine, day: date) -> int:
    """Return how often one day's partition was loaded."""
    query = sa.select(sa.func.count()).select_from(LOADS).where(LOADS.c.flight_date == day)
    with engine.connect() as connection:
        return connection.execute(query).scalar_one()


def _record(day: date, row: Flight) -> dict[str, Cell | date]:
    return {"flight_date": day, **{column: row[column] for column in REQUIRED_COLUMNS}}


def _share_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    # Several runs write at the same time: readers must not block them, and a writer waits for its turn.
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout = 30000")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.close()
