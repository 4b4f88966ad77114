"""Serve the demo's deployments: its flows, each as `flow-name/demo`, and `heal/heal`.

A process of its own: each flow run that it finds becomes a process in turn.
"""

import asyncio

from prefect import aserve, get_client
from prefect.types.entrypoint import EntrypointType

from prefect_healing.demo.departures import clean_departures, count_departures, load_departures, publish_departures
from prefect_healing.demo.loads import build_daily_delays, gated_flights, load_flights, publish_delays
from prefect_healing.demo.pipeline import nightly_flights
from prefect_healing.demo.play import AT_ONCE
from prefect_healing.heal import heal
from prefect_healing.watch_freshness import watch_freshness

DEMO_FLOWS = (
    nightly_flights,
    load_flights,
    gated_flights,
    build_daily_delays,
    publish_delays,
    load_departures,
    clean_departures,
    count_departures,
    publish_departures,
    watch_freshness,
)
"""Each is deployed under the name `demo`."""

CONCURRENT_RUNS = 3 * AT_ONCE
"""A gate waits for its heal run, which waits for the loader: all three need a place, or all wait for ever."""


async def main() -> None:
    """Serve until terminated, from when the server answers."""
    await _server_answers()
    by_module = EntrypointType.MODULE_PATH  # an installed package need not lie below the working directory
    demo = [await each.ato_deployment(name="demo", entrypoint_type=by_module) for each in DEMO_FLOWS]
    await aserve(
        *demo,
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
