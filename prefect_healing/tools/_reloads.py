"""Loading partitions again: copied first, loaded by who owns them, put back where that fails."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from prefect_healing.domain.catalog import Catalog, Table, Upstream
from prefect_healing.domain.plan import Scope
from prefect_healing.domain.record import JsonObject, digest
from prefect_healing.domain.repair import Undo
from prefect_healing.errors import ToolFailed
from prefect_healing.tools._loading import Loaded, interrupted, load, loader_of, loader_version
from prefect_healing.tools.manifest import Manifest, read_manifest
from prefect_healing.tools.prefect_api import url_of
from prefect_healing.tools.tool import Applied, ToolContext
from prefect_healing.warehouse.connection import reading, writing
from prefect_healing.warehouse.copies import Copy, can_be_restored, copy_of, note_no_copy, restore, take_copy
from prefect_healing.warehouse.effects import Recorded, hold_effect, record, recorded
from prefect_healing.warehouse.fingerprint import Fingerprint, partition_fingerprint
from prefect_healing.warehouse.partition import as_day, count_rows, declared

if TYPE_CHECKING:
    import sqlalchemy as sa

POLL_SECONDS = 15.0
"""How often a source is asked whether a partition has arrived."""

_NAMED_MAX = 5


async def reload_scope(ctx: ToolContext, name: str, days: tuple[date, ...]) -> Scope:
    """Return what loading these days again touches: all that the loader writes, copied first where it may be."""
    table, loader, tables = _loaded_together(ctx, name)
    version = await loader_version(ctx, loader_of(table))
    seen = await reading(ctx.settings, partial(_seen, parts=_parts(tables, days)))
    too_many = tuple(_too_many(*each) for each in seen if not each.found.digest)
    return Scope(
        summary=_summary(loader, days, seen, copied=not too_many),
        tables=tuple(each.name for each in tables),
        deployments=(loader,) if table.loader and table.loader.deployment else (),
        days=tuple(each.isoformat() for each in days),
        asks=(*(why for each in tables if (why := each.needs_person)), *too_many),
        basis=digest(version, [each.found for each in seen]),
    )


async def reload(ctx: ToolContext, tool: str, name: str, days: tuple[date, ...], wait_minutes: int = 0) -> Applied:
    """Load days again by the declared loader, one after the other, and wait for the end.

    Where a load fails, everything is put back from the copy and ToolFailed says so. Killed anywhere, it goes on where
    it was: the copy taken first stays the one that counts.
    """
    key = effect_key(ctx)
    if (ended := await _ended(ctx)) is not None:
        return ended
    table, _, tables = _loaded_together(ctx, name)
    copy_id = f"copy-{digest(key)[:24]}"
    if not await reading(ctx.settings, lambda connection: copy_of(connection, copy_id)):
        await wait_for_sources(ctx, tables, days, wait_minutes)
    copy = await writing(ctx.settings, partial(_copy, ctx=ctx, copy_id=copy_id, parts=_parts(tables, days)))
    begin_again = partial(_begin_again, ctx, copy)
    loads: list[Loaded] = []
    for day in days:
        loads.append(await load(ctx, loader_of(table), day, f"{key}-{day}", begin_again))
        if not loads[-1].well:
            await _put_back(ctx, tool, table, copy, loads[-1])
    done = partial(_done, ctx=ctx, tool=tool, table=table, days=days, copy_id=copy_id, copy=copy, loads=loads)
    return await writing(ctx.settings, done)


async def wait_for_sources(ctx: ToolContext, tables: tuple[Table, ...], days: tuple[date, ...], minutes: int) -> None:
    """Wait until every declared source has these days, at most so many minutes and never longer than the settings say.

    Without a wait it is asked once, and only a plain no refuses. Raises ToolFailed with when data was last seen.
    """
    longest = min(minutes, ctx.settings.source_wait_minutes)
    until = asyncio.get_running_loop().time() + longest * 60
    while missing := await _missing(ctx.incident.catalog, tables, days, patient=minutes > 0):
        left = until - asyncio.get_running_loop().time()
        if left <= 0:
            raise ToolFailed(f"{missing} Nothing was touched.")
        await asyncio.sleep(min(POLL_SECONDS, left))


async def refuse_missing(ctx: ToolContext, name: str, days: tuple[date, ...]) -> None:
    """Raise ToolFailed where a declared source says that it does not have these days."""
    _, _, tables = _loaded_together(ctx, name)
    if missing := await _missing(ctx.incident.catalog, tables, days, patient=False):
        raise ToolFailed(f"{missing} Loading now would load nothing; reload_partition can wait for it (wait_minutes).")


async def recorded_effect(ctx: ToolContext) -> Applied | None:
    """Return what an earlier attempt at this effect did, None where it did not end, or failed."""
    if ctx.effect_key is None:
        return None
    ended = await reading(ctx.settings, partial(recorded, effect_id=ctx.effect_key))
    return Applied.model_validate_json(ended.data) if ended is not None and ended.outcome == "done" else None


def effect_key(ctx: ToolContext) -> str:
    """Return the effect's key. Raises ToolFailed outside of a repair."""
    if ctx.effect_key is None:
        raise ToolFailed("Tables are written by the repair flow only; propose it in the plan.")
    return ctx.effect_key


def once(
    ctx: ToolContext, tool: str, work: "Callable[[sa.Connection], Applied]"
) -> "Callable[[sa.Connection], Applied]":
    """Return `work` so that it is done once: what it did is recorded in the transaction in which it does it."""
    key = effect_key(ctx)

    def run(connection: "sa.Connection") -> Applied:
        hold_effect(connection, key)
        if (ended := recorded(connection, key)) is not None:
            return _as_it_ended(ended)
        applied = work(connection)
        record(connection, key, tool, Recorded(outcome="done", data=applied.model_dump_json()))
        return applied

    return run


def days_between(first: str, last: str, days_max: int) -> tuple[date, ...]:
    """Return the days from `first` to `last`, both included. Raises ToolFailed where they are none or too many."""
    begin, end = as_day(first), as_day(last)
    if begin > end:
        raise ToolFailed(f"The first day, {first}, comes after the last, {last}.")
    if (count := (end - begin).days + 1) > days_max:
        raise ToolFailed(f"{count} days were asked for, and {days_max} are the most at once; ask for fewer.")
    return tuple(date.fromordinal(begin.toordinal() + number) for number in range(count))


async def _ended(ctx: ToolContext) -> Applied | None:
    ended = await reading(ctx.settings, partial(recorded, effect_id=effect_key(ctx)))
    return None if ended is None else _as_it_ended(ended)


def _as_it_ended(ended: Recorded) -> Applied:
    if ended.outcome == "failed":
        raise ToolFailed(ended.data)
    return Applied.model_validate_json(ended.data)


Part = tuple[Table, date | None]
"""One partition; the whole table where it is not partitioned."""


class Seen(NamedTuple):
    """A partition and what a preview saw of it."""

    table: Table
    day: date | None
    found: Fingerprint


def _loaded_together(ctx: ToolContext, name: str) -> tuple[Table, str, tuple[Table, ...]]:
    """Return the table, its loader's name, and all tables that this loader writes."""
    table = declared(ctx.incident.catalog, name)
    loader = loader_of(table).name
    if table.partition is None:
        raise ToolFailed(f"Table {name} declares no partition column, so no single partition of it can be loaded.")
    return table, loader, ctx.incident.catalog.loaded_by(loader)


def _parts(tables: Iterable[Table], days: tuple[date, ...]) -> tuple[Part, ...]:
    return tuple((table, day) for table in tables for day in (days if table.partition else (None,)))


def _seen(connection: "sa.Connection", parts: tuple[Part, ...]) -> list[Seen]:
    return [
        Seen(table, day, partition_fingerprint(connection, table, day, rows_max=table.copy_rows_max))
        for table, day in parts
    ]


def _too_many(table: Table, day: date | None, found: Fingerprint) -> str:
    whole = table.name if day is None else f"{table.name} of {day}"
    return f"{whole} has {found.rows} rows, above the {table.copy_rows_max} that are copied, so it could not be undone"


def _summary(loader: str, days: tuple[date, ...], seen: list[Seen], *, copied: bool) -> str:
    span = f"{days[0]}" if len(days) == 1 else f"each of the {len(days)} days from {days[0]} to {days[-1]}"
    rows: dict[str, int] = {}
    for table, _, found in seen:
        rows[table.name] = rows.get(table.name, 0) + found.rows
    named = ", ".join(f"{name} ({count} rows now)" for name, count in rows.items())
    before = "copied first, put back if it fails" if copied else "NOT copied first: too many rows"
    return f"Run {loader} for {span} and wait for its end. It replaces that of {named}; {before}."


def _copy(connection: "sa.Connection", ctx: ToolContext, copy_id: str, parts: tuple[Part, ...]) -> Copy:
    if known := copy_of(connection, copy_id):
        return known
    if any(count_rows(connection, table, day) > table.copy_rows_max for table, day in parts):
        note_no_copy(connection, copy_id, ctx.incident.id)
        return ()
    return take_copy(connection, copy_id, ctx.incident.id, parts)


async def _begin_again(ctx: ToolContext, copy: Copy) -> None:
    if not can_be_restored(copy):
        raise ToolFailed("The load was killed half way and no copy was taken, so it is not begun again by itself.")
    await writing(ctx.settings, lambda connection: restore(connection, ctx.incident.catalog, copy))


async def _put_back(ctx: ToolContext, tool: str, table: Table, copy: Copy, loaded: Loaded) -> None:
    """Restore everything and raise ToolFailed; both are one, so a load that failed is not tried again on resume."""
    if loaded.well is None:
        raise interrupted(loaded, f" after {ctx.settings.verify_seconds:.0f} s")
    if not can_be_restored(copy):
        raise interrupted(loaded, ", and no copy was taken before it")
    reason = f"Loading {table.name} failed: {loaded.detail}. The partition is as it was."

    def work(connection: "sa.Connection") -> None:
        hold_effect(connection, effect_key(ctx))
        if recorded(connection, effect_key(ctx)) is None:
            restore(connection, ctx.incident.catalog, copy)
            record(connection, effect_key(ctx), tool, Recorded(outcome="failed", data=reason))

    await writing(ctx.settings, work)
    raise ToolFailed(reason)


def _done(
    connection: "sa.Connection",
    ctx: ToolContext,
    tool: str,
    table: Table,
    days: tuple[date, ...],
    copy_id: str,
    copy: Copy,
    loads: list[Loaded],
) -> Applied:
    def applied(inside: "sa.Connection") -> Applied:
        rows = {day.isoformat(): count_rows(inside, table, day) for day in days}
        before = {part.day.isoformat(): part.rows for part in copy if part.day and part.table == table.name}
        arguments: JsonObject = {"table": table.name, "partition": days[0].isoformat(), "copy_id": copy_id}
        names = tuple(dict.fromkeys(part.table for part in copy))
        return Applied(
            detail=_told(table, rows, before),
            data={
                "rows": {**rows},
                "rows_before": {**before},
                "flow_runs": [str(each.flow_run_id) for each in loads],
                "url": url_of("flow-run", loads[-1].flow_run_id),
            },
            undo=Undo(tool="restore_partition", arguments=arguments, tables=names) if can_be_restored(copy) else None,
        )

    return once(ctx, tool, applied)(connection)


def _told(table: Table, rows: dict[str, int], before: dict[str, int]) -> str:
    shown = [f"{day} has {count} rows, {before.get(day, 'unknown how many')} before" for day, count in rows.items()]
    more = f" and {len(shown) - _NAMED_MAX} more days" if len(shown) > _NAMED_MAX else ""
    return f"Loaded {table.name} again: {'; '.join(shown[:_NAMED_MAX])}{more}."


async def _missing(catalog: Catalog, tables: tuple[Table, ...], days: tuple[date, ...], *, patient: bool) -> str | None:
    """Say which source lacks a day; one that does not answer lacks it only where there is time to ask again."""
    for source in _sources(catalog, tables):
        for day in days:
            manifest = await read_manifest(source, day)
            if manifest.has_partition is False or (patient and not manifest.up):
                return _lacking(source, day, manifest)
    return None


def _sources(catalog: Catalog, tables: tuple[Table, ...]) -> tuple[Upstream, ...]:
    names = dict.fromkeys(name for table in tables for name in table.upstreams)
    return tuple(source for name in names if (source := catalog.source(name)) is not None)


def _lacking(source: Upstream, day: date, manifest: Manifest) -> str:
    if not manifest.up:
        return f"Source {source.name} does not answer: {manifest.detail}"
    return (
        f"Source {source.name} has no data of {day}; its last is of {manifest.last_data or 'a time it does not tell'}."
    )
