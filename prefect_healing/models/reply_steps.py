"""What the loop does with a reply: act on it, ask for the rest of it, finish, or stop."""

import re
from typing import Final, Literal

from pydantic import JsonValue

from prefect_healing.domain.record import JsonObject
from prefect_healing.models.model import Reply, ToolCall

Step = Literal["act", "continue", "finish", "stop"]

_STEPS: Final[dict[str, Step]] = {
    "tool_use": "act",
    "pause_turn": "continue",
    "end_turn": "finish",
    "stop_sequence": "finish",
}

_REASONS: Final = {
    "tool_use": "The model asks for tools.",
    "pause_turn": "The service paused a long turn; the conversation is sent again as it is, and the turn goes on.",
    "end_turn": "The model has finished.",
    "stop_sequence": "The model reached a stop sequence.",
    "max_tokens": "The reply was cut at its limit of tokens, so its tool calls may be incomplete and none is made.",
    "model_context_window_exceeded": "The conversation no longer fits the model, so its reply is incomplete.",
    "refusal": "The model refused to answer.",
}

_TOOL_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,128}")

MALFORMED: Final = "(malformed)"
"""The name of every malformed call: no tool can have it, so a loop that knows only names refuses it too."""


class MalformedCall(ToolCall):
    """A tool call that cannot be made. `problem` says, in words for the model, what is wrong with it."""

    problem: str


def step_for(stop_reason: str) -> Step:
    """Return what the loop does after a reply with this stop reason.

    `act`: make the calls of `calls_of(reply)` and answer all of them in one message. `continue`: send the
    conversation with the reply appended, adding nothing; limit how often. `finish`: the model has said what it had
    to say. `stop`: give up; the reply's tool calls may be cut short and are never made. A stop reason that is not
    known is `stop`.
    """
    return _STEPS.get(stop_reason, "stop")


def reason_for(stop_reason: str) -> str:
    """Return a sentence for the report on what a stop reason means."""
    return _REASONS.get(stop_reason, f"The model stopped for a reason that is not known here: {stop_reason[:80]!r}.")


def calls_of(reply: Reply) -> tuple[ToolCall, ...]:
    """Return the tool calls of a reply in order; what is not a proper call becomes a MalformedCall.

    Every call has an id of its own: a missing one is made up, a repeated one gets a suffix. Those two cannot be
    answered over the Messages API, which refuses such a conversation with ModelMisbehaved; it never makes them.
    """
    calls: list[ToolCall] = []
    taken: set[str] = set()
    for index, block in enumerate(reply.content):
        if block.get("type") == "tool_use":
            calls.append(_call(block, index, taken))
            taken.add(calls[-1].id)
    return tuple(calls)


def _call(block: JsonObject, index: int, taken: set[str]) -> ToolCall:
    call_id, name, arguments = block.get("id"), block.get("name"), block.get("input")
    problem = _problem(call_id, name, arguments, taken)
    if problem is None and isinstance(call_id, str) and isinstance(name, str) and isinstance(arguments, dict):
        return ToolCall(id=call_id, name=name, arguments=arguments)
    own_id = _free_id(call_id if isinstance(call_id, str) else "", index, taken)
    return MalformedCall(id=own_id, name=MALFORMED, arguments={}, problem=problem or "The call is malformed.")


def _problem(call_id: JsonValue, name: JsonValue, arguments: JsonValue, taken: set[str]) -> str | None:
    if not isinstance(call_id, str) or not call_id:
        return "The call has no id."
    if call_id in taken:
        return f"The id {call_id[:80]!r} is used by an earlier call of the same reply."
    if not isinstance(name, str) or not _TOOL_NAME.fullmatch(name):
        return f"{str(name)[:80]!r} is not the name of a tool: 1 to 128 letters, digits, _ and -."
    if not isinstance(arguments, dict):
        return f"The input of {name} must be a JSON object, and is {_kind(arguments)}."
    return None


def _kind(value: JsonValue) -> str:
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return "a string"
    return "missing or null" if value is None else "a number or a boolean"


def _free_id(given: str, index: int, taken: set[str]) -> str:
    # The index of the block makes it one's own at once, unless a model foresaw it.
    candidate = given or f"malformed#{index + 1}"
    while candidate in taken:
        candidate = f"{candidate}#{index + 1}"
    return candidate
