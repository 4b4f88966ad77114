"""A hook adds no failure to a failure: what is wrong around it is a line in the log, with what to do."""

import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from prefect import Flow, flow
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, PREFECT_LOCAL_STORAGE_PATH, temporary_settings
from prefect.states import Failed

from prefect_healing import self_healing
from prefect_healing.api import heal_target, incidents, report_of_run
from prefect_healing.following import follow
from prefect_healing.testing import healing
from tests.fundamentals.flows import failed_run_id
from tests.hooks.seen import lines_with, the_heal_run_of

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def nightly() -> "Flow[[], None]":
    """Return a flow with a bug: it is escalated, and not run again."""

    @self_healing
    @flow(name=f"nightly-{uuid4().hex[:8]}")
    def nightly() -> None:
        raise KeyError("dep_delay_total")

    return nightly


@pytest.fixture
def said() -> Iterator[list[str]]:
    """Collect what is logged of flow runs; nothing goes to a server."""
    lines: list[str] = []

    class Collecting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    handler, logger = Collecting(), logging.getLogger("prefect.flow_runs")
    others, logger.handlers = logger.handlers, [handler]
    yield lines
    logger.handlers = others


def test_without_a_server_the_hook_says_how_to_begin_by_hand(nightly: "Flow[[], None]", said: list[str]):
    run = FlowRun(flow_id=uuid4(), name="lost")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/api"
    with temporary_settings({PREFECT_API_URL: url}):
        nightly.on_failure_hooks[0](nightly, run, Failed())

    (line,) = said
    assert f"The Prefect API at {url} did not answer" in line
    assert f"prefect-healing heal {run.id}" in line


def test_a_setting_that_makes_no_sense_is_named(
    nightly: "Flow[[], None]", said: list[str], monkeypatch: pytest.MonkeyPatch
):
    with healing(attempts="many"):
        nightly.on_failure_hooks[0](nightly, FlowRun(flow_id=uuid4(), name="lost"), Failed())

    (line,) = said
    assert "PREFECT_HEALING_ATTEMPTS: Input should be a valid integer" in line


_HOOK_ALONE = """\
import os, sys, time
from uuid import uuid4
from prefect import flow
from prefect.client.schemas.objects import FlowRun
from prefect.states import Failed
from prefect_healing import self_healing

nightly = self_healing(flow(lambda: None))
began = time.monotonic()
nightly.on_failure_hooks[0](nightly, FlowRun(flow_id=uuid4(), name="lost"), Failed())
print(time.monotonic() - began, flush=True)
os._exit(0)
"""


def test_a_server_that_never_answers_costs_the_dispatch_limit_and_no_more():
    """It takes connections, and that is all it does."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        environment = os.environ | {
            "PREFECT_API_URL": f"http://127.0.0.1:{mute.getsockname()[1]}/api",
            "PREFECT_HEALING_DISPATCH_SECONDS": "1",
        }
        done = subprocess.run(
            [sys.executable, "-c", _HOOK_ALONE], env=environment, capture_output=True, text=True, check=True
        )

    assert 1 <= float(done.stdout) < 3
    assert "Dispatch took longer than 1 s" in done.stderr


async def status_of(incident_id: str) -> str:
    return next(line.status for line in await incidents() if line.incident_id == incident_id)


async def assert_it_is_listed_and_goes_on(run_id: UUID, *reasons: str) -> None:
    """One line in the failed run's log tells why and what to do; and what it tells to do works."""
    (line,) = await lines_with(run_id, "its heal run broke")
    incident_id = line.split()[1]
    assert all(reason in line for reason in reasons)
    assert line.endswith(f"prefect-healing heal {incident_id}")
    assert await status_of(incident_id) == "dead"

    with healing(policy=None):
        report = await follow(heal_target(incident_id, None), wait=True, say=lambda _: None)

    assert report is not None
    assert report.outcome == "escalated"
    assert report.diagnosis.decisive_line == "KeyError: 'dep_delay_total'"
    assert await status_of(incident_id) == "escalated"


@pytest.mark.parametrize(
    ("yaml", "reason"),
    [
        ("name: team\nallowed: everything\nrules: []\n", "allowed"),
        ("name: team\nrules:\n  - allow: drop_everything\n    effect: write\n", "drop_everything"),
        ("name: [team\n", "policy.yaml"),
    ],
    ids=["unknown field", "unknown tool", "no YAML"],
)
async def test_a_broken_policy_loses_no_incident(nightly: "Flow[[], None]", yaml: str, reason: str, tmp_path: Path):
    """Nothing is decided by half a policy: the heal run breaks, and says on the failed run what to correct."""
    file = tmp_path / "policy.yaml"
    file.write_text(yaml)

    with healing(mode=None), pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_HEALING_POLICY", str(file))
        run_id = failed_run_id(nightly(return_state=True))

    await assert_it_is_listed_and_goes_on(run_id, str(file), reason)


async def test_a_storage_that_cannot_be_written_loses_no_incident(nightly: "Flow[[], None]", tmp_path: Path):
    """The incident stands on the server, as a heal run with its alert, before anything is stored."""
    no_folder = tmp_path / "file"
    no_folder.touch()

    with healing(), temporary_settings({PREFECT_LOCAL_STORAGE_PATH: no_folder / "storage"}):
        run_id = failed_run_id(nightly(return_state=True))

    await assert_it_is_listed_and_goes_on(run_id, "result storage", str(no_folder))


async def test_a_model_that_cannot_be_loaded_loses_no_incident(nightly: "Flow[[], None]"):
    with healing(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_HEALING_MODEL", "no_such_module:model")
        run_id = failed_run_id(nightly(return_state=True))

    await assert_it_is_listed_and_goes_on(run_id, "no_such_module")


async def test_a_log_of_enormous_lines_and_broken_text_is_healed_as_any_other():
    """50 MB in one line, and bytes that are no text."""
    broken = b"\xff\xfe\xfa".decode("utf-8", "surrogateescape")

    @self_healing
    @flow(name=f"nightly-{uuid4().hex[:8]}")
    def nightly() -> None:
        raise KeyError(broken + "x" * 1_000_000)

    began = time.monotonic()
    with healing():
        run_id = failed_run_id(nightly(return_state=True))

    report = await report_of_run(run_id)
    assert report is not None
    assert report.outcome == "escalated"
    assert (await the_heal_run_of(run_id)).state.name == "Escalated"
    assert time.monotonic() - began < 60
