"""The whole demo: its own server, real runs, real heals; and nothing of it is left."""

import asyncio
import json
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import pytest

from prefect_healing.demo.data import flights
from prefect_healing.demo.scenarios import DATA_SCENARIOS
from tests.databases import PostgresServer

RUN = """
import asyncio, sys
from pathlib import Path
from prefect_healing.demo.runner import run_demo

home, warehouse, *scenarios = sys.argv[1:]
result = asyncio.run(run_demo(scenarios, home=Path(home), warehouse=warehouse or None, json=True))
sys.exit(0 if result.right else 1)
"""


async def begin_demo(home: Path, *scenarios: str, warehouse: str = "") -> Process:
    env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    arguments = ("-c", RUN, str(home), warehouse, *scenarios)
    return await asyncio.create_subprocess_exec(
        sys.executable, *arguments, env=env, stdout=PIPE, stderr=PIPE, preexec_fn=_heed_ctrl_c
    )


def _heed_ctrl_c() -> None:
    """Undo what a shell does to what it runs in the background: such a process never hears of SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def processes_in(home: Path) -> list[str]:
    """Return the command lines of the processes whose working directory is `home`."""
    found: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == home.resolve():
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_failure_is_healed_one_is_escalated_and_health_raises_nothing(tmp_path: Path):
    demo = await begin_demo(tmp_path, "healthy", "bad_credentials", "cut_connection")
    out, err = await demo.communicate()

    assert demo.returncode == 0, err.decode()
    rows = {row["scenario"]: row for row in json.loads(out)["scenarios"]}
    assert {name: row["outcome"] for name, row in rows.items()} == {
        "cut_connection": "healed",
        "bad_credentials": "escalated",
        "healthy": "no incident",
    }
    assert rows["cut_connection"]["requests"] == 3
    assert processes_in(tmp_path) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_data_are_healed_on_postgresql_too_and_stay_there(tmp_path: Path, postgres_server: PostgresServer):
    """Tail numbers are declared sensitive: none is in the server's database, in a journal or in a log."""
    url = postgres_server.create_database()
    scenarios = {each.name: each for each in DATA_SCENARIOS}

    demo = await begin_demo(tmp_path, *scenarios, warehouse=url)
    out, err = await demo.communicate()

    postgres_server.drop_database(url)
    assert demo.returncode == 0, err.decode()
    outcomes = {row["scenario"]: row["outcome"] for row in json.loads(out)["scenarios"]}
    assert outcomes == {name: each.expected_outcome for name, each in scenarios.items()}
    tail_numbers = {str(row["tailnum"]).encode() for each in scenarios.values() for row in flights().of(each.day)}
    written = [path for path in tmp_path.rglob("*") if path.is_file() and _is_healings(path.relative_to(tmp_path))]
    assert len(written) > 100
    assert len(tail_numbers) > 500
    assert {path.name: found for path in written if (found := _words_in(path) & tail_numbers)} == {}


def _is_healings(path: Path) -> bool:
    """Say whether healing or the server wrote a file; what the pipeline's own tasks keep of their rows is theirs."""
    return path.parts[0] != "results" or path.parts[1].startswith("healing")


def _words_in(path: Path) -> set[bytes]:
    return set(re.findall(rb"N[0-9A-Z]{4,5}", path.read_bytes()))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
async def test_an_interrupted_demo_ends_all_that_it_started(tmp_path: Path, number: signal.Signals):
    demo = await begin_demo(tmp_path, "healthy")
    assert demo.stderr is not None
    while b"Prefect server: " not in await demo.stderr.readline():
        assert demo.returncode is None
    assert len(processes_in(tmp_path)) >= 3

    demo.send_signal(number)
    await demo.communicate()

    assert demo.returncode != 0
    assert processes_in(tmp_path) == []
