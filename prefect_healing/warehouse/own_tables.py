"""The tables that healing itself keeps in the warehouse, made when they are first needed."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlalchemy as sa

_MAKING_TABLES = 7_306_218_541_093
"""The advisory lock under which PostgreSQL makes tables: two that make one at once fail on its row type."""


def ensure(connection: "sa.Connection", name: str, columns: str) -> None:
    """Make the table `name` where there is none, in the caller's transaction. `columns` is SQL that all databases read.

    Cheap where it is there: one look on PostgreSQL, none elsewhere.
    """
    import sqlalchemy as sa

    if connection.dialect.name == "postgresql":
        if connection.execute(sa.text("SELECT to_regclass(:name) IS NOT NULL"), {"name": name}).scalar_one():
            return
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MAKING_TABLES})
    connection.exec_driver_sql(f"CREATE TABLE IF NOT EXISTS {name} ({columns})")


def is_there(connection: "sa.Connection", name: str) -> bool:
    """Say whether the table was made before; a transaction that only reads cannot make it."""
    import sqlalchemy as sa

    return sa.inspect(connection).has_table(name)


def moment() -> str:
    """Return the time as these tables keep it: UTC, ISO 8601, so that text sorts as time does."""
    return datetime.now(UTC).isoformat(timespec="seconds")
