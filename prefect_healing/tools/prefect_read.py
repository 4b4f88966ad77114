"""What the agent may ask Prefect: a run, its logs, its tasks, its past, what it depends on, who else fails."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

from pydantic import AwareDatetime, Field

from prefect_healing.domain.record import JsonObject, Record
from prefect_healing.errors import ToolFailed
from prefect_healing.tools._lineage import (
    AssetEvent,
    Dependency,
    RelatedRun,
    asset_events_of,
    dependencies_among,
    parent_of,
    skipped_downstream,
    subflow_runs_of,
    upstream_ids,
)
from prefect_healing.tools.prefect_api import (
    HEALING_TAG,
    bounded,
    deployment_name_of,
    deployment_of,
    flow_of,
    json_values,
    message_shape,
    prefect_client,
    rerun_tag,
    run_of,
    run_or_own,
    task_runs_of,
    url_of,
)
from prefect_healing.tools.tool import ToolContext, tool

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun, TaskRun

HISTORY_RUNS = 50
SIMILAR_RUNS = 200
TASK_RUNS_SHOWN = 200

RunId = Annotated[UUID | None, Field(description="Id of a flow run; leave it out to mean the incident's own run.")]


class FlowRunFacts(Record):
    """A flow run as the server knows it now. Times are UTC, durations in seconds."""

    id: UUID
    name: str
    flow_name: str
    state_type: str
    state_name: str
    message: str
    parameters: JsonObject
    deployment: str | None
    deployment_paused: bool | None
    tags: tuple[str, ...]
    run_count: int
    retries_declared: int | None
    expected_start_at: AwareDatetime | None
    started_at: AwareDatetime | None
    ended_at: AwareDatetime | None
    duration_seconds: float
    code_version: str | None
    work_pool: str | None
    started_by: str | None
    url: str | None


@tool(effect="read")
async def read_flow_run(ctx: ToolContext, flow_run_id: RunId = None) -> FlowRunFacts:
    """Read what Prefect knows of a flow run: state and message, parameters, deployment, tags, times, code version.

    Use it first, to see how the run ended and with which parameters; a bad parameter is a cause of its own. It also
    tells whether somebody has re-run it since. Then read the logs for the reason.
    """
    async with prefect_client() as client:
        run = await run_of(client, run_or_own(ctx, flow_run_id))
        flow = await flow_of(client, run)
        deployment = await deployment_of(client, run)
        name = None if deployment is None else await deployment_name_of(client, deployment)
    return FlowRunFacts(
        id=run.id,
        name=run.name,
        flow_name=flow.name,
        state_type="" if run.state is None else run.state.type.value,
        state_name=_state_name(run),
        message=_message(run),
        parameters=json_values(run.parameters),
        deployment=name,
        deployment_paused=None if deployment is None else deployment.paused,
        tags=tuple(run.tags),
        run_count=run.run_count,
        retries_declared=run.empirical_policy.retries,
        expected_start_at=run.expected_start_time,
        started_at=run.start_time,
        ended_at=run.end_time,
        duration_seconds=round(run.total_run_time.total_seconds(), 3),
        code_version=run.deployment_version or run.flow_version,
        work_pool=run.work_pool_name,
        started_by=None if run.created_by is None else f"{run.created_by.type}: {run.created_by.display_value}",
        url=url_of("flow-run", run.id),
    )


class TaskRunFacts(Record):
    """One task run. `attempts` counts starts; `result_kept` says that its result was to be persisted."""

    name: str
    state_type: str
    state_name: str
    message: str
    attempts: int
    retries_declared: int | None
    duration_seconds: float
    started_at: AwareDatetime | None
    depends_on: tuple[str, ...]
    result_kept: bool
    subflow_run_id: UUID | None


class Skipped(Record):
    """A task that never ran, and the failed task that it was waiting for."""

    name: str
    because_of: str


class TaskRuns(Record):
    """A run's task runs, failed ones first. `states` counts all of them; `left_out` are not listed here."""

    states: dict[str, int]
    failed: tuple[str, ...]
    skipped_downstream: tuple[Skipped, ...]
    task_runs: tuple[TaskRunFacts, ...]
    left_out: int
    note: str


@tool(effect="read")
async def read_task_runs(ctx: ToolContext, flow_run_id: RunId = None) -> TaskRuns:
    """Read a flow run's tasks: which failed, after how many attempts, how long each took, what was skipped because.

    Use it to see where in the flow it broke: the failed task with no failed task above it is where the cause is.
    Retries that were used up without a change of message speak against a passing fault. Then read the logs of that
    moment, or the source of that task.
    """
    async with prefect_client() as client:
        run = await run_of(client, run_or_own(ctx, flow_run_id))
        task_runs = await task_runs_of(client, run.id)
    names = {each.id: each.name for each in task_runs}
    failed_first = sorted(task_runs, key=_task_order)
    return TaskRuns(
        states=dict(Counter(_state_name(each) for each in task_runs)),
        failed=tuple(each.name for each in failed_first if _has_failed(each)),
        skipped_downstream=tuple(
            Skipped(name=name, because_of=cause) for name, cause in skipped_downstream(task_runs).items()
        ),
        task_runs=tuple(_task_facts(each, names) for each in failed_first[:TASK_RUNS_SHOWN]),
        left_out=max(0, len(task_runs) - TASK_RUNS_SHOWN),
        note=_task_note(run, task_runs),
    )


class PastRun(Record):
    """One run of the flow's past."""

    id: UUID
    name: str
    state_name: str
    message: str
    started_at: AwareDatetime | None
    duration_seconds: float
    code_version: str | None


class FlowHistory(Record):
    """How a flow fared in its latest runs, newest first. Rates run from 0 to 1; None where nothing is known.

    `same_message_before` counts earlier runs that failed with the same message, numbers and ids aside; 0 means that
    this failure is new as far as `finished` runs tell.
    """

    flow_name: str
    finished: int
    completed: int
    failed: int
    crashed: int
    success_rate: float | None
    last_success: PastRun | None
    failures_since_last_success: int
    usual_duration_seconds: float | None
    same_message_before: int
    is_new: bool | None
    recent: tuple[PastRun, ...]
    note: str


@tool(effect="read")
async def read_flow_history(
    ctx: ToolContext,
    flow_name: Annotated[str | None, Field(description="A flow's name; leave it out to mean the run's flow.")] = None,
    flow_run_id: RunId = None,
) -> FlowHistory:
    """Read how a flow fared lately: success rate, last success, usual duration, and whether this failure is new.

    Use it to tell a passing fault from a lasting one: a flow that succeeded an hour ago with the same code met
    something outside; one that fails since its code version changed met its own code. Next, changes_since_last_success
    where the code is in question, or check_upstream_sources where the outside is.
    """
    async with prefect_client() as client:
        run = await run_of(client, run_or_own(ctx, flow_run_id))
        name = flow_name or (await flow_of(client, run)).name
        past = await _latest_runs_of(client, name)
    if flow_name is not None and not past:
        raise ToolFailed(f"The Prefect server knows no finished run of a flow named {flow_name!r}.")
    return _history(name, run, past)


class Upstream(Record):
    """What a run depends on. `known` is False where Prefect records nothing, which proves nothing."""

    known: bool
    parent: RelatedRun | None
    subflows: tuple[RelatedRun, ...]
    task_dependencies: tuple[Dependency, ...]
    assets: tuple[AssetEvent, ...]
    declared_sources: tuple[str, ...]
    note: str


@tool(effect="read")
async def read_upstream(ctx: ToolContext, flow_run_id: RunId = None) -> Upstream:
    """Read what a run depends on: the flow that called it, flows it called, task inputs, assets, declared sources.

    Use it when the failure looks inherited: missing or late data, a subflow that failed, a bad input. Next,
    read_flow_run of the related run that failed, or check_upstream_sources for the declared sources.
    """
    async with prefect_client() as client:
        run = await run_of(client, run_or_own(ctx, flow_run_id))
        parent = await parent_of(client, run)
        subflows = await subflow_runs_of(client, run)
        dependencies = dependencies_among(await task_runs_of(client, run.id))
        assets = await asset_events_of(client, run)
    sources = tuple(source.name for source in ctx.incident.options.sources)
    known = bool(parent or subflows or dependencies or assets or sources)
    return Upstream(
        known=known,
        parent=parent,
        subflows=subflows,
        task_dependencies=dependencies,
        assets=assets,
        declared_sources=sources,
        note=_upstream_note(known=known, sources=bool(sources)),
    )


class SimilarFailure(Record):
    """Another run that failed lately. `same_message` is so numbers and ids aside."""

    id: UUID
    name: str
    flow_name: str
    state_name: str
    message: str
    ended_at: AwareDatetime | None
    same_message: bool
    url: str | None


class SimilarFailures(Record):
    """Other failed runs with the same or a near message, same first. `looked_at` counts all failed runs seen."""

    hours: int
    looked_at: int
    flows_failing: int
    similar: tuple[SimilarFailure, ...]
    note: str


@tool(effect="read")
async def find_similar_failures(
    ctx: ToolContext,
    flow_run_id: RunId = None,
    hours: Annotated[int, Field(ge=1, le=168, description="How far to look back.")] = 24,
) -> SimilarFailures:
    """Find other flow runs that failed lately with a similar message, in any flow.

    Use it to tell one flow's fault from a shared one: several flows failing alike at once point to a common source,
    credential or machine, and away from this flow's code. None found means that the fault is this flow's own, or
    that it is the first to notice.
    """
    async with prefect_client() as client:
        run = await run_of(client, run_or_own(ctx, flow_run_id))
        others = await _failed_lately(client, run, hours)
        alike = [(other, likeness) for other in others if (likeness := _likeness(run, other)) >= _ALIKE]
        alike.sort(key=lambda pair: -pair[1])
        similar = [await _similar_failure(client, other, likeness) for other, likeness in alike[:20]]
    return SimilarFailures(
        hours=hours,
        looked_at=len(others),
        flows_failing=len({other.flow_id for other in others}),
        similar=tuple(similar),
        note=f"Only the newest {SIMILAR_RUNS} were looked at." if len(others) >= SIMILAR_RUNS else "",
    )


_ALIKE = 0.6
_SAME = 1.0


def _state_name(run: "FlowRun | TaskRun") -> str:
    return "unknown" if run.state is None else (run.state.name or run.state.type.value)


def _message(run: "FlowRun | TaskRun") -> str:
    return "" if run.state is None else bounded(run.state.message)


def _has_failed(task_run: "TaskRun") -> bool:
    return task_run.state is not None and (task_run.state.is_failed() or task_run.state.is_crashed())


def _task_order(task_run: "TaskRun") -> int:
    if _has_failed(task_run):
        return 0
    return 2 if task_run.state is not None and task_run.state.is_completed() else 1


def _task_facts(task_run: "TaskRun", names: dict[UUID, str]) -> TaskRunFacts:
    state = task_run.state
    depends_on = dict.fromkeys(names[each] for each in upstream_ids(task_run) if each in names)
    return TaskRunFacts(
        name=task_run.name,
        state_type="" if state is None else state.type.value,
        state_name=_state_name(task_run),
        message=bounded(None if state is None else state.message, 1_000),
        attempts=task_run.run_count,
        retries_declared=task_run.empirical_policy.retries,
        duration_seconds=round(task_run.total_run_time.total_seconds(), 3),
        started_at=task_run.start_time,
        depends_on=tuple(depends_on),
        result_kept=state is not None and state.data is not None,
        subflow_run_id=None if state is None else state.state_details.child_flow_run_id,
    )


def _task_note(run: "FlowRun", task_runs: "list[TaskRun]") -> str:
    if run.state is not None and run.state.is_crashed():
        return "The run crashed: what its tasks did in the last seconds may never have reached the server."
    if any(each.state is not None and each.state.is_running() for each in task_runs):
        return "Some tasks look as if they still ran: the server learns of them late; read again in a few seconds."
    if not task_runs:
        return "The server has no task runs of this run: it failed before its first task, or has none."
    return ""


async def _latest_runs_of(client: "PrefectClient", flow_name: str) -> "list[FlowRun]":
    from prefect.client.schemas.filters import FlowFilter, FlowFilterName, FlowRunFilter, FlowRunFilterState
    from prefect.client.schemas.filters import FlowRunFilterStateType as StateIs
    from prefect.client.schemas.objects import StateType
    from prefect.client.schemas.sorting import FlowRunSort

    final = [StateType.COMPLETED, StateType.FAILED, StateType.CRASHED]
    return await client.read_flow_runs(
        flow_filter=FlowFilter(name=FlowFilterName(any_=[flow_name])),
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=StateIs(any_=final))),
        sort=FlowRunSort.START_TIME_DESC,
        limit=HISTORY_RUNS,
    )


def _history(flow_name: str, run: "FlowRun", past: "list[FlowRun]") -> FlowHistory:
    states = [each.state for each in past if each.state is not None]
    completed = sum(state.is_completed() for state in states)
    successes = [each for each in past if each.state is not None and each.state.is_completed()]
    same = _same_message_before(run, past)
    return FlowHistory(
        flow_name=flow_name,
        finished=len(past),
        completed=completed,
        failed=sum(state.is_failed() for state in states),
        crashed=sum(state.is_crashed() for state in states),
        success_rate=round(completed / len(past), 3) if past else None,
        last_success=_past_run(successes[0]) if successes else None,
        failures_since_last_success=past.index(successes[0]) if successes else len(past),
        usual_duration_seconds=_usual_duration(successes),
        same_message_before=same,
        is_new=same == 0 if len(past) > 1 else None,
        recent=tuple(_past_run(each) for each in past[:10]),
        note=_history_note(past, successes),
    )


def _usual_duration(successes: "list[FlowRun]") -> float | None:
    seconds = [each.total_run_time.total_seconds() for each in successes]
    return round(median(seconds), 3) if seconds else None


def _same_message_before(run: "FlowRun", past: "list[FlowRun]") -> int:
    shape = message_shape(_message(run))
    failed = (each for each in past if each.id != run.id and each.state is not None and not each.state.is_completed())
    return sum(1 for each in failed if message_shape(_message(each)) == shape)


def _history_note(past: "list[FlowRun]", successes: "list[FlowRun]") -> str:
    if len(past) <= 1:
        return "This is the flow's first run that ended: there is no past to compare with."
    if not successes:
        return f"None of the latest {len(past)} runs succeeded."
    return f"Only the newest {HISTORY_RUNS} runs were looked at." if len(past) == HISTORY_RUNS else ""


def _past_run(run: "FlowRun") -> PastRun:
    return PastRun(
        id=run.id,
        name=run.name,
        state_name=_state_name(run),
        message=bounded(_message(run), 300),
        started_at=run.start_time,
        duration_seconds=round(run.total_run_time.total_seconds(), 3),
        code_version=run.deployment_version or run.flow_version,
    )


def _upstream_note(*, known: bool, sources: bool) -> str:
    if not known:
        return (
            "Nothing is known upstream of this run: Prefect recorded no parent, subflow, task input or asset, and the "
            "flow's author declared no source. It may still read from somewhere; look at its source."
        )
    return "" if sources else "The flow's author declared no source to probe."


async def _failed_lately(client: "PrefectClient", run: "FlowRun", hours: int) -> "list[FlowRun]":
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterEndTime, FlowRunFilterId
    from prefect.client.schemas.filters import FlowRunFilterState as State
    from prefect.client.schemas.filters import FlowRunFilterStateType as StateIs
    from prefect.client.schemas.objects import StateType
    from prefect.client.schemas.sorting import FlowRunSort

    since = datetime.now(UTC) - timedelta(hours=hours)
    found = await client.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            id=FlowRunFilterId(not_any_=[run.id]),
            state=State(type=StateIs(any_=[StateType.FAILED, StateType.CRASHED])),
            end_time=FlowRunFilterEndTime(after_=since),  # pyright: ignore[reportArgumentType]
        ),
        sort=FlowRunSort.END_TIME_DESC,
        limit=SIMILAR_RUNS,
    )
    not_others = {HEALING_TAG, rerun_tag(run.id)}
    return [other for other in found if not_others.isdisjoint(other.tags)]


def _likeness(run: "FlowRun", other: "FlowRun") -> float:
    """Return the share of words that two messages have in common, 1 where they are the same."""
    one, two = message_shape(_message(run)), message_shape(_message(other))
    if not one or not two:
        return 0.0
    if one == two:
        return _SAME
    words, others = set(one.lower().split()), set(two.lower().split())
    return min(0.99, len(words & others) / len(words | others))


async def _similar_failure(client: "PrefectClient", run: "FlowRun", likeness: float) -> SimilarFailure:
    return SimilarFailure(
        id=run.id,
        name=run.name,
        flow_name=(await flow_of(client, run)).name,
        state_name=_state_name(run),
        message=bounded(_message(run), 500),
        ended_at=run.end_time,
        same_message=likeness >= _SAME,
        url=url_of("flow-run", run.id),
    )
