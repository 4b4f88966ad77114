"""A model that says what a test tells it to: the public test double of a Model."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue

from prefect_healing.domain.record import JsonObject
from prefect_healing.domain.usage import Usage
from prefect_healing.errors import ModelMisbehaved
from prefect_healing.models.model import Reply, Request
from prefect_healing.models.nesting import is_too_deep


@dataclass(frozen=True)
class Turn:
    """What a script says in one turn: content blocks in wire form, without the ids of its tool calls.

    `stop_reason` follows from the blocks where it is None: `tool_use` where there is a call, else `end_turn`.
    """

    blocks: tuple[JsonObject, ...]
    stop_reason: str | None = None
    usage: Usage = field(default_factory=Usage)


Say = Turn | Callable[[Request], Turn]
"""A turn, or a function that reads the conversation so far and returns one, or raises what a Model may raise."""


class Scripted:
    """A Model that follows a script, for tests of tools, policies and flows without a key or a network.

        model = Scripted([
            Scripted.calls(("read_flow_run", {"flow_run_id": run_id})),
            lambda request: Scripted.calls(("conclude", conclusion(last_result(request, "read_flow_run")))),
        ])

    The script is a sequence of turns, or one function that is asked for every turn. Which turn is next follows from
    how many assistant messages the conversation has, so the same script goes on where it was in another process,
    and a reply asked for twice is the same twice. A new conversation begins at the first turn.

    Tool calls have the ids `toolu_{turn}_{index}`, both from 0. Past the end of the script ModelMisbehaved is
    raised. With `record`, every request appends a line of JSON (`turn`, `messages`, `pid`) to that file before it
    is answered, so that a test can count the calls of processes that were killed.
    """

    def __init__(
        self,
        script: Sequence[Say] | Callable[[Request], Turn],
        *,
        model_id: str = "scripted-1",
        record: Path | None = None,
        ceiling_usd: float = 0.0,
    ) -> None:
        self._script = script if callable(script) else tuple(script)
        self._id = model_id
        self._record = record
        self._ceiling_usd = ceiling_usd

    @staticmethod
    def calls(*calls: tuple[str, JsonObject], says: str = "", usage: Usage | None = None) -> Turn:
        """Return a turn that calls tools, each a name and its arguments, after an optional text."""
        text: tuple[JsonObject, ...] = ({"type": "text", "text": says},) if says else ()
        uses: tuple[JsonObject, ...] = tuple(
            {"type": "tool_use", "name": name, "input": given} for name, given in calls
        )
        return Turn(text + uses, usage=usage or Usage())

    @staticmethod
    def says(text: str, *, stop_reason: str | None = None, usage: Usage | None = None) -> Turn:
        """Return a turn of text only."""
        return Turn(({"type": "text", "text": text},), stop_reason, usage or Usage())

    @staticmethod
    def wire(*blocks: JsonObject, stop_reason: str | None = None, usage: Usage | None = None) -> Turn:
        """Return a turn of content blocks as they are, malformed ones included; ids that are given are kept."""
        return Turn(blocks, stop_reason, usage or Usage())

    @property
    def id(self) -> str:
        """Name the model."""
        return self._id

    def cost_ceiling_usd(self, request: Request) -> float:
        """Return the ceiling that the script was given."""
        return self._ceiling_usd

    async def reply(self, request: Request) -> Reply:
        """Return what the script says at this point of the conversation."""
        number = sum(message.get("role") == "assistant" for message in request.messages)
        if self._record is not None:
            _append(self._record, {"turn": number, "messages": len(request.messages), "pid": os.getpid()})
        return _reply(self._turn(number, request), number, self._id)

    def _turn(self, number: int, request: Request) -> Turn:
        if callable(self._script):
            return self._script(request)
        if number >= len(self._script):
            raise ModelMisbehaved(
                f"The script of {self._id} has {len(self._script)} turns and was asked for turn {number + 1}. "
                "Add a turn, or let the last one conclude."
            )
        say = self._script[number]
        return say(request) if callable(say) else say


def recorded(path: Path) -> list[JsonObject]:
    """Return the requests that were recorded in a file by `Scripted(record=path)`, oldest first."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def result_text(request: Request, call_id: str) -> str:
    """Return the text of the tool result for a call, such as `toolu_0_0`; KeyError where there is none."""
    for block in _blocks(request, "user"):
        if block.get("type") == "tool_result" and block.get("tool_use_id") == call_id:
            return _text(block.get("content"))
    raise KeyError(call_id)


def last_result(request: Request, tool: str) -> str:
    """Return the text of the latest answer to a tool, by the tool's name; KeyError where it was never called."""
    ids = [block.get("id") for block in _blocks(request, "assistant") if block.get("name") == tool]
    if not ids:
        raise KeyError(tool)
    return result_text(request, str(ids[-1]))


def _reply(turn: Turn, number: int, model_id: str) -> Reply:
    content: list[JsonObject] = []
    for block in turn.blocks:
        index = sum(each.get("type") == "tool_use" for each in content)
        named = block.get("type") == "tool_use" and "id" not in block
        content.append({**block, "id": f"toolu_{number}_{index}"} if named else block)
    if is_too_deep([*content]):
        raise ModelMisbehaved(f"Turn {number + 1} of {model_id} nests too deep to be stored. Script a flatter one.")
    calls_tools = any(block.get("type") == "tool_use" for block in content)
    stop_reason = turn.stop_reason or ("tool_use" if calls_tools else "end_turn")
    return Reply(
        content=tuple(content), stop_reason=stop_reason, usage=turn.usage, model=model_id, wire_id=f"msg_{number}"
    )


def _append(path: Path, line: JsonObject) -> None:
    # One write to a file opened for appending: lines of several processes do not mix.
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, (json.dumps(line) + "\n").encode())
    finally:
        os.close(descriptor)


def _blocks(request: Request, role: str) -> list[JsonObject]:
    contents = [message.get("content") for message in request.messages if message.get("role") == role]
    return [block for content in contents if isinstance(content, list) for block in content if isinstance(block, dict)]


def _text(content: JsonValue) -> str:
    if isinstance(content, list):
        return "\n".join(str(block.get("text", "")) for block in content if isinstance(block, dict))
    return "" if content is None else str(content)
