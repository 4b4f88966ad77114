"""What a repair may do in Prefect: run a failed run again, run a deployment, pause one and resume it."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

from pydantic import AwareDatetime, Field

from prefect_healing.domain.plan import Scope
from prefect_healing.domain.record import JsonObject
from prefect_healing.domain.repair import Receipt, Undo
from prefect_healing.domain.verification import Check
from prefect_healing.errors import ToolFailed
from prefect_healing.tools._finished_tasks import FinishedTasks, finished_tasks
from prefect_healing.tools._outcomes import run_ended_well
from prefect_healing.tools._reruns import (
    deployed_retry_of,
    finished_rerun_of,
    flow_object,
    incident_tag,
    refuse_unless_failed,
    retry_deployed,
    run_anew,
)
from prefect_healing.tools.prefect_api import (
    belongs_to_healing,
    deployment_name_of,
    deployment_of,
    flow_of,
    named_deployment,
    prefect_client,
    run_of,
    url_of,
)
from prefect_healing.tools.tool import Applied, ToolContext, tool

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun
    from prefect.client.schemas.responses import DeploymentResponse

FlowRunId = Annotated[UUID, Field(description="Id of the failed flow run.")]
NotBefore = Annotated[
    AwareDatetime | None,
    Field(description="Earliest start, ISO 8601 with a time zone; from Retry-After where the source gave one."),
]
DeploymentName = Annotated[
    str, Field(pattern=r"^[^/]+/[^/]+$", max_length=400, description="flow name/deployment name.")
]
Parameters = Annotated[JsonObject, Field(description="Parameters that differ from the deployment's own.")]


@tool(effect="write", retries=0, takes_key=True)
async def retry_flow_run(ctx: ToolContext, flow_run_id: FlowRunId, not_before: NotBefore = None) -> Applied:
    """Run a failed flow run again, unchanged: the same run where it is deployed, else a new run linked to it.

    Propose it when the cause passes by itself and has passed, or will have by `not_before`: after an outage, probe
    with check_upstream_sources first; after a rate limit, set `not_before` from what the source asked for. Never for
    a cause that only a change can remove (code, credentials, schema). Finished tasks repeat unless their results were
    persisted; the preview names those that would. Re-running cannot be undone.
    """
    async with prefect_client() as client:
        run = await run_of(client, flow_run_id)
        refuse_unless_failed(run, await flow_of(client, run))
        carry_out = run_anew if run.deployment_id is None else retry_deployed
        return await carry_out(ctx, client, run, not_before)


@retry_flow_run.preview
async def what_a_retry_touches(ctx: ToolContext, flow_run_id: FlowRunId, not_before: NotBefore = None) -> Scope:
    """Show the run, its deployment, and the finished tasks that would repeat."""
    async with prefect_client() as client:
        run = await run_of(client, flow_run_id)
        flow = await flow_of(client, run)
        refuse_unless_failed(run, flow)
        deployment = await deployment_of(client, run)
        if run.deployment_id is None:
            flow_object(ctx, flow.name)
        elif deployment is None:
            raise ToolFailed(f"The deployment of flow run {run.name} was deleted; a person has to run it again.")
        name = None if deployment is None else await deployment_name_of(client, deployment)
        finished = await finished_tasks(client, run, same_run=deployment is not None)
    return Scope(
        summary=_retry_summary(run, name, finished, not_before),
        flow_runs=(str(run.id),),
        deployments=() if name is None else (name,),
        repeats=finished.repeats,
        basis="" if run.state is None else str(run.state.id),
    )


@retry_flow_run.already_done
async def was_retried(ctx: ToolContext, flow_run_id: FlowRunId, not_before: NotBefore = None) -> Applied | None:
    """Look in the run's history, or for the new run under our key."""
    async with prefect_client() as client:
        run = await run_of(client, flow_run_id)
        if run.deployment_id is None:
            return await finished_rerun_of(ctx, client, run)
        return await deployed_retry_of(ctx, client, run)


@retry_flow_run.check
async def did_the_retry_succeed(ctx: ToolContext, receipt: Receipt) -> Check:
    """Wait for the re-run's end; it counts only where it completed after it was set to run again."""
    return await run_ended_well("retry_flow_run", receipt.data, ctx.settings.verify_seconds)


@tool(effect="write", retries=0, takes_key=True)
async def run_deployment(ctx: ToolContext, deployment: DeploymentName, parameters: Parameters = {}) -> Applied:  # noqa: B006  Never changed; pydantic copies it.
    """Start one new run of a deployment, with parameters.

    Propose it when the failed run needs something that another deployment makes, such as an upstream load that did
    not run. To repeat the failed run itself use retry_flow_run. Say only the parameters that differ from the
    deployment's own. A run that was started cannot be undone.
    """
    if ctx.effect_key is None:
        raise ToolFailed("A deployment is run by the repair flow only; propose it in the plan.")
    from prefect.deployments import arun_deployment

    async with prefect_client() as client:
        await _own_deployment(client, deployment)
        run: FlowRun = await arun_deployment(
            deployment,
            client=client,
            parameters=dict(parameters),
            timeout=0,
            as_subflow=False,
            idempotency_key=ctx.effect_key,
            tags=[incident_tag(ctx)],
        )
    return Applied(
        detail=f"Deployment {deployment} was started as flow run {run.name}.",
        data={"flow_run_id": str(run.id), "not_before": None, "url": url_of("flow-run", run.id)},
    )


@run_deployment.preview
async def what_a_run_touches(ctx: ToolContext, deployment: DeploymentName, parameters: Parameters = {}) -> Scope:  # noqa: B006  As above.
    """Show the deployment and the parameters that the run would have."""
    async with prefect_client() as client:
        found = await _own_deployment(client, deployment)
    known = (found.parameter_openapi_schema or {}).get("properties")
    if isinstance(known, dict) and found.enforce_parameter_schema:
        unknown = sorted(set(parameters) - set(known))  # pyright: ignore[reportUnknownArgumentType]
        if unknown:
            raise ToolFailed(f"Deployment {deployment} has no parameter {', '.join(unknown)}.")
    changed = ", ".join(f"{name}={value!r}" for name, value in parameters.items()) or "its own parameters"
    return Scope(
        summary=f"One new run of {deployment} with {changed}{' (its schedule is paused)' if found.paused else ''}.",
        deployments=(deployment,),
        basis=f"{found.id}:{found.version_id or found.version or ''}",
    )


@run_deployment.check
async def did_the_run_succeed(ctx: ToolContext, receipt: Receipt) -> Check:
    """Wait for the run's end."""
    return await run_ended_well("run_deployment", receipt.data, ctx.settings.verify_seconds)


@tool(effect="write", retries=0)
async def pause_deployment(ctx: ToolContext, deployment: DeploymentName) -> Applied:
    """Stop a deployment's schedule, so that no further run starts into a fault that is known.

    Propose it when the next scheduled runs would fail alike or do harm, and a person has to act first. Runs that are
    going on are left alone; runs already scheduled are dropped. Undone by resume_deployment.
    """
    return await _set_paused(deployment, paused=True)


@pause_deployment.preview
async def what_pausing_touches(ctx: ToolContext, deployment: DeploymentName) -> Scope:
    """Show the deployment and its schedules."""
    return await _pausing_scope(deployment, paused=True)


@pause_deployment.already_done
async def is_paused(ctx: ToolContext, deployment: DeploymentName) -> Applied | None:
    """Look at the deployment."""
    return await _found_paused(deployment, paused=True)


@pause_deployment.check
async def did_it_pause(ctx: ToolContext, receipt: Receipt) -> Check:
    """Look at the deployment again."""
    return await _pausing_check("pause_deployment", receipt, paused=True)


@tool(effect="write", retries=0)
async def resume_deployment(ctx: ToolContext, deployment: DeploymentName) -> Applied:
    """Start a paused deployment's schedule again.

    Propose it only where the evidence shows that it was paused because of this incident, and the cause is gone.
    Undone by pause_deployment.
    """
    return await _set_paused(deployment, paused=False)


@resume_deployment.preview
async def what_resuming_touches(ctx: ToolContext, deployment: DeploymentName) -> Scope:
    """Show the deployment and its schedules."""
    return await _pausing_scope(deployment, paused=False)


@resume_deployment.already_done
async def is_resumed(ctx: ToolContext, deployment: DeploymentName) -> Applied | None:
    """Look at the deployment."""
    return await _found_paused(deployment, paused=False)


@resume_deployment.check
async def did_it_resume(ctx: ToolContext, receipt: Receipt) -> Check:
    """Look at the deployment again."""
    return await _pausing_check("resume_deployment", receipt, paused=False)


def _retry_summary(run: "FlowRun", deployment: str | None, finished: FinishedTasks, at: datetime | None) -> str:
    how = f"the same run, by {deployment}" if deployment else "a new run linked to it, in the healing process"
    when = "" if at is None else f" not before {at.astimezone(UTC).isoformat(timespec='seconds')}"
    shown = ", ".join(finished.repeats[:10]) + (", ..." if len(finished.repeats) > 10 else "")  # noqa: PLR2004
    repeats = f"{len(finished.repeats)} would repeat: {shown}" if finished.repeats else "none would repeat"
    caller = " The flow that called it is not run again." if run.parent_task_run_id and not deployment else ""
    return f"Run {run.name} again{when} ({how}). {finished.count} finished tasks; {repeats}.{caller}"


async def _own_deployment(client: "PrefectClient", name: str) -> "DeploymentResponse":
    """Return a deployment that is not healing's own."""
    found = await named_deployment(client, name)
    if belongs_to_healing(name.partition("/")[0], found.tags):
        raise ToolFailed(f"Deployment {name} is part of healing itself, which a repair never touches.")
    return found


async def _pausing_scope(name: str, *, paused: bool) -> Scope:
    async with prefect_client() as client:
        found = await _own_deployment(client, name)
    if found.paused == paused:
        raise ToolFailed(f"Deployment {name} is {_word(paused=paused)} already.")
    schedules = len([each for each in found.schedules if each.active])
    return Scope(
        summary=f"{name}, with {schedules} active schedules, would be {_word(paused=paused)}.",
        deployments=(name,),
        basis=f"{found.id}:{_word(paused=found.paused)}",
    )


async def _set_paused(name: str, *, paused: bool) -> Applied:
    async with prefect_client() as client:
        found = await _own_deployment(client, name)
        await (client.pause_deployment(found.id) if paused else client.resume_deployment(found.id))
    return _paused_now(name, paused=paused)


async def _found_paused(name: str, *, paused: bool) -> Applied | None:
    async with prefect_client() as client:
        found = await _own_deployment(client, name)
    return _paused_now(name, paused=paused) if found.paused == paused else None


def _paused_now(name: str, *, paused: bool) -> Applied:
    back = "resume_deployment" if paused else "pause_deployment"
    return Applied(
        detail=f"Deployment {name} is {_word(paused=paused)}.",
        data={"deployment": name},
        undo=Undo(tool=back, arguments={"deployment": name}),
    )


async def _pausing_check(check: str, receipt: Receipt, *, paused: bool) -> Check:
    name = str(receipt.arguments["deployment"])
    async with prefect_client() as client:
        found = await named_deployment(client, name)
    return Check(
        name=check,
        status="passed" if found.paused == paused else "failed",
        detail=f"Deployment {name} is {_word(paused=found.paused)}.",
        link=url_of("deployment", found.id),
    )


def _word(*, paused: bool) -> str:
    return "paused" if paused else "active"
