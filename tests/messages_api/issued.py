"""What the server gave out, so that it knows it again: signatures of thinking, paused turns, unknown blocks."""

import hashlib
import hmac
import json
from typing import Any

_SECRET = b"only this server can sign"
_KNOWN = ("text", "tool_use", "thinking", "redacted_thinking", "server_tool_use", "web_search_tool_result")

Before = list[tuple[str, dict[str, Any]]]
"""Every block before one, with the role of its message."""


class Issued:
    """Memory of one server. Signatures need none: they hold with a server that was started anew."""

    def __init__(self) -> None:
        self._paused: set[str] = set()
        self._unknown: set[str] = set()

    def sign(self, content: list[dict[str, Any]], model: str, before: Before) -> list[dict[str, Any]]:
        """Return the content of a reply with its thinking signed, bound to the model and to what came before."""
        signed: list[dict[str, Any]] = []
        for block in content:
            here = [*before, *(("assistant", each) for each in signed)]
            signed.append(_signed(block, model, here))
        return signed

    def remember(self, content: list[dict[str, Any]], stop_reason: str) -> None:
        """Keep what a later request may send back only because it was given out."""
        if stop_reason == "pause_turn":
            self._paused.add(_digest(content))
        self._unknown.update(_digest(block) for block in content if block["type"] not in _KNOWN)

    def is_paused(self, content: Any) -> bool:
        """Say whether this is, unchanged, a reply that ended in pause_turn."""
        return _digest(content) in self._paused

    def is_unknown_block_of_ours(self, block: Any) -> bool:
        """Say whether this is, unchanged, a block of a type that no rule knows and that was given out."""
        return _digest(block) in self._unknown

    def is_genuine(self, block: dict[str, Any]) -> bool:
        """Say whether a thinking block is as it was given out."""
        return _parts(block)[0] == _mac("text", block.get("thinking"))

    def is_bound_here(self, block: dict[str, Any], model: str, before: Before) -> bool:
        """Say whether a thinking block is used with the model and after the messages it was given out for."""
        return _parts(block)[1] == _mac("place", block.get("thinking"), model, _plain(before))


def without_marks(value: Any) -> Any:
    """Return a value without its cache_control: breakpoints may move and change nothing."""
    if isinstance(value, list):
        return [without_marks(each) for each in value]
    if isinstance(value, dict):
        return {key: without_marks(each) for key, each in value.items() if key != "cache_control"}
    return value


def _signed(block: dict[str, Any], model: str, before: Before) -> dict[str, Any]:
    if block["type"] not in ("thinking", "redacted_thinking"):
        return block
    text = block.setdefault("thinking", "") if block["type"] == "thinking" else None
    signature = f"{_mac('text', text)}.{_mac('place', text, model, _plain(before))}"
    return {**block, "signature" if block["type"] == "thinking" else "data": signature}


def _parts(block: dict[str, Any]) -> tuple[str, str]:
    text, _, place = str(block.get("signature") or block.get("data")).partition(".")
    return text, place


def _plain(before: Before) -> Any:
    return [[role, without_marks(block)] for role, block in before]


def _mac(*parts: Any) -> str:
    return hmac.new(_SECRET, json.dumps(parts, sort_keys=True).encode(), hashlib.sha256).hexdigest()[:32]


def _digest(value: Any) -> str:
    return _mac("digest", without_marks(value))
