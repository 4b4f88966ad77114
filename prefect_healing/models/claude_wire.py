"""The Messages API's JSON: what a request looks like there, and what a reply must look like."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

from pydantic import JsonValue

from prefect_healing.domain.record import JsonObject
from prefect_healing.domain.usage import Usage
from prefect_healing.errors import ModelMisbehaved
from prefect_healing.models.model import Reply, Request
from prefect_healing.models.nesting import LEVELS_MAX, is_too_deep
from prefect_healing.models.prices import priced

_CACHED: Final[JsonObject] = {"cache_control": {"type": "ephemeral"}}
_LOOKBACK_BLOCKS: Final = 18  # The service looks back 20 blocks for a cached prefix; two are left as a margin.
_MARKABLE: Final = ("text", "tool_result", "tool_use")


@dataclass(frozen=True)
class Body:
    """The parts of a request that hold content. Empty `system` or `tools` are left out when sending."""

    system: list[JsonObject]
    tools: list[JsonObject]
    messages: list[JsonObject]


def body_of(request: Request) -> Body:
    """Return the request as it is sent, cache breakpoints included.

    Tools and system prompt end in a breakpoint each; the messages are left to the service's automatic one, except
    that after a very wide turn the end of the turn before it is marked, since the automatic search would miss it.
    That makes at most four, which is all that the service allows.
    """
    tools = list(request.tools)
    system: list[JsonObject] = [{"type": "text", "text": request.system}] if request.system.strip() else []
    messages = [kept for message in request.messages if (kept := _sendable(message)) is not None]
    return Body(
        system=_marked(_encodable(system)),
        tools=_marked(_encodable(tools)),
        messages=_marked_before_wide_turn(_encodable(messages)),
    )


def bytes_of(request: Request) -> int:
    """Return the size of a request's content as JSON in UTF-8."""
    parts = [request.system, list(request.tools), list(request.messages)]
    return len(json.dumps(parts, ensure_ascii=False).encode("utf-8", "replace"))


def reply_from(text: str, model_id: str, request_id: str | None) -> Reply:
    """Return the reply that the service's JSON text holds, its content verbatim.

    Raises ModelMisbehaved where the text is not a message, or one that could not be stored and read again. Lone
    surrogates, which no file in UTF-8 can hold, become question marks.
    """
    try:
        wire = _message(json.loads(text, parse_constant=_no_constant, parse_float=_finite))
        model = str(wire.get("model") or model_id)
        return Reply(
            content=_content(wire),
            stop_reason=_string(wire, "stop_reason"),
            usage=priced(_usage(wire), model),
            model=model,
            wire_id=_string(wire, "id"),
        )
    except (ValueError, RecursionError) as error:
        why = " ".join(str(error).split())[:120]
        raise ModelMisbehaved(
            f"The service's answer for {model_id} is not a message (request {request_id}): {why}. "
            "Check what ANTHROPIC_BASE_URL points to."
        ) from None


def _encodable(objects: list[JsonObject]) -> list[JsonObject]:
    # UTF-8 has no lone surrogates, but JSON can spell them and Python reads them.
    text = json.dumps(objects, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return cast("list[JsonObject]", json.loads(text.encode("utf-8", "replace")))
    return objects


def _sendable(message: JsonObject) -> JsonObject | None:
    # A model may reply with nothing or with blank text, and the service refuses both when they are sent back.
    content = message.get("content")
    if message.get("role") != "assistant" or not isinstance(content, list):
        return message
    kept = [block for block in content if not _is_blank_text(block)]
    if not kept:
        return None
    return message if len(kept) == len(content) else {**message, "content": kept}


def _is_blank_text(block: JsonValue) -> bool:
    return isinstance(block, dict) and block.get("type") == "text" and not str(block.get("text") or "").strip()


def _marked(blocks: Sequence[JsonObject]) -> list[JsonObject]:
    return [*blocks[:-1], {**blocks[-1], **_CACHED}] if blocks else []


def _marked_before_wide_turn(messages: list[JsonObject]) -> list[JsonObject]:
    turns = [index for index, message in enumerate(messages) if message.get("role") == "assistant"]
    if not turns or turns[-1] == 0 or sum(len(_blocks(each)) for each in messages[turns[-1] :]) < _LOOKBACK_BLOCKS:
        return messages
    before = turns[-1] - 1
    blocks = _blocks(messages[before])
    if not blocks or blocks[-1].get("type") not in _MARKABLE:
        return messages
    marked: JsonObject = {**messages[before], "content": cast("list[JsonValue]", _marked(blocks))}
    return [*messages[:before], marked, *messages[before + 1 :]]


def _blocks(message: JsonObject) -> list[JsonObject]:
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


def _message(wire: JsonValue) -> JsonObject:
    if not isinstance(wire, dict) or wire.get("type") != "message":
        raise ValueError("no object of type message")
    if is_too_deep(wire):
        raise ValueError(f"it nests more than {LEVELS_MAX} levels")
    return _encodable([wire])[0]


def _content(wire: JsonObject) -> tuple[JsonObject, ...]:
    content = wire.get("content")
    if not isinstance(content, list):
        raise ValueError("its content is no list")  # noqa: TRY004 - a ValueError is what reply_from turns into ours
    blocks = tuple(block for block in content if isinstance(block, dict))
    if len(blocks) != len(content):
        raise ValueError("its content holds something that is no block")
    return blocks


def _string(wire: JsonObject, key: str) -> str:
    value = wire.get(key)
    if not isinstance(value, str) or not value:
        raise ValueError(f"its {key} is missing")
    return value


def _usage(wire: JsonObject) -> Usage:
    usage = wire.get("usage")
    if not isinstance(usage, dict):
        raise ValueError("its usage is missing")  # noqa: TRY004 - as above
    return Usage(
        input_tokens=_count(usage, "input_tokens"),
        output_tokens=_count(usage, "output_tokens"),
        cache_read_tokens=_count(usage, "cache_read_input_tokens"),
        cache_write_tokens=_count(usage, "cache_creation_input_tokens"),
    )


def _count(usage: JsonObject, key: str) -> int:
    value = usage.get(key)
    if value is None:
        return 0
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"its {key} is {value!r}")
    return value


def _finite(digits: str) -> float:
    if not math.isfinite(number := float(digits)):
        raise ValueError(f"{digits[:40]} is out of range")
    return number


def _no_constant(constant: str) -> JsonValue:
    raise ValueError(f"{constant} is not JSON")
