"""Serve the demo's deployments: `nightly-flights/demo` and `heal/heal`.

A process of its own: each flow run that it finds becomes a process in turn.
"""

import asyncio

from prefect import aserve, get_client
from prefect.types.entrypoint import EntrypointType

from prefect_healing.demo.pipeline import nightly_flights
from prefect_healing.heal import heal

CONCURRENT_RUNS = 6
"""Heal runs wait for the runs they repeat, so there must be more places than scenarios that heal."""


async def main() -> None:
    """Serve until terminated, from when the server answers."""
    await _server_answers()
    by_module = EntrypointType.MODULE_PATH  # an installed package need not lie below the working directory
    await aserve(
        await nightly_flights.ato_deployment(name="demo", entrypoint_type=by_module),
        await heal.ato_deployment(name="heal", entrypoint_type=by_module, tags=["healing"]),
        pause_on_shutdown=False,
        print_starting_message=False,
        limit=CONCURRENT_RUNS,
    )


async def _server_answers() -> None:
    # This process starts beside the server, so that both have loaded their libraries when it is up.
    async with get_client() as client:
        while await client.api_healthcheck():  # noqa: ASYNC110 - another process is waited for
            await asyncio.sleep(0.2)


if __name__ == "__main__":
    asyncio.run(main())
