"""What depends on what, as far as Prefect recorded it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING
from uuid import UUID

from pydantic import AwareDatetime

from prefect_healing.domain.record import Record
from prefect_healing.tools.prefect_api import bounded, flow_of

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun, TaskRun

_SUBFLOWS_MAX = 50
_EVENTS_MAX = 50  # The server refuses more.
_DEPENDENCIES_MAX = 200


class RelatedRun(Record):
    """A flow run that this one was called by, or called."""

    id: UUID
    name: str
    flow_name: str
    state_name: str
    message: str


class Dependency(Record):
    """A task and the tasks whose results it was given."""

    task: str
    needs: tuple[str, ...]


class AssetEvent(Record):
    """A data asset that the run wrote (`materialization`) or read (`reference`), and whether that succeeded."""

    key: str
    event: str
    at: AwareDatetime


def upstream_ids(task_run: "TaskRun") -> Iterator[UUID]:
    """Yield the ids of the task runs whose results were passed in, as recorded."""
    for inputs in task_run.task_inputs.values():
        for each in inputs:
            identity = getattr(each, "id", None)
            if isinstance(identity, UUID):
                yield identity


def dependencies_among(task_runs: "list[TaskRun]") -> tuple[Dependency, ...]:
    """Return which tasks were given results of which."""
    names = {each.id: each.name for each in task_runs}
    found = (
        Dependency(task=each.name, needs=tuple(dict.fromkeys(names[up] for up in upstream_ids(each) if up in names)))
        for each in task_runs
    )
    return tuple(each for each in found if each.needs)[:_DEPENDENCIES_MAX]


def skipped_downstream(task_runs: "list[TaskRun]") -> dict[str, str]:
    """Return each task that never ran because one that it needs failed, with the name of the one that failed."""
    by_id = {each.id: each for each in task_runs}
    causes = {each.id: each.name for each in task_runs if _failed(each)}
    skipped: dict[str, str] = {}
    for each in sorted(task_runs, key=lambda one: one.id.int):
        if each.state_name == "NotReady" and (cause := _cause(each, by_id, causes)) is not None:
            skipped[each.name] = cause
    return skipped


async def parent_of(client: "PrefectClient", run: "FlowRun") -> RelatedRun | None:
    """Return the flow run that called this one as a subflow."""
    if run.parent_task_run_id is None:
        return None
    task_run = await client.read_task_run(run.parent_task_run_id)
    if task_run.flow_run_id is None:
        return None
    return await _related(client, await client.read_flow_run(task_run.flow_run_id))


async def subflow_runs_of(client: "PrefectClient", run: "FlowRun") -> tuple[RelatedRun, ...]:
    """Return the flow runs that this one called as subflows."""
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId
    from prefect.client.schemas.sorting import FlowRunSort

    children = await client.read_flow_runs(
        flow_run_filter=FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run.id])),
        sort=FlowRunSort.START_TIME_ASC,
        limit=_SUBFLOWS_MAX,
    )
    return tuple([await _related(client, each) for each in children])


async def asset_events_of(client: "PrefectClient", run: "FlowRun") -> tuple[AssetEvent, ...]:
    """Return what the run reported of data assets; events are kept for 7 days."""
    from prefect.events.filters import EventFilter, EventNameFilter, EventRelatedFilter

    page = await client.read_events(
        EventFilter(
            event=EventNameFilter(prefix=["prefect.asset."]),
            related=EventRelatedFilter(id=[f"prefect.flow-run.{run.id}"]),
        ),
        limit=_EVENTS_MAX,
    )
    return tuple(AssetEvent(key=each.resource.id, event=each.event, at=each.occurred) for each in page.events)


def _failed(task_run: "TaskRun") -> bool:
    return task_run.state is not None and (task_run.state.is_failed() or task_run.state.is_crashed())


def _cause(task_run: "TaskRun", by_id: "dict[UUID, TaskRun]", causes: dict[UUID, str]) -> str | None:
    """Walk up from a task that was not ready to the failed one it waited for."""
    waiting, seen = list(upstream_ids(task_run)), set[UUID]()
    while waiting:
        up = waiting.pop()
        if up in causes:
            return causes[up]
        if up in by_id and up not in seen:
            seen.add(up)
            waiting.extend(upstream_ids(by_id[up]))
    return None


async def _related(client: "PrefectClient", run: "FlowRun") -> RelatedRun:
    return RelatedRun(
        id=run.id,
        name=run.name,
        flow_name=(await flow_of(client, run)).name,
        state_name=run.state_name or "unknown",
        message=bounded(None if run.state is None else run.state.message, 500),
    )
