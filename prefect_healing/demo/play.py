"""Play scenarios: set the faults, start the runs side by side, wait until every incident is closed."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import httpx
from pydantic import TypeAdapter

from prefect_healing.demo.processes import Child, child
from prefect_healing.demo.result import ScenarioResult
from prefect_healing.demo.scenarios import Scenario
from prefect_healing.demo.screen import Screen
from prefect_healing.demo.surroundings import Surroundings
from prefect_healing.demo.vendor import TOKEN, DayCount, FaultRequest
from prefect_healing.demo.watch import Sight, look
from prefect_healing.domain.report import Report

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

LONGEST_SECONDS = 420.0
"""After this a scenario that has not ended is unfinished."""

DEPLOYMENT = "nightly-flights/demo"

_LOOK_SECONDS = 1.5
_COUNTS = TypeAdapter(dict[str, DayCount])


async def play(
    scenarios: Sequence[Scenario], at: Surroundings, screen: Screen, needed: Sequence[Child]
) -> tuple[ScenarioResult, ...]:
    """Play all scenarios at once and return how each ended. Raises ProcessDied where a needed process ends."""
    from prefect.client.orchestration import get_client

    async with AsyncExitStack() as stack:
        vendor = await stack.enter_async_context(_vendor(at))
        client = await stack.enter_async_context(get_client())
        await _set_faults(vendor, scenarios)
        since = datetime.now(UTC) - timedelta(seconds=1)
        await _start(scenarios, client, at, stack)
        sights = await _watch(client, scenarios, since, screen, needed)
        counts = _COUNTS.validate_json((await vendor.get("/counts")).raise_for_status().content)
        return tuple([await _result(each, sights[each.name], counts, at) for each in scenarios])


def _vendor(at: Surroundings) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=at.vendor_url, headers={"Authorization": f"Bearer {TOKEN}"})


async def _set_faults(vendor: httpx.AsyncClient, scenarios: Sequence[Scenario]) -> None:
    for each in scenarios:
        fault = FaultRequest(day=each.day, fault=each.fault, params=each.fault_params)
        response = await vendor.post("/faults", content=fault.model_dump_json())
        response.raise_for_status()


async def _start(
    scenarios: Sequence[Scenario], client: "PrefectClient", at: Surroundings, stack: AsyncExitStack
) -> None:
    deployment = await client.read_deployment_by_name(DEPLOYMENT)
    for each in scenarios:
        day = each.day.isoformat()
        if each.inline:
            await stack.enter_async_context(_script(each, at))
        else:
            parameters = {"day": day, **each.parameters}
            await client.create_flow_run_from_deployment(deployment.id, parameters=parameters, tags=["demo", each.name])


def _script(scenario: Scenario, at: Surroundings) -> AbstractAsyncContextManager[Child]:
    # A script knows of no heal deployment, so that its failure is healed in its own process.
    env = at.environment() | {"PREFECT_HEALING_HEAL_DEPLOYMENT": "none/none"}
    return child(scenario.name, ["prefect_healing.demo.pipeline", scenario.day.isoformat()], env=env, home=at.home)


async def _watch(
    client: "PrefectClient", scenarios: Sequence[Scenario], since: datetime, screen: Screen, needed: Sequence[Child]
) -> dict[str, Sight]:
    shown: dict[str, str] = {}
    deadline = screen.seconds + LONGEST_SECONDS
    while True:
        sights = await look(client, scenarios, since)
        for name, sight in sights.items():
            if shown.get(name) != sight.words:
                shown[name] = sight.words
                screen.say(f"{name}: {sight.words}")
        if all(sight.outcome for sight in sights.values()) or screen.seconds > deadline:
            return sights
        for process in needed:
            process.check_alive()
        await asyncio.sleep(_LOOK_SECONDS)


async def _result(scenario: Scenario, sight: Sight, counts: dict[str, DayCount], at: Surroundings) -> ScenarioResult:
    shown = sight.heal or sight.run
    return ScenarioResult.of(
        scenario,
        await _report(sight.heal.id) if sight.heal else None,
        outcome=sight.outcome or "unfinished",
        requests=counts.get(scenario.day.isoformat(), DayCount()).requests,
        seconds=sight.seconds,
        incident_id=sight.incident_id,
        url=f"{at.ui_url}/runs/flow-run/{shown.id}" if shown else None,
    )


async def _report(heal_run_id: UUID) -> Report | None:
    from prefect_healing.api import report_of_run

    return await report_of_run(heal_run_id)
