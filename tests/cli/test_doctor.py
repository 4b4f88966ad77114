"""`doctor` says what is wrong with each part, and what to do about it, whatever state the others are in."""

import socket
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_LOCAL_STORAGE_PATH, temporary_settings

from prefect_healing.testing import healing
from tests.cli.conftest import Cli, Done

pytestmark = pytest.mark.usefixtures("prefect_server")


def finding(done: Done, check: str) -> dict[str, str]:
    return next(each for each in done.json if each["check"] == check)


def test_where_all_is_well(cli: Cli, tmp_path: Path):
    with healing(mode=None), temporary_settings({PREFECT_LOCAL_STORAGE_PATH: tmp_path}):
        done = cli("doctor", "--json")

    for check in ("Prefect API", "result storage", "policy", "tools"):
        assert finding(done, check)["status"] == "ok"
    assert finding(done, "model")["status"] == "note"


def test_without_a_server(cli: Cli):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/api"
    with temporary_settings({PREFECT_API_URL: url}):
        done = cli("doctor", "--json")
        others = [cli(*command) for command in (["incidents"], ["show", "7F3K"], ["runs"], ["heal", "7F3K"])]

    assert done.status == 1
    assert finding(done, "Prefect API")["status"] == "failed"
    assert url in finding(done, "Prefect API")["detail"]
    assert "prefect server start" in finding(done, "Prefect API")["remedy"]
    assert finding(done, "policy")["status"] == "ok"
    for other in others:
        assert other.status == 1
        assert f"The Prefect API at {url} did not answer" in other.err


def test_with_a_storage_that_cannot_be_written(cli: Cli, tmp_path: Path):
    file = tmp_path / "file"
    file.touch()
    with temporary_settings({PREFECT_LOCAL_STORAGE_PATH: file / "storage"}):
        done = cli("doctor", "--json")

    assert done.status == 1
    assert finding(done, "result storage")["status"] == "failed"
    assert "PREFECT_LOCAL_STORAGE_PATH" in finding(done, "result storage")["remedy"]


@pytest.mark.parametrize(
    ("setting", "value", "check"),
    [
        ("policy", "nowhere.yaml", "policy"),
        ("model", "no_such_module:model", "model"),
        ("model", "gpt", "model"),
        ("tools", "no_such_module", "tools"),
        ("attempts", "many", "settings"),
        ("heal_deployment", "heal", "settings"),
    ],
)
def test_with_a_setting_that_is_wrong(cli: Cli, setting: str, value: str, check: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(f"PREFECT_HEALING_{setting.upper()}", value)
    with healing(mode=None):
        done = cli("doctor", "--json")

    assert done.status == 1
    wrong = finding(done, check)
    assert wrong["status"] == "failed"
    assert value in wrong["detail"] or setting.upper() in wrong["detail"]
    assert wrong["remedy"]


def test_for_people_each_finding_is_a_line_and_what_to_do_below_it(cli: Cli):
    with healing(mode=None, policy=None, model=None):
        lines = cli("doctor").out.splitlines()

    at = next(index for index, line in enumerate(lines) if line.startswith("note    model: "))
    assert lines[at + 1] == "        -> Set ANTHROPIC_API_KEY to let Claude investigate."


@pytest.mark.parametrize(
    "command", ["demo", "heal", "classify", "incidents", "show", "runs", "answer", "alert", "doctor"]
)
def test_every_command_is_in_the_help(cli: Cli, command: str):
    assert command in cli("--help").out
    assert "Usage: prefect-healing " + command in cli(command, "--help").out
