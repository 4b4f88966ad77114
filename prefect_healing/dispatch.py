"""The one door to healing: look at what failed, and find, start or bring back the heal run for it."""

import logging
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from prefect_healing.classify import classify
from prefect_healing.classify.fingerprint import fingerprint
from prefect_healing.domain.alert import Alert, FlowRunAlert, FreshnessAlert, GateAlert, RaisedBy, incident_id
from prefect_healing.domain.options import HealingOptions
from prefect_healing.domain.record import Record
from prefect_healing.errors import ConfigurationError, HealingError
from prefect_healing.guardrails.find_policy import find_policy
from prefect_healing.heal_runs import (
    RAISED_PREFIX,
    add_tags,
    alert_of,
    create_deployed,
    create_inline,
    heal_runs,
    incident_tag,
    is_closed,
    is_dead,
    mark_of,
    options_of,
)
from prefect_healing.settings import settings
from prefect_healing.tools.prefect_api import PAGE_MAX, belongs_to_healing, flow_of, prefect_client, url_of

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun
    from prefect.client.schemas.responses import DeploymentResponse

_logger = logging.getLogger(__name__)


class Dispatched(Record):
    """What dispatch did: `left` it alone, `joined` an open incident, `deployed` a heal run, or wants it run `inline`.

    `heal_flow_run_id` is the heal run; with `inline` the caller runs it in its own process.
    """

    action: Literal["left", "joined", "deployed", "inline"]
    reason: str
    incident_id: str | None = None
    heal_flow_run_id: UUID | None = None
    url: str | None = None
    warning: str | None = None


async def dispatch(flow_run_id: UUID, options: HealingOptions, raised_by: RaisedBy = "hook") -> Dispatched:
    """Settle at the door what is to be done about a flow run.

    Raises HealingError where there is no such run, ToolUnavailable where the Prefect API does not answer.
    """
    if reason := _switched_off(options):
        return Dispatched(action="left", reason=reason)
    async with prefect_client() as client:
        run = await _known_run(client, flow_run_id)
        flow_name = (await flow_of(client, run)).name
        if reason := _nothing_to_do(run, flow_name):
            return Dispatched(action="left", reason=reason)
        if (joined := await _covered(client, run)) is not None:
            return joined
        if (reported := await _stopped_by_its_gate(client, run)) is not None:
            return reported
        alert = FlowRunAlert(
            flow_run_id=run.id,
            flow_name=flow_name,
            fingerprint=fingerprint_of(flow_name, run),
            deployment_id=run.deployment_id,
            raised_by=raised_by,
        )
        return await _settled(client, run, alert, options)


async def raise_data_alert(alert: GateAlert | FreshnessAlert, options: HealingOptions) -> Dispatched:
    """Settle at the door what is to be done about data that a run found at fault; its generation is counted here.

    Raises HealingError where there is no such run, ToolUnavailable where the Prefect API does not answer.
    """
    if reason := _switched_off(options):
        return Dispatched(action="left", reason=reason)
    async with prefect_client() as client:
        run = await _known_run(client, alert.flow_run_id)
        return await _covered(client, run) or await _settled(client, run, alert, options)


async def _settled(client: "PrefectClient", run: "FlowRun", alert: Alert, options: HealingOptions) -> Dispatched:
    """Join the open incident of the alert's fingerprint, or open the next one."""
    newest = next(iter(await heal_runs(client, f"fingerprint:{alert.fingerprint}", limit=1)), None)
    if newest is not None and not is_closed(newest):
        return await _join(client, run, newest)
    before = alert_of(newest) if newest else None
    counted = alert.model_copy(update={"generation": before.generation + 1 if before else 0})
    return await _start(client, counted, options)


async def bring_back(client: "PrefectClient", dead: "FlowRun") -> Dispatched:
    """Bring a heal run back that came to no outcome: the same run where deployed, a new one for the same alert else.

    Either finds what was persisted and goes on from there. Also continues a closed one, after a person answered.
    """
    from prefect.states import AwaitingRetry, Crashed

    alert = alert_of(dead)
    if alert is None:
        raise HealingError(f"Heal run {dead.id} has no readable alert; start again with `prefect-healing heal RUN_ID`.")
    if dead.deployment_id is not None:
        await client.set_flow_run_state(dead.id, AwaitingRetry(message="Brought back by dispatch."), force=True)
        return _dispatched("deployed", "The heal run was brought back.", alert, dead)
    if not is_closed(dead):
        await client.set_flow_run_state(dead.id, Crashed(message="Its process is gone; a new run goes on."), force=True)
    before = await heal_runs(client, incident_tag(alert), limit=PAGE_MAX)
    return await _start(client, alert, options_of(dead), again=len(before))


def fingerprint_of(flow_name: str, run: "FlowRun") -> str:
    """Return the fingerprint of a failed run, from what the server knows of it, so that every way in finds the same."""
    text = run.state.message if run.state and run.state.message else ""
    return fingerprint(flow_name, classify(text), text)


async def _known_run(client: "PrefectClient", flow_run_id: UUID) -> "FlowRun":
    from prefect.exceptions import ObjectNotFound

    try:
        return await client.read_flow_run(flow_run_id)
    except ObjectNotFound as error:
        known = f"There is no flow run {flow_run_id} at {client.api_url}."
        raise HealingError(f"{known} Copy its id from the Prefect UI.") from error


def _switched_off(options: HealingOptions) -> str | None:
    """Say who switched healing off, None where nobody did. Whoever says `off` is obeyed."""
    if settings().mode == "off":
        return "Healing is off: PREFECT_HEALING_MODE says so."
    if options.mode == "off":
        return "Healing is off for this flow: its decorator says so."
    try:
        policy = find_policy(options.policy or settings().policy)
    except ConfigurationError:
        return None  # The incident is opened all the same; the heal run says what is wrong with the policy.
    return f"Healing is off: policy {policy.name!r} says so." if policy.mode == "off" else None


def _nothing_to_do(run: "FlowRun", flow_name: str) -> str | None:
    if belongs_to_healing(flow_name, run.tags):
        return "It is a run of the healer itself, which is never healed."
    if run.state is None or not (run.state.is_failed() or run.state.is_crashed()):
        return f"Run {run.name} is {run.state.name if run.state else 'without state'}; nothing is wrong with it."
    return None


async def _covered(client: "PrefectClient", run: "FlowRun") -> Dispatched | None:
    """Join the open incident that re-ran this run, whatever it failed with."""
    for tag in run.tags:
        if tag.startswith("incident:"):
            newest = next(iter(await heal_runs(client, tag, limit=1)), None)
            if newest is not None and not is_closed(newest):
                return await _join(client, run, newest)
    return None


async def _stopped_by_its_gate(client: "PrefectClient", run: "FlowRun") -> Dispatched | None:
    """Leave a run that failed because its own gate did not pass to the incident that the gate has raised."""
    message = (run.state.message if run.state else None) or ""
    raised = [tag.removeprefix(RAISED_PREFIX) for tag in run.tags if tag.startswith(RAISED_PREFIX)]
    for identity in raised if "GateFailed" in message else ():
        newest = next(iter(await heal_runs(client, f"incident:{identity}", limit=1)), None)
        if newest is None or identity not in message:
            continue
        if not is_closed(newest):
            return await _join(client, run, newest)
        reason = f"Its quality gate stopped it, and that incident is closed: {newest.state_name or 'unknown'}."
        return Dispatched(action="left", reason=reason, incident_id=identity, url=url_of("flow-run", newest.id))
    return None


async def _join(client: "PrefectClient", run: "FlowRun", newest: "FlowRun") -> Dispatched:
    alert = alert_of(newest)
    if alert is None:
        raise HealingError(f"Heal run {newest.id} has no readable alert; cancel it and dispatch again.")
    await add_tags(client, run.id, mark_of(alert), f"fingerprint:{alert.fingerprint}")
    if await is_dead(client, newest):
        return await bring_back(client, newest)
    return _dispatched("joined", "An open incident covers it.", alert, newest)


async def _start(client: "PrefectClient", alert: Alert, options: HealingOptions, again: int = 0) -> Dispatched:
    await add_tags(client, alert.flow_run_id, mark_of(alert), f"fingerprint:{alert.fingerprint}")
    key = f"heal:{alert.fingerprint}:{alert.generation}" + (f":{again}" if again else "")
    deployment = await _heal_deployment(client)
    if deployment is not None:
        run = await create_deployed(client, deployment, alert, options, key)
        started = _dispatched("deployed", "A heal run was created.", alert, run)
        return started.model_copy(update={"warning": _asleep(deployment)})
    run = await create_inline(client, alert, options, key)
    if run is None:
        theirs = (await heal_runs(client, incident_tag(alert), limit=1))[0]
        return _dispatched("joined", "Another process heals it.", alert, theirs)
    return _dispatched("inline", "There is no heal deployment.", alert, run)


async def _heal_deployment(client: "PrefectClient") -> "DeploymentResponse | None":
    from prefect.exceptions import ObjectNotFound

    try:
        return await client.read_deployment_by_name(settings().heal_deployment)
    except ObjectNotFound:
        return None


def _asleep(deployment: "DeploymentResponse") -> str | None:
    """Say so where nobody has asked for the deployment's runs lately."""
    status = getattr(deployment.status, "value", deployment.status)
    if status == "READY":
        return None
    pool = deployment.work_pool_name or "process that serves it"
    return f"no worker has polled the {pool} lately, so the heal run waits until one does"


def _dispatched(
    action: Literal["joined", "deployed", "inline"], reason: str, alert: Alert, run: "FlowRun"
) -> Dispatched:
    return Dispatched(
        action=action,
        reason=reason,
        incident_id=incident_id(alert),
        heal_flow_run_id=run.id,
        url=url_of("flow-run", run.id),
    )
