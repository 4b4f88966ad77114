"""A failing flow is healed by Claude, over HTTP through the real SDK; the server refuses what the real one refuses."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from prefect import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey, LogFilter, LogFilterFlowRunId

from prefect_healing import api as incidents
from prefect_healing.domain.report import Report
from prefect_healing.registry import register
from prefect_healing.stages.markdown import as_markdown
from prefect_healing.testing import heal_to_the_end, healing
from tests.agent.benches import HAND_OVER, token_in
from tests.fundamentals.flows import Vendor, failed_run_id, flow_that_asks
from tests.messages_api import Answer, Fault, MessagesApi, calls
from tests.messages_api.server import KEY

pytestmark = pytest.mark.usefixtures("prefect_server")
OPUS = "claude-opus-5-5"
_HEAL = """
import asyncio, sys, uuid
from prefect_healing.testing import heal_to_the_end
asyncio.run(heal_to_the_end(uuid.UUID(sys.argv[1])))
"""


def failed(vendor: Vendor) -> UUID:
    """Let a flow fail once, where healing can find its code."""
    return failed_run_id(register(flow_that_asks(vendor, f"flow-{uuid4()}"))(return_state=True))


def looks_and_retries(run: UUID) -> list[object]:
    """Return a script: three reads at once, a preview, a conclusion with the token that the preview gave."""

    def concludes(body: dict) -> Answer:
        token = token_in(body["messages"][-1]["content"][0]["content"])
        action = {"tool": "retry_flow_run", "confirmation_token": token, "reason": "It passes."}
        said = {**HAND_OVER, "cause": "upstream_unavailable", "transience": "transient"}
        return calls(("conclude", {**said, "disposition": "repair", "actions": [action]}))

    return [
        calls(("read_flow_run", {}), ("read_flow_run_logs", {}), ("read_task_runs", {})),
        calls(("preview_retry_flow_run", {"flow_run_id": str(run)})),
        concludes,
    ]


async def healed(run: UUID, **settings: float) -> Report:
    with healing(**settings):
        return await heal_to_the_end(run)


def turns(api: MessagesApi) -> list[int]:
    """Return which turn each request asked for."""
    return [sum(message["role"] == "assistant" for message in each.body["messages"]) for each in api.requests]


async def test_claude_finds_the_cause_and_the_flow_is_run_again(messages_api: MessagesApi):
    """Parallel reads, a preview, a conclusion with its token; the flow runs once more and completes.

    Each turn reads all that the one before it sent from the cache, and the report has the server's counts.
    """
    vendor = Vendor()
    run = failed(vendor)
    messages_api.script = looks_and_retries(run)

    report = await healed(run)

    assert report.outcome == "healed"
    assert vendor.requests == 2
    assert report.rounds[0].triage.model == OPUS
    assert [call.outcome for call in report.rounds[0].triage.calls] == ["ok"] * 4
    seen = messages_api.requests
    assert [each.status for each in seen] == [200] * 3
    assert [each.usage["input_tokens"] for each in seen] == [0] * 3
    assert [each.usage["cache_read_input_tokens"] for each in seen[1:]] == [each.input_tokens for each in seen[:-1]]
    assert report.usage.output_tokens == sum(each.usage["output_tokens"] for each in seen)
    assert report.usage.cache_write_tokens == sum(each.usage["cache_creation_input_tokens"] for each in seen)
    assert 0 < report.usage.cost_usd < 0.5


async def test_what_passes_is_tried_again(messages_api: MessagesApi):
    """A 429, a 529, a reply that is cut and one that never comes cost a try each, not the incident."""
    vendor = Vendor()
    run = failed(vendor)
    messages_api.script = looks_and_retries(run)
    busy, overloaded = Fault.of_status(429, retry_after=0), Fault.of_status(529, retry_after=0)
    messages_api.faults = [busy, overloaded, None, Fault("cut_body"), None, Fault("hang")]

    report = await healed(run, model_timeout_seconds=10, cost_usd=1)  # Two lost calls are charged at their ceiling.

    assert report.outcome == "healed"
    assert vendor.requests == 2
    assert turns(messages_api) == [0, 0, 0, 1, 1, 2, 2]
    assert report.rounds[0].triage.fallback_reason is None
    assert [each["sent_times"] for each in await incidents.sent(report.incident.id)] == [3, 2, 2]


@pytest.mark.parametrize(
    ("faults", "requests", "why"),
    [
        ([Fault.of_status(529, retry_after=0)] * 4, 4, "529"),
        ([Fault.of_status(429, retry_after=3600)], 1, "429"),
        ([Fault.of_status(400)], 1, "400"),
        ([Fault("malformed", text="<html>")], 1, "not a message"),
        ([None, Fault("malformed")], 2, "not a message"),
    ],
    ids=["overloaded", "in an hour", "refused", "no message", "in the middle"],
)
async def test_where_claude_is_not_to_be_had_the_rules_investigate_and_say_so(
    messages_api: MessagesApi, faults: list[Fault | None], requests: int, why: str
):
    """They begin anew; what Claude did and cost before stays in the record. Nobody sleeps for an hour."""
    vendor = Vendor()
    run = failed(vendor)
    messages_api.script, messages_api.faults = looks_and_retries(run), list(faults)

    report = await healed(run)

    triage = report.rounds[0].triage
    assert report.outcome == "healed"
    assert len(messages_api.requests) == requests
    assert triage.model == "rules-1"
    assert triage.fallback_reason.startswith(f"{OPUS} was not available, so the rules investigated: ")
    assert why in triage.fallback_reason
    assert "was not available, so the rules investigated" in as_markdown(report)
    assert {call.model for call in triage.calls} == ({OPUS, "rules-1"} if requests == 2 else {"rules-1"})
    assert (report.usage.cost_usd > 0) is (requests == 2)


async def test_with_a_wrong_key_the_rules_investigate(messages_api: MessagesApi, monkeypatch: pytest.MonkeyPatch):
    """The report says which variable to look at, and not what is in it."""
    wrong = "sk-ant-api03-" + "w" * 80
    monkeypatch.setenv("ANTHROPIC_API_KEY", wrong)
    run = failed(Vendor())

    report = await healed(run)

    assert report.outcome == "healed"
    assert "ANTHROPIC_API_KEY" in report.rounds[0].triage.fallback_reason
    assert wrong not in report.model_dump_json()


async def test_the_key_is_nowhere_but_in_the_header(messages_api: MessagesApi):
    """Not even where the failure's own text holds it: not in a request, the journal, results, artifacts or logs."""
    run = failed(Vendor(says=f"Server error '503 Service Unavailable' for url 'http://v/?api_key={KEY}'"))
    messages_api.script = looks_and_retries(run)

    report = await healed(run)

    stored = await everything_stored(report)
    assert len(stored) > 20
    assert [place for place, text in stored.items() if KEY in text] == []
    assert KEY not in json.dumps([each.body for each in messages_api.requests])
    assert all(KEY in each.headers["authorization"] for each in messages_api.requests)


async def everything_stored(report: Report) -> dict[str, str]:
    """Return what the incident left behind, by place."""
    identity, heal_run = report.incident.id, UUID(report.heal_run_url.rpartition("/")[2])
    folder = Path(os.environ["PREFECT_HOME"]) / "storage"
    found = {str(file): file.read_text() for file in folder.rglob("*") if file.is_file() and identity in str(file)}
    async with get_client() as client:
        logs = await client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[heal_run])))
        key = ArtifactFilterKey(any_=[f"incident-{identity.lower()}"])
        artifacts = await client.read_artifacts(artifact_filter=ArtifactFilter(key=key))
        run = await client.read_flow_run(heal_run)
    assert artifacts
    found |= {f"log {number}": each.message for number, each in enumerate(logs)}
    return found | {"artifact": str(artifacts[0].data), "run": run.model_dump_json()}


async def test_killed_in_the_middle_of_a_request_no_persisted_reply_is_asked_for_again(messages_api: MessagesApi):
    """The process dies while Claude answers turn 2; the next one asks for that turn again, and for no other."""
    run = failed(Vendor())
    messages_api.script = [
        calls(("read_flow_run", {}), ("read_flow_run_logs", {})),
        calls(("read_task_runs", {})),
        calls(("conclude", HAND_OVER)),
    ]
    messages_api.faults = [None, Fault("hang")]
    with subprocess.Popen(
        [sys.executable, "-c", _HEAL, str(run)],
        env={**os.environ, "PREFECT_HEALING_MODE": "heal"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        async with asyncio.timeout(120):
            while len(messages_api.requests) < 2:
                assert process.poll() is None
                await asyncio.sleep(0.1)
        process.send_signal(signal.SIGKILL)

    report = await healed(run)

    assert report.outcome == "escalated"
    assert turns(messages_api) == [0, 1, 1, 2]
    assert messages_api.requests[1].body == messages_api.requests[2].body
    assert [each["sent_times"] for each in await incidents.sent(report.incident.id)] == [1, 2, 1]
    assert [call.outcome for call in report.rounds[0].triage.calls] == ["ok"] * 3
