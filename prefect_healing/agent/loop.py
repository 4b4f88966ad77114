"""The spine: ask, guard, act, observe; a bound; a transcript that only grows."""

import asyncio
from dataclasses import replace
from datetime import datetime

from prefect_healing.agent import conclusion, prompts
from prefect_healing.agent.agent import Agent, Position
from prefect_healing.agent.ask import Asked, Exchange, Sending, ask, sending_key
from prefect_healing.agent.budget import Spent
from prefect_healing.agent.observation import Observation
from prefect_healing.agent.perform import Invocation, task_for
from prefect_healing.agent.transcript import Transcript
from prefect_healing.clock import now
from prefect_healing.domain.incident import Incident
from prefect_healing.domain.mandate import Decision
from prefect_healing.domain.plan import Diagnosis
from prefect_healing.domain.record import Record
from prefect_healing.domain.report import Answer, Question
from prefect_healing.errors import ToolFailed
from prefect_healing.models.model import ToolCall
from prefect_healing.models.reply_steps import MalformedCall, calls_of, reason_for, step_for
from prefect_healing.workbench import Workbench

_CONTINUATIONS_MAX = 3
_ARGUMENT_CHARS_SHOWN = 2_000  # of a call that was refused


class Ending(Record):
    """How an agent run ended: exactly one of diagnosis, question, beyond (which limit), unavailable (why no model)."""

    diagnosis: Diagnosis | None = None
    question: Question | None = None
    beyond: str | None = None
    unavailable: str | None = None
    spent: Spent = Spent()
    observations: tuple[Observation, ...] = ()


async def run_agent(agent: Agent, bench: Workbench, answers: tuple[Answer, ...] = ()) -> Ending:
    """Ask, guard, act, observe; end with a diagnosis, a question for a person, or at a limit.

    Entered again after a crash, or with one more answer, it replays what is persisted and goes on from there.
    """
    transcript, spent, reminded, paused = await _begun(agent, bench), Spent(), False, 0
    for turn in range(agent.budget.turns):
        at = Position(bench.incident.round, turn)
        exchange = Exchange(bench, agent, transcript, spent, at, deadline(bench.incident, answers))
        asked = Asked.model_validate_json(await ask(exchange))
        spent = _after_asking(spent, asked)
        ended = Ending(beyond=asked.beyond, unavailable=asked.unavailable)
        if (reply := asked.reply) is None:
            return _closed(ended, spent, transcript)
        transcript = transcript.after_reply(reply)
        step = step_for(reply.stop_reason)
        if step == "stop" or (step == "continue" and paused == _CONTINUATIONS_MAX):
            return _closed(Ending(beyond=reason_for(reply.stop_reason)), spent, transcript)
        if step == "continue":
            paused += 1
            continue
        if not (calls := calls_of(reply)):
            if reminded:
                return _closed(Ending(beyond="The model ended without a conclusion, twice."), spent, transcript)
            transcript, reminded = transcript.after_reminder(prompts.REMINDER), True
            continue
        observations, ending = await _act_all(agent, bench, transcript, calls, at, spent, answers)
        if ending is not None:
            return _closed(ending, spent, transcript)
        transcript = transcript.after_observations(observations)
        spent = _after_acting(spent, observations)
    return _closed(Ending(beyond=f"All {agent.budget.turns} turns are used."), spent, transcript)


async def _begun(agent: Agent, bench: Workbench) -> Transcript:
    """Return the transcript before the first call, as it was sent where it was: no later setting may change it."""
    fresh = opening(bench)
    sent = await bench.journal.read(sending_key(agent, Position(bench.incident.round, 0)), Sending)
    if sent is None or sent.system is None or sent.tools is None:
        return fresh
    return replace(fresh, system=sent.system, tools=sent.tools, messages=sent.messages)


def opening(bench: Workbench) -> Transcript:
    """Return the transcript before the first call."""
    incident = bench.incident
    text = bench.redacted(prompts.opening(incident))
    return Transcript(
        system=prompts.TRIAGE,
        tools=(*bench.toolset.specifications(), *conclusion.specifications()),
        messages=({"role": "user", "content": [{"type": "text", "text": text}]},),
        opening_evidence=tuple((each.id, each.text) for each in incident.evidence),
    )


def deadline(incident: Incident, answers: tuple[Answer, ...]) -> datetime:
    """Return until when the incident is the healer's: an answer starts the time anew."""
    return answers[-1].at + (incident.deadline_at - incident.opened_at) if answers else incident.deadline_at


async def _act_all(
    agent: Agent,
    bench: Workbench,
    transcript: Transcript,
    calls: tuple[ToolCall, ...],
    at: Position,
    spent: Spent,
    answers: tuple[Answer, ...],
) -> tuple[tuple[Observation, ...], Ending | None]:
    """Return one observation for each call, in order, or the ending that one of them brought."""
    left = agent.budget.tool_calls - spent.tool_calls
    observations: list[Observation | None] = [None] * len(calls)
    used = sum(_is_answer(each) for each in transcript.observations)
    for index, call in enumerate(calls):
        if call.name in (conclusion.CONCLUDE, conclusion.ASK_PERSON):
            outcome = _end(bench, call, transcript, answers[used:], transcript.evidence_id(index))
            if isinstance(outcome, Ending):
                return (), outcome
            observations[index] = outcome
            used += _is_answer(outcome)
    acting = [
        act(agent, bench, transcript, calls, Position(at.round, at.turn, index), left - index)
        for index in range(len(calls))
        if observations[index] is None
    ]
    acted = iter(await asyncio.gather(*acting))
    return tuple(each or next(acted) for each in observations), None


async def act(
    agent: Agent, bench: Workbench, transcript: Transcript, calls: tuple[ToolCall, ...], at: Position, left: int
) -> Observation:
    """Carry out the call at a position of its turn, or tell the model why not. The only way from a model to a tool."""
    call = calls[at.index]
    if left <= 0:
        return refused(call, f"The limit of {agent.budget.tool_calls} tool calls is reached; conclude now.")
    if isinstance(call, MalformedCall):
        return refused(call, call.problem)
    if (tool := bench.toolset.get(call.name)) is None:
        return refused(call, f"There is no tool {call.name[:80]!r}; you have {', '.join(bench.toolset.names)}.")
    try:
        arguments = tool.canonical_arguments(call.arguments)
    except ToolFailed as error:
        return refused(call, bench.redacted(str(error)))
    before = (*(each.call for each in transcript.observations), *calls[: at.index])
    same = sum(each.name == call.name and each.arguments == call.arguments for each in before)
    if same >= agent.budget.identical_calls:
        return refused(call, f"You asked exactly this {same} times; use the evidence that you have.")
    decision = PREVIEW if tool.writes else bench.decide(tool, arguments, None, ())
    if not decision.allowed:
        return refused(call, decision.reason, decision)
    invocation = Invocation(bench, agent, tool, call, arguments, decision, at, transcript.evidence_id(at.index))
    return Observation.model_validate_json(await task_for(tool)(invocation))


PREVIEW = Decision(verdict="allow", rule="a preview is a read", reason="It changes nothing.")
_TERMINAL = Decision(verdict="allow", rule="how an agent ends", reason="It changes nothing.")


def refused(call: ToolCall, reason: str, decision: Decision | None = None) -> Observation:
    """Return what a model is told of a call that was not made."""
    shown = call.model_copy(update={"arguments": {}}) if len(repr(call.arguments)) > _ARGUMENT_CHARS_SHOWN else call
    decision = decision or Decision(verdict="deny", rule="guard of the loop", reason=reason)
    return Observation(call=shown, status="refused", text=reason, decision=decision, started_at=now())


def _is_answer(seen: Observation) -> bool:
    return seen.call.name == conclusion.ASK_PERSON and seen.status == "ok"


def _end(
    bench: Workbench, call: ToolCall, transcript: Transcript, answers: tuple[Answer, ...], evidence_id: str
) -> Ending | Observation:
    """Return the ending that a terminal call brings, or what it gets instead; `answers` are those not yet used."""
    try:
        if call.name == conclusion.CONCLUDE:
            return Ending(diagnosis=conclusion.concluded(call, transcript))
        question = conclusion.asked(call)
    except ToolFailed as error:
        return refused(call, str(error))
    if not answers:
        return Ending(question=question)
    answer = answers[0]
    said = bench.redacted(answer.text)
    text = f"[{evidence_id}]\nAnswer of {answer.person}, a person, at {answer.at:%H:%M:%S} UTC: {said}"
    return Observation(
        call=call, status="ok", text=text, decision=_TERMINAL, started_at=answer.at, evidence_id=evidence_id
    )


def _after_asking(spent: Spent, asked: Asked) -> Spent:
    return Spent(
        usage=spent.usage + asked.reply.usage if asked.reply else spent.usage,
        lost_usd=spent.lost_usd + asked.lost_usd,
        seconds=spent.seconds + asked.seconds,
        model_calls=spent.model_calls + (asked.reply is not None),
        tool_calls=spent.tool_calls,
    )


def _after_acting(spent: Spent, observations: tuple[Observation, ...]) -> Spent:
    slowest = max((each.seconds for each in observations), default=0.0)
    return spent.model_copy(
        update={"seconds": spent.seconds + slowest, "tool_calls": spent.tool_calls + len(observations)}
    )


def _closed(ending: Ending, spent: Spent, transcript: Transcript) -> Ending:
    return ending.model_copy(update={"spent": spent, "observations": transcript.observations})
