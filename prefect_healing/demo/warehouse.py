"""Loads into the demo's warehouse, each of which replaces its day in one transaction, and the looks into it."""

from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.schema import CreateIndex, CreateTable

from prefect_healing.demo.data import Cell, Flight
from prefect_healing.demo.tables import (
    DAILY,
    DEPARTURE_TABLES,
    FLIGHTS,
    LOADS,
    OF_A_DAY,
    REQUIRED_COLUMNS,
    metadata,
)
from prefect_healing.errors import ConfigurationError


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
    """Create the tables that are not there.

    Raises ConfigurationError where a table of the same name is not the demo's, and leaves that as it is.
    """
    with engine.begin() as connection:
        for table in _missing(connection):
            connection.execute(CreateTable(table, if_not_exists=True))
            for index in table.indexes:
                connection.execute(CreateIndex(index, if_not_exists=True))


def clear(engine: sa.Engine, days: Collection[date]) -> None:
    """Forget these days, and all that is made of departures: an earlier demo may have left them in this warehouse."""
    with engine.begin() as connection:
        for table in OF_A_DAY:
            connection.execute(sa.delete(table).where(table.c.flight_date.in_(days)))
        for table in DEPARTURE_TABLES:
            connection.execute(sa.delete(table))


def load_partition(engine: sa.Engine, day: date, rows: Sequence[Flight], *, append: bool = False) -> int:
    """Replace one day's flights in one transaction, or add to them; return how many were loaded."""
    now = datetime.now(UTC)
    with engine.begin() as connection:
        if not append:
            connection.execute(sa.delete(FLIGHTS).where(FLIGHTS.c.flight_date == day))
        if rows:
            connection.execute(sa.insert(FLIGHTS), [_record(day, row, now) for row in rows])
        connection.execute(sa.insert(LOADS), {"flight_date": day, "rows": len(rows), "loaded_at": now})
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


def count_rows(engine: sa.Engine, day: date, table: sa.Table = FLIGHTS) -> int:
    """Return how many rows a table of the warehouse, `flights` where none is given, has of one day."""
    query = sa.select(sa.func.count()).select_from(table).where(table.c.flight_date == day)
    with engine.connect() as connection:
        return connection.execute(query).scalar_one()


def count_loads(engine: sa.Engine, day: date) -> int:
    """Return how often one day's partition was loaded."""
    return count_rows(engine, day, LOADS)


def _record(day: date, row: Flight, now: datetime) -> dict[str, Cell | date]:
    return {"flight_date": day, "loaded_at": now, **{column: row[column] for column in REQUIRED_COLUMNS}}


def _missing(connection: sa.Connection) -> list[sa.Table]:
    inspector = sa.inspect(connection)
    missing = [table for table in metadata.sorted_tables if not inspector.has_table(table.name)]
    for table in set(metadata.sorted_tables).difference(missing):
        if {each["name"] for each in inspector.get_columns(table.name)} != set(table.columns.keys()):
            raise ConfigurationError(
                f"The warehouse already has a table {table.name} that is not the demo's. "
                "Name another database with --warehouse, an empty one at best."
            )
    return missing


def _share_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    # Several runs write at the same time: readers must not block them, and a writer waits for its turn.
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout = 30000")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.close()
