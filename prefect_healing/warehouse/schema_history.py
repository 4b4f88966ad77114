"""The columns that a table had when its load was last good, and what is different now."""

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

from prefect_healing.domain.catalog import Table
from prefect_healing.domain.record import Record, digest
from prefect_healing.warehouse.column_types import family_of
from prefect_healing.warehouse.own_tables import ensure, is_there, moment
from prefect_healing.warehouse.partition import reflect, schema_and_name

if TYPE_CHECKING:
    import sqlalchemy as sa

SCHEMAS = "healing_schemas"
_COLUMNS = """table_name VARCHAR(130) NOT NULL, version INTEGER NOT NULL, kept_at VARCHAR(40) NOT NULL,
partition_day VARCHAR(10), fingerprint VARCHAR(64) NOT NULL, columns TEXT NOT NULL, PRIMARY KEY (table_name, version)"""
COLUMNS_TOLD = 50
_NAME_CHARS_MAX = 200


class ChangedColumn(Record):
    """A column that has another type than before; types are families, such as integer, number, text, timestamp."""

    column: str
    before: str
    now: str


class SchemaDiff(Record):
    """What columns came, went and changed their type. `left_out` counts those that are not told of."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[ChangedColumn, ...] = ()
    left_out: int = 0

    def bounded(self) -> "SchemaDiff":
        """Return at most COLUMNS_TOLD of each."""
        parts = (self.added, self.removed, self.changed)
        return SchemaDiff(
            added=self.added[:COLUMNS_TOLD],
            removed=self.removed[:COLUMNS_TOLD],
            changed=self.changed[:COLUMNS_TOLD],
            left_out=sum(max(0, len(each) - COLUMNS_TOLD) for each in parts),
        )


class KeptSchema(NamedTuple):
    """A schema (column name to family of type) as it was kept after a good load of the partition `day`."""

    columns: dict[str, str]
    day: str | None
    kept_at: str


def keep_schema(connection: "sa.Connection", table: Table, day: date | None = None) -> None:
    """Keep the table's schema as good, in the caller's transaction; nothing is written where it has not changed."""
    ensure(connection, SCHEMAS, _COLUMNS)
    fingerprint = _fingerprint(connection, table)
    version, kept = _newest(connection, table)
    if kept != fingerprint:
        _insert(connection, table, day, version + 1, fingerprint)


def schema_of(connection: "sa.Connection", table: Table) -> dict[str, str]:
    """Return the columns that a table has now, in order, with the families of their types.

    Raises ToolFailed where there is no such table; columns that the catalog declares may be missing.
    """
    undemanding = table.model_copy(update={"key": (), "partition": None})
    return {name: family_of(column.type) for name, column in reflect(connection, undemanding).c.items()}


def last_good_schema(connection: "sa.Connection", table: Table) -> KeptSchema | None:
    """Return the schema that was kept last, None where none was."""
    import json

    import sqlalchemy as sa

    if not is_there(connection, SCHEMAS):
        return None
    query = (
        f"SELECT columns, partition_day, kept_at FROM {SCHEMAS} WHERE table_name = :name ORDER BY version DESC LIMIT 1"  # noqa: S608
    )
    row = connection.execute(sa.text(query), {"name": table.name}).one_or_none()
    return None if row is None else KeptSchema(json.loads(row[0]), row[1], row[2])


def diff(before: Mapping[str, str], now: Mapping[str, str]) -> SchemaDiff:
    """Return how a schema differs from an earlier one; names are compared as they are written."""
    return SchemaDiff(
        added=tuple(_shown(name) for name in now if name not in before),
        removed=tuple(_shown(name) for name in before if name not in now),
        changed=tuple(
            ChangedColumn(column=_shown(name), before=before[name], now=family)
            for name, family in now.items()
            if before.get(name, family) != family
        ),
    )


def _shown(name: str) -> str:
    return name[:_NAME_CHARS_MAX]


def _fingerprint(connection: "sa.Connection", table: Table) -> str:
    """Return what changes when a column or its type does; reflecting on PostgreSQL would take ten times as long."""
    import sqlalchemy as sa

    if connection.dialect.name != "postgresql":
        return digest(schema_of(connection, table))
    quoted = ".".join(f'"{each}"' for each in schema_and_name(table.name) if each)
    query = sa.text(
        "SELECT md5(string_agg(attname || ' ' || format_type(atttypid, atttypmod), ',' ORDER BY attnum)) "
        "FROM pg_attribute WHERE attrelid = to_regclass(:name) AND attnum > 0 AND NOT attisdropped"
    )
    found = connection.execute(query, {"name": quoted}).scalar_one()
    return str(found) if found else digest(schema_of(connection, table))


def _newest(connection: "sa.Connection", table: Table) -> tuple[int, str | None]:
    import sqlalchemy as sa

    query = f"SELECT version, fingerprint FROM {SCHEMAS} WHERE table_name = :name ORDER BY version DESC LIMIT 1"  # noqa: S608
    row = connection.execute(sa.text(query), {"name": table.name}).one_or_none()
    return (0, None) if row is None else (row[0], row[1])


def _insert(connection: "sa.Connection", table: Table, day: date | None, version: int, fingerprint: str) -> None:
    import sqlalchemy as sa

    # Two gates may see the same change at once; the second has nothing to add.
    statement = sa.text(
        f"INSERT INTO {SCHEMAS} (table_name, version, kept_at, partition_day, fingerprint, columns) "  # noqa: S608
        "VALUES (:name, :version, :kept_at, :day, :fingerprint, :columns) ON CONFLICT DO NOTHING"
    )
    kept = {
        "name": table.name,
        "version": version,
        "kept_at": moment(),
        "day": None if day is None else day.isoformat(),
        "fingerprint": fingerprint,
        "columns": _in_order(schema_of(connection, table)),
    }
    connection.execute(statement, kept)


def _in_order(columns: Mapping[str, str]) -> str:
    import json

    return json.dumps(columns, ensure_ascii=False)
