"""Entered again, an agent run asks nothing and does nothing that is persisted; keys say what that is."""

import re
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import pytest

from prefect_healing.agent.agent import Agent, Position, key_of
from prefect_healing.agent.ask import Exchange, Sending, sending_key
from prefect_healing.agent.budget import Spent
from prefect_healing.agent.loop import opening, run_agent
from prefect_healing.agent.perform import Invocation
from prefect_healing.domain.mandate import Decision
from prefect_healing.domain.report import Answer
from prefect_healing.models.model import ToolCall
from prefect_healing.models.scripted import Scripted
from tests.agent.benches import CONCLUDES, Bodies, Heard, agent_of, bench_of, echoes, result_file

QUESTION = Scripted.calls(("ask_person", {"question": "Is it on?", "why": "to know", "summary": "It is off."}))
ALLOW = Decision(verdict="allow", rule="r", reason="because")


def answer(text: str) -> Answer:
    return Answer(text=text, person="ada", at=datetime.now(UTC))


@pytest.fixture
def bench(tmp_path):
    return bench_of(tmp_path, Bodies().tool)


# Keys


CALL = ToolCall(id="toolu_0_0", name="echo", arguments={"word": "a"})
AGENT, HERE = agent_of(Heard([])), Position(1, 1, 1)
KEYED = {
    "agent.name": {"agent": replace(AGENT, name="specialist")},
    "agent.prompt_version": {"agent": replace(AGENT, prompt_version="other")},
    "agent.model": {"agent": replace(AGENT, model=Heard([], model_id="other-1"))},
    "at.round": {"at": Position(2, 1, 1)},
    "at.turn": {"at": Position(1, 2, 1)},
    "at.index": {"at": Position(1, 1, 2)},
    "call.id": {"call": CALL.model_copy(update={"id": "toolu_9_9"})},
    "call.name": {"call": CALL.model_copy(update={"name": "ask"})},
    "call.arguments": {"call": CALL.model_copy(update={"arguments": {"word": "b"}})},
}
IGNORED = {
    "agent.prompt": "its version, a digest of it, is in the key",
    "agent.budget": "a limit that is raised goes on with what was persisted under the lower one",
    "bench": "configuration and handles; its incident's id is in the key",
    "tool": "found by the call's name",
    "arguments": "the call's own, validated; a new default must not repeat a call that was answered",
    "decision": "the policy's word on the call; the incident keeps its policy",
    "evidence_id": "follows from the position",
    "transcript": "follows from the replies and answers before, which are persisted",
    "spent": "counted from the replies and answers before",
    "deadline_at": "a value that says what passed is persisted, whatever is answered later",
    "began_at": "the time of this try",
}


def invocation(bench, agent=AGENT, at=HERE, call=CALL):
    return Invocation(bench, agent, bench.toolset.get("echo"), call, call.arguments, ALLOW, at, "E2")


def exchange(bench, agent=AGENT, at=HERE):
    return Exchange(bench, agent, opening(bench), Spent(), at, datetime.now(UTC))


@pytest.mark.parametrize("field", KEYED)
def test_what_makes_a_call_another_call_is_in_its_key(bench, field):
    assert invocation(bench, **KEYED[field]).key != invocation(bench).key
    if not field.startswith("call"):
        assert exchange(bench, **KEYED[field]).key != exchange(bench).key


def test_the_incident_is_in_every_key(bench, tmp_path):
    assert invocation(bench).key != invocation(bench_of(tmp_path, Bodies().tool)).key


def test_every_field_is_in_the_key_or_ignored_for_a_reason(bench):
    """A new field must be put into one of the two tables."""
    known = {name.split(".")[0] for name in KEYED} | {*KEYED, *IGNORED, "key"}
    found = {*vars(invocation(bench)), *vars(exchange(bench))}
    found |= {f"agent.{each.name}" for each in fields(Agent)} | {f"at.{each.name}" for each in fields(Position)}
    found |= {f"call.{name}" for name in ToolCall.model_fields}

    assert found == known


def test_a_model_call_and_a_tool_named_ask_do_not_share_a_key(bench):
    call = CALL.model_copy(update={"name": "ask"})
    at = Position(1, 1, 0)

    assert invocation(bench, at=at, call=call).key != exchange(bench, at=at).key


def test_a_key_is_a_file_name_whatever_the_model_wrote(bench):
    """Huge and odd arguments are only hashed; the server takes 2,000 characters, a file system 255."""
    odd = ToolCall(id="../\ud800", name="x" * 5_000, arguments={"__class__": "\0" * 50_000})

    key = key_of(bench.incident.id, AGENT, Position(1, 1), odd)

    assert re.fullmatch(r"[A-Za-z0-9-]{1,200}", key)


# Replays


async def test_a_prompt_that_was_sent_stays_whatever_is_deployed_or_masked_later(tmp_path):
    """Thinking is bound to what stood before it: a restart with other tools or secrets sends the same head."""
    bench = bench_of(tmp_path, Bodies().tool)
    model = Heard([echoes("a"), QUESTION, CONCLUDES])
    await run_agent(agent_of(model), bench)
    later = replace(bench, toolset=bench_of(tmp_path).toolset, secrets=["division by zero"])

    await run_agent(agent_of(model), later, (answer("yes"),))

    first, last = model.requests[0], model.requests[-1]
    assert (last.system, last.tools, last.messages[:1]) == (first.system, first.tools, first.messages)


async def test_a_torn_reply_is_asked_for_again_and_no_other(tmp_path):
    bodies = Bodies()
    bench, model = bench_of(tmp_path, bodies.tool), Heard([echoes("a"), echoes("b"), CONCLUDES])
    first = await run_agent(agent_of(model), bench)
    tear(result_file(exchange(bench, agent_of(model), Position(1, 1)).key))

    again = await run_agent(agent_of(model), bench)

    assert again.diagnosis == first.diagnosis
    assert [len(request.messages) for request in model.requests] == [1, 3, 5, 3]
    assert bodies.ran == ["a", "b"]


async def test_a_torn_answer_is_looked_up_again_and_no_other(tmp_path):
    bodies = Bodies()
    bench, model = bench_of(tmp_path, bodies.tool), Heard([echoes("a", "b"), CONCLUDES])
    first = await run_agent(agent_of(model), bench)
    call = first.observations[1].call
    tear(result_file(key_of(bench.incident.id, agent_of(model), Position(1, 0, 1), call)))

    await run_agent(agent_of(model), bench)

    assert sorted(bodies.ran) == ["a", "b", "b"]
    assert len(model.requests) == 2


async def test_a_reply_that_comes_out_differently_gets_its_own_answers(tmp_path):
    """Asked for again after it was torn, a reply may hold other calls; an old answer would belong to none of them."""
    bodies = Bodies()
    bench = bench_of(tmp_path, bodies.tool)
    await run_agent(agent_of(Heard([echoes("old"), CONCLUDES])), bench)
    model = Heard([echoes("new"), CONCLUDES])
    for turn in (0, 1):
        tear(result_file(exchange(bench, agent_of(model), Position(1, turn)).key))

    ending = await run_agent(agent_of(model), bench)

    assert bodies.ran == ["old", "new"]
    assert "new" in ending.observations[0].text


async def test_what_was_sent_is_written_before_it_is_sent(tmp_path):
    """The journal can say what went out, and how often, though no reply came."""
    bench = bench_of(tmp_path)
    written = []

    async def look(at):
        written.append(await bench.journal.read(sending_key(agent, at), Sending))

    class Looks(Heard):
        async def reply(self, request):
            await look(Position(1, 0))
            return await super().reply(request)

    agent = agent_of(Looks([CONCLUDES]))

    await run_agent(agent, bench)

    assert written[0].attempts == 1
    assert written[0].messages == opening(bench).messages


# Answers


async def test_a_question_ends_the_run_and_its_answer_goes_on_at_no_cost(tmp_path):
    """What was asked and looked up before the question is not asked and looked up again."""
    bodies = Bodies()
    bench, model = bench_of(tmp_path, bodies.tool), Heard([echoes("a"), QUESTION, CONCLUDES])

    waiting = await run_agent(agent_of(model), bench)
    ending = await run_agent(agent_of(model), bench, (answer("It is on."),))

    assert waiting.question.question == "Is it on?"
    assert waiting.diagnosis is None
    assert ending.diagnosis is not None
    assert len(model.requests) == 3
    assert bodies.ran == ["a"]
    assert "Answer of ada, a person" in ending.observations[-1].text
    assert "It is on." in ending.observations[-1].text


async def test_an_answer_is_evidence_that_can_be_cited(tmp_path):
    said = {**CONCLUDES.blocks[0]["input"], "cites": ["E2"], "decisive_line": "It is on."}
    cites = Scripted.calls(("conclude", said))

    ending = await run_agent(agent_of(Heard([QUESTION, cites])), bench_of(tmp_path), (answer("It is on."),))

    assert ending.diagnosis.cites == ("E2",)


@pytest.mark.parametrize("turns", [[QUESTION, QUESTION], [Scripted.wire(*QUESTION.blocks, *QUESTION.blocks)]])
async def test_one_answer_answers_one_question(tmp_path, turns):
    """The next question, in a later turn or in the same one, waits for an answer of its own."""
    bench, model = bench_of(tmp_path), Heard([*turns, CONCLUDES])

    once = await run_agent(agent_of(model), bench, (answer("yes"),))
    twice = await run_agent(agent_of(model), bench, (answer("yes"), answer("no")))

    assert once.question is not None
    assert twice.diagnosis is not None
    assert [each.text.rpartition(": ")[2] for each in twice.observations] == ["yes", "no"]


async def test_a_secret_in_an_answer_is_masked_before_it_is_sent(tmp_path):
    bench, model = bench_of(tmp_path, secrets=["correct-horse-battery"]), Heard([QUESTION, CONCLUDES])

    ending = await run_agent(agent_of(model), bench, (answer("Try correct-horse-battery."),))

    assert "correct-horse" not in ending.model_dump_json()


async def test_an_answer_starts_the_deadline_anew(tmp_path):
    """A person may take their time: what counts is the time since they answered."""
    late = datetime.now(UTC) - timedelta(hours=5)
    bench = bench_of(tmp_path, opened_at=late, deadline_at=late + timedelta(minutes=30))
    model = Heard([CONCLUDES])

    ending = await run_agent(agent_of(model), bench, (answer("yes"),))

    assert ending.diagnosis is not None


def tear(file) -> None:
    """Leave half of a file, as a kill in the middle of a write does."""
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
