"""Looking at all that a table is made from: the warehouse, the loaders' runs, the sources' manifests."""

import asyncio
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from prefect_healing.domain.catalog import Catalog, Loader, Table, Upstream
from prefect_healing.domain.lineage import Graph, catalog_graph, names_of_assets
from prefect_healing.domain.staleness import Kind, LastRun, Seen
from prefect_healing.errors import ConfigurationError, ToolFailed
from prefect_healing.settings import Settings
from prefect_healing.tools._assets import Materialization, newest_materializations
from prefect_healing.tools._loader_runs import as_last_run, loader_runs
from prefect_healing.tools.manifest import read_manifest
from prefect_healing.tools.prefect_api import prefect_client
from prefect_healing.tools.tool import ToolContext
from prefect_healing.warehouse.connection import reading
from prefect_healing.warehouse.freshness import age_of
from prefect_healing.warehouse.partition import as_day

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient


async def look_up_the_lineage(ctx: ToolContext, table: Table, at: datetime) -> tuple[Graph, dict[str, Seen]]:
    """Return the lineage and what was seen of the table and of all above it, tables in the order of loading.

    The lineage is the catalog's, with what Prefect's asset events and dbt's manifest add to it.
    """
    catalog = ctx.incident.catalog
    async with prefect_client() as client:
        made = await newest_materializations(client)
        graph, others = lineage_of(catalog, made, ctx.settings)
        names = list(graph.upwards(table.name))
        tables = [each for each in catalog.tables if each.name in names]
        runs = await _last_runs(client, tables, ctx.incident.options.code_root)
    sources = [each for each in catalog.sources if each.name in names]
    seen = [
        *await asyncio.gather(*(_seen_source(ctx, each) for each in sources)),
        *(others[name] for name in names if name in others),
        *[await _seen_table(ctx.settings, each, at, runs) for each in tables],
    ]
    return graph, {each.name: each for each in seen}


def lineage_of(
    catalog: Catalog, made: tuple[Materialization, ...], settings: Settings
) -> tuple[Graph, dict[str, Seen]]:
    """Return one graph of all that is known, and the nodes of it that the catalog does not declare."""
    keys = [key for each in made for key in (each.key, *each.upstreams)]
    names = names_of_assets(catalog, keys)
    graph = catalog_graph(catalog).merged(
        Graph(edges=tuple(e for each in made for e in each.edges)).renamed(names).edges
    )
    latest = {each.key: each for each in made}
    others = {key: _seen_asset(key, latest.get(key)) for key in keys if key not in names}
    kinds, edges = _dbt(catalog, settings)
    others |= {name: Seen(name=name, kind=kind) for name, kind in kinds.items() if catalog.table(name) is None}
    return graph.merged(edges), others


def _dbt(catalog: Catalog, settings: Settings) -> tuple[dict[str, Kind], tuple[tuple[str, str], ...]]:
    if settings.dbt_project is None:
        return {}, ()
    from prefect_healing.dbt.manifest import dbt_edges, dbt_kinds, declared_table, known_manifest
    from prefect_healing.dbt.project import configured_project

    try:
        manifest = known_manifest(configured_project(settings))
    except ConfigurationError:
        return {}, ()  # The tools of dbt say what is wrong with the project.
    if manifest is None:
        return {}, ()
    found = dbt_kinds(manifest)
    names = {name: table.name for name in found if (table := declared_table(catalog, name)) is not None}
    kinds: dict[str, Kind] = {
        name: "source" if kind == "source" else "model" for name, kind in found.items() if name not in names
    }
    return kinds, Graph(edges=dbt_edges(manifest)).renamed(names).edges


async def _last_runs(client: "PrefectClient", tables: list[Table], root: str | None) -> dict[str, LastRun]:
    loaders: dict[str, Loader] = {each.loader.name: each.loader for each in tables if each.loader}
    found = {name: await loader_runs(client, loader, root, 1) for name, loader in loaders.items()}
    return {name: as_last_run(runs[0]) for name, runs in found.items() if runs}


async def _seen_table(settings: Settings, table: Table, at: datetime, runs: dict[str, LastRun]) -> Seen:
    try:
        age = await reading(settings, lambda connection: age_of(connection, table, at))
    except ToolFailed as error:  # One table that cannot be read does not hide the others.
        return Seen(name=table.name, kind="table", layer=table.layer, problem=str(error))
    allowed = timedelta(hours=table.freshness.max_age_hours) if table.freshness else None
    return Seen(
        name=table.name,
        kind="table",
        layer=table.layer,
        last_update=age.last_update,
        first=age.first,
        newest=age.newest,
        partitioned=table.partition is not None,
        aged=age.breaches(table, at),
        late_after=None if allowed is None else (at - allowed).date(),
        last_run=runs.get(table.loader.name) if table.loader else None,
    )


async def _seen_source(ctx: ToolContext, source: Upstream) -> Seen:
    partition = ctx.incident.subject.partition
    day = None if partition is None else as_day(partition)
    manifest = await read_manifest(source, day)
    return Seen(
        name=source.name,
        kind="source",
        newest=_day_in(manifest.last_data),
        up=manifest.up,
        lacks=day if manifest.has_partition is False else None,
    )


def _seen_asset(key: str, made: Materialization | None) -> Seen:
    return Seen(
        name=key,
        kind="asset",
        last_update=None if made is None else made.at,
        broke=made is not None and not made.succeeded,
    )


def _day_in(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text[:10])
    except ValueError:
        return None
