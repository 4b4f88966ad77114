"""What the agent is told of a table's lineage, of a real warehouse and a real Prefect server."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from prefect import flow
from prefect.assets import materialize

from prefect_healing.domain.catalog import Catalog, Loader, Table
from prefect_healing.errors import ToolFailed
from prefect_healing.tools.freshness import check_freshness
from prefect_healing.tools.lineage import read_asset_history, read_catalog, walk_lineage
from tests.lineage.conftest import World, day

NOW = datetime.now(UTC)


def statuses(walk) -> dict[str, str]:
    """Return the state of what the catalog knows; assets are what other flows of this server told."""
    return {node.name: node.status for node in walk.nodes if node.kind != "asset"}


async def test_a_table_tells_its_age(world: World, context):
    """Held against what the catalog allows."""
    found = await check_freshness(context(), "mart")

    assert found.age_hours == pytest.approx(1, abs=0.1)
    assert (found.max_age_hours, found.stale, found.rows, found.newest_partition) == (6, False, 8, "2013-02-08")
    assert (await check_freshness(context(), "stage")).stale is None


async def test_only_tables_of_the_incident_can_be_asked_for(context):
    """Whatever else the warehouse holds."""
    for read in (check_freshness, read_catalog, walk_lineage, read_asset_history):
        with pytest.raises(ToolFailed, match="there are stage, clean, mart"):
            await read(context(), "customers")


async def test_the_catalog_tells_what_may_be_done(context):
    """And what of the address of a source is nobody's secret."""
    entry = await read_catalog(context(), "stage")

    assert (entry.layer, entry.downstream, entry.needs_person) == ("staging", ("clean", "mart"), None)
    assert [(each.name, each.host) for each in entry.sources] == [("vendor", "127.0.0.1")]
    assert "gold table" in (await read_catalog(context(), "mart")).needs_person


async def test_a_load_that_failed_quietly_is_found_three_hops_up(world: World, context, ran):
    """Its run is Completed and brought nothing; the days that it owes are named, and what to rebuild after it."""
    for name in ("stage", "clean", "mart"):
        world.load(name, at=NOW)
        await ran(world.deployment(name))
    _forget(world, 7, 8)

    walk = await walk_lineage(context(), "mart")

    assert statuses(walk) == {"vendor": "fresh", "stage": "stale", "clean": "stale", "mart": "stale"}
    assert (walk.first_broken, walk.rebuild_order) == ("stage", ("stage", "clean", "mart"))
    assert (walk.missing_days, walk.missing_days_total) == (("2013-02-07", "2013-02-08"), 2)
    stage = next(node for node in walk.nodes if node.name == "stage")
    assert stage.last_run.state_type == "COMPLETED"
    assert "failed quietly" in stage.detail
    assert [node.depth for node in walk.nodes if node.kind != "asset"] == [3, 2, 1, 0]


async def test_a_load_that_failed_aloud_is_failed(world: World, context, ran):
    """In the middle of the chain: what lies above it is in order."""
    await ran(world.deployment("clean"))
    await ran(world.deployment("clean"), failed=True)
    _forget(world, 8, tables=("clean", "mart"))

    walk = await walk_lineage(context(), "mart")

    assert statuses(walk) == {"vendor": "fresh", "stage": "fresh", "clean": "failed", "mart": "stale"}
    assert (walk.first_broken, walk.missing_days) == ("clean", ("2013-02-08",))


async def test_a_source_that_has_nothing_newer_is_where_it_stopped(world: World, context, prefect_server: str):
    """Nothing here can be rebuilt until it delivers."""
    _age(world, 30)

    walk = await walk_lineage(context(), "mart")

    assert (walk.first_broken, walk.missing_days) == ("vendor", ())
    assert "2013-02-08" in next(node.detail for node in walk.nodes if node.name == "vendor")


async def test_a_source_without_the_incidents_day_is_where_it_stopped(world: World, context, prefect_server: str):
    """It answers 404 for it."""
    walk = await walk_lineage(context(partition="2013-02-09"), "stage")

    assert (walk.first_broken, walk.missing_days) == ("vendor", ("2013-02-09",))


async def test_days_that_the_source_does_not_have_are_not_missing(world: World, context, prefect_server: str):
    """It rests on some days."""
    world.vendor.days = [day(each) for each in (1, 2, 3, 4, 5, 6, 7, 8, 10, 12)]

    walk = await walk_lineage(context(), "stage")

    assert (walk.missing_days, walk.missing_days_total) == (("2013-02-10", "2013-02-12"), 2)


async def test_a_source_that_is_down_does_not_hide_the_tables(world: World, context, prefect_server: str):
    """The fault is two hops below it."""
    world.vendor.broken = True
    _forget(world, 8, tables=("clean", "mart"))

    walk = await walk_lineage(context(), "mart")

    assert statuses(walk)["vendor"] == "failed"
    assert walk.rebuild_order[-2:] == ("clean", "mart")


async def test_a_table_that_is_not_there_is_unknown(world: World, context, prefect_server: str):
    """The catalog names it, and the walk goes on without it."""
    ghost = Table(name="ghost", layer="staging")
    mart = world.catalog.table("mart").model_copy(update={"upstreams": ("clean", "ghost")})
    tables = (ghost, world.catalog.table("stage"), world.catalog.table("clean"), mart)

    walk = await walk_lineage(context(catalog=world.catalog.model_copy(update={"tables": tables})), "mart")

    node = next(node for node in walk.nodes if node.name == "ghost")
    assert node.status == "unknown"
    assert "the warehouse has none of that name" in node.detail


async def test_assets_that_prefect_saw_are_part_of_the_lineage(
    world: World, context, prefect_server: str, tmp_path: Path
):
    """The catalog does not know that clean also reads a file."""
    mark, raw = uuid4().hex[:8], f"s3://raw/{uuid4().hex}.csv"
    key = "warehouse://lineage/clean"

    @materialize(key, asset_deps=["warehouse://lineage/stage", raw], name="build clean")
    def build() -> int:
        return 1

    @flow(name=f"build-{mark}")
    def building() -> int:
        return build()

    await asyncio.to_thread(building)
    (source := tmp_path / "loads.py").write_text(f"@flow(name='build-{mark}')\ndef building(): ...\n")
    loader = Loader(flow=f"{source}:building")
    clean = world.catalog.table("clean").model_copy(update={"loader": loader})
    tables = (world.catalog.table("stage"), clean, world.catalog.table("mart"))
    ctx = context(catalog=Catalog(tables=tables, sources=world.catalog.sources))

    made_from: set[str] = set()
    async with asyncio.timeout(60):  # The server records events late.
        while raw not in made_from:
            history = await read_asset_history(ctx, "clean")
            made_from = {each for made in history.materializations for each in made.made_from}
    walk = await walk_lineage(ctx, "mart")

    assert (history.asset, history.materializations[0].made_from) == (key, (raw, "stage"))
    assert history.materializations[0].flow_run == history.runs[0].name
    assert [(task.name, task.last_state) for task in history.tasks] == [("build clean", "Completed")]
    assert next(node.upstreams for node in walk.nodes if node.name == "clean") == ("stage", raw)
    assert next(node for node in walk.nodes if node.name == raw).kind == "asset"
    assert next(node for node in walk.nodes if node.name == "clean").last_run.name == history.runs[0].name


async def test_models_that_dbt_knows_are_part_of_the_lineage(
    world: World, context, prefect_server: str, tmp_path: Path
):
    """Between declared tables stands one that the catalog does not have; a test of dbt's is no table."""
    project = tmp_path / "project"
    (project / "target").mkdir(parents=True)
    (project / "dbt_project.yml").write_text("name: shop\n")
    (project / "target" / "manifest.json").write_text(json.dumps(MANIFEST))

    walk = await walk_lineage(context(dbt_project=str(project)), "mart")

    nodes = {node.name: node for node in walk.nodes}
    assert set(nodes["mart"].upstreams) == {"clean", "customers"}
    assert nodes["customers"].upstreams == ("crm",)
    assert (nodes["customers"].kind, nodes["customers"].status, nodes["crm"].kind) == ("model", "unknown", "source")


def _node(kind: str, name: str, *parents: str) -> dict[str, object]:
    return {
        "unique_id": f"{kind}.shop.{name}",
        "name": name,
        "resource_type": kind,
        "schema": "main",
        "depends_on": {"nodes": list(parents)},
    }


MANIFEST = {
    "nodes": {
        each["unique_id"]: each
        for each in (
            _node("model", "customers", "source.shop.crm"),
            _node("model", "mart", "model.shop.customers"),
            _node("test", "mart_is_good", "model.shop.mart"),
        )
    },
    "sources": {"source.shop.crm": _node("source", "crm")},
}


async def test_without_assets_the_history_is_the_loaders(world: World, context, ran):
    """Its runs, and what is not known, said aloud."""
    await ran(world.deployment("mart"))
    await ran(world.deployment("mart"), failed=True)

    history = await read_asset_history(context(), "mart")

    assert {run.state_type for run in history.runs} == {"COMPLETED", "FAILED"}
    assert (history.asset, history.materializations) == (None, ())
    assert "no asset" in history.note


def _forget(world: World, *numbers: int, tables: tuple[str, ...] = ("stage", "clean", "mart")) -> None:
    """Take days out of tables, as if they had never been loaded."""
    import sqlalchemy as sa

    for name in tables:
        for number in numbers:
            world._execute(sa.delete(sa.table(name, sa.column("day", sa.Date))).where(sa.column("day") == day(number)))
    _age(world, 30)


def _age(world: World, hours: float) -> None:
    """Let everything be loaded long ago."""
    import sqlalchemy as sa

    at = (datetime.now(UTC) - timedelta(hours=hours)).replace(tzinfo=None)
    for each in world.catalog.tables:
        world._execute(sa.update(sa.table(each.name, sa.column("loaded_at", sa.DateTime))).values(loaded_at=at))
