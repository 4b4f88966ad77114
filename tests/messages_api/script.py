"""What the server answers: replies by turn of the conversation, and faults by request."""

import importlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tests.messages_api.rejection import Rejected


@dataclass(frozen=True)
class Answer:
    """A reply: content blocks, and what else of the message is not to be made up.

    Without `stop_reason` it is `tool_use` where a tool is called, else `end_turn`. Tool calls without an id get
    `toolu_{turn}_{index}`; thinking gets its signature. `usage` overrides single counts.
    """

    content: Sequence[dict[str, Any]]
    stop_reason: str | None = None
    usage: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Fault:
    """What goes wrong instead of an answer.

    `status` answers with an error. `hang` says nothing until the client leaves, `drip` sends a byte now and then.
    `cut` closes the socket before the answer, `cut_body` in the middle of it. `malformed` answers 200 with `text`.
    """

    kind: Literal["status", "hang", "drip", "cut", "cut_body", "malformed"]
    status: int = 500
    message: str = "injected"
    headers: dict[str, str] = field(default_factory=dict[str, str])
    error_code: str | None = None
    text: str = '{"type": "message", "content": ['

    @staticmethod
    def of_status(status: int, *, retry_after: float | str | None = None, **more: Any) -> "Fault":
        """Return an error answer, with a retry-after header where one is given."""
        headers = dict(more.pop("headers", {}))
        if retry_after is not None:
            headers["retry-after"] = str(retry_after)
        return Fault("status", status=status, headers=headers, **more)


Say = Answer | Callable[[dict[str, Any]], Answer]
Script = Sequence[Say] | Callable[[dict[str, Any]], Answer]


def says(text: str, *, stop_reason: str | None = None) -> Answer:
    """Return an answer of text."""
    return Answer([{"type": "text", "text": text}], stop_reason)


def calls(*wanted: tuple[str, dict[str, Any]], thinks: bool = True) -> Answer:
    """Return an answer that calls tools, as 5.5-class models do: after a thinking block with no text to read."""
    thinking = [{"type": "thinking", "thinking": ""}] if thinks else []
    return Answer([*thinking, *({"type": "tool_use", "name": name, "input": given} for name, given in wanted)])


def answer_for(script: Script, body: dict[str, Any]) -> tuple[int, Answer]:
    """Return the turn that a request asks for and its answer: how many assistant messages there are decides."""
    turn = sum(message["role"] == "assistant" for message in body["messages"])
    if callable(script):
        return turn, script(body)
    if turn >= len(script):
        raise Rejected(f"this local server's script has {len(script)} answers and was asked for number {turn + 1}")
    say = script[turn]
    return turn, say(body) if callable(say) else say


def content_of(answer: Answer, turn: int) -> tuple[list[dict[str, Any]], str]:
    """Return the content with ids filled in, and the stop reason."""
    content: list[dict[str, Any]] = []
    for block in answer.content:
        index = sum(each["type"] == "tool_use" for each in content)
        named = block["type"] == "tool_use" and "id" not in block
        content.append({**block, "id": f"toolu_{turn}_{index}"} if named else dict(block))
    called = any(block["type"] == "tool_use" for block in content)
    return content, answer.stop_reason or ("tool_use" if called else "end_turn")


def load(source: str) -> tuple[Script, list[Fault | None]]:
    """Return script and faults from `module:attribute`, or from a JSON file.

    The file holds `{"answers": [...], "faults": [...]}`: each answer has the fields of Answer, each fault those of
    Fault; the n-th fault is for the n-th request, null for none.
    """
    if source.endswith(".json"):
        loaded = json.loads(Path(source).read_text())
        faults = [None if each is None else Fault(**each) for each in loaded.get("faults", [])]
        return [Answer(**each) for each in loaded["answers"]], faults
    module, _, attribute = source.partition(":")
    return getattr(importlib.import_module(module), attribute), []
