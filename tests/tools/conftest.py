"""Incidents about real flow runs on the session's Prefect server."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect import Flow, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.filesystems import LocalFileSystem

from prefect_healing.domain.alert import FlowRunAlert, incident_id
from prefect_healing.domain.classification import Classification
from prefect_healing.domain.incident import Incident, Subject
from prefect_healing.domain.options import HealingOptions
from prefect_healing.journal import Journal
from prefect_healing.settings import Settings
from prefect_healing.tools.tool import ToolContext

Fail = Callable[..., Awaitable[FlowRun]]
About = Callable[..., ToolContext]


async def until(look: Callable[[], Awaitable[Any]], seconds: float = 60) -> Any:
    """Look until there is something to see; the server records tasks, logs and events late."""
    async with asyncio.timeout(seconds):
        while not (seen := await look()):
            await asyncio.sleep(0.2)
    return seen


@pytest.fixture
def fail(prefect_server: str) -> Fail:
    """Run a flow to its failure, prove that it failed, and return its flow run."""

    async def run(flow: Flow[..., Any], expect: str = "FAILED", **parameters: Any) -> FlowRun:
        if flow.isasync:
            state = await flow(return_state=True, **parameters)
        else:
            state = await asyncio.to_thread(flow, return_state=True, **parameters)
        assert state.type.value == expect
        async with get_client() as client:
            return await client.read_flow_run(state.state_details.flow_run_id)

    return run


@pytest.fixture
def about(tmp_path: Path) -> About:
    """Make what code injects into a tool, for an incident about a flow run."""

    def make(run: FlowRun | None = None, **changes: Any) -> ToolContext:
        context = {name: changes.pop(name) for name in ("effect_key", "scope", "settings") if name in changes}
        incident = _incident(run, HealingOptions(**changes))
        journal = Journal(LocalFileSystem(basepath=str(tmp_path / "journal")), incident.id)
        return ToolContext(incident=incident, journal=journal, **{"settings": Settings(), **context})

    return make


def _incident(run: FlowRun | None, options: HealingOptions) -> Incident:
    run_id = uuid4() if run is None else run.id
    alert = FlowRunAlert(flow_run_id=run_id, flow_name="a flow", fingerprint=uuid4().hex)
    now = datetime.now(UTC)
    return Incident(
        id=incident_id(alert),
        alert=alert,
        options=options,
        subject=Subject(
            flow_run_id=run_id,
            flow_run_name="" if run is None else run.name,
            flow_name="a flow",
            state_name="Failed",
        ),
        classification=Classification(
            cause="unknown", transience="unknown", confidence=0, decisive_line=None, rerun_helps=None
        ),
        evidence=(),
        mode="heal",
        policy_name="default",
        policy_version="1",
        opened_at=now,
        deadline_at=now + timedelta(minutes=30),
    )
