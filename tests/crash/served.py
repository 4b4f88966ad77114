"""Serve `heal/crash`: each heal run is a process of its own, which dies where the plan in `CRASH_PLAN` says."""

import asyncio

from prefect import aserve

from prefect_healing.heal import heal
from tests.crash import trap  # noqa: F401  Where a heal run loads the storage block, its class must be known.


async def main() -> None:
    """Serve until terminated."""
    deployment = await heal.ato_deployment(name="crash", tags=["healing"])
    deployment.entrypoint = "tests.crash.served.heal"
    await aserve(deployment, pause_on_shutdown=False, print_starting_message=False, query_seconds=1)


if __name__ == "__main__":
    asyncio.run(main())
