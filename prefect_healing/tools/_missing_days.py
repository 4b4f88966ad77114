"""Which days a table lacks, compared with what it is made from."""

import asyncio
from collections.abc import Mapping
from datetime import date, timedelta

from prefect_healing.domain.catalog import Table, Upstream
from prefect_healing.domain.lineage import Graph
from prefect_healing.domain.record import Record
from prefect_healing.domain.staleness import Seen
from prefect_healing.errors import ToolFailed
from prefect_healing.tools.manifest import read_manifest
from prefect_healing.tools.tool import ToolContext
from prefect_healing.warehouse.connection import reading
from prefect_healing.warehouse.freshness import days_of

DAYS_MAX = 31
_COUNTED_MAX = 3_660


class MissingDays(Record):
    """The newest days that are missing, as ISO days, oldest first, and how many there are in all."""

    days: tuple[str, ...] = ()
    total: int = 0


async def missing_days_of(ctx: ToolContext, graph: Graph, seen: Mapping[str, Seen], name: str | None) -> MissingDays:
    """Return the days that a table lacks, from its first one on, and that a table or source directly above it has.

    Of an empty table, all that is above it. What a source is asked for, it may say that it does not have.
    """
    table = None if name is None else ctx.incident.catalog.table(name)
    if table is None or table.partition is None or seen[table.name].problem:
        return _lacking_source(seen, name)
    there = await _days_above(ctx, graph, table, seen)
    own = set(await reading(ctx.settings, lambda connection: days_of(connection, table, None, _COUNTED_MAX)))
    missing = sorted(day for day in there if day not in own)
    kept = await _kept(ctx, graph, table, missing[-DAYS_MAX:], there)
    return MissingDays(
        days=tuple(day.isoformat() for day in kept), total=len(missing) - len(missing[-DAYS_MAX:]) + len(kept)
    )


def _lacking_source(seen: Mapping[str, Seen], name: str | None) -> MissingDays:
    lacks = None if name is None else seen[name].lacks
    return MissingDays() if lacks is None else MissingDays(days=(lacks.isoformat(),), total=1)


async def _days_above(ctx: ToolContext, graph: Graph, table: Table, seen: Mapping[str, Seen]) -> dict[date, bool]:
    """Return the days that are there above a table: True where a table has them, False where a source should."""
    first, newest = seen[table.name].first, seen[table.name].newest
    there: dict[date, bool] = {}
    for parent in graph.parents(table.name):
        upstream = ctx.incident.catalog.table(parent)
        if upstream is not None and not seen[parent].problem:
            days = await _days(ctx, upstream, first)
            there |= dict.fromkeys(days, True)
        elif parent in seen and (last := seen[parent].newest) is not None:
            there = dict.fromkeys(_after(newest, last), False) | there
    return there


async def _days(ctx: ToolContext, table: Table, since: date | None) -> tuple[date, ...]:
    try:
        return await reading(ctx.settings, lambda connection: days_of(connection, table, since, _COUNTED_MAX))
    except ToolFailed:
        return ()


def _after(newest: date | None, last: date) -> list[date]:
    """Return the days that a source should have after the newest one loaded; of an empty table, only its last."""
    first = last if newest is None else newest + timedelta(days=1)
    first = max(first, last - timedelta(days=_COUNTED_MAX))
    return [first + timedelta(days=each) for each in range((last - first).days + 1)]


async def _kept(
    ctx: ToolContext, graph: Graph, table: Table, missing: list[date], there: dict[date, bool]
) -> list[date]:
    """Leave out the days of which every source above says that it does not have them."""
    sources = [each for name in graph.parents(table.name) if (each := ctx.incident.catalog.source(name)) is not None]
    lacking = await asyncio.gather(*(_lack(sources, day) for day in missing if not there[day]))
    gone = {day for day, lacks in zip((day for day in missing if not there[day]), lacking, strict=True) if lacks}
    return [day for day in missing if day not in gone]


async def _lack(sources: list[Upstream], day: date) -> bool:
    said = [(await read_manifest(each, day)).has_partition for each in sources]
    return bool(said) and all(each is False for each in said)
