"""Which dbt project an incident is about, and what a model may be told of a run of it."""

from pathlib import Path

from pydantic import AwareDatetime

from prefect_healing.dbt.artifacts import DbtResult
from prefect_healing.dbt.build import KeptBuild, kept_build
from prefect_healing.dbt.command import DbtRun, selected_nodes
from prefect_healing.dbt.manifest import Kind, Manifest, Node, declared_table, tables_of
from prefect_healing.dbt.project import DbtProject, configured_project
from prefect_healing.domain.record import Record
from prefect_healing.errors import ToolFailed
from prefect_healing.tools._dbt_rows import failing_rows
from prefect_healing.tools.tool import ToolContext

FAILED_SHOWN = 20
_SAMPLED = 5


class FailedNode(Record):
    """A node that failed. `rows` are some of the failing rows; where there are none, `rows_withheld` says why."""

    node: str
    kind: Kind
    tables: tuple[str, ...]
    columns: tuple[str, ...]
    file: str | None
    status: str
    failures: int | None
    message: str | None
    compiled_sql: str | None
    rows: tuple[str, ...]
    rows_withheld: str | None


class DbtOutcome(Record):
    """What came of a dbt command. `left_out` failed nodes are not listed."""

    project: str
    command: str
    at: AwareDatetime
    passed: bool
    nodes: int
    failed: tuple[FailedNode, ...]
    left_out: int
    skipped: tuple[str, ...]
    warned: tuple[str, ...]


async def build_of(ctx: ToolContext) -> KeptBuild | None:
    """Return the last dbt build of the incident's flow run."""
    return await kept_build(ctx.incident.subject.flow_run_id)


async def project_of(ctx: ToolContext) -> DbtProject:
    """Return the project that the incident's flow run built, where it is on this machine; else the configured one."""
    build = await build_of(ctx)
    if build is not None and Path(build.project.folder).is_dir():  # noqa: ASYNC240 - one look at a local folder
        return build.project
    return configured_project(ctx.settings)


async def told(ctx: ToolContext, project: DbtProject, run: DbtRun) -> DbtOutcome:
    """Return what a model may know of a run: all counts, and rows only where the catalog shares them."""
    failed = run.failed[:FAILED_SHOWN]
    return DbtOutcome(
        project=Path(project.folder).name,
        command=run.command,
        at=run.at,
        passed=run.passed,
        nodes=len(run.results),
        failed=tuple([await _failed_node(ctx, each, sampled=at < _SAMPLED) for at, each in enumerate(failed)]),
        left_out=len(run.failed) - len(failed),
        skipped=tuple(each.name for each in run.skipped)[:100],
        warned=tuple(each.name for each in run.results if each.outcome == "warned")[:100],
    )


async def tests_that_only_read(ctx: ToolContext, project: DbtProject, select: str) -> None:
    """Raise ToolFailed where running the selected tests would write, or read tables that are not the incident's."""
    manifest, nodes = await selected_nodes(project, select, kinds=("test",))
    refuse_hooks(manifest)
    if storing := [each.name for each in nodes if each.stores_failures]:
        raise ToolFailed(f"Tests that store the rows that fail them would write: {', '.join(storing[:5])}.")
    refuse_undeclared(ctx, manifest, nodes)


def refuse_hooks(manifest: Manifest) -> None:
    """Raise ToolFailed where the project runs statements of its own around every command."""
    if manifest.operations:
        raise ToolFailed(
            "This project has on-run-start or on-run-end hooks, which dbt runs with every command and which may write; "
            "read_dbt_results shows what the failed build found."
        )


def refuse_undeclared(ctx: ToolContext, manifest: Manifest, nodes: tuple[Node, ...]) -> tuple[str, ...]:
    """Return the declared names of the nodes' tables. Raises ToolFailed where one is not among the incident's."""
    catalog = ctx.incident.catalog
    found = {name: declared_table(catalog, name) for each in nodes for name in tables_of(manifest, each)}
    if strange := sorted(name for name, table in found.items() if table is None):
        known = ", ".join(each.name for each in catalog.tables) or "none"
        raise ToolFailed(
            f"That would touch {', '.join(strange[:5])}, which the catalog does not declare for this incident; "
            f"it declares {known}. Select fewer nodes."
        )
    return tuple(dict.fromkeys(table.name for table in found.values() if table is not None))


async def _failed_node(ctx: ToolContext, result: DbtResult, *, sampled: bool) -> FailedNode:
    rows, withheld = await failing_rows(ctx, result) if sampled else ((), "enough rows of other tests are shown")
    return FailedNode(
        node=result.name,
        kind=result.kind,
        tables=result.tables,
        columns=result.columns,
        file=result.file,
        status=result.status,
        failures=result.failures,
        message=result.message,
        compiled_sql=result.compiled_sql,
        rows=rows,
        rows_withheld=withheld,
    )
