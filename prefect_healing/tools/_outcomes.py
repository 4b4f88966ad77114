"""Waiting for a flow run to end, and saying whether it ended well."""

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from prefect_healing.domain.record import JsonObject
from prefect_healing.domain.verification import Check
from prefect_healing.tools.prefect_api import bounded, prefect_client, run_of, states_of

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun

_FIRST_POLL_SECONDS = 0.25
_LONGEST_POLL_SECONDS = 5.0
_POLL_GROWTH = 1.5


async def run_ended_well(name: str, data: JsonObject, seconds: float) -> Check:
    """Wait for the run of a receipt's `data` to end, at most `seconds` beyond its `not_before`.

    It passes where it completed and, where `since_state_id` names the state that set it off, started after that: an
    older success proves nothing. One that has not ended in time is inconclusive.
    """
    link = str(data["url"]) if data.get("url") else None
    async with prefect_client() as client:
        run = await _ended(client, UUID(str(data["flow_run_id"])), _until(data, seconds))
        state = run.state
        if state is None or not state.is_final():
            detail = f"Flow run {run.name} is {run.state_name} still; does a worker or runner poll for it?"
            return Check(name=name, status="inconclusive", detail=detail, link=link)
        if not state.is_completed():
            detail = f"Flow run {run.name} ended {state.name}: {bounded(state.message, 1_000)}"
            return Check(name=name, status="failed", detail=detail, link=link)
        if not await _ran_since(client, run, data.get("since_state_id")):
            detail = f"Flow run {run.name} is {state.name} but did not run again."
            return Check(name=name, status="failed", detail=detail, link=link)
    return Check(name=name, status="passed", detail=f"Flow run {run.name} completed.", link=link)


def _until(data: JsonObject, seconds: float) -> float:
    """Return the moment to give up, on the running event loop's clock."""
    at = data.get("not_before")
    ahead = 0.0 if not at else (datetime.fromisoformat(str(at)) - datetime.now(UTC)).total_seconds()
    return asyncio.get_running_loop().time() + max(0.0, ahead) + seconds


async def _ended(client: "PrefectClient", flow_run_id: UUID, until: float) -> "FlowRun":
    wait = _FIRST_POLL_SECONDS
    while True:
        run = await run_of(client, flow_run_id)
        left = until - asyncio.get_running_loop().time()
        if left <= 0 or (run.state is not None and run.state.is_final()):
            return run
        await asyncio.sleep(min(wait, left))
        wait = min(_LONGEST_POLL_SECONDS, wait * _POLL_GROWTH)


async def _ran_since(client: "PrefectClient", run: "FlowRun", state_id: object) -> bool:
    if state_id is None:
        return True
    states = await states_of(client, run.id)
    since = next((at for at, state in enumerate(states) if str(state.id) == state_id), None)
    return since is not None and any(state.is_running() for state in states[since:])
