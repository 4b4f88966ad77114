"""The investigation: a flow in which an agent finds the cause and proposes a plan."""

from prefect import flow

from prefect_healing.agent import prompts
from prefect_healing.agent.agent import Agent
from prefect_healing.agent.ask import folder_of
from prefect_healing.agent.budget import Budget
from prefect_healing.agent.loop import Ending, run_agent
from prefect_healing.agent.observation import Observation
from prefect_healing.agent.sent import Models, models_key
from prefect_healing.domain.evidence import Evidence
from prefect_healing.domain.record import Record
from prefect_healing.domain.report import Answer, CallRecord, Triage
from prefect_healing.journal import Journal
from prefect_healing.models.choose import choose_model, chosen_name
from prefect_healing.models.model import Model
from prefect_healing.models.rules import Rules
from prefect_healing.stages.naming import rename_own_run
from prefect_healing.stages.open_incident import open_workbench
from prefect_healing.tools.prefect_api import bounded
from prefect_healing.workbench import Workbench

_EVIDENCE_CHARS = 4_000  # of one call, in the report


class Answers(Record):
    """What people answered in one round, in order."""

    answers: tuple[Answer, ...] = ()


async def answers_of(bench: Workbench) -> tuple[Answer, ...]:
    """Return what people answered in this round."""
    return await answers_in(bench.journal, bench.incident.round)


async def answers_in(journal: Journal, round_number: int) -> tuple[Answer, ...]:
    """Return what people answered in a round."""
    found = await journal.read(answers_key(round_number), Answers)
    return found.answers if found else ()


def answers_key(round_number: int) -> str:
    """Return where the journal keeps a round's answers."""
    return f"round-{round_number}/answers"


@flow(name="triage", flow_run_name="triage {incident_id}", persist_result=False)
async def triage(incident_id: str, round_number: int) -> str:
    """Find the cause and propose a plan; return the JSON text of the Triage.

    Where the model cannot be reached, the rules investigate from the start, and the result says so.
    """
    bench = await open_workbench(incident_id, round_number)
    answers = await answers_of(bench)
    begun = await _begun_with(bench)
    model = choose_model(bench.settings.model_copy(update=begun.model_dump(include={"model", "triage_model"})))
    ending = await _investigate(bench, model, answers)
    done = _as_triage(bench, model, ending)
    if ending.unavailable is not None:
        rules = Rules()
        again = _as_triage(bench, rules, await _investigate(bench, rules, answers))
        reason = f"{model.id} was not available, so the rules investigated: {ending.unavailable}"
        done = _fallen_back(done, again, reason)
    return await _told(bench, done)


async def _told(bench: Workbench, done: Triage) -> str:
    found = done.diagnosis.cause if done.diagnosis else "a question" if done.question else "no cause found"
    await rename_own_run(f"triage {bench.incident.alert.about}: {found}")
    return done.model_dump_json()


async def _investigate(bench: Workbench, model: Model, answers: tuple[Answer, ...]) -> Ending:
    agent, asked = _triager(bench, model), await _begun_with(bench)
    if (folder := folder_of(agent)) not in asked.folders:
        asked = asked.model_copy(update={"folders": (*asked.folders, folder)})
        await bench.journal.write(models_key(bench.incident.round), asked)
    return await run_agent(agent, bench, answers)


async def _begun_with(bench: Workbench) -> Models:
    known = await bench.journal.read(models_key(bench.incident.round), Models)
    return known or Models(model=chosen_name(bench.settings), triage_model=bench.settings.triage_model)


def _fallen_back(first: Triage, again: Triage, reason: str) -> Triage:
    """Return the second investigation, with what the first one did and cost."""
    later = (each.model_copy(update={"index": index}) for index, each in enumerate(again.calls, len(first.calls)))
    return again.model_copy(
        update={
            "fallback_reason": reason,
            "usage": first.usage + again.usage,
            "model_calls": first.model_calls + again.model_calls,
            "calls": (*first.calls, *later),
        }
    )


def _triager(bench: Workbench, model: Model) -> Agent:
    return Agent(
        name="triage",
        prompt=prompts.TRIAGE,
        prompt_version=prompts.version_of(prompts.TRIAGE),
        model=model,
        budget=Budget.of(bench.settings),
    )


def _as_triage(bench: Workbench, model: Model, ending: Ending) -> Triage:
    incident = bench.incident
    return Triage(
        model=model.id,
        diagnosis=ending.diagnosis,
        question=ending.question,
        out_of_limits=ending.beyond or ending.unavailable,
        usage=ending.spent.usage,
        model_calls=ending.spent.model_calls,
        calls=tuple(
            _record(incident.id, incident.round, model.id, index, each)
            for index, each in enumerate(ending.observations)
        ),
        evidence=tuple(found for each in ending.observations if (found := _found(each)) is not None),
    )


def _found(seen: Observation) -> Evidence | None:
    """Return what a call found, shortened for the report."""
    if seen.status != "ok" or seen.evidence_id is None:
        return None
    text = seen.text.removeprefix(f"[{seen.evidence_id}]\n")
    shown = bounded(text, _EVIDENCE_CHARS)
    whole = seen.spilled_chars or (len(text) if len(shown) < len(text) else 0)
    return Evidence(id=seen.evidence_id, source=seen.call.name, at=seen.started_at, text=shown, spilled_chars=whole)


def _record(incident_id: str, round_number: int, model: str, index: int, seen: Observation) -> CallRecord:
    return CallRecord(
        incident_id=incident_id,
        round=round_number,
        index=index,
        model=model,
        tool=seen.call.name,
        arguments=seen.call.arguments,
        verdict=seen.decision.verdict,
        rule=seen.decision.rule,
        outcome=seen.status,
        detail=seen.text if seen.status != "ok" else (seen.evidence_id or ""),
        started_at=seen.started_at,
        seconds=seen.seconds,
    )
