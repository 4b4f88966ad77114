"""The demo lives in its own folder and on its own ports, and leaves nothing behind."""

import os
from pathlib import Path

import pytest

from prefect_healing.demo.migrated import begin_migrated, database_in, keep_migrated
from prefect_healing.demo.processes import ProcessDied, child
from prefect_healing.demo.surroundings import Surroundings


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """Make a module that starts a process and waits for it."""
    path = tmp_path / "waits.py"
    path.write_text("import subprocess\nstarted = subprocess.Popen(['sleep', '600'])\nstarted.wait()\n")
    return path


def test_the_users_own_prefect_is_left_alone(tmp_path: Path):
    users = {
        "PREFECT_API_URL": "https://prod",
        "PREFECT_HEALING_MODEL": "rules",
        "ANTHROPIC_API_KEY": "k",
        "HOME": "/u",
    }

    env = Surroundings.at(tmp_path, None).environment(users)

    assert env["PREFECT_API_URL"].startswith("http://127.0.0.1:")
    assert env["PREFECT_HOME"] == str(tmp_path.resolve() / "prefect")
    assert (env["PREFECT_HEALING_MODEL"], env["ANTHROPIC_API_KEY"], env["HOME"]) == ("rules", "k", "/u")


def test_the_warehouse_is_a_file_unless_another_is_named(tmp_path: Path):
    assert Surroundings.at(tmp_path, None).warehouse_url == f"sqlite:///{tmp_path.resolve() / 'warehouse.db'}"
    assert Surroundings.at(tmp_path, "postgresql://db").warehouse_url == "postgresql://db"


def test_pipeline_and_healing_look_at_one_warehouse_and_the_demos_catalog(tmp_path: Path):
    env = Surroundings.at(tmp_path, "postgresql+psycopg://db").environment({})

    assert env["WAREHOUSE_URL"] == env["PREFECT_HEALING_WAREHOUSE"] == "postgresql+psycopg://db"
    assert Path(env["PREFECT_HEALING_CATALOG"]).read_text().startswith("# The tables of the demo")


async def test_a_process_is_ended_with_all_that_it_started(tmp_path: Path, module: Path):
    env = dict(os.environ, PYTHONPATH=str(module.parent))
    async with child("waits", ["waits"], env=env, home=tmp_path) as started:
        group = started.pid

    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)


async def test_a_process_that_dies_is_said_with_the_end_of_its_log(tmp_path: Path):
    async with child("absent", ["no_such_module"], env=dict(os.environ), home=tmp_path) as started:
        assert await started.wait() == 1

        with pytest.raises(ProcessDied, match=r"(?s)The demo's absent ended with status 1.*No module named"):
            started.check_alive()


def test_a_new_server_begins_with_the_database_that_was_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import sqlite3

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    first, second = tmp_path / "first", tmp_path / "second"
    assert not begin_migrated(first)
    with sqlite3.connect(database_in(first)) as migrated:
        migrated.execute("create table flow_run (id)")
    migrated.close()

    keep_migrated(first)

    assert begin_migrated(second)
    opened = sqlite3.connect(database_in(second))
    assert opened.execute("select name from sqlite_master").fetchall() == [("flow_run",)]
    opened.close()


def test_a_cache_that_cannot_be_written_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))

    keep_migrated(tmp_path)

    assert not begin_migrated(tmp_path / "home")
