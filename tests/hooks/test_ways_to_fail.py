"""However a run ends badly, there is an incident, and the process ends as it would have."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NoReturn
from uuid import UUID, uuid4

import pytest
from prefect import Flow, flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ParameterTypeError

from prefect_healing import self_healing
from prefect_healing.heal_runs import alert_of
from prefect_healing.testing import healing
from tests.hooks.seen import lines_with, the_heal_run_of, until

pytestmark = pytest.mark.usefixtures("prefect_server")


async def runs_of(name: str) -> list[FlowRun]:
    async with get_client() as client:
        return await client.read_flow_runs(flow_filter=FlowFilter(name=FlowFilterName(any_=[name])))


async def assert_an_incident_names(name: str, state: str) -> UUID:
    """There is one run of the flow, it ended in `state`, and a heal run has an alert that names it."""
    (run,) = await runs_of(name)
    assert run.state is not None
    assert run.state.name == state
    alert = alert_of(await the_heal_run_of(run.id))
    assert alert is not None
    assert alert.flow_run_id == run.id
    return run.id


@pytest.fixture
def name() -> str:
    return f"nightly-{uuid4().hex[:8]}"


@pytest.fixture
def waiting(asleep: str) -> Iterator[None]:
    with healing(heal_deployment=asleep):
        yield


def raising(error: BaseException, name: str) -> "Flow[[], NoReturn]":
    @self_healing
    @flow(name=name)
    def nightly() -> NoReturn:
        raise error

    return nightly


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (ValueError("no rows"), "Failed"),
        (MemoryError(), "Failed"),
        (ExceptionGroup("both", [OSError("one"), OSError("other")]), "Failed"),
        (SystemExit(3), "Crashed"),
        (KeyboardInterrupt(), "Crashed"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else value,
)
async def test_an_exception_is_raised_as_before(error: BaseException, state: str, name: str, waiting: None):
    """Exceptions, and what would end the process, reach the caller."""
    with pytest.raises(type(error)) as raised:
        raising(error, name)()

    assert raised.value is error
    await assert_an_incident_names(name, state)


async def test_an_async_flow_raises_as_before(name: str, waiting: None):
    @self_healing
    @flow(name=name)
    async def nightly() -> None:
        raise ValueError("no rows")

    with pytest.raises(ValueError, match="no rows"):
        await nightly()

    await assert_an_incident_names(name, "Failed")


async def test_parameters_that_do_not_validate(name: str, waiting: None):
    """The flow's own code never began."""

    @self_healing
    @flow(name=name)
    def nightly(day: int) -> None: ...

    with pytest.raises(ParameterTypeError):
        nightly("yesterday")  # pyright: ignore[reportArgumentType]

    await assert_an_incident_names(name, "Failed")


async def test_a_flow_that_takes_too_long(name: str, waiting: None):
    @self_healing
    @flow(name=name, timeout_seconds=0.2)
    async def nightly() -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await nightly()

    await assert_an_incident_names(name, "TimedOut")


async def test_a_flow_that_is_cancelled_from_outside(name: str, waiting: None):
    """As by Ctrl-C in an async program, or a task group that ends."""
    began = asyncio.Event()

    @self_healing
    @flow(name=name)
    async def nightly() -> None:
        began.set()
        await asyncio.Event().wait()

    running = asyncio.create_task(nightly())  # pyright: ignore[reportArgumentType]
    await began.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    await assert_an_incident_names(name, "Crashed")


_SCRIPT = """\
import os, sys, time
from pathlib import Path
from prefect import flow
from prefect_healing import self_healing

@self_healing
@flow(name={name!r})
def nightly():
    (Path(__file__).parent / "began").write_text(str(os.getpid()))
    time.sleep(120)

if __name__ == "__main__":
    nightly.serve("prod") if "serve" in sys.argv else nightly()
"""


@pytest.fixture
async def script(tmp_path: Path, name: str, asleep: str) -> AsyncIterator["subprocess.Popen[bytes]"]:
    """Run a flow in a process of its own, up to its middle."""
    with _started(tmp_path, name, asleep) as process:
        await until(lambda: _text_of(tmp_path / "began"))
        yield process
        process.kill()


def _started(folder: Path, name: str, asleep: str, *arguments: str) -> "subprocess.Popen[bytes]":
    file = folder / "nightly.py"
    file.write_text(_SCRIPT.format(name=name))
    environment = os.environ | {"PREFECT_HEALING_HEAL_DEPLOYMENT": asleep, "PREFECT_RUNNER_POLL_FREQUENCY": "1"}
    return subprocess.Popen([sys.executable, str(file), *arguments], env=environment, start_new_session=True)


async def _text_of(file: Path) -> str:
    return file.read_text() if file.exists() else ""


async def test_a_process_that_is_told_to_end(script: "subprocess.Popen[bytes]", name: str):
    """SIGTERM, as from Kubernetes or systemd: the opening line reaches the server before the process is gone."""
    script.send_signal(signal.SIGTERM)
    status = await asyncio.to_thread(script.wait, 60)

    run_id = await assert_an_incident_names(name, "Crashed")
    assert status != 0
    assert await lines_with(run_id, "opened: healing in flow run")


@pytest.mark.slow
async def test_a_run_that_is_killed_under_a_runner(tmp_path: Path, name: str, asleep: str):
    """Nothing runs in the killed process; its runner calls the hook."""
    with _started(tmp_path, name, asleep, "serve") as runner:
        try:
            async with get_client() as client:
                deployment = await until(lambda: _deployment(name))
                run = await client.create_flow_run_from_deployment(deployment)
            pid = int(await until(lambda: _text_of(tmp_path / "began")))

            os.kill(pid, signal.SIGKILL)

            await until(lambda: _incident_tags(run.id))
            await assert_an_incident_names(name, "Crashed")
        finally:
            os.killpg(runner.pid, signal.SIGKILL)


async def _deployment(name: str) -> UUID | None:
    from prefect.exceptions import ObjectNotFound

    async with get_client() as client:
        try:
            return (await client.read_deployment_by_name(f"{name}/prod")).id
        except ObjectNotFound:
            return None


async def _incident_tags(flow_run_id: UUID) -> list[str]:
    async with get_client() as client:
        return [tag for tag in (await client.read_flow_run(flow_run_id)).tags if tag.startswith("incident:")]
