"""Following an incident to its end, from a terminal."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

from prefect_healing import api
from prefect_healing.dispatch import Dispatched
from prefect_healing.domain.alert import incident_id
from prefect_healing.domain.report import Report
from prefect_healing.errors import HealingError
from prefect_healing.heal_runs import alert_of, is_closed
from prefect_healing.inline import run_heal
from prefect_healing.stages.failed_run_log import broken_line
from prefect_healing.tools.prefect_api import prefect_client, run_of

_POLL_SECONDS = 1.0


async def follow(starting: Coroutine[Any, Any, Dispatched], *, wait: bool, say: Callable[[str], None]) -> Report | None:
    """Await a dispatch, heal here where it says so, else wait for the heal run; return the report.

    Returns None where nothing was to be done, or `wait` is False. Raises HealingError where the healer broke.
    """
    done = await starting
    say(_line(done))
    if done.incident_id is None:
        return None
    if done.action == "inline" and done.heal_flow_run_id is not None:
        ended = await run_heal(done.heal_flow_run_id)
        async with prefect_client() as client:
            if not is_closed(await run_of(client, done.heal_flow_run_id)):
                raise HealingError(ended)
    elif done.action != "left" and done.heal_flow_run_id is not None and wait:
        await _end_of(done.heal_flow_run_id, say)
    elif done.action != "left":
        return None
    return await api.report_of(done.incident_id)


async def _end_of(heal_flow_run_id: UUID, say: Callable[[str], None]) -> None:
    last = ""
    async with prefect_client() as client:
        while True:
            run = await run_of(client, heal_flow_run_id)
            state = run.state.name if run.state else "unknown"
            if state != last:
                say(f"heal run {run.name}: {state}")
                last = state
            if is_closed(run):
                return
            if run.state is not None and run.state.is_final():
                alert = alert_of(run)
                identity = incident_id(alert) if alert else str(run.id)
                raise HealingError(broken_line(identity, run.state.message))
            await asyncio.sleep(_POLL_SECONDS)


def _line(done: Dispatched) -> str:
    incident = f"Incident {done.incident_id}: " if done.incident_id else ""
    here = " Healing in this process." if done.action == "inline" else ""
    warning = f" ({done.warning})" if done.warning else ""
    where = f" {done.url}" if done.url else ""
    return f"{incident}{done.reason}{here}{warning}{where}"
