"""The columns that a source sends, against what it sent for the last good partition and what the table has."""

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING

from prefect_healing.domain.catalog import Table, Upstream
from prefect_healing.domain.record import Record
from prefect_healing.tools.manifest import read_manifest
from prefect_healing.warehouse.column_types import family_of_name
from prefect_healing.warehouse.good_partitions import recent_good
from prefect_healing.warehouse.schema_history import ChangedColumn, SchemaDiff, diff

if TYPE_CHECKING:
    import sqlalchemy as sa


class SourceColumns(Record):
    """What a source says that it sends, against what it said of the last good partition (`compared_with`).

    Where it said nothing of that, it is compared with the table as it was when last good: then a column that the loader
    makes itself counts as removed, and one that it never loads as added. `not_in_table` and `not_in_source` always
    compare with the table.
    """

    source: str
    compared_with: str | None = None
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[ChangedColumn, ...] = ()
    not_in_table: tuple[str, ...] = ()
    not_in_source: tuple[str, ...] = ()
    note: str = ""


def last_good_day(connection: "sa.Connection", table: Table, day: date | None) -> date | None:
    """Return the newest good partition before `day` (or of all), None where none is known."""
    good = recent_good(connection, table, day, limit=1)
    return date.fromisoformat(good[0].partition) if good else None


async def source_columns(
    source: Upstream | None, day: date | None, good_day: date | None, in_table: Mapping[str, str]
) -> SourceColumns | None:
    """Return how a source's columns differ; None where no source is declared."""
    if source is None:
        return None
    now = await read_manifest(source, day)
    if not now.columns:
        return SourceColumns(source=source.name, note=now.detail or "The source says nothing of its columns.")
    before = {} if good_day is None else (await read_manifest(source, good_day)).columns
    sent = _families(now.columns)
    found = diff(_families(before) if before else in_table, sent).bounded()
    against_table = diff(in_table, sent).bounded()
    return SourceColumns(
        source=source.name,
        compared_with=f"what it sent for {good_day}" if before else "the table",
        added=found.added,
        removed=found.removed,
        changed=found.changed,
        not_in_table=against_table.added,
        not_in_source=against_table.removed,
        note=_note(found),
    )


def _families(columns: Mapping[str, str]) -> dict[str, str]:
    return {name: family_of_name(kind) for name, kind in columns.items()}


def _note(found: SchemaDiff) -> str:
    return f"{found.left_out} more columns differ." if found.left_out else ""
