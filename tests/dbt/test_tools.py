"""What the agent may ask of dbt touches the incident's tables only, and shows rows only where the catalog does."""

import json

import pytest

from prefect_healing.dbt.command import DbtRun, run_nodes
from prefect_healing.dbt.manifest import Manifest
from prefect_healing.domain.catalog import Catalog, Loader, Table
from prefect_healing.domain.plan import Scope
from prefect_healing.domain.repair import Receipt
from prefect_healing.errors import ToolFailed
from prefect_healing.tools._dbt import refuse_hooks
from prefect_healing.tools._dbt_rows import failing_rows
from prefect_healing.tools._dbt_scope import ADDS_TWICE, scope_of_models
from prefect_healing.tools.dbt import did_the_build_help, run_dbt, run_dbt_tests, was_built, what_dbt_would_build
from tests.dbt.shop import CANARIES, Shop, catalog

pytestmark = pytest.mark.slow  # each starts dbt, which takes seconds


def _manifest(**config: object) -> Manifest:
    """A project of one model, as dbt would write it."""
    model = {
        "unique_id": "model.shop.daily",
        "name": "daily",
        "resource_type": "model",
        "schema": "main",
        "alias": "daily",
        "config": {"materialized": "table", **config},
    }
    text = {"metadata": {"adapter_type": "duckdb"}, "nodes": {"model.shop.daily": model}}
    return Manifest.model_validate_json(json.dumps(text))


def _declared(**changes: object) -> Catalog:
    table = {"name": "daily", "layer": "staging", "loader": Loader(dbt="daily"), **changes}
    return Catalog(tables=(Table.model_validate(table),))


@pytest.fixture
def failed_build(postgres_shop: Shop, builds: dict[str, DbtRun]):
    """What came of a build of the shop on PostgreSQL."""

    async def build() -> DbtRun:
        if "postgres" not in builds:
            builds["postgres"] = await run_nodes(postgres_shop.project, "build")
        return builds["postgres"]

    return build


async def test_failing_rows_are_shown_only_where_the_catalog_shares_them(failed_build, postgres_shop: Shop, about):
    """And then without the sensitive columns, whatever the test selects."""
    results = {each.name: each for each in (await failed_build()).failed}
    sharing, keeping = about(postgres_shop, catalog(share_rows=True)), about(postgres_shop, catalog())

    rows, withheld = await failing_rows(sharing, results["known_order"])
    of_email = await failing_rows(sharing, results["not_null_stg_orders_email"])
    kept_back = await failing_rows(keeping, results["known_order"])

    assert withheld is None
    assert [set(json.loads(row)) for row in rows] == [{"order_id", "amount", "status", "ordered_on", "loaded_at"}]
    assert not any(canary in row for row in rows for canary in CANARIES)
    assert of_email == ((), "the test looks at a sensitive column")
    assert kept_back == ((), "the catalog does not share the rows of what is tested")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"materialized": "incremental"}, ADDS_TWICE),
        ({"post-hook": [{"sql": "select 1"}]}, "runs hooks with daily"),
    ],
)
async def test_what_a_preview_cannot_tell_is_asked(config: dict[str, object], said: str, duckdb_shop: Shop, about):
    manifest = _manifest(**config)

    scope = await scope_of_models(about(duckdb_shop, _declared()), manifest, tuple(manifest.nodes.values()))

    assert scope.tables == ("daily",)
    assert any(said in each for each in scope.asks)


async def test_an_incremental_model_with_a_key_needs_nobody(duckdb_shop: Shop, about):
    manifest = _manifest(materialized="incremental", unique_key="order_id")

    scope = await scope_of_models(about(duckdb_shop, _declared()), manifest, tuple(manifest.nodes.values()))

    assert scope.asks == ()


async def test_a_gold_table_asks(duckdb_shop: Shop, about):
    manifest = _manifest()
    context = about(duckdb_shop, _declared(layer="gold"))

    scope = await scope_of_models(context, manifest, tuple(manifest.nodes.values()))

    assert any("gold table" in each for each in scope.asks)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "weekly"}, "which the catalog does not declare"),
        ({"loader": Loader(deployment="load/daily")}, "is loaded by load/daily, not by dbt model daily"),
        ({"loader": None}, "is loaded by nothing"),
    ],
)
async def test_only_declared_tables_are_built_by_their_own_loader(changes, said: str, duckdb_shop: Shop, about):
    manifest = _manifest()

    with pytest.raises(ToolFailed, match=said):
        await scope_of_models(about(duckdb_shop, _declared(**changes)), manifest, tuple(manifest.nodes.values()))


def test_hooks_of_the_project_are_no_read():
    hook = {"unique_id": "operation.shop.on-run-end-0", "name": "hook", "resource_type": "operation"}
    manifest = Manifest.model_validate_json(json.dumps({"nodes": {hook["unique_id"]: hook}}))

    with pytest.raises(ToolFailed, match="on-run-start or on-run-end hooks"):
        refuse_hooks(manifest)


async def test_an_interrupted_build_is_repeated_unless_rows_would_be_added_twice(duckdb_shop: Shop, about):
    harmless = Scope(summary="daily", tables=("daily",))
    harmful = harmless.model_copy(update={"asks": (f"dbt model daily {ADDS_TWICE}",)})

    assert await was_built(about(duckdb_shop, catalog(), effect_key="a", scope=harmless), "daily") is None
    with pytest.raises(ToolFailed, match="may add the same rows again"):
        await was_built(about(duckdb_shop, catalog(), effect_key="a", scope=harmful), "daily")


async def test_tests_are_run_on_the_incidents_tables_only(postgres_shop: Shop, failed_build, about):
    await failed_build()

    found = await run_dbt_tests(about(postgres_shop, catalog()), "stg_orders")

    assert {each.node: each.failures for each in found.failed} == {
        "known_order": 1,
        "not_null_stg_orders_amount": 2,
        "not_null_stg_orders_email": 1,
    }
    with pytest.raises(ToolFailed, match="touch stg_orders, which the catalog does not declare"):
        await run_dbt_tests(about(postgres_shop, catalog(without=("stg_orders",))), "stg_orders")


async def test_a_read_cannot_write_on_postgresql(postgres_shop: Shop):
    """The session itself is read-only: what a macro tries is refused by the server."""
    run = await run_nodes(postgres_shop.project, "run", select="stg_orders", read_only=True)

    assert [(each.name, each.outcome) for each in run.results] == [("stg_orders", "errored")]
    assert "read-only transaction" in (run.failed[0].message or "")


async def test_models_are_built_with_all_views_that_hang_on_them(postgres_shop: Shop, failed_build, about):
    """PostgreSQL drops a view with the table it reads; a plan that would lose one is refused, and another is not."""
    await failed_build()
    context = about(postgres_shop, catalog(), effect_key="an effect")

    applied = await run_dbt(context, "daily+")

    assert applied.data == {"built": ["daily", "daily_view"], "left": 0, "tables": ["daily", "daily_view"]}
    assert applied.undo is None
    assert await was_built(context, "daily+") == applied
    with pytest.raises(ToolFailed, match=r"drop the views that read it.*public\.daily_view"):
        await what_dbt_would_build(context, "daily")
    scope = await what_dbt_would_build(context, "daily+")
    assert scope.tables == ("daily", "daily_view")
    assert (await did_the_build_help(context, _receipt(applied.detail, applied.data))).status == "passed"


def _receipt(detail: str, data: dict[str, object]) -> Receipt:
    return Receipt.model_validate(
        {
            "effect_id": "an effect",
            "action_id": "A1",
            "tool": "run_dbt",
            "arguments": {"select": "daily+"},
            "status": "done",
            "detail": detail,
            "at": "2013-01-07T00:00:00Z",
            "data": data,
        }
    )
