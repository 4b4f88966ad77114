"""Raising an alert on data, and staying until its incident is closed."""

import asyncio
import logging

from prefect_healing.clock import now
from prefect_healing.dispatch import Dispatched, raise_data_alert
from prefect_healing.domain.alert import FreshnessAlert, GateAlert
from prefect_healing.domain.options import HealingOptions
from prefect_healing.domain.report import Report
from prefect_healing.heal_runs import is_closed
from prefect_healing.inline import run_heal
from prefect_healing.journal import open_journal
from prefect_healing.own_thread import OutOfTime, in_own_thread
from prefect_healing.settings import settings
from prefect_healing.stages.failed_run_log import write_line
from prefect_healing.stages.report import last_report
from prefect_healing.tools.prefect_api import prefect_client, run_of

_POLL_SECONDS = 1.0


class Settled(Dispatched):
    """What dispatch did, and the report where the incident was closed while somebody waited for it."""

    report: Report | None = None


def settle(alert: GateAlert | FreshnessAlert, options: HealingOptions) -> Settled:
    """Raise an alert and stay until its incident is closed: healed here where there is no heal deployment.

    Waits the incident's deadline at most, healing here the `inline_seconds` of the settings; an incident that is then
    still open goes on without this process, and the answer has no report. Never waits inside a run that the incident
    itself has started. Everything happens in a thread of its own, so that it is no part of the current run.
    """
    deadline = settings().deadline_minutes * 60
    try:
        return in_own_thread(lambda: _settled(alert, options), deadline)
    except OutOfTime:
        reason = f"The incident is not closed after {deadline / 60:.0f} minutes; it goes on without this run."
        return Settled(action="left", reason=reason)


async def asettle(alert: GateAlert | FreshnessAlert, options: HealingOptions) -> Settled:
    """Do as `settle` does, without holding up the caller's event loop."""
    return await asyncio.to_thread(settle, alert, options)


async def _settled(alert: GateAlert | FreshnessAlert, options: HealingOptions) -> Settled:
    done = await raise_data_alert(alert, options)
    if done.incident_id is None:
        return Settled(**done.model_dump())
    await write_line(alert.flow_run_id, logging.WARNING, _line(done, alert))
    if done.action == "inline" and done.heal_flow_run_id is not None:
        try:
            async with asyncio.timeout(settings().inline_seconds):
                await run_heal(done.heal_flow_run_id)
        except TimeoutError:
            return Settled(**done.model_dump())
    elif await _is_ours(alert, done):
        return Settled(**done.model_dump())
    else:
        await _closed(done)
    return Settled(**done.model_dump(), report=await last_report(await open_journal(done.incident_id)))


async def _is_ours(alert: GateAlert | FreshnessAlert, done: Dispatched) -> bool:
    """Say whether the incident waits for this very run, so that waiting for the incident would never end."""
    async with prefect_client() as client:
        run = await run_of(client, alert.flow_run_id)
    return f"incident:{done.incident_id}" in run.tags


async def _closed(done: Dispatched) -> None:
    """Wait until the heal run has come to an end that stands, or broke."""
    assert done.heal_flow_run_id is not None  # noqa: S101 - an incident has a heal run
    async with prefect_client() as client:
        while True:
            run = await run_of(client, done.heal_flow_run_id)
            if is_closed(run) or (run.state is not None and run.state.is_final()):
                return
            await asyncio.sleep(_POLL_SECONDS)


def _line(done: Dispatched, alert: GateAlert | FreshnessAlert) -> str:
    what = alert.table if alert.kind == "freshness" else f"{alert.table}, partition {alert.partition}"
    where = done.url or f"{done.heal_flow_run_id}"
    how = {"inline": "opened: healing in this process", "deployed": "opened: healing in"}.get(done.action, "covers it:")
    warning = f"; {done.warning}" if done.warning else ""
    return f"{what}: incident {done.incident_id} {how} flow run {where}{warning} ({now():%H:%M:%S} UTC)"
