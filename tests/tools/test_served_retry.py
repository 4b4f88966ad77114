"""Running a deployed run again, by a runner process as in production."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from prefect import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound

from prefect_healing.domain.repair import Receipt
from prefect_healing.tools.prefect_write import retry_flow_run
from prefect_healing.tools.tool import ToolContext
from tests.tools.conftest import About, until

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]

_SCRIPT = """\
import os
from pathlib import Path
from prefect import flow, task

here = Path(__file__).parent

def did(what):
    with (here / "did").open("a") as file:
        print(what, file=file)

@task(persist_result=True)
def kept():
    did("kept")

@task
def not_kept():
    did("not_kept")

@flow(name={name!r})
def nightly():
    kept()
    not_kept()
    if (here / "kill").exists():
        (here / "kill").unlink()
        os.kill(os.getpid(), 9)
    if not (here / "up").exists():
        raise ConnectionError("vendor is down")
    did("end")

if __name__ == "__main__":
    nightly.serve(name="prod")
"""


@pytest.fixture
def served(tmp_path: Path, prefect_server: str) -> Iterator[str]:
    """Serve a flow from a process of its own; return its name."""
    name = f"served-{uuid4().hex[:8]}"
    (tmp_path / "nightly.py").write_text(_SCRIPT.format(name=name))
    environment = os.environ | {"PREFECT_API_URL": prefect_server, "PREFECT_RUNNER_POLL_FREQUENCY": "1"}
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "nightly.py"], cwd=tmp_path, env=environment, stdout=log, stderr=log
        )
        yield name
        process.terminate()
        process.wait(30)


async def test_the_same_run_runs_again_and_only_what_was_not_kept_repeats(served: str, about: About, tmp_path: Path):
    run = await _ended(await _start(served), "Failed")
    ctx = await _previewed(about(run), run)
    (tmp_path / "up").touch()
    not_before = datetime.now(UTC) + timedelta(seconds=2)

    applied = await retry_flow_run(ctx, run.id, not_before)
    check = await retry_flow_run.verify(ctx, _receipt(applied))

    again = await _read(run.id)
    assert check.status == "passed", check.detail
    assert (again.state_name, again.run_count) == ("Completed", 2)
    assert f"incident:{ctx.incident.id}" in again.tags
    assert ctx.scope is not None
    assert [name.rpartition("-")[0] for name in ctx.scope.repeats] == ["not_kept"]
    assert _did(tmp_path) == ["kept", "not_kept", "not_kept", "end"]
    found = await retry_flow_run.look(ctx, {"flow_run_id": run.id, "not_before": not_before})
    assert found == applied


async def test_a_killed_run_runs_again(served: str, about: About, tmp_path: Path):
    """What a killed process finished may be unknown to the server; the preview says so."""
    (tmp_path / "kill").touch()
    run = await _ended(await _start(served), "Crashed")
    ctx = await _previewed(about(run), run)
    (tmp_path / "up").touch()

    applied = await retry_flow_run(ctx, run.id)
    check = await retry_flow_run.verify(ctx, _receipt(applied))

    assert check.status == "passed", check.detail
    assert ctx.scope is not None
    assert any("unrecorded" in name for name in ctx.scope.repeats)
    assert _did(tmp_path) == ["kept", "not_kept", "not_kept", "end"]


async def _start(name: str) -> UUID:
    async def deployed():
        async with get_client() as client:
            try:
                return await client.read_deployment_by_name(f"{name}/prod")
            except ObjectNotFound:
                return None

    deployment = await until(deployed, seconds=120)
    async with get_client() as client:
        return (await client.create_flow_run_from_deployment(deployment.id)).id


async def _ended(run_id: UUID, state_name: str) -> FlowRun:
    async def ended():
        run = await _read(run_id)
        return run if run.state is not None and run.state.is_final() else None

    run = await until(ended, seconds=120)
    assert run.state_name == state_name
    return run


async def _read(run_id: UUID) -> FlowRun:
    async with get_client() as client:
        return await client.read_flow_run(run_id)


async def _previewed(ctx: ToolContext, run: FlowRun) -> ToolContext:
    return replace(ctx, scope=await retry_flow_run.run_preview(ctx, {"flow_run_id": run.id}), effect_key=uuid4().hex)


def _receipt(applied) -> Receipt:
    return Receipt(
        effect_id="e",
        action_id="a",
        tool=retry_flow_run.name,
        arguments={},
        status="done",
        detail=applied.detail,
        at=datetime.now(UTC),
        data=applied.data,
    )


def _did(folder: Path) -> list[str]:
    return (folder / "did").read_text().split()
