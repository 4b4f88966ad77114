"""The rules between messages: who speaks, which results answer which calls, which thinking is genuine."""

from dataclasses import dataclass
from typing import Any

from tests.messages_api.claude_models import Traits
from tests.messages_api.fields import check_block
from tests.messages_api.issued import Issued
from tests.messages_api.rejection import Rejected

Placed = tuple[int, int, dict[str, Any]]
"""A block with the index of its message and its own index there."""


@dataclass(frozen=True)
class Turn:
    """Neighbouring messages of one role, which the service reads as one."""

    role: str
    blocks: list[Placed]


def check_conversation(messages: list[Any], model: str, traits: Traits, issued: Issued) -> None:
    """Raise Rejected where the messages break a rule of the conversation."""
    _check_messages(messages, issued)
    turns = turns_of(messages)
    _check_ids_are_unique(turns)
    for turn, following in zip(turns, [*turns[1:], None], strict=True):
        if turn.role == "assistant":
            _check_answered(turn, following)
    for turn, before in zip(turns, [None, *turns[:-1]], strict=True):
        if turn.role == "user":
            _check_asked(turn, before)
    _check_thinking(turns, model, traits, issued)
    last = messages[-1]
    if last["role"] == "assistant" and not traits.takes_prefill and not issued.is_paused(last["content"]):
        raise Rejected(
            "This model does not support assistant message prefill. The conversation must end with a user message."
        )


def turns_of(messages: list[Any]) -> list[Turn]:
    """Return the messages with neighbours of one role merged."""
    turns: list[Turn] = []
    for index, message in enumerate(messages):
        if not turns or turns[-1].role != message["role"]:
            turns.append(Turn(message["role"], []))
        turns[-1].blocks.extend((index, at, block) for at, block in enumerate(blocks_of(message)))
    return turns


def blocks_of(message: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the content of a message as blocks: a string is one text block."""
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _check_messages(messages: list[Any], issued: Issued) -> None:
    if not messages:
        raise Rejected("messages: at least one message is required")
    for index, message in enumerate(messages):
        _check_message(index, message, is_last=index == len(messages) - 1, issued=issued)
    if messages[0]["role"] != "user":
        raise Rejected('messages: first message must use the "user" role')


def _check_message(index: int, message: Any, *, is_last: bool, issued: Issued) -> None:
    where = f"messages.{index}"
    for key in ("role", "content"):
        if key not in message:
            raise Rejected(f"{where}.{key}: Field required")
    for key in message:
        if key not in ("role", "content"):
            raise Rejected(f"{where}.{key}: Extra inputs are not permitted")
    if message["role"] not in ("user", "assistant", "system"):
        raise Rejected(f"{where}.role: Input should be 'user', 'assistant' or 'system'")
    content = message["content"]
    if not isinstance(content, str | list):
        raise Rejected(f"{where}.content: Input should be a valid string or array")
    if not content and not (is_last and message["role"] == "assistant"):
        raise Rejected(
            f"{where}: all messages must have non-empty content except for the optional final assistant message"
        )
    for at, block in enumerate(blocks_of(message)):
        if message["role"] == "assistant" and issued.is_unknown_block_of_ours(block):
            continue
        check_block(f"{where}.content.{at}", block, message["role"])


def _check_ids_are_unique(turns: list[Turn]) -> None:
    seen: set[str] = set()
    for index, at, block in (placed for turn in turns for placed in turn.blocks):
        if block["type"] == "tool_use":
            if block["id"] in seen:
                raise Rejected(f"messages.{index}.content.{at}: `tool_use` ids must be unique")
            seen.add(block["id"])


def _check_answered(turn: Turn, following: Turn | None) -> None:
    # Only results at the very beginning of the next turn count: a text before them hides them.
    answered: set[str] = set()
    for _, _, block in following.blocks if following is not None and following.role == "user" else []:
        if block["type"] != "tool_result":
            break
        answered.add(block["tool_use_id"])
    asked = [(index, block["id"]) for index, _, block in turn.blocks if block["type"] == "tool_use"]
    missing = [(index, each) for index, each in asked if each not in answered]
    if missing:
        ids = ", ".join(each for _, each in missing)
        raise Rejected(
            f"messages.{missing[0][0]}: `tool_use` ids were found without `tool_result` blocks immediately after: "
            f"{ids}. Each `tool_use` block must have a corresponding `tool_result` block in the next message."
        )


def _check_asked(turn: Turn, before: Turn | None) -> None:
    asked = {block["id"] for _, _, block in before.blocks if block["type"] == "tool_use"} if before else set[str]()
    answered: set[str] = set()
    for index, at, block in turn.blocks:
        if block["type"] != "tool_result":
            continue
        call_id = block["tool_use_id"]
        if call_id not in asked:
            raise Rejected(
                f"messages.{index}.content.{at}: unexpected `tool_use_id` found in `tool_result` blocks: {call_id}. "
                "Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
            )
        if call_id in answered:
            raise Rejected(
                f"messages.{index}.content.{at}: each tool_use must have a single result. Found multiple "
                f"`tool_result` blocks with id: {call_id}"
            )
        answered.add(call_id)


def _check_thinking(turns: list[Turn], model: str, traits: Traits, issued: Issued) -> None:
    before: list[tuple[str, dict[str, Any]]] = []
    for turn in turns:
        for index, at, block in turn.blocks:
            where = f"messages.{index}.content.{at}"
            if block["type"] in ("thinking", "redacted_thinking"):
                _check_signature(where, block, model, before, traits, issued)
            before.append((turn.role, block))


def _check_signature(
    where: str,
    block: dict[str, Any],
    model: str,
    before: list[tuple[str, dict[str, Any]]],
    traits: Traits,
    issued: Issued,
) -> None:
    if not issued.is_genuine(block):
        raise Rejected(f"{where}: Invalid `signature` in `{block['type']}` block")
    if traits.binds_thinking and not issued.is_bound_here(block, model, before):
        raise Rejected(
            f"{where}: `{block['type']}` block was issued for another model or after other messages; resend the "
            "messages before it unmodified"
        )
