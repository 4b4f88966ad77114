"""Running a heal run in this process, detached from whatever runs here."""

from uuid import UUID

from prefect_healing.heal import heal
from prefect_healing.tools._flow_process import run_detached
from prefect_healing.tools._prefect_api import prefect_client, run_of


async def run_heal(heal_flow_run_id: UUID) -> str:
    """Run a heal run that was created for this process, and return the outcome in words."""
    async with prefect_client() as client:
        run = await run_of(client, heal_flow_run_id)
        await run_detached(heal, run)
        ended = await run_of(client, heal_flow_run_id)
    return (ended.state.name or "").lower() if ended.state else "without a state"
