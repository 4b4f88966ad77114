"""`dbt build` as a step of a flow: what fails is told node by node, and kept for whoever heals the flow run."""

import logging
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from prefect_healing.dbt.artifacts import DbtResult
from prefect_healing.dbt.command import DbtRun, run_nodes
from prefect_healing.dbt.project import DbtProject, dbt_project
from prefect_healing.domain.record import Record
from prefect_healing.errors import StorageUnavailable, ToolError
from prefect_healing.journal import open_journal

_LOG = logging.getLogger(__name__)
BUILD_SECONDS = 3_600.0
BUILDS = "dbt-builds"
"""The folder of the result storage, below `healing/`, that builds are kept in."""
_NODES_TOLD = 12


class DbtBuildFailed(Exception):
    """A dbt build failed; `failed` are its nodes, empty where dbt did not come as far as them."""

    def __init__(self, message: str = "A dbt build failed.", failed: tuple[DbtResult, ...] = ()) -> None:
        super().__init__(message)
        self.failed = failed

    def __reduce__(self) -> tuple[type["DbtBuildFailed"], tuple[str, tuple[DbtResult, ...]]]:
        return (type(self), (str(self), self.failed))


class KeptBuild(Record):
    """The last build of a flow run: which project, and what came of it."""

    project: DbtProject
    run: DbtRun


def dbt_build(
    project: str | Path,
    *,
    select: str | Sequence[str] | None = None,
    exclude: str | Sequence[str] | None = None,
    profiles: str | Path | None = None,
    target: str | None = None,
    timeout_seconds: float = BUILD_SECONDS,
) -> DbtRun:
    """Run `dbt build` in a process of its own, from a flow or task that is not async; see `adbt_build`."""
    from prefect.utilities.asyncutils import run_coro_as_sync

    built = run_coro_as_sync(
        adbt_build(
            project,
            select=select,
            exclude=exclude,
            profiles=profiles,
            target=target,
            timeout_seconds=timeout_seconds,
        )
    )
    return built


async def adbt_build(
    project: str | Path,
    *,
    select: str | Sequence[str] | None = None,
    exclude: str | Sequence[str] | None = None,
    profiles: str | Path | None = None,
    target: str | None = None,
    timeout_seconds: float = BUILD_SECONDS,
) -> DbtRun:
    """Run `dbt build` in a process of its own, and return what came of each node.

    Raises DbtBuildFailed, which names each failed node with its message and its number of failures; so does a
    selection that matches nothing. Builds of one project wait for each other on this machine. Where a flow run is
    going on, the outcome is kept in Prefect's result storage, so that the flow run can be healed.
    """
    where = dbt_project(project, profiles=profiles, target=target)
    try:
        run = await run_nodes(where, "build", select=select, exclude=exclude, seconds=timeout_seconds)
    except ToolError as error:
        raise DbtBuildFailed(f"dbt build of {Path(where.folder).name} did not run: {error}") from error
    await _keep(KeptBuild(project=where, run=run))
    if not run.passed:
        raise DbtBuildFailed(_told(where, run), run.failed)
    return run


async def kept_build(flow_run_id: UUID) -> KeptBuild | None:
    """Return the last dbt build of a flow run, None where it made none.

    Raises StorageUnavailable where the result storage did not answer.
    """
    return await (await open_journal(BUILDS)).read(str(flow_run_id), KeptBuild)


async def _keep(build: KeptBuild) -> None:
    from prefect.runtime import flow_run

    identity: object = flow_run.id
    if not isinstance(identity, str):
        return
    try:
        await (await open_journal(BUILDS)).write(identity, build)
    except StorageUnavailable as error:  # The flow must hear of its build, whatever becomes of the copy.
        _LOG.warning("The outcome of a dbt build is not kept for healing: %s", error)


def _told(project: DbtProject, run: DbtRun) -> str:
    """Return one line a failed node: those that could not be computed first, because others fail for want of them."""
    failed = sorted(run.failed, key=lambda each: each.outcome != "errored")
    lines = [_line(each) for each in failed[:_NODES_TOLD]]
    lines += [f"The selection criterion '{word}' does not match any enabled nodes" for word in run.unmatched]
    counted = f"{len(failed)} of {len(run.results)} nodes failed, {len(run.skipped)} skipped."
    first = lines[0] if lines else "dbt skipped nodes and names none that failed"
    return "\n".join((f"dbt build of {Path(project.folder).name} failed at {first}", *lines[1:], counted))


def _line(failed: DbtResult) -> str:
    of = f" of {', '.join(failed.tables)}" if failed.kind in ("test", "unit_test") and failed.tables else ""
    count = "" if failed.failures is None else f"{failed.failures} failures: "
    message = " ".join((failed.message or "dbt gave no message").split())
    return f"{failed.kind} {failed.name}{of}, status {failed.status}: {count}{message}"
