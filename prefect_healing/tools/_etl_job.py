"""The flow runs that load a table, and what the last failed one of them said."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from pydantic import AwareDatetime

from prefect_healing.domain.catalog import Loader
from prefect_healing.domain.record import JsonObject, Record
from prefect_healing.errors import ToolFailed
from prefect_healing.guardrails.redaction import redact, redact_json
from prefect_healing.tools._entrypoints import flow_name_of
from prefect_healing.tools.prefect_api import bounded, json_values, named_deployment, prefect_client, url_of
from prefect_healing.tools.prefect_logs import ERROR_LEVEL

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun

RUNS_SHOWN = 5
ERRORS_SHOWN = 5
_ERROR_CHARS_MAX = 1_500
_DBT_NOTE = (
    "dbt makes this table, not a flow: Prefect knows the runs of the flow that calls dbt at most. "
    "Look at its upstreams, and at dbt's own results."
)


class LoaderRun(Record):
    """One run of what loads a table. Times are UTC; `partition` is the parameter that names the partition."""

    id: UUID
    name: str
    state_type: str
    state_name: str
    message: str
    expected_start_at: AwareDatetime | None
    started_at: AwareDatetime | None
    ended_at: AwareDatetime | None
    duration_seconds: float
    partition: str | None
    parameters: JsonObject
    tags: tuple[str, ...]
    url: str | None


class EtlJob(Record):
    """What loads a table, its newest runs first, and the error lines of the newest failed one of them.

    `paused` is None where the loader is no deployment.
    """

    table: str
    loader: str
    kind: str
    parameter: str
    paused: bool | None = None
    last_runs: tuple[LoaderRun, ...] = ()
    errors: tuple[str, ...] = ()
    errors_of: UUID | None = None
    note: str = ""


async def etl_job(table: str, loader: Loader, root: str | None) -> EtlJob:
    """Return what Prefect knows of a table's loader. Raises ToolFailed where the deployment is not there."""
    if loader.dbt is not None:
        return EtlJob(table=table, loader=loader.name, kind="dbt", parameter=loader.parameter, note=_DBT_NOTE)
    flow_name = None if loader.flow is None else flow_name_of(loader.flow, root)
    if loader.deployment is None and flow_name is None:
        raise ToolFailed(f"Table {table} is loaded by flow {loader.flow}, whose source cannot be read from here.")
    async with prefect_client() as client:
        deployment = None if loader.deployment is None else await named_deployment(client, loader.deployment)
        runs = await _newest_runs(client, None if deployment is None else deployment.id, flow_name)
        failed = next((run for run in runs if run.state is not None and _went_wrong(run)), None)
        errors = () if failed is None else await _errors(client, failed.id)
    return EtlJob(
        table=table,
        loader=loader.name,
        kind="deployment" if deployment is not None else "flow",
        parameter=loader.parameter,
        paused=None if deployment is None else deployment.paused,
        last_runs=tuple(_loader_run(run, loader.parameter) for run in runs),
        errors=errors,
        errors_of=None if failed is None else failed.id,
        note="" if runs else "Prefect has no run of it: whatever loaded this table before, it was not this.",
    )


async def _newest_runs(client: "PrefectClient", deployment_id: UUID | None, flow_name: str | None) -> "list[FlowRun]":
    """Return the newest runs that were due by now: a late one counts, one that is scheduled for tomorrow does not."""
    from prefect.client.schemas.filters import (
        FlowFilter,
        FlowFilterName,
        FlowRunFilter,
        FlowRunFilterDeploymentId,
        FlowRunFilterExpectedStartTime,
    )
    from prefect.client.schemas.sorting import FlowRunSort

    now = datetime.now(UTC)
    due = FlowRunFilterExpectedStartTime(before_=now)  # pyright: ignore[reportArgumentType]
    of_deployment = None if deployment_id is None else FlowRunFilterDeploymentId(any_=[deployment_id])
    return await client.read_flow_runs(
        flow_filter=None if flow_name is None else FlowFilter(name=FlowFilterName(any_=[flow_name])),
        flow_run_filter=FlowRunFilter(expected_start_time=due, deployment_id=of_deployment),
        sort=FlowRunSort.EXPECTED_START_TIME_DESC,
        limit=RUNS_SHOWN,
    )


def _went_wrong(run: "FlowRun") -> bool:
    return run.state is not None and (run.state.is_failed() or run.state.is_crashed())


async def _errors(client: "PrefectClient", run_id: UUID) -> tuple[str, ...]:
    from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId, LogFilterLevel
    from prefect.client.schemas.sorting import LogSort

    logs = await client.read_logs(
        LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run_id]), level=LogFilterLevel(ge_=ERROR_LEVEL)),
        limit=ERRORS_SHOWN,
        sort=LogSort.TIMESTAMP_DESC,
    )
    return tuple(_safe(log.message, _ERROR_CHARS_MAX) for log in reversed(logs))


def _loader_run(run: "FlowRun", parameter: str) -> LoaderRun:
    state = run.state
    partition = run.parameters.get(parameter)
    parameters = redact_json(json_values(run.parameters, 500))
    return LoaderRun(
        id=run.id,
        name=run.name,
        state_type="" if state is None else state.type.value,
        state_name="" if state is None else state.name or "",
        message="" if state is None else _safe(state.message, 500),
        expected_start_at=run.expected_start_time,
        started_at=run.start_time,
        ended_at=run.end_time,
        duration_seconds=round(run.total_run_time.total_seconds(), 3),
        partition=None if partition is None else bounded(str(partition), 40),
        parameters=parameters if isinstance(parameters, dict) else {},
        tags=tuple(run.tags),
        url=url_of("flow-run", run.id),
    )


def _safe(text: str | None, chars_max: int) -> str:
    """Return a text bounded, redacted before it is cut: half a value would not be recognized."""
    return bounded(redact((text or "")[: 50 * chars_max]), chars_max)
