"""The flow that watches, from the stale table to the report of its incident."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prefect import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterTags

from prefect_healing.domain.catalog import Catalog
from prefect_healing.errors import ToolFailed
from prefect_healing.testing import healing
from prefect_healing.watch_freshness import watch_freshness
from tests.lineage.conftest import World

pytestmark = pytest.mark.usefixtures("prefect_server")


def written(world: World, path: Path) -> Path:
    """Write the world's catalog as people would."""
    lines = ["tables:"]
    for each in world.catalog.tables:
        upstreams = f"upstreams: [{', '.join(each.upstreams)}], partition: day"
        loader = f"loader: {{deployment: {each.loader.deployment}, parameter: day}}"
        limit = "freshness: {column: loaded_at, max_age_hours: 6}"
        lines.append(f"  {each.name}: {{layer: {each.layer}, {upstreams}, {loader}, {limit}}}")
    lines += ["sources:", f"  vendor: {{manifest: '{world.catalog.sources[0].manifest}'}}"]
    path.write_text("\n".join(lines))
    return path


async def test_fresh_tables_raise_nothing(world: World, tmp_path: Path):
    """The run is a list of ages."""
    with healing(warehouse=world.url, catalog=str(written(world, tmp_path / "catalog.yaml"))):
        found = await watch_freshness()

    assert [each.stale for each in found.watched] == [False, False, False]
    assert found.settled == ()


async def test_a_stale_chain_is_one_incident_about_its_last_table(world: World, tmp_path: Path, ran):
    """Healed here, where nothing is deployed; in a mode that only observes, the walk is in the report all the same."""
    for each in world.catalog.tables:
        world.load(each.name, *world.vendor.days, at=datetime.now(UTC) - timedelta(hours=30))
        await ran(each.loader.deployment)
    catalog = str(written(world, tmp_path / "catalog.yaml"))

    with healing(warehouse=world.url, catalog=catalog, mode="observe"):
        found = await watch_freshness()

    (settled,) = found.settled
    assert settled.report is not None
    assert settled.report.outcome != "healed"
    assert settled.report.incident.subject.table == "mart"
    async with get_client() as client:
        tagged = FlowRunFilter(tags=FlowRunFilterTags(all_=[f"incident:{settled.incident_id}", "healing"]))
        assert len(await client.read_flow_runs(flow_run_filter=tagged)) >= 1


async def test_a_table_that_cannot_be_looked_at_fails_the_watch(world: World, tmp_path: Path):
    """Never green by looking away; the others were looked at before."""
    ghost = world.catalog.tables[0].model_copy(update={"name": "ghost"})
    world.catalog = Catalog(tables=(ghost, *world.catalog.tables), sources=world.catalog.sources)
    catalog = str(written(world, tmp_path / "catalog.yaml"))

    with healing(warehouse=world.url, catalog=catalog), pytest.raises(ToolFailed) as caught:
        await watch_freshness()

    assert "ghost: cannot be looked at" in str(caught.value)
