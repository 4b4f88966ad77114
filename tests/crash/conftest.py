"""The ground of the crash matrix, and its rows, two of which run at a time."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import forkserver
from pathlib import Path

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import ObjectNotFound

from tests.crash.matrix import Ended, Ground, Row, environment

DEPLOYMENT = "heal/crash"
_AT_ONCE = 2
_SERVED_SECONDS = 120
_STOP_SECONDS = 20


@pytest.fixture(scope="session")
def ground(prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Return what all rows share, with the warm process started under their environment."""
    given = environment(prefect_server, Path(__file__).with_name("policy.yaml"))
    ground = Ground(tmp_path_factory.mktemp("crash"), prefect_server, given)
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


@pytest.fixture(scope="session")
def rows(ground: Ground, request: pytest.FixtureRequest) -> Iterator[dict[Row, Future[Ended]]]:
    """Return every selected row under way, in the order in which their tests ask for them."""
    with ThreadPoolExecutor(_AT_ONCE) as busy, ThreadPoolExecutor(8) as waiting:
        yield {row: (waiting if _mostly_waits(row) else busy).submit(ground.run, row) for row in _selected(request)}


def _wait_for(ground: Ground, deployment: str) -> None:
    until = time.monotonic() + _SERVED_SECONDS
    with SyncPrefectClient(ground.api_url) as client:
        while time.monotonic() < until:
            with suppress(ObjectNotFound):
                client.read_deployment_by_name(deployment)
                return
            time.sleep(0.5)
    raise TimeoutError(f"{deployment} is not served: {(ground.folder / 'served.log').read_text()[-4000:]}")


def _selected(request: pytest.FixtureRequest) -> Iterator[Row]:
    for item in request.session.items:
        row = (
            item.callspec.params.get("row") if isinstance(item, pytest.Function) and hasattr(item, "callspec") else None
        )
        if isinstance(row, Row):
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
        _wait_for(ground, DEPLOYMENT)
        yield current
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
        process.kill()
        process.wait()
