"""Set a scenario up, and start its runs."""

from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import httpx

from prefect_healing.demo.faults import FaultRequest
from prefect_healing.demo.processes import Child, child
from prefect_healing.demo.scenarios import Scenario
from prefect_healing.demo.surroundings import Surroundings

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient


class Stage:
    """Where scenarios are played: the server, the vendor and the warehouse. Scripts end with the stack."""

    def __init__(
        self, client: "PrefectClient", vendor: httpx.AsyncClient, at: Surroundings, stack: AsyncExitStack
    ) -> None:
        self.client = client
        self._vendor = vendor
        self._at = at
        self._stack = stack

    async def start(self, scenario: Scenario, number: int) -> UUID | None:
        """Start a run of the scenario, by its place among them; before the first one, set the scenario up."""
        if number == 0:
            await self._set_up(scenario)
        if scenario.inline:
            await self._stack.enter_async_context(_script(scenario, self._at))
            return None
        run = scenario.runs[number]
        deployment = await self.client.read_deployment_by_name(run.deployment)
        created = await self.client.create_flow_run_from_deployment(
            deployment.id, parameters=run.parameters_on(scenario.day), tags=["demo", scenario.name]
        )
        return created.id

    async def _set_up(self, scenario: Scenario) -> None:
        fault = FaultRequest(day=scenario.day, fault=scenario.fault, params=scenario.fault_params)
        (await self._vendor.post("/faults", content=fault.model_dump_json())).raise_for_status()
        if scenario.departures_hours_old is not None:
            _age_departures(scenario, scenario.departures_hours_old, self._at)


def _age_departures(scenario: Scenario, hours_ago: float, at: Surroundings) -> None:
    from prefect_healing.demo.departures import load_until
    from prefect_healing.demo.warehouse import connected

    with connected(at.warehouse_url) as engine:
        load_until(engine, scenario.day - timedelta(days=1), hours_ago)


def _script(scenario: Scenario, at: Surroundings) -> AbstractAsyncContextManager[Child]:
    # A script knows of no heal deployment, so that its failure is healed in its own process.
    env = at.environment() | {"PREFECT_HEALING_HEAL_DEPLOYMENT": "none/none"}
    return child(scenario.name, ["prefect_healing.demo.pipeline", scenario.day.isoformat()], env=env, home=at.home)
