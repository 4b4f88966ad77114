"""Run the demo: a Prefect server, the vendor and the deployments, then the scenarios side by side."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from prefect_healing.demo.data import flights
from prefect_healing.demo.processes import Child, child
from prefect_healing.demo.result import DemoResult, Timings
from prefect_healing.demo.scenarios import Scenario, chosen
from prefect_healing.demo.screen import Screen
from prefect_healing.demo.surroundings import Surroundings
from prefect_healing.demo.vendor import TOKEN
from prefect_healing.errors import HealingError

if TYPE_CHECKING:
    from prefect_healing.demo.watch import Watch

START_SECONDS = 180.0
"""Longest wait for the server and for the deployments."""

SCENARIOS_SECONDS = 420.0
"""Longest wait for all scenarios to end; what has not ended then is unfinished."""


async def run_demo(
    scenarios: Sequence[str] = (),
    *,
    home: Path | None = None,
    warehouse: str | None = None,
    keep: bool = False,
    json: bool = False,
) -> DemoResult:
    """Run the named scenarios, or all, and show how they end.

    Everything is kept in `home`, or in a folder of its own that is removed when all went right. With `keep` the server
    stays up until interrupted. With `json` all that is shown goes to standard error. Raises ConfigurationError for an
    unknown scenario or missing data, ProcessDied where the server or the deployments do not start.
    """
    wanted = chosen(scenarios)
    screen = Screen(to_stderr=json)
    folder = home or Path(tempfile.mkdtemp(prefix="prefect-healing-demo-"))
    folder.mkdir(parents=True, exist_ok=True)
    surroundings = Surroundings.at(folder, warehouse)
    screen.say(f"{len(wanted)} scenarios, in {folder}")
    result = await _run(wanted, surroundings, screen, keep=keep)
    if home is None and result.right:
        shutil.rmtree(folder, ignore_errors=True)
    return result


async def _run(wanted: Sequence[Scenario], at: Surroundings, screen: Screen, *, keep: bool) -> DemoResult:
    async with AsyncExitStack() as stack:
        server_seconds, serve_seconds = await _start(at, screen, stack)
        began = screen.seconds
        with screen.busy("Breaking a pipeline, and watching it heal"):
            rows = await _play(wanted, at, screen)
        timings = Timings(
            server=round(server_seconds, 1),
            serve=round(serve_seconds, 1),
            scenarios=round(screen.seconds - began, 1),
            total=round(screen.seconds, 1),
        )
        result = DemoResult(scenarios=rows, timings=timings)
        screen.show(result, at, keep=keep)
        if keep:
            screen.say("The server stays up until you press Ctrl-C.")
            await asyncio.Event().wait()
    return result
