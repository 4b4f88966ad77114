"""Partitions are loaded again by their declared loader: copied before, put back where that fails."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import sqlalchemy as sa
from prefect import get_client
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId, FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun

from prefect_healing.domain.catalog import Catalog, Loader, Upstream
from prefect_healing.errors import ToolFailed
from prefect_healing.tools import _reloads
from prefect_healing.tools.flow_process import run_detached
from tests.warehouse_write import loaders
from tests.warehouse_write.conftest import Heals
from tests.warehouse_write.shop import DAY, NEXT_DAY, ORDERS, catalog_of, connected, content, count, fill, order

pytestmark = pytest.mark.usefixtures("prefect_server")

HERE = Loader(flow="tests/warehouse_write/loaders.py:load_orders")
RELOAD = {"table": "orders", "partition": DAY.isoformat()}

Source = Callable[..., None]


@pytest.fixture
def source(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Source:
    """Say how many rows the source has of a day, and after how many a load breaks off."""

    def has(rows: int, fails_after: int | None = None) -> None:
        monkeypatch.setenv(loaders.URL, database_url)
        monkeypatch.setenv(loaders.ROWS, str(rows))
        if fails_after is None:
            monkeypatch.delenv(loaders.FAILS_AFTER, raising=False)
        else:
            monkeypatch.setenv(loaders.FAILS_AFTER, str(fails_after))

    return has


async def runs_of(*ids: object) -> list[FlowRun]:
    async with get_client() as client:
        return await client.read_flow_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=list(ids))))


async def test_a_partition_is_replaced_from_its_source_and_put_back_by_the_undo(
    database_url: str, heals: Heals, source: Source
):
    """All tables of the loader are named, copied and restored; the restoring itself can be undone."""
    fill(database_url, [order(1), order(1), order(5, NEXT_DAY)])
    source(rows=7)
    healer, before = heals(database_url, catalog=catalog_of(loader=HERE)), content(database_url)

    scope = await healer.preview("reload_partition", **RELOAD)
    receipt = await healer.carry_out("reload_partition", scope=scope, **RELOAD)

    assert (scope.tables, scope.days, scope.deployments) == (("orders", "daily"), ("2013-01-05",), ())
    assert (scope.rows_written, scope.rows_deleted, scope.asks) == (0, 0, ())
    assert (receipt.status, await healer.check(receipt)) == ("done", "passed"), receipt.detail
    loaded = content(database_url)
    assert count(database_url, "orders") == 8
    assert loaded["other"] == before["other"]
    [run] = await runs_of(*receipt.data["flow_runs"])
    assert f"incident:{healer.incident.id}" in run.tags

    undone = await healer.undo(receipt)
    assert (undone.status, await healer.check(undone)) == ("done", "passed"), undone.detail
    assert content(database_url) == before
    assert (await healer.undo(undone)).status == "done"
    assert content(database_url) == loaded


async def test_a_load_that_fails_half_way_leaves_the_partition_as_it_was(
    database_url: str, heals: Heals, source: Source
):
    """And says so, without the words of the error, which may quote the data."""
    fill(database_url, [order(1), order(5, NEXT_DAY)])
    source(rows=7, fails_after=3)
    healer, before = heals(database_url, catalog=catalog_of(loader=HERE)), content(database_url)

    receipt = await healer.carry_out("reload_partition", **RELOAD)

    assert receipt.status == "failed"
    assert "ended Failed. The partition is as it was." in receipt.detail
    assert "customer" not in receipt.model_dump_json()
    assert content(database_url) == before


async def test_a_backfill_loads_every_day_in_order_or_none(database_url: str, heals: Heals, source: Source):
    fill(database_url, [order(1), order(5, NEXT_DAY)])
    healer, before = heals(database_url, catalog=catalog_of(loader=HERE)), content(database_url)
    days = {"table": "orders", "first": DAY.isoformat(), "last": NEXT_DAY.isoformat()}
    source(rows=4)

    receipt = await healer.carry_out("backfill_partitions", **days)

    assert (receipt.status, await healer.check(receipt)) == ("done", "passed"), receipt.detail
    assert receipt.data["rows"] == {"2013-01-05": 4, "2013-01-06": 4}
    assert (await healer.undo(receipt)).status == "done"
    assert content(database_url) == before
    source(rows=4, fails_after=0)
    assert (await healer.carry_out("backfill_partitions", "again", **days)).status == "failed"
    assert content(database_url) == before


@pytest.mark.parametrize("wanted", [("2013-01-06", "2013-01-05"), ("2013-01-01", "2013-02-01")])
async def test_a_backfill_of_no_day_or_too_many_is_refused(database_url: str, heals: Heals, wanted: tuple[str, str]):
    fill(database_url, [])
    healer = heals(database_url, catalog=catalog_of(loader=HERE))

    with pytest.raises(ToolFailed, match=r"comes after the last|31 are the most"):
        await healer.preview("backfill_partitions", table="orders", first=wanted[0], last=wanted[1])


async def test_a_load_that_completes_without_a_row_does_not_pass_its_check(
    database_url: str, heals: Heals, source: Source
):
    fill(database_url, [order(1)])
    source(rows=0)
    nothing = Loader(flow="tests/warehouse_write/loaders.py:load_nothing")
    healer, before = heals(database_url, catalog=catalog_of(loader=nothing)), content(database_url)

    receipt = await healer.carry_out("reload_partition", **RELOAD)

    assert (receipt.status, await healer.check(receipt)) == ("done", "failed")
    assert (await healer.undo(receipt)).status == "done"
    assert content(database_url) == before


async def test_above_the_size_that_is_copied_a_person_is_asked_and_nothing_is_promised(
    database_url: str, heals: Heals, source: Source
):
    """Without a copy there is no undo, and a load that fails half way is nobody's guess."""
    fill(database_url, [order(1), order(2)])
    source(rows=7, fails_after=3)
    healer = heals(database_url, catalog=catalog_of(loader=HERE, copy_rows_max=1))

    scope = await healer.preview("reload_partition", **RELOAD)
    receipt = await healer.carry_out("reload_partition", scope=scope, **RELOAD)

    assert scope.asks == ("orders of 2013-01-05 has 2 rows, above the 1 that are copied, so it could not be undone",)
    assert receipt.status == "unknown"
    source(rows=1)
    assert (await healer.carry_out("reload_partition", "again", scope=scope, **RELOAD)).undo is None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"loader": None}, "declares no loader"),
        ({"loader": Loader(dbt="orders")}, "propose run_dbt"),
        ({"loader": Loader(deployment="nobody/here")}, "There is no deployment 'nobody/here'"),
        ({"loader": Loader(deployment="heal/heal")}, "There is no deployment|part of healing itself"),
        ({"loader": Loader(flow="nowhere.py:load")}, "is not where the catalog says"),
        ({"loader": HERE, "partition": None}, "declares no partition column"),
    ],
)
async def test_a_table_that_nobody_can_load_is_refused_with_the_reason(
    database_url: str, heals: Heals, changes: dict[str, object], says: str
):
    fill(database_url, [order(1)])
    healer = heals(database_url, catalog=catalog_of(**changes))

    with pytest.raises(ToolFailed, match=says):
        await healer.preview("reload_partition", **RELOAD)


async def test_the_preview_is_void_once_any_table_of_the_loader_changed(
    database_url: str, heals: Heals, source: Source
):
    fill(database_url, [order(1), order(2)])
    healer = heals(database_url, catalog=catalog_of(loader=HERE, layer="gold"))
    scope = await healer.preview("reload_partition", **RELOAD)

    with connected(database_url) as connection:
        connection.execute(sa.update(ORDERS).where(ORDERS.c.id == 2).values(weight=0.2))
    after = await healer.preview("reload_partition", **RELOAD)

    assert after.basis != scope.basis
    assert len(scope.asks) == 1


@asynccontextmanager
async def deployed(database_url: str, *, worker: bool) -> AsyncIterator[None]:
    """Deploy the loader; a worker of our own takes its runs."""
    deployment_id = await asyncio.to_thread(
        lambda: loaders.load_orders.to_deployment(name="prod").apply()  # it has a pull step of no work pool
    )
    async with get_client() as client:
        taking = asyncio.create_task(_work(client, deployment_id)) if worker else None
        try:
            yield
        finally:
            if taking:
                taking.cancel()
            await client.delete_deployment(deployment_id)


async def _work(client: PrefectClient, deployment_id: object) -> None:
    only = DeploymentFilter(id=DeploymentFilterId(any_=[deployment_id]))
    while True:
        for run in await client.read_flow_runs(deployment_filter=only):
            if run.state is not None and run.state.is_scheduled():
                await run_detached(loaders.load_orders, run)
        await asyncio.sleep(0.2)


async def test_a_deployed_loader_is_run_by_its_worker_and_waited_for(database_url: str, heals: Heals, source: Source):
    fill(database_url, [order(1)])
    source(rows=4)
    healer = heals(database_url, catalog=catalog_of(loader=Loader(deployment="load-orders/prod")))

    async with deployed(database_url, worker=True):
        scope = await healer.preview("reload_partition", **RELOAD)
        receipt = await healer.carry_out("reload_partition", scope=scope, **RELOAD)

    assert scope.deployments == ("load-orders/prod",)
    assert (receipt.status, await healer.check(receipt)) == ("done", "passed"), receipt.detail
    assert count(database_url, "orders") == 4


async def test_a_run_that_no_worker_takes_is_cancelled(database_url: str, heals: Heals, source: Source):
    """Else it would load long after the incident is closed."""
    fill(database_url, [order(1)])
    wrong = catalog_of(loader=Loader(deployment="load-orders/prod", parameter="date"))
    right = catalog_of(loader=Loader(deployment="load-orders/prod"))
    healer, before = heals(database_url, catalog=right, verify_seconds=0.5), content(database_url)

    async with deployed(database_url, worker=False):
        with pytest.raises(ToolFailed, match="has no parameter 'date'"):
            await heals(database_url, catalog=wrong).preview("reload_partition", **RELOAD)
        receipt = await healer.carry_out("reload_partition", **RELOAD)
        async with get_client() as client:
            ours = FlowRunFilter(tags={"all_": [f"incident:{healer.incident.id}"]})
            [run] = await client.read_flow_runs(
                flow_run_filter=ours, limit=2, sort="EXPECTED_START_TIME_DESC", offset=0
            )

    assert (receipt.status, run.state_name) == ("failed", "Cancelled")
    assert "no worker took" in receipt.detail
    assert content(database_url) == before


class Vendor:
    """A source with a manifest; a day that is late is there from the second time that it is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.arrives_at: int | None = None
        vendor = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                vendor.asked.append(self.path)
                there = vendor.arrives_at is not None and len(vendor.asked) >= vendor.arrives_at
                body = json.dumps({"rows": 4, "last_data": "2013-01-04"}).encode()
                self.send_response(200 if there else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def catalog(self) -> Catalog:
        made = catalog_of(loader=HERE, upstreams=("vendor",))
        address = f"http://127.0.0.1:{self.server.server_port}/{{partition}}"
        return made.model_copy(update={"sources": (Upstream(name="vendor", manifest=address),)})


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    made = Vendor()
    yield made
    made.server.shutdown()
    made.server.server_close()


async def test_a_partition_that_is_late_is_waited_for(
    database_url: str, heals: Heals, source: Source, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
):
    """As long as was asked for; what is there meanwhile is left alone."""
    monkeypatch.setattr(_reloads, "POLL_SECONDS", 0.01)
    fill(database_url, [order(1)])
    source(rows=4)
    vendor.arrives_at = 4
    healer = heals(database_url, catalog=vendor.catalog())

    with pytest.raises(ToolFailed, match=r"no data of 2013-01-05; its last is of 2013-01-04.*can wait for it"):
        await healer.preview("reload_partition", **RELOAD)
    receipt = await healer.carry_out("reload_partition", **RELOAD, wait_minutes=1)

    assert (receipt.status, count(database_url, "orders")) == ("done", 4), receipt.detail
    assert vendor.asked == ["/2013-01-05"] * 4


async def test_a_partition_that_does_not_come_is_told_and_nothing_is_touched(
    database_url: str, heals: Heals, source: Source, vendor: Vendor
):
    fill(database_url, [order(1)])
    healer, before = heals(database_url, catalog=vendor.catalog()), content(database_url)
    scope = await healer.preview("reload_partition", **RELOAD, wait_minutes=60)

    receipt = await healer.carry_out("reload_partition", scope=scope, **RELOAD)

    assert receipt.status == "failed"
    assert "its last is of 2013-01-04. Nothing was touched." in receipt.detail
    assert content(database_url) == before


async def test_a_restore_of_what_was_never_copied_is_refused(database_url: str, heals: Heals):
    fill(database_url, [order(1)])
    healer = heals(database_url)

    with pytest.raises(ToolFailed, match="There is no copy 'copy-x' with orders of 2013-01-05"):
        await healer.preview("restore_partition", **RELOAD, copy_id="copy-x")
