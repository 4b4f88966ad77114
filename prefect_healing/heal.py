"""The pipeline, and nothing else: incident, diagnosis, mandate, repair, verification, report."""

from typing import TYPE_CHECKING

from prefect import flow, tags

from prefect_healing.domain.alert import Alert, incident_id
from prefect_healing.domain.mandate import Mandate
from prefect_healing.domain.options import HealingOptions
from prefect_healing.domain.repair import Repair, RollBack
from prefect_healing.domain.report import Round, Triage
from prefect_healing.domain.verification import Verification
from prefect_healing.heal_runs import HEALING_TAG, incident_lock
from prefect_healing.journal import open_journal
from prefect_healing.locks import forget, one_writer
from prefect_healing.settings import settings
from prefect_healing.stages.attempt import next_round_after
from prefect_healing.stages.authorize import authorize
from prefect_healing.stages.carry_out import carry_out
from prefect_healing.stages.failed_run_log import say_broken
from prefect_healing.stages.open_incident import open_incident, open_workbench
from prefect_healing.stages.report import report, terminal_state
from prefect_healing.stages.roll_back import roll_back
from prefect_healing.stages.triage import answers_of, triage
from prefect_healing.stages.verify import verify
from prefect_healing.workbench import Workbench

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

_DEFAULTS = HealingOptions()


@flow(
    name="heal",
    flow_run_name="heal {alert.about}",
    persist_result=True,
    result_serializer="json",
    retries=1,
    on_failure=[say_broken],
    on_crashed=[say_broken],
)
async def heal(alert: Alert, options: HealingOptions = _DEFAULTS) -> "State[str]":
    """Bring what failed back to health, or hand it to a person with the facts.

    Returns a completed state named Healed, Declined, RolledBack, Inconclusive or Escalated whose value is the JSON
    text of the Report. Run again for the same alert, whatever was killed, it goes on where it was.
    """
    journal = await open_journal(incident_id(alert))
    lock = incident_lock(journal.incident_id)
    async with one_writer(lock, journal, wait_seconds=settings().deadline_minutes * 60):
        # Opened under the lock: two that open one incident at once would make two keys for its tokens.
        incident = await open_incident(alert, options)
        bench = await open_workbench(incident.id)
        rounds: list[Round] = []
        with tags(HEALING_TAG, f"incident:{incident.id}"):
            for number in range(1, bench.settings.attempts + 1 if incident.still_failed else 1):
                rounds.append(await _round(bench, number))
                if not _worth_another(rounds[-1]):
                    break
                bench = await next_round_after(bench, rounds[-1])
        closed = await report(bench, tuple(rounds))
    await forget(lock)
    return terminal_state(closed)


async def _round(bench: Workbench, number: int) -> Round:
    """Triage, authorize, carry out, verify, roll back; each outcome is written before the next stage starts."""
    journal, stage = bench.journal, f"round-{number}"
    answered = len(await answers_of(bench))

    async def investigate() -> Triage:
        return Triage.model_validate_json(await triage(bench.incident.id, number))

    found = await journal.once(f"{stage}/triage-{answered}", Triage, investigate)
    if found.diagnosis is None or not found.diagnosis.plan.actions:
        return Round(number=number, triage=found)
    plan = found.diagnosis.plan
    mandate = await journal.once(f"{stage}/mandate", Mandate, lambda: authorize(bench, plan))
    if not mandate.granted:
        return Round(number=number, triage=found, mandate=mandate)
    repair = await journal.once(f"{stage}/repair", Repair, lambda: carry_out(bench, mandate))
    seen = await journal.once(f"{stage}/verification", Verification, lambda: verify(bench, repair))
    undone = None
    if not seen.passed:
        undone = await journal.once(f"{stage}/roll-back", RollBack, lambda: roll_back(bench, repair))
    return Round(number=number, triage=found, mandate=mandate, repair=repair, verification=seen, roll_back=undone)


def _worth_another(done: Round) -> bool:
    """Say whether another round may help: something was tried, it did not help, and all of it is known and undone."""
    if done.verification is None or done.verification.passed or done.repair is None:
        return False
    return bool(done.repair.applied) and not done.repair.unknown and not (done.roll_back and done.roll_back.failed)
