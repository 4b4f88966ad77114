"""What an agent run needs: an incident that needs no failed run, tools of the test's own, a model that listens."""

import os
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from prefect.filesystems import LocalFileSystem

from prefect_healing.agent import prompts
from prefect_healing.agent.agent import Agent
from prefect_healing.agent.budget import Budget
from prefect_healing.domain.alert import FlowRunAlert, incident_id
from prefect_healing.domain.classification import Classification
from prefect_healing.domain.evidence import Evidence
from prefect_healing.domain.incident import Incident, Subject
from prefect_healing.domain.options import HealingOptions
from prefect_healing.domain.record import JsonObject, Record
from prefect_healing.guardrails.policy import Policy
from prefect_healing.guardrails.rules import allow
from prefect_healing.journal import Journal
from prefect_healing.models.model import Model, Reply, Request
from prefect_healing.models.scripted import Scripted, Turn
from prefect_healing.settings import Settings
from prefect_healing.tools.tool import AnyTool, tool
from prefect_healing.tools.toolset import Toolset
from prefect_healing.workbench import Workbench

HAND_OVER: JsonObject = {
    "cause": "code_bug",
    "summary": "The flow divides by zero.",
    "disposition": "hand_over",
    "transience": "permanent",
    "confidence": 0.9,
    "confidence_reason": "The log says so.",
    "evidence_status": "confirmed",
    "cites": ["E1"],
}
CONCLUDES = Scripted.calls(("conclude", HAND_OVER))


class Told(Record):
    text: str


class Heard(Scripted):
    """A scripted model that keeps every request it was sent."""

    def __init__(self, script: Sequence[Turn | Callable[[Request], Turn]] | Callable[[Request], Turn], **more) -> None:
        super().__init__(script, **more)
        self.requests: list[Request] = []

    async def reply(self, request: Request) -> Reply:
        self.requests.append(request)
        return await super().reply(request)


class Bodies:
    """Counts how often each tool's body ran, by what it was told."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    @property
    def tool(self) -> AnyTool:
        @tool(effect="read", retries=0)
        async def echo(word: str = "") -> Told:
            """Say it again."""
            self.ran.append(word)
            return Told(text=word)

        return echo


def incident(**changes: object) -> Incident:
    """Return an incident with one piece of evidence and an id that no other has."""
    run_id, at = uuid4(), datetime.now(UTC)
    alert = FlowRunAlert(flow_run_id=run_id, flow_name="nightly", fingerprint=uuid4().hex)
    made = Incident(
        id=incident_id(alert),
        alert=alert,
        options=HealingOptions(),
        subject=Subject(flow_run_id=run_id, flow_run_name="r", flow_name="nightly", state_name="Failed"),
        classification=Classification(
            cause="unknown", transience="unknown", confidence=0, decisive_line=None, rerun_helps=None
        ),
        evidence=(Evidence(id="E1", source="state", at=at, text="Failed: ZeroDivisionError: division by zero"),),
        mode="heal",
        policy_name="test",
        policy_version="1",
        opened_at=at,
        deadline_at=at + timedelta(minutes=30),
    )
    return made.model_copy(update=changes)


def bench_of(
    folder: Path, *tools: AnyTool, policy: Policy | None = None, secrets: Sequence[str] = (), **changes: object
) -> Workbench:
    """Return a workbench whose journal lies in `folder`."""
    opened = incident(**changes)
    return Workbench(
        incident=opened,
        journal=Journal(LocalFileSystem(basepath=str(folder)), opened.id),
        settings=Settings(),
        policy=policy or Policy(allow("*", effect="read")),
        toolset=Toolset(tools),
        token_key=b"k" * 32,
        secrets=secrets,
    )


def agent_of(model: Model, **budget: float) -> Agent:
    """Return a triage agent with the shipped budget, but for `budget`."""
    return Agent(
        name="triage",
        prompt=prompts.TRIAGE,
        prompt_version=prompts.version_of(prompts.TRIAGE),
        model=model,
        budget=Budget.of(Settings()).model_copy(update=budget),
    )


def echoes(*words: str) -> Turn:
    """Return a turn that calls `echo` once for each word."""
    return Scripted.calls(*[("echo", {"word": word}) for word in words])


def token_in(text: str) -> str:
    """Return the confirmation token that a preview's answer ends with."""
    found = re.search(r"^confirmation token: (\S+)$", text, re.MULTILINE)
    assert found is not None
    return found.group(1)


def result_file(key: str) -> Path:
    """Return where Prefect keeps the result of a task with this key."""
    return Path(os.environ["PREFECT_HOME"]) / "storage" / key
