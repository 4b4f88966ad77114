"""The partitions that passed their gate: what is usual, to compare a suspicious one with."""

from datetime import date
from typing import TYPE_CHECKING

from prefect_healing.domain.catalog import Table
from prefect_healing.domain.record import Record
from prefect_healing.warehouse.own_tables import ensure, is_there, moment
from prefect_healing.warehouse.schema_history import keep_schema

if TYPE_CHECKING:
    import sqlalchemy as sa

PARTITIONS = "healing_partitions"
RECENT_MAX = 7
_COLUMNS = """table_name VARCHAR(130) NOT NULL, partition_day VARCHAR(10) NOT NULL, rows_kept BIGINT NOT NULL,
kept_at VARCHAR(40) NOT NULL, PRIMARY KEY (table_name, partition_day)"""


class GoodPartition(Record):
    """A partition (an ISO day) and the rows that it had when it was last good."""

    partition: str
    rows: int


def remember_good(connection: "sa.Connection", table: Table, day: date, rows: int) -> None:
    """Keep, in the caller's transaction, that a partition is good: its rows, and the schema that the table has now.

    It takes three statements where the schema has not changed. Remembering one partition again replaces its rows.
    """
    keep_good(connection, table, day, rows)
    keep_schema(connection, table, day)


def keep_good(connection: "sa.Connection", table: Table, day: date, rows: int) -> None:
    """Keep how many rows a good partition has, in the caller's transaction."""
    import sqlalchemy as sa

    ensure(connection, PARTITIONS, _COLUMNS)
    statement = sa.text(
        f"INSERT INTO {PARTITIONS} (table_name, partition_day, rows_kept, kept_at) VALUES (:name, :day, :rows, :at) "  # noqa: S608
        "ON CONFLICT (table_name, partition_day) "
        "DO UPDATE SET rows_kept = excluded.rows_kept, kept_at = excluded.kept_at"
    )
    connection.execute(statement, {"name": table.name, "day": day.isoformat(), "rows": rows, "at": moment()})


def recent_good(
    connection: "sa.Connection", table: Table, around: date | None = None, limit: int = RECENT_MAX
) -> list[GoodPartition]:
    """Return good partitions of a table, the newest first; with `around`, those before that day, then those after.

    The day itself is left out: `rows_when_good` has it.
    """
    import sqlalchemy as sa

    if not is_there(connection, PARTITIONS):
        return []
    day = "9999-12-31" if around is None else around.isoformat()
    query = sa.text(
        f"SELECT partition_day, rows_kept FROM {PARTITIONS} WHERE table_name = :name AND partition_day <> :day "  # noqa: S608
        "ORDER BY CASE WHEN partition_day < :day THEN 0 ELSE 1 END, "
        "CASE WHEN partition_day < :day THEN partition_day END DESC, partition_day LIMIT :limit"
    )
    rows = connection.execute(query, {"name": table.name, "day": day, "limit": limit})
    return [GoodPartition(partition=row[0], rows=row[1]) for row in rows]


def rows_when_good(connection: "sa.Connection", table: Table, day: date) -> int | None:
    """Return how many rows a partition had when it was last good, None where it never was."""
    import sqlalchemy as sa

    if not is_there(connection, PARTITIONS):
        return None
    query = sa.text(f"SELECT rows_kept FROM {PARTITIONS} WHERE table_name = :name AND partition_day = :day")  # noqa: S608
    return connection.execute(query, {"name": table.name, "day": day.isoformat()}).scalar_one_or_none()
