"""Running a heal run in this process, detached from whatever runs here."""

from uuid import UUID

from prefect_healing.domain.alert import incident_id
from prefect_healing.heal import heal
from prefect_healing.heal_runs import alert_of, is_closed
from prefect_healing.journal import open_journal
from prefect_healing.stages.failed_run_log import broken_line
from prefect_healing.stages.report import last_line, last_report
from prefect_healing.tools.flow_process import run_detached
from prefect_healing.tools.prefect_api import prefect_client, run_of


async def run_heal(heal_flow_run_id: UUID) -> str:
    """Run a heal run that was created for this process to its end, and return how it ended, in a sentence."""
    async with prefect_client() as client:
        await run_detached(heal, await run_of(client, heal_flow_run_id))
        ended = await run_of(client, heal_flow_run_id)
    alert = alert_of(ended)
    if alert is not None and is_closed(ended):
        closed = await last_report(await open_journal(incident_id(alert)))
        if closed is not None:
            return last_line(closed)
    identity = incident_id(alert) if alert else str(heal_flow_run_id)
    return broken_line(identity, ended.state.message if ended.state else None)
