"""What the catalog says of a table, what it is made from and where that stopped, and who made it when."""

from statistics import median
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import AwareDatetime

from prefect_healing.clock import now
from prefect_healing.domain.catalog import Catalog, Freshness, Layer, Loader, Table, Upstream
from prefect_healing.domain.lineage import Graph, names_of_assets
from prefect_healing.domain.record import Record
from prefect_healing.domain.staleness import Judged, Kind, LastRun, Seen, Status, Verdict, judge
from prefect_healing.tools._assets import Materialization, materializations_of, newest_materializations
from prefect_healing.tools._loader_runs import as_last_run, loader_runs
from prefect_healing.tools._missing_days import missing_days_of
from prefect_healing.tools._walk import look_up_the_lineage
from prefect_healing.tools.freshness import TableName
from prefect_healing.tools.prefect_api import PAGE_MAX, prefect_client
from prefect_healing.tools.tool import ToolContext, tool
from prefect_healing.warehouse.partition import declared

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun, TaskRun

_RUNS = 10
_SHOWN = 20


class SourceEntry(Record):
    """A system outside the warehouse, and the host that its manifest is asked of."""

    name: str
    host: str


class CatalogEntry(Record):
    """What people declared of a table. `sensitive_columns` never leave the warehouse; `needs_person` says why."""

    table: str
    layer: Layer
    owner: str | None
    key: tuple[str, ...]
    partition: str | None
    loader: Loader | None
    upstreams: tuple[str, ...]
    sources: tuple[SourceEntry, ...]
    downstream: tuple[str, ...]
    loaded_together: tuple[str, ...]
    freshness: Freshness | None
    new_columns: str
    share_rows: bool
    sensitive_columns: tuple[str, ...]
    copy_rows_max: int
    has_gate: bool
    needs_person: str | None


@tool(effect="read")
async def read_catalog(ctx: ToolContext, table: TableName) -> CatalogEntry:
    """Read what people declared of a table: who owns and loads it, what it is made from, what may be done to it.

    Use it before proposing to write: `needs_person` says why code may not, `loaded_together` what a run of its loader
    loads besides. Only tables that bear on this incident can be asked for.
    """
    entry = declared(ctx.incident.catalog, table)
    catalog = ctx.incident.catalog
    together = catalog.loaded_by(entry.loader.name) if entry.loader else ()
    return CatalogEntry(
        table=entry.name,
        layer=entry.layer,
        owner=entry.owner,
        key=entry.key,
        partition=entry.partition,
        loader=entry.loader,
        upstreams=entry.upstreams,
        sources=tuple(_source(each) for each in catalog.sources if each.name in entry.upstreams),
        downstream=tuple(each.name for each in catalog.downstream_of(entry.name)),
        loaded_together=tuple(each.name for each in together if each != entry),
        freshness=entry.freshness,
        new_columns=entry.new_columns,
        share_rows=entry.share_rows,
        sensitive_columns=tuple(sorted(entry.sensitive)),
        copy_rows_max=entry.copy_rows_max,
        has_gate=entry.gate is not None,
        needs_person=entry.needs_person,
    )


class LineageNode(Record):
    """One node at or above a table. `depth` counts the hops to it; `detail` says what its status rests on.

    `newest_partition` is an ISO day; of a source, the newest data that it says it has.
    """

    name: str
    kind: Kind
    layer: Layer | None
    status: Status
    detail: str
    last_update: AwareDatetime | None
    newest_partition: str | None
    last_run: LastRun | None
    upstreams: tuple[str, ...]
    depth: int


class LineageWalk(Record):
    """What a table is made from, most upstream first, and where that stopped.

    `first_broken` is the most upstream stale or failed node, None where there is none. `rebuild_order` names the tables
    from there to the asked one in the order of loading; a source is none of them. `missing_days` are ISO days that
    `first_broken` lacks and what it is made from has, the newest 31 of `missing_days_total`.
    """

    table: str
    nodes: tuple[LineageNode, ...]
    first_broken: str | None
    broken: tuple[str, ...]
    rebuild_order: tuple[str, ...]
    missing_days: tuple[str, ...]
    missing_days_total: int
    note: str = ""


@tool(effect="read")
async def walk_lineage(ctx: ToolContext, table: TableName) -> LineageWalk:
    """Walk up from a table to the first stale or failed table, model or source that it is made from.

    Use it when a table is late or lacks a day: the fault is rarely where it shows. Repair `first_broken` first, then
    the others of `rebuild_order`, in that order. Where `first_broken` is a source, nothing here can be rebuilt until
    it delivers. Next, read_etl_job of the first broken table for its runs and errors.
    """
    entry = declared(ctx.incident.catalog, table)
    graph, seen = await look_up_the_lineage(ctx, entry, now())
    verdict = judge(graph, seen, entry.name)
    missing = await missing_days_of(ctx, graph, seen, verdict.first_broken)
    nodes = (_node(graph, seen[name], judged, entry.name) for name, judged in verdict.nodes.items())
    return LineageWalk(
        table=entry.name,
        nodes=tuple(sorted(nodes, key=lambda node: -node.depth)),
        first_broken=verdict.first_broken,
        broken=tuple(name for name, judged in verdict.nodes.items() if judged.broken),
        rebuild_order=verdict.rebuild_order,
        missing_days=missing.days,
        missing_days_total=missing.total,
        note=_walk_note(verdict),
    )


class AssetMade(Record):
    """One time that a table was made, as Prefect recorded it. `flow_run` is the name of the run that made it."""

    at: AwareDatetime
    succeeded: bool
    flow_run_id: UUID | None
    flow_run: str | None
    made_from: tuple[str, ...]


class TaskDurations(Record):
    """How long a task of the loader takes, in seconds: usually, and in the newest run that had it."""

    name: str
    runs: int
    usual_seconds: float
    last_seconds: float
    last_state: str


class AssetHistory(Record):
    """When a table was made and by which runs, newest first. `asset` is its key in Prefect, None where it has none.

    `runs` are the loader's, whether they made the table or not; `tasks` what those runs spent their time on.
    """

    table: str
    asset: str | None
    materializations: tuple[AssetMade, ...]
    runs: tuple[LastRun, ...]
    usual_seconds: float | None
    tasks: tuple[TaskDurations, ...]
    note: str = ""


@tool(effect="read")
async def read_asset_history(ctx: ToolContext, table: TableName) -> AssetHistory:
    """Read when a table was made, by which runs, and how long the loader and its tasks take.

    Use it to see when a table stopped being made, and whether its loader got slower or skips a task. Prefect keeps
    asset events for a week, and has them only of flows that declare assets; the loader's runs are told in any case.
    """
    entry = declared(ctx.incident.catalog, table)
    async with prefect_client() as client:
        key, made = await _materializations(client, ctx.incident.catalog, entry.name)
        runs = await _runs(ctx, client, entry)
        task_runs = await _task_runs(client, runs)
    completed = [each.total_run_time.total_seconds() for each in runs if each.state and each.state.is_completed()]
    return AssetHistory(
        table=entry.name,
        asset=key,
        materializations=made,
        runs=tuple(as_last_run(each) for each in runs),
        usual_seconds=round(median(completed), 3) if completed else None,
        tasks=_durations(task_runs),
        note=_history_note(entry, key, made),
    )


def _source(source: Upstream) -> SourceEntry:
    # The rest of the address may hold what came from the environment.
    return SourceEntry(name=source.name, host=urlsplit(source.manifest).hostname or "")


def _node(graph: Graph, seen: Seen, judged: Judged, asked: str) -> LineageNode:
    return LineageNode(
        name=seen.name,
        kind=seen.kind,
        layer=seen.layer,
        status=judged.status,
        detail=judged.detail,
        last_update=seen.last_update,
        newest_partition=None if seen.newest is None else seen.newest.isoformat(),
        last_run=seen.last_run,
        upstreams=graph.parents(seen.name),
        depth=graph.upwards(asked)[seen.name],
    )


def _walk_note(verdict: Verdict) -> str:
    if verdict.first_broken is None:
        return "Nothing at or above it is known to be stale or failed."
    if len(verdict.roots) > 1:
        others = ", ".join(name for name in verdict.roots if name != verdict.first_broken)
        return f"It stopped in several places that do not depend on each other; the others are {others}."
    return ""


async def _materializations(
    client: "PrefectClient", catalog: Catalog, table: str
) -> tuple[str | None, tuple[AssetMade, ...]]:
    newest = await newest_materializations(client)
    names = names_of_assets(catalog, [key for each in newest for key in (each.key, *each.upstreams)])
    if (key := next((key for key, name in names.items() if name == table), None)) is None:
        return None, ()
    made = (await materializations_of(client, key))[:_SHOWN]
    runs = await _run_names(client, {each.flow_run_id for each in made if each.flow_run_id})
    return key, tuple(_made(each, runs, names) for each in made)


def _made(made: Materialization, runs: dict[UUID, str], names: dict[str, str]) -> AssetMade:
    return AssetMade(
        at=made.at,
        succeeded=made.succeeded,
        flow_run_id=made.flow_run_id,
        flow_run=None if made.flow_run_id is None else runs.get(made.flow_run_id),
        made_from=tuple(names.get(key, key) for key in made.upstreams),
    )


async def _run_names(client: "PrefectClient", ids: set[UUID]) -> dict[UUID, str]:
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    if not ids:
        return {}
    runs = await client.read_flow_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=list(ids))))
    return {each.id: each.name for each in runs}


async def _runs(ctx: ToolContext, client: "PrefectClient", table: Table) -> "list[FlowRun]":
    root = ctx.incident.options.code_root
    return [] if table.loader is None else await loader_runs(client, table.loader, root, _RUNS)


async def _task_runs(client: "PrefectClient", runs: "list[FlowRun]") -> "list[TaskRun]":
    """Return the newest task runs of these runs, newest first."""
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
    from prefect.client.schemas.sorting import TaskRunSort

    if not runs:
        return []
    return await client.read_task_runs(
        flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[each.id for each in runs])),
        sort=TaskRunSort.EXPECTED_START_TIME_DESC,
        limit=PAGE_MAX,
    )


def _durations(task_runs: "list[TaskRun]") -> tuple[TaskDurations, ...]:
    by_name: dict[str, list[TaskRun]] = {}
    for each in task_runs:
        by_name.setdefault(_task_name(each), []).append(each)
    return tuple(
        TaskDurations(
            name=name,
            runs=len(found),
            usual_seconds=round(median(each.total_run_time.total_seconds() for each in found), 3),
            last_seconds=round(found[0].total_run_time.total_seconds(), 3),
            last_state="unknown" if found[0].state is None else (found[0].state.name or found[0].state.type.value),
        )
        for name, found in by_name.items()
    )[:_SHOWN]


def _task_name(task_run: "TaskRun") -> str:
    # A run is called by its task, a dash, and a number or a few random digits.
    return task_run.name.rpartition("-")[0] or task_run.name


def _history_note(table: Table, key: str | None, made: tuple[AssetMade, ...]) -> str:
    said: list[str] = []
    if key is None:
        said.append("Prefect has no asset of this table: no flow declared one, or none was made within a week.")
    elif not made:
        said.append("Prefect saw flows read its asset, and none make it within a week.")
    if table.loader is None or table.loader.dbt is not None:
        said.append("No flow is declared to load it, so there are no runs to tell of.")
    return " ".join(said)
