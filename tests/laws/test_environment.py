"""What every other test may rely on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL, PREFECT_HOME


@flow
async def name_of_this_run() -> str:
    return str(flow_run.get_name())


async def test_a_flow_runs_against_the_server_of_this_session(prefect_server: str) -> None:
    """No test starts a server of its own."""
    name = await name_of_this_run()

    assert name
    assert PREFECT_API_URL.value() == prefect_server


def test_processes_that_tests_start_find_the_same_server(prefect_server: str) -> None:
    """Crash tests kill such processes."""
    code = "from prefect.settings import PREFECT_API_URL; print(PREFECT_API_URL.value())"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == prefect_server


def test_no_key_and_no_home_of_the_developer_is_seen() -> None:
    """A test that passes with a key must pass without one."""
    assert [name for name in os.environ if name.startswith("ANTHROPIC_")] == []
    assert PREFECT_HOME.value() != Path.home() / ".prefect"


@pytest.mark.usefixtures("prefect_server")
async def test_the_server_takes_what_its_own_client_sends() -> None:
    """With fastapi 0.151 or newer it refuses a filter left empty; install with `-c constraints.txt`."""
    async with get_client() as client:
        assert await client.read_flow_runs() is not None
