"""Healing in the failing process: what its log says, what goes on beside it, and what is left when it is cut off."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from prefect import flow
from prefect.client.schemas.objects import FlowRun

from prefect_healing import self_healing
from prefect_healing.api import heal_target, incidents
from prefect_healing.dispatch import dispatch
from prefect_healing.domain.options import HealingOptions
from prefect_healing.following import follow
from prefect_healing.models.model import Request
from prefect_healing.models.scripted import Scripted, Turn
from prefect_healing.testing import healing
from tests.fundamentals.flows import failed_run_id
from tests.hooks.seen import heal_runs_of, lines_with, the_heal_run_of, until
from tests.hooks.test_ways_to_fail import runs_of

pytestmark = pytest.mark.usefixtures("prefect_server")


async def status_of(incident_id: str) -> str:
    return next(line.status for line in await incidents() if line.incident_id == incident_id)


async def test_the_failed_run_tells_the_beginning_and_the_end_once_each_while_others_go_on():
    """The two lines stand in the run's log on the server; the user's loop is never blocked."""

    @self_healing
    @flow(name=f"nightly-{uuid4().hex[:8]}")
    async def nightly() -> None:
        raise KeyError("dep_delay_total")

    ticks, ended = 0, asyncio.Event()

    async def tick() -> None:
        nonlocal ticks
        while not ended.is_set():
            ticks += 1
            await asyncio.sleep(0.01)

    ticking = asyncio.create_task(tick())
    with healing():
        run_id = failed_run_id(await nightly(return_state=True))
    ended.set()
    await ticking

    heal_run = await the_heal_run_of(run_id)
    (closing,) = await lines_with(run_id, "escalated by run")
    (opening,) = await lines_with(run_id, "opened: healing in this process for at most 300 s")
    assert str(heal_run.id) in opening
    assert str(heal_run.id) in closing
    assert "this run stays failed and its exception is raised as before" in closing
    assert ticks > 20


async def test_a_heal_that_takes_too_long_is_left_and_listed():
    """The process waits no longer, says so, and names the command that goes on."""
    go_on = threading.Event()

    def slow(request: Request) -> Turn:
        go_on.wait(60)
        return Scripted.says("")

    @self_healing
    @flow(name=f"nightly-{uuid4().hex[:8]}")
    def nightly() -> None:
        raise KeyError("dep_delay_total")

    with healing(model=Scripted(slow), inline_seconds=1.5):
        run_id = failed_run_id(nightly(return_state=True))
        (line,) = await lines_with(run_id, "is not closed after")
        incident_id = line.split()[1]
        status = await status_of(incident_id)
        go_on.set()
        await until(lambda: _is_closed(run_id))

    assert line.endswith(f"prefect-healing heal {incident_id}")
    assert status == "open"


async def _is_closed(flow_run_id: UUID) -> bool:
    return (await the_heal_run_of(flow_run_id)).state.is_final()


_SCRIPT = """\
import os, sys, time
from pathlib import Path
from prefect import flow
from prefect_healing import self_healing
from prefect_healing.models.scripted import Scripted

CONCLUSION = dict(
    cause="code_bug", summary="A column was renamed.", disposition="hand_over", transience="permanent", confidence=1.0,
    confidence_reason="It says so.", evidence_status="confirmed", cites=["E1"], actions=[],
)

def dies_once(request):
    died = Path(__file__).with_name("died")
    if not died.exists():
        died.touch()
        os.kill(os.getpid(), 9)
    return Scripted.calls(("conclude", CONCLUSION))

model = Scripted(dies_once)

@self_healing
@flow(name={name!r})
def nightly():
    if "together" in sys.argv:
        here = Path(__file__).parent
        (here / str(os.getpid())).touch()
        while len(list(here.glob("[0-9]*"))) < 2:
            time.sleep(0.02)
    raise KeyError("dep_delay_total")

if __name__ == "__main__":
    nightly()
"""


def started(folder: Path, name: str, *arguments: str, **settings: str) -> "subprocess.Popen[bytes]":
    file = folder / "nightly_script.py"
    file.write_text(_SCRIPT.format(name=name))
    variables = {f"PREFECT_HEALING_{key.upper()}": value for key, value in settings.items()}
    environment = os.environ | variables | {"PYTHONPATH": os.pathsep.join([str(folder), str(Path.cwd())])}
    return subprocess.Popen([sys.executable, str(file), *arguments], env=environment, stderr=subprocess.DEVNULL)


@pytest.fixture
async def cut_off(tmp_path: Path) -> FlowRun:
    """Return a failed run whose process was killed while the model was asked."""
    name = f"nightly-{uuid4().hex[:8]}"
    process = started(tmp_path, name, model="nightly_script:model", mode="heal")
    assert await asyncio.to_thread(process.wait, 60) == -signal.SIGKILL
    (run,) = await runs_of(name)
    return run


async def test_an_incident_whose_process_was_killed_is_listed_as_dead_and_goes_on(
    cut_off: FlowRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """By its id, from another process, with the model that it began with; it stays one incident."""
    monkeypatch.syspath_prepend(str(tmp_path))
    incident_id = next(tag for tag in cut_off.tags if tag.startswith("incident:")).removeprefix("incident:")
    assert await status_of(incident_id) == "dead"

    with healing():
        report = await follow(heal_target(incident_id.lower(), None), wait=True, say=lambda _: None)

    assert report is not None
    assert (report.incident.id, report.outcome) == (incident_id, "escalated")
    assert report.reason == "A column was renamed."
    assert await status_of(incident_id) == "escalated"


async def test_the_next_run_that_fails_alike_brings_a_dead_heal_run_back(cut_off: FlowRun):
    @flow(name=(await _flow_name(cut_off)))
    def nightly() -> None:
        raise KeyError("dep_delay_total")

    next_run = failed_run_id(nightly(return_state=True))

    back = await dispatch(next_run, HealingOptions())

    assert back.action == "inline"
    assert f"incident:{back.incident_id}" in cut_off.tags
    old, new = sorted(await heal_runs_of(next_run), key=lambda run: run.created)
    assert old.state.is_crashed()
    assert new.id == back.heal_flow_run_id


async def _flow_name(run: FlowRun) -> str:
    from prefect import get_client

    async with get_client() as client:
        return (await client.read_flow(run.flow_id)).name


async def test_two_processes_that_fail_alike_at_once_heal_once(tmp_path: Path):
    name = f"nightly-{uuid4().hex[:8]}"
    processes = [started(tmp_path, name, "together", mode="observe") for _ in range(2)]
    for process in processes:
        assert await asyncio.to_thread(process.wait, 120) == 1

    runs = await runs_of(name)
    assert len(runs) == 2
    assert len({(await the_heal_run_of(run.id)).id for run in runs}) == 1
