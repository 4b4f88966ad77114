"""What the command line, and any other face, can do: functions over incidents."""

import getpass
import re
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from pydantic import AwareDatetime

from prefect_healing.agent.sent import requests_of
from prefect_healing.clock import now
from prefect_healing.dispatch import Dispatched, bring_back, dispatch, raise_data_alert
from prefect_healing.domain.alert import Alert, Mode, incident_id
from prefect_healing.domain.incident import Incident
from prefect_healing.domain.options import HealingOptions
from prefect_healing.domain.record import JsonObject, Record
from prefect_healing.domain.report import Answer, Report
from prefect_healing.errors import HealingError
from prefect_healing.heal_runs import alert_of, heal_runs, is_closed, is_dead, options_of
from prefect_healing.journal import open_journal
from prefect_healing.settings import settings
from prefect_healing.stages.report import last_report, outcome_of_state
from prefect_healing.stages.triage import Answers, answers_key
from prefect_healing.tools.prefect_api import PAGE_MAX, prefect_client, run_of, url_of

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun

_RUN_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_AFTER_FLOW_RUN = re.compile(rf"flow-runs?/(?:flow-run/)?({_RUN_ID.pattern})", re.IGNORECASE)
_LISTED_MAX = 200


class IncidentLine(Record):
    """One incident in a list; `about` is the flow or the table at fault.

    `status` is an outcome, `open`, or `dead` where its heal run must be brought back.
    """

    incident_id: str
    status: str
    about: str
    flow_name: str
    flow_run_id: UUID
    heal_flow_run_id: UUID
    began: AwareDatetime | None
    url: str | None = None


async def incidents(limit: int = _LISTED_MAX) -> list[IncidentLine]:
    """Return the incidents of this Prefect server, newest first, each with its newest heal run."""
    return await _incidents(limit=min(limit, _LISTED_MAX))


async def find_incident(prefix: str) -> IncidentLine:
    """Return the incident whose id begins with `prefix`. Raises HealingError where none or several do."""
    wanted = prefix.strip().upper()
    found = await _incidents(f"incident:{wanted}", limit=_LISTED_MAX) if wanted else []
    found = found or [line for line in await incidents() if line.incident_id.startswith(wanted)]
    if not found:
        raise HealingError(f"No incident has an id that begins with {prefix!r}. `prefect-healing incidents` lists all.")
    if len(found) > 1:
        which = ", ".join(line.incident_id for line in found[:3])
        raise HealingError(f"{len(found)} incidents have an id that begins with {prefix!r}: {which}. Write more of it.")
    return found[0]


async def _incidents(*tags: str, limit: int) -> list[IncidentLine]:
    lines: dict[str, IncidentLine] = {}
    async with prefect_client() as client:
        for run in await heal_runs(client, *tags, limit=limit):
            alert = alert_of(run)
            if alert is not None and incident_id(alert) not in lines:
                lines[incident_id(alert)] = _line(alert, run, dead=await is_dead(client, run))
    return list(lines.values())


def _line(alert: Alert, run: "FlowRun", *, dead: bool) -> IncidentLine:
    outcome = outcome_of_state(run.state.name) if run.state and is_closed(run) else None
    return IncidentLine(
        incident_id=incident_id(alert),
        status=outcome or ("dead" if dead else "open"),
        about=alert.about,
        flow_name=alert.flow_name,
        flow_run_id=alert.flow_run_id,
        heal_flow_run_id=run.id,
        began=run.created,
        url=url_of("flow-run", run.id),
    )


async def report_of(identity: str) -> Report | None:
    """Return the report of an incident, None while it is open."""
    return await last_report(await open_journal(identity))


async def incident_of(identity: str) -> Incident | None:
    """Return the incident as it was opened, None where it was not yet."""
    return await (await open_journal(identity)).read("incident", Incident)


async def report_of_run(flow_run_id: UUID) -> Report | None:
    """Return the newest report on a failed flow run, None where there is none (yet)."""
    async with prefect_client() as client:
        run = await run_of(client, flow_run_id)
    for tag in reversed(run.tags):
        kind, _, identity = tag.partition(":")
        if kind in ("incident", "raised") and (found := await report_of(identity)):
            return found
    return None


async def heal_target(target: str, mode: Mode | None) -> Dispatched:
    """Begin or go on with healing a flow run (id or URL) or an incident (id).

    With `action="inline"` in the answer, the caller runs the heal run. Raises HealingError where nothing has that id.
    """
    if (run_id := _run_named_in(target)) is not None:
        return await dispatch(run_id, HealingOptions(mode=mode), "person")
    line = await find_incident(target)
    async with prefect_client() as client:
        run = await run_of(client, line.heal_flow_run_id)
        if is_closed(run):
            if mode is None:
                return Dispatched(
                    action="left",
                    reason=f"It is closed: {line.status}. To try again, give a mode, such as --mode heal.",
                    incident_id=line.incident_id,
                )
            return await _again(run, options_of(run).model_copy(update={"mode": mode}))
        if await is_dead(client, run):
            return await bring_back(client, run)
    return Dispatched(
        action="joined",
        reason="Its heal run is alive.",
        incident_id=line.incident_id,
        heal_flow_run_id=run.id,
        url=line.url,
    )


async def _again(closed: "FlowRun", options: HealingOptions) -> Dispatched:
    """Open the next incident of a closed heal run's alert: for data the same alert, for a run what it is now."""
    alert = alert_of(closed)
    if alert is None:
        raise HealingError(f"Heal run {closed.id} has no readable alert; name the failed run instead.")
    if alert.kind == "flow_run":
        return await dispatch(alert.flow_run_id, options, "person")
    return await raise_data_alert(alert.model_copy(update={"raised_by": "person"}), options)


def _run_named_in(target: str) -> UUID | None:
    """Return the flow run that an id or a URL means; URLs of Prefect Cloud name account and workspace before it."""
    after = _AFTER_FLOW_RUN.search(target)
    ids = [after.group(1)] if after else _RUN_ID.findall(target)
    return UUID(ids[-1]) if ids else None


async def answer(identity: str, text: str) -> Dispatched:
    """Give a person's answer to the question an incident waits for, and go on healing.

    Raises HealingError where it asks nothing, or goes on already.
    """
    line = await find_incident(identity)
    if line.status == "open":
        raise HealingError(f"Incident {line.incident_id} is being healed now; it asks nothing until that ends.")
    report = await report_of(line.incident_id)
    if report is None or not report.rounds or report.rounds[-1].triage.question is None:
        raise HealingError(f"Incident {line.incident_id} asks nothing now; `prefect-healing show` tells where it is.")
    journal, key = await open_journal(line.incident_id), answers_key(report.rounds[-1].number)
    given = await journal.read(key, Answers) or Answers()
    said = Answer(text=text, person=getpass.getuser(), at=now())
    await journal.write(key, Answers(answers=(*given.answers, said)))
    async with prefect_client() as client:
        return await bring_back(client, await run_of(client, line.heal_flow_run_id))


async def raise_alert(flow_run_id: UUID) -> Dispatched:
    """Dispatch the run that an alert names. What else an alert says is not taken at its word: the run is read anew."""
    return await dispatch(flow_run_id, HealingOptions(), "person")


async def sent(identity: str) -> list[JsonObject]:
    """Return every request that went to a model for an incident, in order, exactly as it was sent."""
    report = await report_of(identity)
    rounds = len(report.rounds) if report else settings().attempts
    requests: list[JsonObject] = []
    for number in range(1, rounds + 1):
        requests += await requests_of(await open_journal(identity), number)
    return requests


async def reports_since(since: datetime) -> list[Report]:
    """Return the reports of incidents that began since then, newest first."""
    async with prefect_client() as client:
        alerts = [alert_of(run) for run in await _heal_runs_since(client, since)]
    identities = dict.fromkeys(incident_id(alert) for alert in alerts if alert is not None)
    found = [await report_of(each) for each in identities]
    return [report for report in found if report is not None]


async def _heal_runs_since(client: "PrefectClient", since: datetime) -> "list[FlowRun]":
    found: list[FlowRun] = []
    while True:
        page = await heal_runs(client, limit=PAGE_MAX, offset=len(found))
        recent = [run for run in page if run.created and run.created >= since]
        found += recent
        if len(recent) < PAGE_MAX:
            return found
