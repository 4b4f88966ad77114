"""Bringing a failed flow run back: itself where it is deployed, else as one new run that is linked to it."""

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from prefect_healing.errors import ToolFailed
from prefect_healing.registry import find_flow
from prefect_healing.tools.flow_process import run_detached
from prefect_healing.tools.prefect_api import belongs_to_healing, flow_of, rerun_tag, run_of, states_of, url_of
from prefect_healing.tools.tool import Applied, ToolContext

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import Flow as FlowRecord
    from prefect.client.schemas.objects import FlowRun, State

INLINE_WAIT_SECONDS_MAX = 600.0


def incident_tag(ctx: ToolContext) -> str:
    """Return the tag that makes whatever a run fails with join this incident."""
    return f"incident:{ctx.incident.id}"


def refuse_unless_failed(run: "FlowRun", flow: "FlowRecord") -> None:
    """Raise ToolFailed unless the run ended in a failure and is not part of healing."""
    if belongs_to_healing(flow.name, run.tags):
        raise ToolFailed(f"Flow run {run.name} is part of healing itself, which is never re-run by a repair.")
    state = run.state
    if state is None or not (state.is_failed() or state.is_crashed()):
        now = "no state" if state is None else state.name
        raise ToolFailed(f"Flow run {run.name} is {now}, not failed: there is nothing to re-run. Read it again first.")


def refuse_if_changed(ctx: ToolContext, run: "FlowRun") -> None:
    """Raise ToolFailed where the run is in another state than when the action was previewed."""
    basis = "" if ctx.scope is None else ctx.scope.basis
    if basis and run.state is not None and str(run.state.id) != basis:
        raise ToolFailed(f"Flow run {run.name} changed since the preview; it is {run.state.name} now. Preview again.")


def flow_object(ctx: ToolContext, flow_name: str) -> "Flow[..., Any]":
    """Return the flow to run here. Raises ToolFailed, with the remedy, where this process cannot find it."""
    options = ctx.incident.options
    flow = find_flow(flow_name, options.entrypoint, options.code_root)
    if flow is None:
        raise ToolFailed(
            f"Flow {flow_name!r} has no deployment and this process cannot find its code"
            f" (entrypoint {options.entrypoint or 'not known'}). A person can run it again, or deploy it."
        )
    if flow.isgenerator:
        raise ToolFailed(f"Flow {flow_name!r} is a generator; only its caller can run it again.")
    return flow


async def retry_deployed(ctx: ToolContext, client: "PrefectClient", run: "FlowRun", at: datetime | None) -> Applied:
    """Set the same run to AwaitingRetry. The incident's tag comes first, so that no failure escapes it."""
    from prefect.states import AwaitingRetry

    refuse_if_changed(ctx, run)
    if (tag := incident_tag(ctx)) not in run.tags:
        await client.update_flow_run(run.id, tags=[*run.tags, tag])
    wanted = AwaitingRetry(scheduled_time=at or datetime.now(UTC))
    answer = await client.set_flow_run_state(run.id, wanted)
    if answer.status.value != "ACCEPT" or answer.state is None:
        reason = getattr(answer.details, "reason", None) or answer.status.value
        raise ToolFailed(f"The Prefect server would not re-run {run.name}: {reason}")
    return _retried(run, answer.state)


async def deployed_retry_of(ctx: ToolContext, client: "PrefectClient", run: "FlowRun") -> Applied | None:
    """Return the retry that was set after the state that the preview saw, None where there was none."""
    basis = "" if ctx.scope is None else ctx.scope.basis
    if not basis or run.state is None or str(run.state.id) == basis:
        return None
    states = await states_of(client, run.id)
    seen = next((at for at, state in enumerate(states) if str(state.id) == basis), None)
    if seen is None:
        return None
    retries = (state for state in states[seen + 1 :] if state.name == "AwaitingRetry")
    first = next(retries, None)
    return None if first is None else _retried(run, first)


async def run_anew(ctx: ToolContext, client: "PrefectClient", run: "FlowRun", at: datetime | None) -> Applied:
    """Run the flow again in this process as one new run, or go on with the one that an earlier attempt began."""
    if ctx.effect_key is None:
        raise ToolFailed("A re-run is carried out by the repair flow only, which names it; propose it in the plan.")
    flow = flow_object(ctx, (await flow_of(client, run)).name)
    begun = await _begun_under(client, run, ctx.effect_key)
    if begun is None:
        refuse_if_changed(ctx, run)
        await _wait_until(at)
        begun = await _create(ctx, client, run, ctx.effect_key)
    if not _has_ended(begun):
        await run_detached(flow, await _ready_to_run(client, begun))
    return _anew(run, await run_of(client, begun.id))


async def finished_rerun_of(ctx: ToolContext, client: "PrefectClient", run: "FlowRun") -> Applied | None:
    """Return the new run that an earlier attempt brought to its end, None where there is none or it is unfinished."""
    begun = None if ctx.effect_key is None else await _begun_under(client, run, ctx.effect_key)
    return _anew(run, begun) if begun is not None and _has_ended(begun) else None


def _retried(run: "FlowRun", state: "State[Any]") -> Applied:
    at = state.state_details.scheduled_time or state.timestamp
    return Applied(
        detail=f"Flow run {run.name} is set to run again, not before {at.isoformat(timespec='seconds')}.",
        data={
            "flow_run_id": str(run.id),
            "since_state_id": str(state.id),
            "not_before": at.isoformat(),
            "url": url_of("flow-run", run.id),
        },
    )


def _anew(old: "FlowRun", new: "FlowRun") -> Applied:
    return Applied(
        detail=f"Flow run {old.name} was run again as {new.name}, which is {new.state_name}.",
        data={
            "flow_run_id": str(new.id),
            "rerun_of": str(old.id),
            "not_before": None,
            "url": url_of("flow-run", new.id),
        },
    )


def _has_ended(run: "FlowRun") -> bool:
    return run.state is not None and run.state.is_final()


async def _wait_until(at: datetime | None) -> None:
    seconds = 0.0 if at is None else (at - datetime.now(UTC)).total_seconds()
    if seconds > INLINE_WAIT_SECONDS_MAX:
        raise ToolFailed(
            f"A re-run without a deployment waits here, at most {INLINE_WAIT_SECONDS_MAX:.0f} seconds, and"
            f" {seconds:.0f} were asked for. Choose an earlier time, leave it to a person, or deploy the flow."
        )
    await asyncio.sleep(max(0.0, seconds))


async def _begun_under(client: "PrefectClient", run: "FlowRun", key: str) -> "FlowRun | None":
    from prefect.client.schemas.filters import FlowFilter, FlowFilterId, FlowRunFilter, FlowRunFilterIdempotencyKey
    from prefect.client.schemas.sorting import FlowRunSort

    found = await client.read_flow_runs(
        flow_filter=FlowFilter(id=FlowFilterId(any_=[run.flow_id])),
        flow_run_filter=FlowRunFilter(idempotency_key=FlowRunFilterIdempotencyKey(any_=[key])),
        sort=FlowRunSort.ID_DESC,
        limit=1,
    )
    return found[0] if found else None


async def _create(ctx: ToolContext, client: "PrefectClient", run: "FlowRun", key: str) -> "FlowRun":
    """Create the run under our key: asked twice, the server answers with the first."""
    from prefect.client.schemas.actions import FlowRunCreate, StateCreate
    from prefect.client.schemas.objects import FlowRun, StateType

    wanted = FlowRunCreate(
        flow_id=run.flow_id,
        flow_version=run.flow_version,
        name=f"{run.name}-again",
        parameters=run.parameters,
        context=run.context,
        empirical_policy=run.empirical_policy,
        tags=sorted({*run.tags, incident_tag(ctx), rerun_tag(run.id)}),
        idempotency_key=key,
        state=StateCreate(type=StateType.PENDING, name="Pending"),
    )
    body = wanted.model_dump(mode="json", exclude_unset=True)
    answer = await client.request("POST", "/flow_runs/", json=body)
    return FlowRun.model_validate(answer.json())


async def _ready_to_run(client: "PrefectClient", run: "FlowRun") -> "FlowRun":
    """Return the run in a state that the engine can start from; one that died half way is brought back by force.

    The repair holds the incident's lock, so a run that says Running has nobody who runs it.
    """
    from prefect.states import AwaitingRetry

    if run.state is not None and run.state.is_paused():
        raise ToolFailed(f"Flow run {run.name} is paused; a person has to resume it.")
    if run.state is not None and not run.state.is_pending() and not run.state.is_scheduled():
        await client.set_flow_run_state(run.id, AwaitingRetry(), force=True)
    return await run_of(client, run.id)
