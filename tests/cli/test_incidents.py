"""From a failed run to its report, and what came out to wherever it is wanted."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing as closed_after
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from prefect.settings import PREFECT_API_URL

from prefect_healing.domain.record import JsonObject
from prefect_healing.models.model import Request
from prefect_healing.models.scripted import Scripted, Turn
from prefect_healing.testing import healing
from tests.cli.conftest import Cli
from tests.fundamentals.flows import Vendor, failed_run_id, flow_that_asks

pytestmark = pytest.mark.usefixtures("prefect_server")

NO_SUCH = UUID(int=0)
ASKS: JsonObject = {"question": "May it run twice?", "why": "It may write twice.", "summary": "The vendor was down."}
CONCLUDES: JsonObject = {
    "cause": "upstream_unavailable",
    "summary": "The vendor was down.",
    "disposition": "hand_over",
    "transience": "transient",
    "confidence": 0.9,
    "confidence_reason": "It says so.",
    "evidence_status": "confirmed",
    "cites": ["E1"],
    "actions": [],
}


def asking(sent: list[Request]) -> Scripted:
    """Return a model that asks a person first, and concludes once it was answered."""

    def say(request: Request) -> Turn:
        sent.append(request)
        answered = "It is safe." in json.dumps(request.messages)
        return Scripted.calls(("conclude", CONCLUDES) if answered else ("ask_person", ASKS))

    return Scripted(say, model_id=f"asking-{uuid4()}")


def test_from_a_run_over_a_question_to_the_audit(cli: Cli, failed_run: UUID, tmp_path: Path):
    """Each step names the next; `--sent` is what the model was really sent."""
    sent: list[Request] = []
    with healing(model=asking(sent)):
        begun = cli("heal", failed_run)
        incident_id = begun.out.split()[1]
        asked = cli("show", incident_id)
        answered = cli("answer", incident_id, "It is safe.")
        again = cli("answer", incident_id, "It is safe.")
    shown = cli("show", incident_id[:6].lower(), "--json").json
    told = cli("show", incident_id, "--sent").json

    assert begun.status == 1
    assert begun.err.startswith(f"Incident {incident_id}: There is no heal deployment.")
    assert "A person is asked: May it run twice?" in begun.out
    assert f'prefect-healing answer {incident_id} "..."' in asked.out
    assert "The vendor was down." in answered.out
    assert (again.status, again.err.split(";")[0]) == (1, f"prefect-healing: Incident {incident_id} asks nothing now")
    assert shown["outcome"] == "escalated"
    assert [(each["system"], each["messages"], each["tools"]) for each in told] == [
        (each.system, list(each.messages), list(each.tools)) for each in sent
    ]

    url = f"sqlite:///{tmp_path / 'audit.db'}"
    exported = [cli("runs", "--since", "1h", "--sql", url) for _ in range(2)]
    (row,) = [row for row in cli("runs", "--json").json["runs"] if row["incident_id"] == incident_id]
    with closed_after(sqlite3.connect(tmp_path / "audit.db")) as database:
        rows = database.execute("select outcome, cause from healing_runs where incident_id = ?", [incident_id])
        assert rows.fetchall() == [("escalated", "upstream_unavailable")]
    assert [each.status for each in exported] == [0, 0]
    assert (row["outcome"], row["cause"]) == ("escalated", "upstream_unavailable")
    assert incident_id in cli("runs").out


def test_by_the_address_of_the_run_in_the_browser(cli: Cli):
    """Also one of Prefect Cloud, which names account and workspace before the run."""
    cloud = f"https://app.prefect.cloud/account/{uuid4()}/workspace/{uuid4()}/runs/flow-run/{NO_SUCH}?tab={uuid4()}"
    for url in (f"http://127.0.0.1:4200/runs/flow-run/{NO_SUCH}", f"http://h/flow-runs/flow-run/{NO_SUCH}", cloud):
        done = cli("heal", url)

        assert done.status == 1
        assert done.err.startswith(f"prefect-healing: There is no flow run {NO_SUCH} at http://127.0.0.1")


@pytest.mark.parametrize("command", ["show", "heal"])
@pytest.mark.parametrize("unknown", ["ZZZZZZZZ", "LLL", "not an id"])
def test_an_incident_that_there_is_not(cli: Cli, command: str, unknown: str):
    done = cli(command, unknown)

    assert done.status == 1
    assert f"No incident has an id that begins with '{unknown}'" in done.err


def test_a_prefix_that_several_have_lists_them(cli: Cli, closed: list[str]):
    done = cli("show", "")

    assert done.status == 1
    assert "Write more of it" in done.err


@pytest.fixture(scope="module")
def closed_ids() -> list[str]:
    return []


@pytest.fixture
def closed(cli: Cli, closed_ids: list[str]) -> list[str]:
    """Return two incidents that are closed."""
    while len(closed_ids) < 2:
        run = failed_run_id(flow_that_asks(Vendor(fails=9), f"nightly-{uuid4().hex[:8]}")(return_state=True))
        with healing(mode="observe"):
            closed_ids.append(cli("heal", run, "--json").json["incident"]["id"])
    return closed_ids


def test_incidents_are_listed_with_what_to_do_next(cli: Cli, closed: list[str]):
    table = cli("incidents").out
    lines = cli("incidents", "--json").json

    assert all(f"prefect-healing show {each}" in table for each in closed)
    assert dict.fromkeys(closed, "escalated").items() <= {line["incident_id"]: line["status"] for line in lines}.items()


def test_a_closed_incident_is_not_healed_twice_by_mistake(cli: Cli, closed: list[str]):
    done = cli("heal", closed[0])

    assert "It is closed: escalated. To try again, give a mode" in done.err


def test_a_broken_policy_is_the_message_and_the_exit_status(
    cli: Cli, failed_run: UUID, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Never silence, and never a report of something else."""
    file = tmp_path / "policy.yaml"
    file.write_text("allowed: everything\n")
    monkeypatch.setenv("PREFECT_HEALING_POLICY", str(file))

    with healing(mode=None):
        done = cli("heal", failed_run)

    assert done.status == 1
    assert f"{file}" in done.err
    assert "When that is put right, go on with: prefect-healing heal" in done.err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("flow_run_id: x", "The alert is not JSON"),
        ("[" * 100_000, "The alert is not JSON"),
        ("[]", "The alert names no run"),
        ("{}", "The alert names no run"),
        ('{"flow_run_id": "17"}', "is no id of a flow run"),
        (f'{{"flow_run_id": "{NO_SUCH}"}}', f"There is no flow run {NO_SUCH}"),
        (f'{{"flow_run_id": "{NO_SUCH}", "mode": "heal", "policy": "x"}}', f"There is no flow run {NO_SUCH}"),
    ],
    ids=["no JSON", "deep", "a list", "empty", "no id", "no such run", "more than is read"],
)
def test_an_alert_that_makes_no_sense(cli: Cli, tmp_path: Path, text: str, says: str):
    file = tmp_path / "alert.json"
    file.write_text(text)

    done = cli("alert", file)

    assert done.status == 1
    assert says in done.err


@pytest.mark.parametrize("since", ["yesterday", "99999999999d", "²h", "", "h"])
def test_a_length_of_time_that_is_none(cli: Cli, since: str):
    done = cli("runs", "--since", since)

    assert done.status == 1
    assert "write 30m, 24h, 7d" in done.err


@pytest.mark.parametrize("url", ["nonsense", "sqlite:////nowhere/at/all.db", "oracle://u:s3cret-Pw0rd@h/d"])
def test_an_audit_that_cannot_be_written(cli: Cli, url: str):
    done = cli("runs", "--sql", url)

    assert done.status == 1
    assert "The audit could not be written" in done.err
    assert "s3cret-Pw0rd" not in done.err


def test_on_a_terminal_there_are_our_lines_only(failed_run: UUID):
    """What Prefect logs of each task and state stands on the server."""
    environment = os.environ | {"PREFECT_API_URL": str(PREFECT_API_URL.value()), "PREFECT_HEALING_MODE": "observe"}
    command = [sys.executable, "-c", "from prefect_healing.cli import main; main()", "heal", str(failed_run)]

    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert [line.split()[0] for line in done.stderr.splitlines()] == ["Incident"]
    assert done.stdout.startswith("Incident ")
