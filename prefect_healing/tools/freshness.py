"""How old a table is, held against what its catalog entry allows."""

from typing import Annotated

from pydantic import AwareDatetime, Field

from prefect_healing.clock import now
from prefect_healing.domain.catalog import Table
from prefect_healing.domain.record import Record
from prefect_healing.tools.tool import ToolContext, tool
from prefect_healing.warehouse.connection import reading
from prefect_healing.warehouse.freshness import Age, age_of
from prefect_healing.warehouse.partition import count_rows, declared

TableName = Annotated[str, Field(description="A table that the catalog declares, by its name there.")]


class TableFreshness(Record):
    """How old a table is. Times are UTC, ages in hours; `stale` is None where the catalog sets no limit.

    An empty table has no `last_update` and is stale. `newest_partition` is an ISO day.
    """

    table: str
    last_update: AwareDatetime | None
    age_hours: float | None
    max_age_hours: float | None
    stale: bool | None
    rows: int
    newest_partition: str | None
    note: str = ""


@tool(effect="read")
async def check_freshness(ctx: ToolContext, table: TableName) -> TableFreshness:
    """Read how old a table is: its last update and age against the allowed one, its rows, its newest partition.

    Use it to see whether a table is late at all, and after a repair whether it is no longer. A stale table is seldom
    the cause itself: next, walk_lineage finds the first table above it that stopped.
    """
    entry = declared(ctx.incident.catalog, table)
    at = now()
    age, rows = await reading(
        ctx.settings, lambda connection: (age_of(connection, entry, at), count_rows(connection, entry))
    )
    hours = age.hours(at)
    return TableFreshness(
        table=entry.name,
        last_update=age.last_update,
        age_hours=None if hours is None else round(hours, 2),
        max_age_hours=entry.freshness.max_age_hours if entry.freshness else None,
        stale=age.breaches(entry, at),
        rows=rows,
        newest_partition=None if age.newest is None else age.newest.isoformat(),
        note=_note(entry, age, rows),
    )


def _note(table: Table, age: Age, rows: int) -> str:
    if rows == 0:
        return "The table is empty."
    if table.freshness is None:
        return "The catalog declares no freshness for it; only its newest partition tells how far it got."
    if age.ahead:
        return f"Column {table.freshness.column} also holds times in the future, which are not counted."
    return ""
