"""What a repair may do to tables: load them again, move bad rows out and back, put a partition back from its copy."""

from typing import Annotated

from pydantic import Field

from prefect_healing.domain.plan import Scope
from prefect_healing.domain.repair import Receipt
from prefect_healing.domain.verification import Check
from prefect_healing.errors import ToolFailed
from prefect_healing.tools import _quarantines, _restores
from prefect_healing.tools._reloads import (
    days_between,
    once,
    recorded_effect,
    refuse_missing,
    reload,
    reload_scope,
)
from prefect_healing.tools.tool import Applied, ToolContext, tool
from prefect_healing.warehouse.connection import reading, writing
from prefect_healing.warehouse.partition import as_day, count_rows, declared

DAYS_MAX = 31

TableName = Annotated[str, Field(max_length=130, description="A table of the catalog that bears on the incident.")]
Day = Annotated[str, Field(max_length=40, description="An ISO day, such as 2013-01-05.")]
Minutes = Annotated[
    int, Field(ge=0, le=60, description="How long to wait for the source to have the partition; 0: it has it now.")
]
ViolationId = Annotated[str, Field(max_length=200, description="Id of a violation of the gate.")]
CopyId = Annotated[str, Field(max_length=200, description="Id of a copy, from the receipt of the repair it was for.")]
QuarantineId = Annotated[str, Field(max_length=200, description="Id of a quarantine, from its receipt.")]


@tool(effect="write", retries=2, takes_key=True)
async def reload_partition(ctx: ToolContext, table: TableName, partition: Day, wait_minutes: Minutes = 0) -> Applied:
    """Load one partition again, by the loader that the catalog declares, and wait for its end.

    Propose it when the source has the data whole and the table does not: rows missing, doubled or from a broken load.
    Compare with the source first: what is wrong there too comes back. `wait_minutes` waits for a partition that is
    not at the source yet. Everything that the loader writes is copied before and put back if it fails. Undone by
    restore_partition.
    """
    return await reload(ctx, "reload_partition", table, (as_day(partition),), wait_minutes)


@reload_partition.preview
async def what_a_reload_touches(ctx: ToolContext, table: TableName, partition: Day, wait_minutes: Minutes = 0) -> Scope:
    """Show all tables that the loader writes, their rows now, and whether a copy can be taken."""
    days = (as_day(partition),)
    if not wait_minutes:
        await refuse_missing(ctx, table, days)
    return await reload_scope(ctx, table, days)


@reload_partition.already_done
async def was_it_reloaded(
    ctx: ToolContext, table: TableName, partition: Day, wait_minutes: Minutes = 0
) -> Applied | None:
    """Look whether the load was recorded in the warehouse."""
    return await recorded_effect(ctx)


@reload_partition.check
async def is_it_loaded(ctx: ToolContext, receipt: Receipt) -> Check:
    """Look for rows: a load that completed and loaded nothing did not help."""
    return await _has_rows(ctx, "reload_partition", receipt, (str(receipt.arguments["partition"]),))


@tool(effect="write", retries=2, takes_key=True)
async def backfill_partitions(ctx: ToolContext, table: TableName, first: Day, last: Day) -> Applied:
    """Load every partition from `first` to `last`, both included, at most 31, in order, and wait for the end.

    Propose it when several days are missing or wrong, and the source has them. Where one load fails, all days are put
    back as they were. Undone by restore_partition.
    """
    return await reload(ctx, "backfill_partitions", table, days_between(first, last, DAYS_MAX))


@backfill_partitions.preview
async def what_a_backfill_touches(ctx: ToolContext, table: TableName, first: Day, last: Day) -> Scope:
    """Show all tables that the loader writes, their rows now, and whether a copy can be taken."""
    days = days_between(first, last, DAYS_MAX)
    await refuse_missing(ctx, table, days)
    return await reload_scope(ctx, table, days)


@backfill_partitions.already_done
async def was_it_backfilled(ctx: ToolContext, table: TableName, first: Day, last: Day) -> Applied | None:
    """Look whether the loads were recorded in the warehouse."""
    return await recorded_effect(ctx)


@backfill_partitions.check
async def is_it_backfilled(ctx: ToolContext, receipt: Receipt) -> Check:
    """Look for rows in each partition."""
    days = days_between(str(receipt.arguments["first"]), str(receipt.arguments["last"]), DAYS_MAX)
    return await _has_rows(ctx, "backfill_partitions", receipt, tuple(each.isoformat() for each in days))


@tool(effect="write", retries=2, takes_key=True)
async def quarantine_rows(ctx: ToolContext, table: TableName, partition: Day, violation: ViolationId) -> Applied:
    """Move the rows that broke one expectation of the gate out of their partition, into quarantine.

    Propose it when a few rows are bad at the source too, so that loading again would bring them back, and the rest is
    good. For incidents that a quality gate raised. Undone by return_quarantined_rows.
    """
    work = _quarantines.moving(ctx, table, partition, violation)
    return await writing(ctx.settings, once(ctx, "quarantine_rows", work))


@quarantine_rows.preview
async def what_quarantine_touches(ctx: ToolContext, table: TableName, partition: Day, violation: ViolationId) -> Scope:
    """Count the rows that would move, and their share of the partition with what this incident moved before."""
    return await reading(ctx.settings, _quarantines.moving_scope(ctx, table, partition, violation))


@quarantine_rows.already_done
async def was_it_quarantined(
    ctx: ToolContext, table: TableName, partition: Day, violation: ViolationId
) -> Applied | None:
    """Look whether the move was recorded in the warehouse."""
    return await recorded_effect(ctx)


@quarantine_rows.check
async def is_it_quarantined(ctx: ToolContext, receipt: Receipt) -> Check:
    """Look for the rows: none is in the partition any more, all are in quarantine."""
    return await reading(ctx.settings, _quarantines.moved(ctx, receipt))


@tool(effect="write", retries=2, takes_key=True)
async def return_quarantined_rows(
    ctx: ToolContext, table: TableName, partition: Day, quarantine: QuarantineId
) -> Applied:
    """Move the rows of one quarantine back into their partition, as they were.

    Propose it only where the evidence shows that those rows were good. Undone by quarantine_rows.
    """
    work = _quarantines.returning(ctx, table, partition, quarantine)
    return await writing(ctx.settings, once(ctx, "return_quarantined_rows", work))


@return_quarantined_rows.preview
async def what_returning_touches(ctx: ToolContext, table: TableName, partition: Day, quarantine: QuarantineId) -> Scope:
    """Count the rows that would come back."""
    return await reading(ctx.settings, _quarantines.returning_scope(ctx, table, partition, quarantine))


@return_quarantined_rows.already_done
async def were_they_returned(
    ctx: ToolContext, table: TableName, partition: Day, quarantine: QuarantineId
) -> Applied | None:
    """Look whether the return was recorded in the warehouse."""
    return await recorded_effect(ctx)


@return_quarantined_rows.check
async def are_they_returned(ctx: ToolContext, receipt: Receipt) -> Check:
    """Look whether the quarantine is empty."""
    return await reading(ctx.settings, _quarantines.returned(receipt))


@tool(effect="write", retries=2, takes_key=True)
async def restore_partition(ctx: ToolContext, table: TableName, partition: Day, copy_id: CopyId) -> Applied:
    """Make what was copied before a repair what it was then.

    Everything that was copied together comes back together: all tables of one loader, all days of one backfill. What
    is there now is copied first, so this can be undone by itself.
    """
    return await writing(
        ctx.settings, once(ctx, "restore_partition", _restores.restoring(ctx, table, partition, copy_id))
    )


@restore_partition.preview
async def what_restoring_touches(ctx: ToolContext, table: TableName, partition: Day, copy_id: CopyId) -> Scope:
    """Show the tables and days of the copy, and how many rows come back."""
    return await reading(ctx.settings, _restores.restoring_scope(ctx, table, partition, copy_id))


@restore_partition.already_done
async def was_it_restored(ctx: ToolContext, table: TableName, partition: Day, copy_id: CopyId) -> Applied | None:
    """Look whether the restoring was recorded in the warehouse."""
    return await recorded_effect(ctx)


@restore_partition.check
async def is_it_restored(ctx: ToolContext, receipt: Receipt) -> Check:
    """Hold what is there against the copy, row by row inside the database."""
    return await reading(ctx.settings, _restores.restored(ctx, receipt))


async def _has_rows(ctx: ToolContext, check: str, receipt: Receipt, days: tuple[str, ...]) -> Check:
    table = declared(ctx.incident.catalog, str(receipt.arguments["table"]))
    link = str(receipt.data["url"]) if receipt.data.get("url") else None
    try:
        rows = await reading(ctx.settings, lambda inside: {day: count_rows(inside, table, as_day(day)) for day in days})
    except ToolFailed as error:
        return Check(name=check, status="inconclusive", detail=str(error), link=link)
    empty = [day for day, count in rows.items() if not count]
    detail = f"{table.name} has {sum(rows.values())} rows in {len(days)} loaded partitions"
    detail += f"; none of {', '.join(empty)}." if empty else "."
    return Check(name=check, status="failed" if empty else "passed", detail=detail, link=link)
