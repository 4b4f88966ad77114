"""Run the demo: a Prefect server, the vendor and the deployments, then the scenarios side by side."""

import asyncio
import json as json_text
import shutil
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path

import httpx

from prefect_healing.demo.data import flights
from prefect_healing.demo.migrated import begin_migrated, keep_migrated
from prefect_healing.demo.play import play
from prefect_healing.demo.processes import Child, ProcessDied, child
from prefect_healing.demo.result import DemoResult, Timings
from prefect_healing.demo.scenarios import SCENARIOS, Scenario, chosen
from prefect_healing.demo.screen import Screen
from prefect_healing.demo.surroundings import Surroundings

START_SECONDS = 180.0
"""Longest wait for the server, and then for the deployments."""

_POLL_SECONDS = 0.2


async def run_demo(
    scenarios: Sequence[str] = (),
    *,
    home: Path | None = None,
    warehouse: str | None = None,
    keep: bool = False,
    json: bool = False,
) -> DemoResult:
    """Run the named scenarios, or all, and show how they end.

    Everything is kept in `home`, or in a new folder that is removed when all went right. With `keep` the server stays
    up until Ctrl-C. With `json` the result goes to standard output and all else to standard error. Raises
    ConfigurationError for an unknown scenario or missing data, ProcessDied where a process of the demo does not start.
    """
    wanted = chosen(scenarios)
    screen = Screen(to_stderr=json)
    folder = home or Path(tempfile.mkdtemp(prefix="prefect-healing-demo-"))
    folder.mkdir(parents=True, exist_ok=True)
    screen.say(f"{len(wanted)} scenarios on {flights().count():,} flights, in {folder}")
    async with AsyncExitStack() as stack:
        stack.enter_context(_ended_by_signals())
        result = await _run(wanted, Surroundings.at(folder, warehouse), screen, stack)
        if json:
            sys.stdout.write(json_text.dumps(result.as_json(), indent=2) + "\n")
            sys.stdout.flush()
        screen.show(result, keep=keep)
        if keep:
            await _interrupted()
    if home is None and result.right:
        shutil.rmtree(folder, ignore_errors=True)
    elif not result.right:
        screen.say(f"Logs, results and databases stay in {folder}")
    return result


async def _run(wanted: Sequence[Scenario], at: Surroundings, screen: Screen, stack: AsyncExitStack) -> DemoResult:
    with screen.busy("Starting a Prefect server, the vendor and the deployments"):
        migrated = begin_migrated(at.prefect_home)
        needed = await _start_processes(at, stack)
        await _until(lambda: _answers(f"{at.api_url}/health"), needed, "The Prefect server does not answer")
        if not migrated:
            keep_migrated(at.prefect_home)
        server = screen.seconds
        screen.say(f"Prefect server: {at.ui_url}")
        _use(at, stack)
        _prepare_warehouse(at)
        await _until(lambda: _deployed(wanted), needed, "The deployments are not served")
    serve = screen.seconds
    with screen.busy("Breaking a pipeline, and watching it heal"):
        rows = await play(wanted, at, screen, needed)
    total = screen.seconds
    timings = Timings(server=server, serve=serve - server, scenarios=total - serve, total=total)
    return DemoResult(scenarios=rows, timings=timings)


async def _start_processes(at: Surroundings, stack: AsyncExitStack) -> list[Child]:
    # They are ended last first: nothing may be running when the server goes. All start at once, and wait for it.
    commands = {
        "server": ["prefect", "server", "start", "--host", "127.0.0.1", "--port", str(at.server_port)],
        "vendor": ["prefect_healing.demo.vendor", "--port", str(at.vendor_port)],
        "serve": ["prefect_healing.demo.served"],
    }
    env = at.environment()
    return [
        await stack.enter_async_context(child(name, arguments, env=env, home=at.home))
        for name, arguments in commands.items()
    ]


def _use(at: Surroundings, stack: AsyncExitStack) -> None:
    """Point this process at the demo's server and results until the demo ends."""
    from prefect.settings import PREFECT_API_URL, PREFECT_LOCAL_STORAGE_PATH, PREFECT_UI_URL, temporary_settings

    addresses = {PREFECT_API_URL: at.api_url, PREFECT_UI_URL: at.ui_url}
    stack.enter_context(temporary_settings({**addresses, PREFECT_LOCAL_STORAGE_PATH: at.results}))


def _prepare_warehouse(at: Surroundings) -> None:
    # Here, once: runs that create tables side by side get in each other's way on PostgreSQL.
    from prefect_healing.demo.warehouse import clear, connected, prepare

    with connected(at.warehouse_url) as engine:
        prepare(engine)
        clear(engine, [each.day for each in SCENARIOS])


async def _until(true: Callable[[], Awaitable[bool]], needed: Sequence[Child], otherwise: str) -> None:
    """Wait until something is true, as long as the needed processes live. Raises ProcessDied."""
    try:
        async with asyncio.timeout(START_SECONDS):
            while not await true():
                for process in needed:
                    process.check_alive()
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        logs = ", ".join(str(process.log) for process in needed)
        raise ProcessDied(f"{otherwise} after {START_SECONDS:.0f} s. See the logs: {logs}") from None


async def _answers(url: str) -> bool:
    async with httpx.AsyncClient(timeout=5) as client:
        try:
            return (await client.get(url)).is_success
        except httpx.TransportError:
            return False


async def _deployed(wanted: Sequence[Scenario]) -> bool:
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    from prefect_healing.settings import settings

    async with get_client() as client:
        try:
            # Healing runs loaders too; the last of all to be deployed is the one that heals.
            for name in (*{run.deployment for each in wanted for run in each.runs}, settings().heal_deployment):
                await client.read_deployment_by_name(name)
        except ObjectNotFound:
            return False
    return True


@contextmanager
def _ended_by_signals() -> Generator[None]:
    """Let a signal that ends processes end the demo as Ctrl-C does: together with all that it started."""
    loop, task, received = asyncio.get_running_loop(), asyncio.current_task(), set[int]()

    def cancel(number: int) -> None:
        received.add(number)
        if task is not None:
            task.cancel()

    for number in (signal.SIGTERM, signal.SIGHUP):
        with suppress(ValueError, RuntimeError):  # outside of the main thread signals are somebody else's
            loop.add_signal_handler(number, cancel, number)
    try:
        yield
    except asyncio.CancelledError:
        if received:
            raise SystemExit(128 + received.pop()) from None
        raise
    finally:
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.remove_signal_handler(number)


async def _interrupted() -> None:
    interrupted = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupted.set)
    await interrupted.wait()
