"""The outcome, told to everyone who needs it: an artifact, tags, a last log line, a named final state."""

import logging
from typing import TYPE_CHECKING
from uuid import UUID

from prefect_healing.clock import now
from prefect_healing.domain.incident import Incident
from prefect_healing.domain.record import Record
from prefect_healing.domain.report import Outcome, Report, Round
from prefect_healing.heal_runs import add_tags, mark_of
from prefect_healing.journal import Journal
from prefect_healing.stages.failed_run_log import write_line
from prefect_healing.stages.markdown import as_description, as_markdown
from prefect_healing.stages.naming import rename_own_run
from prefect_healing.stages.triage import answers_in
from prefect_healing.tools.prefect_api import bounded, prefect_client, url_of
from prefect_healing.workbench import Workbench

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

_STATE_NAMES: dict[Outcome, str] = {
    "healed": "Healed",
    "declined": "Declined",
    "rolled_back": "RolledBack",
    "inconclusive": "Inconclusive",
    "escalated": "Escalated",
}


class Told(Record):
    """Written once people were told of a report, so that nobody is told twice."""

    outcome: Outcome


LAST_REPORT = "report"
"""Where the journal keeps the newest report of an incident; an answer may be followed by another one."""


async def last_report(journal: Journal) -> Report | None:
    """Return the newest report of an incident, None while there is none."""
    return await journal.read(LAST_REPORT, Report)


async def report(bench: Workbench, rounds: tuple[Round, ...]) -> Report:
    """Return the report, written once, and tell it: artifact, tags, and one last log line on the failed run."""
    answered = sum([len(await answers_in(bench.journal, each.number)) for each in rounds])
    key = f"report-{len(rounds)}-{answered}"

    async def conclude() -> Report:
        return _concluded(bench.incident, rounds)

    closed = await bench.journal.once(key, Report, conclude)
    if await bench.journal.read(f"{key}-told", Told) is None:
        await _tell(closed)
        await bench.journal.write(f"{key}-told", Told(outcome=closed.outcome))
    await bench.journal.write(LAST_REPORT, closed)
    return closed


def terminal_state(closed: Report) -> "State[str]":
    """Return the final state of the heal run: completed, under the outcome's name."""
    from prefect.states import Completed

    return Completed(name=_STATE_NAMES[closed.outcome], message=closed.reason, data=closed.model_dump_json())


def outcome_of_state(name: str | None) -> Outcome | None:
    """Return the outcome that a heal run's final state names, None where it names none."""
    return next((outcome for outcome, known in _STATE_NAMES.items() if known == name), None)


def _concluded(incident: Incident, rounds: tuple[Round, ...]) -> Report:
    outcome, reason = _outcome(rounds)
    return Report(
        incident=incident,
        outcome=outcome,
        reason=reason,
        rounds=rounds,
        left_for_person=_left_for_person(incident, outcome, rounds),
        closed_at=now(),
        heal_run_url=_own_url(),
    )


def _outcome(rounds: tuple[Round, ...]) -> tuple[Outcome, str]:
    """Return the outcome and its reason in one sentence."""
    if not rounds:
        return "declined", "The run was no longer failed when healing began; there was nothing to repair."
    last = rounds[-1]
    if last.verification and last.verification.passed:
        return "healed", "; ".join(check.detail for check in last.verification.checks)
    if last.repair is not None:
        return _outcome_of_repair(last)
    if last.triage.question:
        return "escalated", f"A person is asked: {last.triage.question.question}"
    if (diagnosis := last.triage.diagnosis) is None:
        return "inconclusive", last.triage.out_of_limits or "No cause was found."
    if last.mandate is not None:
        refused = next(each for each in last.mandate.decisions if not each.decision.allowed)
        return "escalated", f"{refused.action.tool} was not allowed: {refused.decision.reason}"
    if diagnosis.disposition == "nothing_wrong":
        return "declined", diagnosis.summary
    return "escalated", diagnosis.summary


def _outcome_of_repair(last: Round) -> tuple[Outcome, str]:
    assert last.repair is not None  # noqa: S101 - the caller looked
    if unknown := last.repair.unknown:
        return "escalated", f"Nobody knows whether {unknown[0].tool} took effect: {unknown[0].detail}"
    if last.roll_back and last.roll_back.failed:
        return "escalated", f"{', '.join(last.roll_back.failed)} could not be undone."
    undoable = [each for each in last.repair.applied if each.undo]
    if last.repair.applied and len(undoable) == len(last.repair.applied):
        return "rolled_back", "The repair did not help and all of it was undone."
    checks = last.verification.checks if last.verification else ()
    return "escalated", "The repair did not help: " + "; ".join(check.detail for check in checks)


def _left_for_person(incident: Incident, outcome: Outcome, rounds: tuple[Round, ...]) -> tuple[str, ...]:
    """Return what a person has to do, each a command or a sentence."""
    if outcome == "healed" or not rounds:
        return ()
    last, left = rounds[-1], list[str]()
    if last.triage.question:
        left.append(f'prefect-healing answer {incident.id} "..."')
    if last.triage.diagnosis and last.triage.diagnosis.proposal:
        left.append(last.triage.diagnosis.proposal)
    if last.mandate and not last.mandate.granted:
        left.append(f"To apply the plan within the policy: prefect-healing heal {incident.id} --mode heal")
    left.append(f"Everything that was found: prefect-healing show {incident.id}")
    return tuple(left)


async def _tell(closed: Report) -> None:
    from prefect.artifacts import acreate_markdown_artifact

    incident = closed.incident
    await acreate_markdown_artifact(
        as_markdown(closed), key=f"incident-{incident.id.lower()}", description=as_description(closed)
    )
    cause = closed.diagnosis.cause if closed.diagnosis else "unknown"
    _tell_own_log(closed)
    await rename_own_run(f"heal {incident.alert.about}: {closed.outcome}")
    async with prefect_client() as client:
        await add_tags(client, incident.subject.flow_run_id, mark_of(incident.alert))
        if (own := _own_id()) is not None:
            await add_tags(client, own, f"outcome:{closed.outcome}", f"cause:{cause}")
        await _last_words(closed)


def _tell_own_log(closed: Report) -> None:
    """Put the outcome into the heal run's own log, the first thing its page shows."""
    from prefect import get_run_logger
    from prefect.exceptions import MissingContextError

    try:
        logger = get_run_logger()
    except MissingContextError:  # Told from outside a run, as tests do.
        return
    logger.info("%s: %s", closed.outcome.replace("_", " "), closed.reason)
    if closed.diagnosis and closed.diagnosis.decisive_line:
        logger.info("The decisive line: %s", bounded(closed.diagnosis.decisive_line, 500))


def last_line(closed: Report) -> str:
    """Return the last line of the failed run's log: outcome, where it was healed, and what became of the run."""
    incident = closed.incident
    where = closed.heal_run_url or f"(prefect-healing show {incident.id})"
    ended = f"Incident {incident.id} {closed.outcome.replace('_', ' ')} by run {where}"
    stays = incident.alert.kind == "flow_run" and incident.subject.deployment_id is None
    raised = "; this run stays failed and its exception is raised as before" if stays else ""
    return f"{ended}{raised}. {closed.reason}"


async def _last_words(closed: Report) -> None:
    """Put one last line into the failed run's log, with the outcome and where to read more."""
    level = logging.INFO if closed.outcome == "healed" else logging.ERROR
    await write_line(closed.incident.subject.flow_run_id, level, last_line(closed))


def _own_id() -> UUID | None:
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    return context.flow_run.id if context and context.flow_run else None


def _own_url() -> str | None:
    own = _own_id()
    return url_of("flow-run", own) if own else None
