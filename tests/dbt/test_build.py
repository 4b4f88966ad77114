"""A build that fails says what failed, node by node, and keeps the data to itself."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest

from prefect_healing.classify import classify
from prefect_healing.dbt.build import DbtBuildFailed, adbt_build, dbt_build, kept_build
from prefect_healing.dbt.command import DbtRun, NothingSelected, TimeIsUp, run_nodes
from prefect_healing.dbt.lineage import lineage_of
from prefect_healing.dbt.manifest import dbt_edges, dbt_kinds, known_manifest
from prefect_healing.dbt.process import environment
from prefect_healing.dbt.project import one_at_a_time, scratch
from prefect_healing.errors import ToolFailed, ToolUnavailable
from prefect_healing.tools.dbt import dbt_source_freshness, read_dbt_results
from tests.dbt.shop import CANARIES, Shop, catalog

pytestmark = pytest.mark.slow  # each starts dbt, which takes seconds


def test_a_failed_build_names_nodes_messages_failures_and_sql(failed_build: DbtRun):
    by_name = {each.name: each for each in failed_build.failed}

    assert {name: (each.outcome, each.failures) for name, each in by_name.items()} == {
        "broken": ("errored", None),
        "known_order": ("failed", 1),
        "not_null_stg_orders_amount": ("failed", 2),
        "not_null_stg_orders_email": ("failed", 1),
    }
    amount = by_name["not_null_stg_orders_amount"]
    assert amount.message == "Got 2 results, configured to fail if != 0"
    assert amount.tables == ("stg_orders",)
    assert "where amount is null" in (amount.compiled_sql or "")
    assert "Error in model broken (models/broken.sql)" in (by_name["broken"].message or "")
    assert {each.name for each in failed_build.skipped} >= {"daily", "daily_view"}
    assert not failed_build.passed


def test_nothing_that_a_build_leaves_holds_a_value_of_the_data(failed_build: DbtRun, request: pytest.FixtureRequest):
    """The database quotes one in its error; neither the records nor our folder have it afterwards."""
    shop: Shop = request.getfixturevalue(f"{request.node.callspec.params['failed_build']}_shop")
    left = [each for each in scratch(shop.project).rglob("*") if each.is_file()]

    texts = [failed_build.model_dump_json(), *(each.read_bytes().decode("latin-1") for each in left)]

    assert [canary for canary in CANARIES for text in texts if canary in text] == []
    assert "[redacted:value]" in failed_build.model_dump_json()


def test_lineage_goes_by_the_names_of_tables(failed_build: DbtRun, request: pytest.FixtureRequest):
    """An ephemeral model is no table: what reads it is made from what it reads."""
    shop: Shop = request.getfixturevalue(f"{request.node.callspec.params['failed_build']}_shop")
    manifest = known_manifest(shop.project)
    assert manifest is not None

    found = lineage_of(manifest, "daily", failed_build.results)

    assert set(dbt_edges(manifest)) == {
        ("orders", "stg_orders"),
        ("orders", "broken"),
        ("stg_orders", "daily"),
        ("daily", "daily_view"),
    }
    assert dbt_kinds(manifest)["orders"] == "source"
    assert [(each.node, each.depth, each.last_outcome) for each in found.nodes] == [
        ("orders", -2, None),
        ("stg_orders", -1, "passed"),
        ("daily", 0, "skipped"),
        ("daily_view", 1, "skipped"),
    ]
    with pytest.raises(ToolFailed, match="has no model, seed, snapshot or source 'dayly'"):
        lineage_of(manifest, "dayly")


async def test_a_flow_whose_build_fails_tells_what_failed(postgres_shop: Shop, prefect_server: str, about):
    """Its state has node, message and failures; who heals it finds the whole result by the flow run."""
    from prefect import flow

    @flow
    def nightly() -> None:
        dbt_build(postgres_shop.project.folder, select="stg_orders")

    state = await asyncio.to_thread(nightly, return_state=True)

    assert state.is_failed()
    assert "not_null_stg_orders_amount of stg_orders, status fail: 2 failures: Got 2 results" in (state.message or "")
    assert classify(state.message or "").cause == "data_quality"
    run_id = state.state_details.flow_run_id
    kept = await kept_build(run_id)
    assert kept is not None
    assert kept.project == postgres_shop.project
    assert not any(canary in (state.message or "") for canary in CANARIES)
    results = await read_dbt_results(about(postgres_shop, catalog(), run_id))
    assert len(results.failed) == len(kept.run.failed) == 3
    assert all(not each.rows and each.rows_withheld for each in results.failed)


@pytest.mark.parametrize("name", ["ANTHROPIC_API_KEY", "PREFECT_API_KEY", "PREFECT_HEALING_WAREHOUSE"])
def test_a_dbt_process_has_none_of_our_keys(name: str):
    known = {name: "a key", "PGPASSWORD": "dbt's own", "DBT_STORE_FAILURES": "true"}

    reads, writes = environment(known, read_only=True), environment(known, read_only=False)

    assert name not in reads
    assert name not in writes
    assert reads["PGPASSWORD"] == "dbt's own"
    assert "DBT_STORE_FAILURES" not in reads


async def test_a_selection_that_matches_nothing_is_an_error(postgres_shop: Shop):
    """dbt itself calls it a success."""
    with pytest.raises(NothingSelected, match="selects no node with 'dayly'"):
        await run_nodes(postgres_shop.project, "test", select="dayly")


async def test_what_dbt_refuses_is_said_in_its_words(postgres_shop: Shop, tmp_path: Path):
    with pytest.raises(DbtBuildFailed, match="does not have a target named 'nowhere'") as refused:
        await adbt_build(postgres_shop.project.folder, target="nowhere")

    assert classify(str(refused.value)).cause == "config_error"


async def test_stale_sources_are_told_with_their_age(duckdb_shop: Shop, about):
    found = await dbt_source_freshness(about(duckdb_shop, catalog()), "source:raw.orders")

    (orders,) = found.sources

    assert (orders.table, orders.outcome, orders.error_after_hours) == ("orders", "failed", 24)
    assert orders.max_loaded_at is not None
    assert orders.max_loaded_at.date().isoformat() == "2013-01-06"


async def test_two_builds_of_one_duckdb_file_wait_for_each_other(duckdb_shop: Shop):
    """DuckDB lets one process in at a time; both builds come to their end."""
    both = await asyncio.gather(
        run_nodes(duckdb_shop.project, "run", select="stg_orders"),
        run_nodes(duckdb_shop.project, "run", select="stg_orders"),
    )

    assert [run.passed for run in both] == [True, True]


async def test_a_file_that_another_process_holds_is_a_matter_of_time(duckdb_shop: Shop):
    import duckdb

    with duckdb.connect(str(Path(duckdb_shop.project.folder) / "shop.duckdb")), pytest.raises(ToolUnavailable):
        await run_nodes(duckdb_shop.project, "run", select="stg_orders")


async def test_a_dbt_that_outlives_us_keeps_others_out_until_it_ends(postgres_shop: Shop):
    """A healing process that is killed leaves dbt at work; whoever repeats its build waits for that."""
    code = (
        "import asyncio, sys; from prefect_healing.dbt.command import run_nodes; "
        "from prefect_healing.dbt.project import dbt_project; "
        "asyncio.run(run_nodes(dbt_project(sys.argv[1]), 'run', select='stg_orders'))"
    )
    healer = subprocess.Popen([sys.executable, "-c", code, postgres_shop.project.folder])
    begun = await _dbt_begun_by(healer.pid)
    healer.kill()
    healer.wait()

    with pytest.raises(ToolUnavailable, match="Another dbt has been at work"):
        async with one_at_a_time(postgres_shop.project, wait_seconds=0):
            pass
    run = await run_nodes(postgres_shop.project, "run", select="stg_orders")

    assert not Path(f"/proc/{begun}").exists()
    assert run.passed


async def _dbt_begun_by(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    async with asyncio.timeout(60):
        while not (found := children.read_text().split()):
            await asyncio.sleep(0.05)
    return int(found[0])


async def test_when_its_time_is_up_dbt_is_ended_and_the_project_is_free(postgres_shop: Shop):
    begun = time.monotonic()

    with pytest.raises(TimeIsUp, match="did not end within"):
        await run_nodes(postgres_shop.project, "build", seconds=0.3)

    async with one_at_a_time(postgres_shop.project, wait_seconds=0):
        assert time.monotonic() - begun < 15
