"""What the loop does after each reply, and how it sees calls that are not proper calls."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from prefect_healing.domain.record import JsonObject
from prefect_healing.models.model import Reply, ToolCall
from prefect_healing.models.reply_steps import MALFORMED, MalformedCall, Step, calls_of, reason_for, step_for

VALUES = st.sampled_from(["a", "b", "", "read logs", 7, 2.5, True, None, [], [{}], {}, {"x": [None]}])
BLOCKS = st.fixed_dictionaries({"type": st.just("tool_use")}, optional=dict.fromkeys(("id", "name", "input"), VALUES))


def reply_of(*blocks: JsonObject, stop_reason: str = "tool_use") -> Reply:
    return Reply(content=blocks, stop_reason=stop_reason, model="scripted-1")


def use(**given: JsonValue) -> JsonObject:
    return {"type": "tool_use", "id": "toolu_1", "name": "read_logs", "input": {}} | given


@pytest.mark.parametrize(
    ("stop_reason", "step"),
    [
        ("tool_use", "act"),
        ("pause_turn", "continue"),
        ("end_turn", "finish"),
        ("stop_sequence", "finish"),
        ("max_tokens", "stop"),
        ("refusal", "stop"),
        ("model_context_window_exceeded", "stop"),
        ("invented_later", "stop"),
        ("", "stop"),
    ],
)
def test_every_stop_reason_has_its_step(stop_reason: str, step: Step):
    """What is unknown stops: calls of a reply that may be cut short are never made."""
    assert step_for(stop_reason) == step
    assert reason_for(stop_reason).endswith(".")


def test_every_step_is_reached():
    assert {step_for(each) for each in ("tool_use", "pause_turn", "end_turn", "refusal")} == set(get_args(Step))


def test_calls_come_in_order_with_what_the_model_wrote():
    reply = reply_of({"type": "text", "text": "Looking."}, use(input={"page": 2}), use(id="toolu_2"))

    assert calls_of(reply) == (
        ToolCall(id="toolu_1", name="read_logs", arguments={"page": 2}),
        ToolCall(id="toolu_2", name="read_logs", arguments={}),
    )


def test_calls_of_server_tools_are_not_ours():
    assert calls_of(reply_of({"type": "server_tool_use", "id": "x", "name": "web_search", "input": {}})) == ()


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        (use(input=[1]), "The input of read_logs must be a JSON object, and is a list."),
        (use(input="{}"), "The input of read_logs must be a JSON object, and is a string."),
        (use(input=None), "The input of read_logs must be a JSON object, and is missing or null."),
        (use(name=None), "'None' is not the name of a tool"),
        (use(name="read logs"), "'read logs' is not the name of a tool"),
        (use(name="x" * 1_000_000), "is not the name of a tool"),
        (use(id=None), "The call has no id."),
        (use(id=""), "The call has no id."),
        ({"type": "tool_use"}, "The call has no id."),
    ],
)
def test_a_malformed_call_says_what_is_wrong(block: JsonObject, problem: str):
    (call,) = calls_of(reply_of(block))

    assert isinstance(call, MalformedCall)
    assert problem in call.problem
    assert len(call.problem) < 300


def test_a_repeated_id_is_malformed_and_gets_one_of_its_own():
    calls = calls_of(reply_of(use(), use(), use()))

    assert [call.id for call in calls] == ["toolu_1", "toolu_1#2", "toolu_1#3"]
    assert [isinstance(call, MalformedCall) for call in calls] == [False, True, True]


def test_ten_thousand_calls_with_one_id_are_read_at_once():
    calls = calls_of(reply_of(*[use()] * 10_000))

    assert len({call.id for call in calls}) == 10_000


def test_a_made_up_id_is_no_id_that_the_model_used():
    calls = calls_of(reply_of(use(id="toolu_1#3"), use(), use()))

    assert len({call.id for call in calls}) == 3


def test_a_malformed_call_has_a_name_that_no_tool_can_have():
    """So a loop that looks a tool up by name refuses it even where it does not know of malformed calls."""
    (call,) = calls_of(reply_of(use(input=None)))

    assert call.name == MALFORMED
    assert not MALFORMED.isidentifier()


@given(st.lists(BLOCKS, max_size=5))
def test_no_reply_breaks_the_reading_of_calls(blocks: list[JsonObject]):
    """One call for each block, each with an id of its own, whatever a model writes."""
    calls = calls_of(reply_of(*blocks))

    assert len(calls) == len(blocks)
    assert len({call.id for call in calls}) == len(calls)
    assert all(call.arguments == {} for call in calls if isinstance(call, MalformedCall))
