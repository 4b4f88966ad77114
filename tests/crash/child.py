"""A process that heals, as `prefect-healing heal` does; the same whether it begins or comes back."""

import asyncio
import os
import sys
from importlib import import_module
from pathlib import Path
from uuid import UUID, uuid4

from prefect_healing import api
from prefect_healing.dispatch import Dispatched
from prefect_healing.domain.alert import FlowRunAlert, incident_id
from prefect_healing.domain.options import HealingOptions
from prefect_healing.domain.report import Report
from prefect_healing.errors import HealingError
from prefect_healing.following import follow
from prefect_healing.heal_runs import create_inline
from prefect_healing.inline import run_heal
from prefect_healing.settings import Settings
from prefect_healing.tools.prefect_api import prefect_client, run_of
from prefect_healing.tools.toolset import default_toolset
from tests.crash import trap

_LATE = (
    "anyio._backends._asyncio",
    "fastapi",
    "prefect.artifacts",
    "prefect.concurrency.asyncio",
    "prefect.flow_engine",
    "prefect.task_engine",
    "prefect.utilities.visualization",
    "tests.crash.model",
)
"""Modules that would be loaded on the way; loaded before the fork, no child pays for them."""

for _each in _LATE:
    import_module(_each)
for _tool in default_toolset(Settings(tools="tests.crash.tools")):
    _tool.specification()


def heal_to_the_end(plan: str) -> None:
    """Begin, or go on where another process was killed, until there is a report; answer what it asks."""
    _settle_in(plan)
    _keep(asyncio.run(_to_the_end(UUID(trap.plan().subject))))


def heal_beside(plan: str, fingerprint: str, flow_name: str) -> None:
    """Run a heal run of one's own for the incident, whoever else heals it."""
    _settle_in(plan)
    alert = FlowRunAlert(flow_run_id=UUID(trap.plan().subject), flow_name=flow_name, fingerprint=fingerprint)
    _keep(asyncio.run(_beside(alert)))


def _keep(report: Report | None) -> None:
    if report is not None:
        trap.write_atomically(trap.plan().report, report.model_dump_json())


def _settle_in(plan: str) -> None:
    os.environ[trap.PLAN] = plan
    os.environ["PREFECT_HEALING_HEAL_DEPLOYMENT"] = trap.plan().deployment
    if trap.plan().scenario == "undone":
        os.environ["PREFECT_HEALING_ATTEMPTS"] = "1"
    log = Path(plan).with_suffix(f".{os.getpid()}.log").open("w")
    os.dup2(log.fileno(), sys.stdout.fileno())
    os.dup2(log.fileno(), sys.stderr.fileno())


async def _to_the_end(subject: UUID) -> Report | None:
    report = await follow(_begin(subject), wait=True, say=print)
    if report is not None and report.rounds and report.rounds[-1].triage.question:
        report = await follow(api.answer(report.incident.id, "It is free."), wait=True, say=print)
    return report


async def _begin(subject: UUID) -> Dispatched:
    if trap.plan().scenario != "asked":
        return await api.heal_target(str(subject), None)
    # What is closed with a question is gone on with by the incident's id: the run's would begin a new incident.
    async with prefect_client() as client:
        tags = (await run_of(client, subject)).tags
    for tag in tags:
        if tag.startswith("incident:"):
            try:
                return await api.heal_target(tag.removeprefix("incident:"), None)
            except HealingError:  # Killed between the tag and the heal run.
                break
    return await api.heal_target(str(subject), None)


async def _beside(alert: FlowRunAlert) -> Report | None:
    async with prefect_client() as client:
        run = await create_inline(client, alert, HealingOptions(), f"beside:{uuid4()}")
    assert run is not None
    await run_heal(run.id)
    return await api.report_of(incident_id(alert))
