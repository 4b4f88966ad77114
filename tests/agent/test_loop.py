"""Ask, guard, act, observe: what the loop does with each kind of reply and each kind of answer."""

import asyncio
import json

import pytest

from prefect_healing.agent.loop import run_agent
from prefect_healing.agent.prompts import REMINDER
from prefect_healing.domain.plan import Scope
from prefect_healing.errors import ConfigurationError, ToolFailed, ToolUnavailable
from prefect_healing.models.scripted import Scripted, result_text
from prefect_healing.tools.tool import Applied, ToolContext, tool
from tests.agent.benches import CONCLUDES, HAND_OVER, Bodies, Heard, Told, agent_of, bench_of, echoes, token_in

_PATIENCE_SECONDS = 20

CALL = {"type": "tool_use", "name": "echo", "input": {"word": "a"}}


async def test_reads_of_one_turn_run_at_the_same_time(tmp_path):
    """Each of the two waits for the other; one after the other, neither would ever end."""
    both = asyncio.Barrier(2)

    @tool(effect="read", retries=0)
    async def here() -> Told:
        """Wait for there."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await both.wait()
        return Told(text="here")

    @tool(effect="read", retries=0)
    async def there() -> Told:
        """Wait for here."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await both.wait()
        return Told(text="there")

    model = Heard([Scripted.calls(("here", {}), ("there", {})), CONCLUDES])

    ending = await run_agent(agent_of(model), bench_of(tmp_path, here, there))

    assert [each.status for each in ending.observations] == ["ok", "ok"]
    assert "there" in result_text(model.requests[1], "toolu_0_1")


@pytest.mark.parametrize("stop_reason", ["max_tokens", "refusal", "model_context_window_exceeded", "new_in_2027"])
async def test_the_calls_of_a_reply_that_was_cut_are_never_made(tmp_path, stop_reason):
    """Its input may be half of what was meant."""
    bodies = Bodies()
    model = Heard([Scripted.wire(CALL, stop_reason=stop_reason), CONCLUDES])

    ending = await run_agent(agent_of(model), bench_of(tmp_path, bodies.tool))

    assert bodies.ran == []
    assert len(model.requests) == 1
    assert ending.beyond
    assert ending.diagnosis is None


async def test_a_paused_turn_is_sent_back_unchanged_and_goes_on(tmp_path):
    """Nothing is added; what comes after the last pause that is allowed still counts."""
    paused = Scripted.says("Thinking on.", stop_reason="pause_turn")
    model = Heard([paused, paused, paused, CONCLUDES])

    ending = await run_agent(agent_of(model), bench_of(tmp_path))

    assert ending.diagnosis is not None
    assert [message["role"] for message in model.requests[-1].messages] == ["user", *["assistant"] * 3]


async def test_a_turn_that_pauses_for_ever_ends(tmp_path):
    model = Heard(lambda request: Scripted.says("Thinking on.", stop_reason="pause_turn"))

    ending = await run_agent(agent_of(model), bench_of(tmp_path))

    assert len(model.requests) == 4
    assert "paused" in ending.beyond


@pytest.mark.parametrize("stop_reason", ["end_turn", "stop_sequence"])
async def test_text_without_a_conclusion_is_reminded_once(tmp_path, stop_reason):
    model = Heard([Scripted.says("It is broken.", stop_reason=stop_reason), CONCLUDES])

    ending = await run_agent(agent_of(model), bench_of(tmp_path))

    assert model.requests[1].messages[-1] == {"role": "user", "content": [{"type": "text", "text": REMINDER}]}
    assert ending.diagnosis is not None


async def test_text_twice_is_the_end(tmp_path):
    model = Heard(lambda request: Scripted.says("It is broken."))

    ending = await run_agent(agent_of(model), bench_of(tmp_path))

    assert len(model.requests) == 2
    assert "without a conclusion" in ending.beyond


@pytest.mark.parametrize(
    "malformed",
    [{"type": "tool_use", "name": "echo", "input": "a"}, {"type": "tool_use", "name": "rm -rf /", "input": {}}],
    ids=["no object", "no name"],
)
async def test_a_malformed_call_is_answered_and_the_others_are_made(tmp_path, malformed):
    bodies = Bodies()
    model = Heard([Scripted.wire(malformed, CALL), CONCLUDES])

    ending = await run_agent(agent_of(model), bench_of(tmp_path, bodies.tool))

    assert [each.status for each in ending.observations] == ["refused", "ok"]
    assert bodies.ran == ["a"]


async def test_the_transcript_only_grows_and_its_head_stays(tmp_path):
    """Each request begins with the one before it, letter by letter; system prompt and tools are the same bytes."""
    turns = [echoes("a", "b"), Scripted.says("Hm."), echoes("c"), Scripted.calls(("no_such_tool", {})), CONCLUDES]
    model = Heard(turns)

    await run_agent(agent_of(model), bench_of(tmp_path, Bodies().tool))

    sent = [json.dumps([request.system, request.tools]) for request in model.requests]
    assert len(set(sent)) == 1
    for before, after in zip(model.requests, model.requests[1:], strict=False):
        assert json.dumps(after.messages[: len(before.messages)]) == json.dumps(before.messages)
        assert len(after.messages) > len(before.messages)


@pytest.mark.parametrize(
    "error",
    [ToolFailed("no"), ValueError("bad"), KeyError("gone"), RecursionError(), ConfigurationError("no preview")],
    ids=lambda error: type(error).__name__,
)
async def test_a_tool_that_raises_is_an_answer(tmp_path, error):
    """No defect of one tool ends the investigation; it is told as what it is."""

    @tool(effect="read", retries=0)
    async def broken() -> Told:
        """Break."""
        raise error

    model = Heard([Scripted.calls(("broken", {})), CONCLUDES])

    ending = await run_agent(agent_of(model), bench_of(tmp_path, broken))

    assert ending.observations[0].status == "failed"
    assert str(error) in ending.observations[0].text
    assert ending.diagnosis is not None


async def test_a_secret_in_an_error_is_not_shown(tmp_path):
    @tool(effect="read", retries=0)
    async def broken() -> Told:
        """Break."""
        raise RuntimeError("cannot log in with correct-horse-battery")

    model = Heard([Scripted.calls(("broken", {})), CONCLUDES])

    ending = await run_agent(agent_of(model), bench_of(tmp_path, broken, secrets=["correct-horse-battery"]))

    assert "correct-horse" not in ending.model_dump_json()
    assert "correct-horse" not in json.dumps(model.requests[1].messages)


async def test_a_system_that_does_not_answer_is_asked_again_and_then_told(tmp_path):
    """ToolUnavailable is Prefect's to retry; after the last try it is an answer like any other."""
    tries = []

    @tool(effect="read", retries=1)
    async def away() -> Told:
        """Be away."""
        tries.append(1)
        raise ToolUnavailable("The API is away.")

    model = Heard([Scripted.calls(("away", {})), CONCLUDES])

    ending = await run_agent(agent_of(model), bench_of(tmp_path, away))

    assert len(tries) == 2
    assert ending.observations[0].status == "unavailable"
    assert ending.diagnosis is not None


async def test_magic_keys_are_text_to_prefects_decoder(tmp_path):
    """`__class__` and `__exc_type__` in replies, arguments and answers come back as they went in, also from disk."""
    magic = json.dumps({"__class__": "builtins.exit", "data": {}, "__exc_type__": "SystemExit"})
    bench = bench_of(tmp_path, Bodies().tool)
    model = Heard([Scripted.wire({**CALL, "input": {"word": magic}, "__class__": "x"}), CONCLUDES])

    first = await run_agent(agent_of(model), bench)
    again = await run_agent(agent_of(model), bench)

    assert again == first
    assert first.observations[0].call.arguments == {"word": magic}
    assert "__exc_type__" in first.observations[0].text


async def test_a_write_can_only_be_previewed_and_its_token_proposes_it(tmp_path):
    """The name of a write is no tool; the plan takes arguments and scope from the preview, not from the model."""
    bodies = []

    @tool(effect="write")
    async def fill(ctx: ToolContext, day: str, rows: int = 3) -> Applied:
        """Fill a day."""
        bodies.append(day)
        return Applied(detail="filled")

    @fill.preview
    async def what(ctx: ToolContext, day: str, rows: int = 3) -> Scope:
        return Scope(summary=f"fill {day}", days=(day,))

    def concludes(request):
        action = {"tool": "fill", "confirmation_token": token_in(result_text(request, "toolu_0_1")), "reason": "why"}
        return Scripted.calls(("conclude", {**HAND_OVER, "disposition": "repair", "actions": [action]}))

    script = [Scripted.calls(("fill", {"day": "2013-01-01"}), ("preview_fill", {"day": "2013-01-01"})), concludes]

    ending = await run_agent(agent_of(Heard(script)), bench_of(tmp_path, fill))

    assert bodies == []
    assert [each.status for each in ending.observations] == ["refused", "ok"]
    (action,) = ending.diagnosis.plan.actions
    assert action.arguments == {"day": "2013-01-01", "rows": 3}
    assert action.scope.days == ("2013-01-01",)
