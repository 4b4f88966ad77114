"""Copies of partitions, taken inside the database before a repair, and put back in one transaction."""

from collections.abc import Iterable
from datetime import date, datetime
from typing import TYPE_CHECKING

from prefect_healing.domain.catalog import Catalog, Table
from prefect_healing.domain.record import Record
from prefect_healing.errors import ToolFailed
from prefect_healing.warehouse.fingerprint import fingerprint_of, whole_or_partition
from prefect_healing.warehouse.own_tables import ensure, is_there, moment
from prefect_healing.warehouse.partition import declared, reflect
from prefect_healing.warehouse.shape import ROWS_ID, clause_with, hold, keeper, put_back, refuse_drift, shape_of

if TYPE_CHECKING:
    import sqlalchemy as sa

COPIES = "healing_copies"
KEPT_IN = "healing_copy_"
_WHOLE = ""
_COLUMNS = """copy_id VARCHAR(200) NOT NULL, rows_id VARCHAR(100) NOT NULL UNIQUE, table_name VARCHAR(130) NOT NULL,
partition_day VARCHAR(10) NOT NULL, row_count BIGINT NOT NULL, kept_in VARCHAR(130) NOT NULL,
incident VARCHAR(20) NOT NULL, taken_at VARCHAR(40) NOT NULL, PRIMARY KEY (copy_id, table_name, partition_day)"""


class Part(Record):
    """One partition of a copy; without a `day` it is a whole table."""

    table: str
    day: date | None
    rows: int
    rows_id: str
    kept_in: str


Copy = tuple[Part, ...]
"""What was copied together, before one repair."""


def take_copy(
    connection: "sa.Connection", copy_id: str, incident: str, parts: Iterable[tuple[Table, date | None]]
) -> Copy:
    """Copy partitions as they are now, in the caller's transaction; where this copy was taken before, that one stays.

    Nobody writes the tables meanwhile. Raises ToolFailed where a table cannot be copied.
    """
    if known := copy_of(connection, copy_id):
        return known
    wanted = tuple(parts)
    ensure(connection, COPIES, _COLUMNS)
    kept_in = {table.name: keeper(connection, KEPT_IN, table.name, _shape(connection, table)) for table, _ in wanted}
    hold(connection, tuple(kept_in))
    for number, (table, day) in enumerate(wanted):
        rows_id = f"{copy_id[:90]}-{number}"
        rows = _copy(connection, table, day, kept_in[table.name], rows_id)
        part = Part(table=table.name, day=day, rows=rows, rows_id=rows_id, kept_in=kept_in[table.name])
        _note(connection, copy_id, incident, part)
    return copy_of(connection, copy_id)


def note_no_copy(connection: "sa.Connection", copy_id: str, incident: str) -> None:
    """Note that no copy is taken under this id, so that nobody takes one later, of what a load left half done."""
    if copy_of(connection, copy_id):
        return
    ensure(connection, COPIES, _COLUMNS)
    _note(connection, copy_id, incident, Part(table="", day=None, rows=0, rows_id=f"{copy_id[:90]}-none", kept_in=""))


def can_be_restored(copy: Copy) -> bool:
    """Say whether there is anything to restore."""
    return bool(copy) and all(part.kept_in for part in copy)


def is_as_copied(connection: "sa.Connection", catalog: Catalog, part: Part) -> bool:
    """Say whether a partition holds just the rows of its copy."""
    import sqlalchemy as sa

    table = declared(catalog, part.table)
    columns = refuse_drift(connection, table.name, part.kept_in)
    reflected = reflect(connection, table)
    kept = clause_with(part.kept_in, (ROWS_ID, *columns))
    copied = sa.select(*(kept.c[name] for name in columns)).where(kept.c[ROWS_ID] == part.rows_id)
    there = sa.select(*(reflected.c[name] for name in columns)).where(whole_or_partition(table, reflected, part.day))
    return fingerprint_of(connection, there) == fingerprint_of(connection, copied)


def copy_of(connection: "sa.Connection", copy_id: str) -> Copy:
    """Return the parts of a copy, nothing where it was never taken."""
    import sqlalchemy as sa

    if not is_there(connection, COPIES):
        return ()
    query = sa.text(
        f"SELECT table_name, partition_day, row_count, rows_id, kept_in FROM {COPIES} "  # noqa: S608 - our own name
        "WHERE copy_id = :copy_id ORDER BY table_name, partition_day"
    )
    found = connection.execute(query, {"copy_id": copy_id})
    return tuple(
        Part(table=table, day=date.fromisoformat(day) if day else None, rows=rows, rows_id=rows_id, kept_in=kept_in)
        for table, day, rows, rows_id, kept_in in found
    )


def restore(connection: "sa.Connection", catalog: Catalog, copy: Copy) -> int:
    """Make every partition of a copy what it was, in the caller's transaction; return how many rows came back.

    Raises ToolFailed where a table is not declared any more, or its columns changed since.
    """
    hold(connection, tuple({part.table for part in copy}))
    return sum(_restore(connection, declared(catalog, part.table), part) for part in copy)


def drop_copies(connection: "sa.Connection", before: datetime) -> int:
    """Delete the copies that were taken before a moment; return how many partitions that were."""
    import sqlalchemy as sa

    if not is_there(connection, COPIES):
        return 0
    old = {"before": before.isoformat(timespec="seconds")}
    query = sa.text(f"SELECT rows_id, kept_in FROM {COPIES} WHERE taken_at < :before")  # noqa: S608 - our own name
    found = connection.execute(query, old).all()
    for rows_id, kept_in in found:
        kept = clause_with(kept_in, (ROWS_ID,))
        connection.execute(sa.delete(kept).where(kept.c[ROWS_ID] == rows_id))
    connection.execute(sa.text(f"DELETE FROM {COPIES} WHERE taken_at < :before"), old)  # noqa: S608 - our own name
    return len(found)


def _shape(connection: "sa.Connection", table: Table) -> "dict[str, str]":
    reflect(connection, table)  # It says what is wrong where the table is not as declared.
    return dict(shape_of(connection, table.name))


def _copy(connection: "sa.Connection", table: Table, day: date | None, kept_in: str, rows_id: str) -> int:
    import sqlalchemy as sa

    columns = tuple(shape_of(connection, table.name))
    reflected = reflect(connection, table)
    chosen = sa.select(sa.literal(rows_id), *(reflected.c[name] for name in columns))
    kept = clause_with(kept_in, (ROWS_ID, *columns))
    chosen = chosen.where(whole_or_partition(table, reflected, day))
    connection.execute(sa.insert(kept).from_select([ROWS_ID, *columns], chosen))
    copied = sa.select(sa.func.count()).select_from(kept).where(kept.c[ROWS_ID] == rows_id)
    return connection.execute(copied).scalar_one()


def _note(connection: "sa.Connection", copy_id: str, incident: str, part: Part) -> None:
    import sqlalchemy as sa

    statement = sa.text(
        f"INSERT INTO {COPIES} (copy_id, rows_id, table_name, partition_day, row_count, kept_in, incident, taken_at) "  # noqa: S608
        "VALUES (:copy_id, :rows_id, :table, :day, :rows, :kept_in, :incident, :at)"
    )
    values = part.model_dump(exclude={"day"}) | {"day": part.day.isoformat() if part.day else _WHOLE}
    connection.execute(statement, {**values, "copy_id": copy_id, "incident": incident, "at": moment()})


def _restore(connection: "sa.Connection", table: Table, part: Part) -> int:
    import sqlalchemy as sa

    columns = refuse_drift(connection, table.name, part.kept_in)
    reflected = reflect(connection, table)
    there = whole_or_partition(table, reflected, part.day)
    kept = clause_with(part.kept_in, (ROWS_ID, *columns))
    connection.execute(sa.delete(reflected).where(there))
    chosen = sa.select(*(kept.c[name] for name in columns)).where(kept.c[ROWS_ID] == part.rows_id)
    put_back(connection, table.name, columns, chosen)
    rows = connection.execute(sa.select(sa.func.count()).select_from(reflected).where(there)).scalar_one()
    if rows != part.rows:
        raise ToolFailed(f"The copy of {table.name} had {part.rows} rows, and {rows} came back; nothing was changed.")
    return rows
