"""What the agent may ask of dbt, and the one thing it may propose: to build models again."""

from typing import Annotated

from pydantic import Field

from prefect_healing.dbt.artifacts import SourceFreshness
from prefect_healing.dbt.command import TimeIsUp, run_nodes, selected_nodes, source_freshness
from prefect_healing.dbt.lineage import DbtLineage, lineage_of
from prefect_healing.dbt.project import Selection
from prefect_healing.domain.plan import Scope
from prefect_healing.domain.record import Record
from prefect_healing.domain.repair import Receipt
from prefect_healing.domain.verification import Check
from prefect_healing.errors import ActionInterrupted, ToolFailed
from prefect_healing.tools._dbt import (
    DbtOutcome,
    build_of,
    project_of,
    refuse_hooks,
    refuse_undeclared,
    tests_that_only_read,
    told,
)
from prefect_healing.tools._dbt_applied import check_of, done_key, rebuilt
from prefect_healing.tools._dbt_scope import ADDS_TWICE, scope_of_models
from prefect_healing.tools.tool import Applied, ToolContext, tool

_BUILD_SECONDS = 1_800.0

NodeName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_.]+$", max_length=200, description="Name, table or unique id of a dbt node.")
]


@tool(effect="read")
async def read_dbt_results(ctx: ToolContext) -> DbtOutcome:
    """Read what the last dbt build of the failed flow run found: failed nodes, messages, failures, compiled SQL.

    Use it first where a dbt build failed. A test with status fail found rows that break it: the data is wrong, or the
    test is. Status error means that a node could not be computed at all: read its message and SQL. Skipped nodes only
    follow from others. Rows are shown only where the catalog shares them.
    """
    if (build := await build_of(ctx)) is None:
        raise ToolFailed("The flow run kept no dbt build; only builds by prefect_healing's dbt_build are kept.")
    return await told(ctx, build.project, build.run)


@tool(effect="read")
async def run_dbt_tests(ctx: ToolContext, select: Selection) -> DbtOutcome:
    """Run the dbt tests on a selection of nodes, now, and read what they find. Changes nothing.

    Use it to see whether data that broke a test still does, such as after its source was put right, or whether what
    a suspect model is made from passes. Takes some seconds, and as long as the tests' queries.
    """
    project = await project_of(ctx)
    await tests_that_only_read(ctx, project, select)
    run = await run_nodes(project, "test", select=select, options=("--resource-type", "test"), read_only=True)
    return await told(ctx, project, run)


class SourcesFreshness(Record):
    """The age of sources, as dbt's freshness settings look at it."""

    sources: tuple[SourceFreshness, ...]


@tool(effect="read")
async def dbt_source_freshness(ctx: ToolContext, select: Selection) -> SourcesFreshness:
    """Read how old the newest data of dbt sources is, against the limits that the project sets: `source:raw.orders`.

    Use it where models are stale though they were built: a source with outcome failed was not loaded lately, and
    building what hangs on it will not help. Outcome errored says that dbt could not look.
    """
    project = await project_of(ctx)
    manifest, nodes = await selected_nodes(project, select, kinds=("source",))
    refuse_hooks(manifest)
    refuse_undeclared(ctx, manifest, nodes)
    return SourcesFreshness(sources=await source_freshness(project, select))


@tool(effect="read")
async def dbt_lineage(ctx: ToolContext, node: NodeName) -> DbtLineage:
    """Read what a dbt model or source is made from and what is made from it, with tests and how the last build went.

    Use it to find the first node upstream that failed, and the names of nodes for other dbt tools. To rebuild
    everything from the broken node on, select it with a plus behind it: `stg_orders+`.
    """
    build = await build_of(ctx)
    manifest, _ = await selected_nodes(await project_of(ctx))
    return lineage_of(manifest, node, () if build is None else build.run.results)


@tool(effect="write", retries=0)
async def run_dbt(ctx: ToolContext, select: Selection) -> Applied:
    """Build dbt models again from what they are made from now.

    Propose it when models are stale or wrong because of what they were made from, and that has been put right:
    run_dbt_tests on the upstream passes. Select the first broken model with all that hangs on it, as in
    `stg_orders+`. It does not help where the model's SQL or the source data is wrong. It cannot be undone.
    """
    if ctx.effect_key is None:
        raise ToolFailed("dbt models are built by the repair flow only; propose it in the plan.")
    try:
        run = await run_nodes(await project_of(ctx), "run", select=select, seconds=_BUILD_SECONDS)
    except TimeIsUp as error:
        raise ActionInterrupted(f"Some models may be built and others not: {error}") from error
    applied = rebuilt(ctx, run)
    await ctx.journal.write(done_key(ctx.effect_key), applied)
    return applied


@run_dbt.preview
async def what_dbt_would_build(ctx: ToolContext, select: Selection) -> Scope:
    """Show the models, their tables, and why a person may be wanted."""
    manifest, nodes = await selected_nodes(await project_of(ctx), select, kinds=("model",))
    return await scope_of_models(ctx, manifest, nodes)


@run_dbt.already_done
async def was_built(ctx: ToolContext, select: Selection) -> Applied | None:
    """Look whether the build came to its end; else it is safe to repeat, unless a model would add its rows twice.

    A dbt process that outlived us holds the project's lock, so that repeating it waits for its end.
    """
    if ctx.effect_key is None:
        return None
    done = await ctx.journal.read(done_key(ctx.effect_key), Applied)
    if done is None and ctx.scope is not None and any(ADDS_TWICE in each for each in ctx.scope.asks):
        raise ToolFailed("The build was interrupted, and building these models again may add the same rows again.")
    return done


@run_dbt.check
async def did_the_build_help(ctx: ToolContext, receipt: Receipt) -> Check:
    """Run the tests of what was built."""
    return await check_of(ctx, await project_of(ctx), receipt)
