"""The ground of the crash matrix, and its rows, two of which run at a time."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import forkserver
from pathlib import Path

import httpx
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import ObjectNotFound

from tests.crash.matrix import Ended, Ground, Row, environment

DEPLOYMENT = "heal/crash"
_AT_ONCE = 2
_WAITING_AT_ONCE = 6
_START_SECONDS = 180
_SERVICES_THAT_NOTHING_HERE_NEEDS = (
    "CANCELLATION_CLEANUP",
    "EVENT_LOGGER",
    "EVENT_PERSISTER",
    "FOREMAN",
    "LATE_RUNS",
    "PAUSE_EXPIRATIONS",
    "SCHEDULER",
    "TASK_RUN_RECORDER",
    "TRIGGERS",
)
_STOP_SECONDS = 20


@pytest.fixture(scope="session")
def whole_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a Prefect server, return the URL of its API; the one of other tests gives no lease back that ran out."""
    home, port = tmp_path_factory.mktemp("server"), _free_port()
    url = f"http://127.0.0.1:{port}/api"
    idle = {f"PREFECT_SERVER_SERVICES_{name}_ENABLED": "false" for name in _SERVICES_THAT_NOTHING_HERE_NEEDS}
    with (home / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
            env={**os.environ, **idle, "PREFECT_HOME": str(home)},
            stdout=log,
            stderr=log,
        )
        _wait_until(lambda: _answers(url), (home / "log").read_text)
        yield url
        _end(process)


@pytest.fixture(scope="session")
def ground(whole_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Return what all rows share, with the warm process started under their environment."""
    given = environment(whole_server, Path(__file__).with_name("policy.yaml"))
    ground = Ground(tmp_path_factory.mktemp("crash"), whole_server, given)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in given.items():
            patch.setenv(name, value)
        subprocess.run([sys.executable, "-c", _SAVE_BLOCK], check=True, timeout=120)
        forkserver.ensure_running()
    yield ground
    ground.close()


_SAVE_BLOCK = "from tests.crash.trap import TrappedStorage; TrappedStorage().save('crash', overwrite=True)"


@pytest.fixture(scope="session")
def came_through(ground: Ground) -> Callable[[str], Ended]:
    """Return how a scenario ends that nobody kills; each is run once."""
    known = dict[str, Ended]()

    def ended(scenario: str) -> Ended:
        if scenario not in known:
            known[scenario] = ground.uninterrupted(scenario)
        return known[scenario]

    return ended


@pytest.fixture(scope="session", autouse=True)
def rows(ground: Ground, request: pytest.FixtureRequest) -> Iterator[dict[Row, Future[Ended]]]:
    """Start every selected row at once, in the order of their tests, whichever test is first."""
    busy, waiting = ThreadPoolExecutor(_AT_ONCE), ThreadPoolExecutor(_WAITING_AT_ONCE)
    yield {row: (waiting if _mostly_waits(row) else busy).submit(ground.run, row) for row in _selected(request)}
    for pool in (busy, waiting):
        pool.shutdown(cancel_futures=True)


def _selected(request: pytest.FixtureRequest) -> Iterator[Row]:
    for item in request.session.items:
        callspec = getattr(item, "callspec", None)
        if callspec is not None and isinstance(row := callspec.params.get("row"), Row):
            yield row


def _mostly_waits(row: Row) -> bool:
    # A lock was taken and its holder died before it signed: the server gives it back after a minute.
    return row.boundary.startswith("lock of") and row.phase == "torn"


@pytest.fixture(scope="module")
def served(ground: Ground) -> Iterator[Path]:
    """Serve the heal deployment; return the file that its heal runs read their plan from."""
    current = ground.folder / "current.json"
    with (ground.folder / "served.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.served"],
            env={**os.environ, **ground.environment, "CRASH_PLAN": str(current)},
            cwd=Path(__file__).parents[2],
            stdout=log,
            stderr=log,
        )
        _wait_until(lambda: _is_served(ground, DEPLOYMENT), (ground.folder / "served.log").read_text)
        yield current
        _end(process)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=5).is_success
    except httpx.TransportError:
        return False


def _is_served(ground: Ground, deployment: str) -> bool:
    with SyncPrefectClient(ground.api_url) as client, suppress(ObjectNotFound):
        return client.read_deployment_by_name(deployment) is not None
    return False


def _wait_until(there: Callable[[], bool], log: Callable[[], str]) -> None:
    until = time.monotonic() + _START_SECONDS
    while not there():
        if time.monotonic() > until:
            raise TimeoutError(f"A process did not start: {log()[-4000:]}")
        time.sleep(0.5)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
