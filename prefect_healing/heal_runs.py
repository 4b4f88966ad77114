"""Heal runs on the Prefect server: finding them by incident or fingerprint, creating them once, telling the dead."""

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from pydantic import ValidationError

from prefect_healing.clock import now
from prefect_healing.domain.alert import Alert, AnyAlert, incident_id
from prefect_healing.domain.options import HealingOptions
from prefect_healing.journal import open_journal
from prefect_healing.locks import held, is_gone, this_process

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun
    from prefect.client.schemas.responses import DeploymentResponse

HEALING_TAG = "healing"
RAISED_PREFIX = "raised:"
_PROCESS_LABELS = ("prefect-healing.host", "prefect-healing.pid", "prefect-healing.started")
_START_SECONDS = 60  # An inline heal run that has not begun by then was created by a process that died.


def incident_lock(identity: str) -> str:
    """Return the name of the lock that the heal run of an incident holds."""
    return f"healing:incident:{identity}"


async def add_tags(client: "PrefectClient", flow_run_id: UUID, *tags: str) -> None:
    """Add tags to a flow run, keeping those it has."""
    run = await client.read_flow_run(flow_run_id)
    if missing := [tag for tag in tags if tag not in run.tags]:
        await client.update_flow_run(flow_run_id, tags=[*run.tags, *missing])


async def heal_runs(client: "PrefectClient", *tags: str, limit: int = 20, offset: int = 0) -> "list[FlowRun]":
    """Return the heal runs that carry all of `tags`, newest first, at most 200 of them after `offset`."""
    from prefect.client.schemas.filters import FlowFilter, FlowFilterName, FlowRunFilter, FlowRunFilterTags
    from prefect.client.schemas.sorting import FlowRunSort

    return await client.read_flow_runs(
        flow_filter=FlowFilter(name=FlowFilterName(any_=["heal"])),
        flow_run_filter=FlowRunFilter(tags=FlowRunFilterTags(all_=[HEALING_TAG, *tags])),
        sort=FlowRunSort.EXPECTED_START_TIME_DESC,
        limit=limit,
        offset=offset,
    )


def alert_of(run: "FlowRun") -> Alert | None:
    """Return the alert that a heal run was started with, None where its parameters hold none."""
    try:
        return AnyAlert.validate_python(run.parameters.get("alert"))
    except ValidationError:
        return None


def incident_tag(alert: Alert) -> str:
    """Return the tag of everything that belongs to the alert's incident."""
    return f"incident:{incident_id(alert)}"


def mark_of(alert: Alert) -> str:
    """Return the tag that the run which raised the alert gets.

    A run that failed belongs to the incident, whatever it fails with next. One that found a fault in the data is a
    run like any other.
    """
    return incident_tag(alert) if alert.kind == "flow_run" else f"{RAISED_PREFIX}{incident_id(alert)}"


def options_of(run: "FlowRun") -> HealingOptions:
    """Return the options that a heal run was started with."""
    try:
        return HealingOptions.model_validate(run.parameters.get("options") or {})
    except ValidationError:
        return HealingOptions()


def is_closed(run: "FlowRun") -> bool:
    """Say whether a heal run came to an end that stands: an outcome, or a person who cancelled it."""
    return run.state is not None and (run.state.is_completed() or run.state.is_cancelled())


async def is_dead(client: "PrefectClient", run: "FlowRun") -> bool:
    """Say whether a heal run is neither closed nor alive: broken, crashed, or without anybody who holds its lock."""
    if run.state is None or is_closed(run):
        return False
    if run.state.is_final() or _process_is_gone(run):
        return True
    waiting = run.state.is_scheduled() or run.state.is_pending()
    if waiting and run.deployment_id is not None:
        return False
    if waiting or now() - run.state.timestamp < timedelta(seconds=_START_SECONDS):
        began = run.state.timestamp
        return waiting and now() - began > timedelta(seconds=_START_SECONDS)
    alert = alert_of(run)
    if alert is None:
        return False
    identity = incident_id(alert)
    return not await held(client, incident_lock(identity), await open_journal(identity))


def _process_is_gone(run: "FlowRun") -> bool:
    """Say whether an inline heal run was created for a process of this host that is gone."""
    host, pid, started = (run.labels.get(name) for name in _PROCESS_LABELS)
    return isinstance(pid, int) and is_gone(str(host), pid, str(started))


def _parameters(alert: Alert, options: HealingOptions) -> dict[str, object]:
    return {"alert": alert.model_dump(mode="json"), "options": options.model_dump(mode="json")}


def _tags(alert: Alert) -> list[str]:
    return [HEALING_TAG, incident_tag(alert), f"fingerprint:{alert.fingerprint}"]


async def create_deployed(
    client: "PrefectClient", deployment: "DeploymentResponse", alert: Alert, options: HealingOptions, key: str
) -> "FlowRun":
    """Return the heal run with `key`, created where there was none, to be picked up by the deployment's worker."""
    return await client.create_flow_run_from_deployment(
        deployment.id, parameters=_parameters(alert, options), tags=_tags(alert), idempotency_key=key
    )


async def create_inline(client: "PrefectClient", alert: Alert, options: HealingOptions, key: str) -> "FlowRun | None":
    """Return a new heal run with `key` for this process to run, None where another process has created it."""
    from prefect.client.schemas.actions import FlowRunCreate
    from prefect.client.schemas.objects import FlowRun
    from prefect.states import Pending, to_state_create
    from prefect.utilities.names import generate_slug

    name = f"{generate_slug(2)}-{incident_id(alert).lower()}"
    body = FlowRunCreate(
        flow_id=await client.create_flow_from_name("heal"),
        name=name,
        parameters=_parameters(alert, options),
        state=to_state_create(Pending()),
        tags=_tags(alert),
        labels=dict(zip(_PROCESS_LABELS, this_process(), strict=True)),
        idempotency_key=key,
    )
    response = await client.request("POST", "/flow_runs/", json=body.model_dump(mode="json", exclude_unset=True))
    run = FlowRun.model_validate(response.json())
    return run if run.name == name else None
