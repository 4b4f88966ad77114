"""Restoring a copy as the tools tell it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from prefect_healing.domain.catalog import Catalog
from prefect_healing.domain.plan import Scope
from prefect_healing.domain.record import JsonObject, digest
from prefect_healing.domain.repair import Receipt, Undo
from prefect_healing.domain.verification import Check
from prefect_healing.errors import ToolFailed
from prefect_healing.tools._reloads import effect_key
from prefect_healing.tools.tool import Applied, ToolContext
from prefect_healing.warehouse.copies import (
    Copy,
    Part,
    can_be_restored,
    copy_of,
    is_as_copied,
    restore,
    take_copy,
)
from prefect_healing.warehouse.fingerprint import partition_fingerprint
from prefect_healing.warehouse.partition import as_day, count_rows, declared

if TYPE_CHECKING:
    import sqlalchemy as sa


def restoring_scope(ctx: ToolContext, table: str, partition: str, copy_id: str) -> "Callable[[sa.Connection], Scope]":
    """Return the work that finds out what restoring a copy touches."""
    catalog = ctx.incident.catalog
    as_day(partition)

    def work(connection: "sa.Connection") -> Scope:
        copy = _known(connection, catalog, table, partition, copy_id)
        rows = sum(part.rows for part in copy)
        named = ", ".join(_name(part) for part in copy[:5]) + (", ..." if len(copy) > 5 else "")  # noqa: PLR2004
        tables = [declared(catalog, part.table) for part in copy]
        now = [
            partition_fingerprint(connection, each, part.day, each.copy_rows_max)
            for each, part in zip(tables, copy, strict=True)
        ]
        return Scope(
            summary=f"Put back {rows} rows of {named} as they were copied; what is there now is copied first.",
            tables=_tables(copy),
            days=tuple(sorted({part.day.isoformat() for part in copy if part.day})),
            rows_written=rows,
            asks=(
                *dict.fromkeys(each.needs_person for each in tables if each.needs_person),
                *(f"{_name(part)} is too big to be copied first" for part in _uncopied(connection, catalog, copy)),
            ),
            basis=digest("restore", copy_id, now),
        )

    return work


def restoring(ctx: ToolContext, table: str, partition: str, copy_id: str) -> "Callable[[sa.Connection], Applied]":
    """Return the work that restores a copy, with one taken of what is there before."""
    catalog = ctx.incident.catalog
    as_day(partition)
    own = f"copy-{digest(effect_key(ctx))[:24]}"

    def work(connection: "sa.Connection") -> Applied:
        copy = _known(connection, catalog, table, partition, copy_id)
        undo = None
        if not _uncopied(connection, catalog, copy):
            take_copy(connection, own, ctx.incident.id, [(declared(catalog, part.table), part.day) for part in copy])
            arguments: JsonObject = {"table": table, "partition": partition, "copy_id": own}
            undo = Undo(tool="restore_partition", arguments=arguments, tables=_tables(copy))
        rows = restore(connection, catalog, copy)
        detail = f"{rows} rows of {', '.join(_tables(copy))} are back as copied before."
        return Applied(detail=detail, data={"copy_id": copy_id, "rows": rows}, undo=undo)

    return work


def restored(ctx: ToolContext, receipt: Receipt) -> "Callable[[sa.Connection], Check]":
    """Return the work that holds what is there against the copy."""
    own = str(receipt.arguments["copy_id"])

    def work(connection: "sa.Connection") -> Check:
        copy = copy_of(connection, own)
        wrong = [_name(part) for part in copy if not is_as_copied(connection, ctx.incident.catalog, part)]
        detail = f"{len(copy) - len(wrong)} of {len(copy)} partitions are as they were copied."
        passed = can_be_restored(copy) and not wrong
        return Check(name="restore_partition", status="passed" if passed else "failed", detail=detail)

    return work


def _known(connection: "sa.Connection", catalog: Catalog, table: str, partition: str, copy_id: str) -> Copy:
    """Return a copy that this table's partition is part of, and whose tables all bear on the incident."""
    copy = copy_of(connection, copy_id)
    days = {part.day.isoformat() if part.day else partition for part in copy if part.table == table}
    if partition not in days or not can_be_restored(copy):
        raise ToolFailed(f"There is no copy {copy_id[:80]!r} with {table} of {partition}.")
    for name in _tables(copy):
        declared(catalog, name)
    return copy


def _uncopied(connection: "sa.Connection", catalog: Catalog, copy: Copy) -> list[Part]:
    tables = [declared(catalog, part.table) for part in copy]
    counted = [count_rows(connection, each, part.day) for each, part in zip(tables, copy, strict=True)]
    return [part for part, each, rows in zip(copy, tables, counted, strict=True) if rows > each.copy_rows_max]


def _tables(copy: Copy) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.table for part in copy))


def _name(part: Part) -> str:
    return part.table if part.day is None else f"{part.table} of {part.day}"
