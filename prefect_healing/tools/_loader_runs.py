"""The flow runs that load a table, found by what its catalog entry says loads it."""

from typing import TYPE_CHECKING

from prefect_healing.clock import now
from prefect_healing.domain.catalog import Loader
from prefect_healing.domain.staleness import LastRun
from prefect_healing.tools._entrypoints import flow_name_of

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun


async def loader_runs(client: "PrefectClient", loader: Loader, root: str | None, limit: int) -> "list[FlowRun]":
    """Return the newest runs of a loader that have begun or should have, newest first.

    None for a dbt model, and none for a flow whose source cannot be found; its path counts from `root`.
    """
    from prefect.client.schemas import filters
    from prefect.client.schemas.sorting import FlowRunSort

    if (flow_name := _flow_name_of(loader, root)) is None:
        return []
    deployment = loader.deployment.partition("/")[2] if loader.deployment else None
    return await client.read_flow_runs(
        flow_filter=filters.FlowFilter(name=filters.FlowFilterName(any_=[flow_name])),
        deployment_filter=(
            filters.DeploymentFilter(name=filters.DeploymentFilterName(any_=[deployment])) if deployment else None
        ),
        flow_run_filter=filters.FlowRunFilter(
            expected_start_time=filters.FlowRunFilterExpectedStartTime(before_=now()),  # pyright: ignore[reportArgumentType]
        ),
        sort=FlowRunSort.EXPECTED_START_TIME_DESC,
        limit=limit,
    )


def as_last_run(run: "FlowRun") -> LastRun:
    """Return what is shown of a run."""
    return LastRun(
        id=run.id,
        name=run.name,
        state_type="" if run.state is None else run.state.type.value,
        state_name="unknown" if run.state is None else (run.state.name or run.state.type.value),
        expected_at=run.expected_start_time,
        started_at=run.start_time,
        ended_at=run.end_time,
        duration_seconds=round(run.total_run_time.total_seconds(), 3),
    )


def _flow_name_of(loader: Loader, root: str | None) -> str | None:
    if loader.deployment is not None:
        return loader.deployment.partition("/")[0]
    return None if loader.flow is None else flow_name_of(loader.flow, root)
