"""The failed run's own log: where its people look first, so where healing says what became of it."""

import logging
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect_healing.domain.alert import incident_id
from prefect_healing.guardrails.redaction import redact
from prefect_healing.heal_runs import alert_of
from prefect_healing.tools.prefect_api import bounded, prefect_client, run_of

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.schemas.objects import FlowRun, State

_WHY_CHARS = 600


async def write_line(flow_run_id: UUID, level: int, text: str) -> None:
    """Put one line into the log of a flow run that is not this one."""
    from prefect.client.schemas.actions import LogCreate
    from prefect.types import DateTime

    line = LogCreate(
        name="prefect_healing", level=level, message=text, timestamp=DateTime.now("UTC"), flow_run_id=flow_run_id
    )
    async with prefect_client() as client:
        await client.create_logs([line])


async def say_broken(flow: "Flow[..., Any]", flow_run: "FlowRun", state: "State[Any]") -> None:
    """Tell the failed run that its heal run broke. A hook of the heal flow: an incident is never lost silently."""
    async with prefect_client() as client:
        alert = alert_of(await run_of(client, flow_run.id))
    if alert is not None:
        await write_line(alert.flow_run_id, logging.ERROR, broken_line(incident_id(alert), state.message))


def broken_line(identity: str, why: str | None) -> str:
    """Return what is said of an incident whose heal run came to no outcome."""
    reason = bounded(redact(why or "it has no reason"), _WHY_CHARS).rstrip(".")
    then = f"When that is put right, go on with: prefect-healing heal {identity}"
    return f"Incident {identity} is open: its heal run broke. {reason}. {then}"
