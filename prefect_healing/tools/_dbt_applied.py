"""What building dbt models did, kept so that it is not done again, and whether it helped."""

from prefect_healing.dbt.command import DbtRun, NothingSelected, run_nodes
from prefect_healing.dbt.manifest import declared_table
from prefect_healing.dbt.project import DbtProject
from prefect_healing.domain.record import digest
from prefect_healing.domain.repair import Receipt
from prefect_healing.domain.verification import Check
from prefect_healing.errors import ConfigurationError, ToolError, ToolFailed
from prefect_healing.tools.tool import Applied, ToolContext
from prefect_healing.warehouse.connection import reading
from prefect_healing.warehouse.partition import count_rows, declared

_CHECK = "run_dbt"


def done_key(effect_key: str) -> str:
    """Return where in the journal it stands that a build of models came to its end."""
    return f"dbt/{digest(effect_key)[:32]}"


def rebuilt(ctx: ToolContext, run: DbtRun) -> Applied:
    """Return what was built. Raises ToolFailed where nothing was: each model is swapped for its successor at once."""
    built = [each.name for each in run.results if each.kind == "model" and each.outcome in ("passed", "warned")]
    broken = [f"{each.name} ({each.status}): {each.message or 'no message'}" for each in (*run.failed, *run.skipped)]
    if not built:
        raise ToolFailed(f"dbt built no model, and left all as they were. {'; '.join(broken[:5])}")
    detail = f"dbt built {len(built)} models: {', '.join(built[:10])}. They are not taken back by an undo."
    if broken:
        detail += f" {len(broken)} were left as they were: {'; '.join(broken[:5])}"
    tables = [declared_table(ctx.incident.catalog, name) for each in run.results for name in each.tables]
    return Applied(
        detail=detail,
        data={"built": [*built], "left": len(broken), "tables": [each.name for each in tables if each is not None]},
    )


async def check_of(ctx: ToolContext, project: DbtProject, receipt: Receipt) -> Check:
    """Run the tests of what was built; without one, look whether there are rows at all."""
    if receipt.data.get("left"):
        return Check(name=_CHECK, status="failed", detail=receipt.detail)
    select = str(receipt.arguments["select"])
    try:
        # Tests that also read tables beyond these and what they are made from say nothing of this build.
        options = ("--resource-type", "test", "--indirect-selection", "buildable")
        run = await run_nodes(project, "test", select=select, options=options)
    except NothingSelected:
        return await _look_for_rows(ctx, receipt)
    except ToolError as error:
        return Check(name=_CHECK, status="inconclusive", detail=f"The tests could not be run: {error}")
    broken = "; ".join(f"{each.name}: {each.message or each.status}" for each in run.failed[:5])
    passed = f"{len(run.results)} dbt tests of {select} pass."
    return Check(name=_CHECK, status="failed" if broken else "passed", detail=broken or passed)


async def _look_for_rows(ctx: ToolContext, receipt: Receipt) -> Check:
    built = receipt.data.get("tables")
    tables = [declared(ctx.incident.catalog, str(name)) for name in (built if isinstance(built, list) else ())]
    try:
        counts = await reading(ctx.settings, lambda connection: [count_rows(connection, each) for each in tables])
    except (ToolError, ConfigurationError) as error:
        return Check(name=_CHECK, status="inconclusive", detail=f"No dbt test, and no look at the rows: {error}")
    empty = [table.name for table, count in zip(tables, counts, strict=True) if not count]
    if not tables or empty:
        return Check(name=_CHECK, status="failed", detail=f"No rows in {', '.join(empty) or 'any table'}.")
    return Check(name=_CHECK, status="passed", detail="No dbt test is declared on these models; each has rows.")
