"""The prompt cache: which part of a request is read, written, or paid in full."""

import hashlib
import json
import math
import time
from dataclasses import dataclass
from typing import Any

from tests.messages_api.conversation import blocks_of
from tests.messages_api.issued import without_marks

_LOOKBACK_BLOCKS = 20
_SECONDS = {"5m": 300.0, "1h": 3600.0}
_NEVER_CACHED = ("thinking", "redacted_thinking")


@dataclass(frozen=True)
class InputUsage:
    """Input tokens by price: in full, written to the cache, read from it."""

    full: int
    written: int
    read: int


@dataclass(frozen=True)
class _Piece:
    """A block in the order tools, system, messages; `key` names everything up to and with it, `end` counts it."""

    key: str
    end: int
    ttl: str | None
    markable: bool


def tokens_of(value: Any) -> int:
    """Return about how many tokens a JSON value has."""
    return math.ceil(len(json.dumps(without_marks(value), ensure_ascii=False)) / 4)


class PromptCache:
    """What was written lately. `minimum_tokens` is the shortest prefix that is cached at all."""

    def __init__(self, minimum_tokens: int = 1024) -> None:
        self.minimum_tokens = minimum_tokens
        self._until: dict[str, float] = {}

    def usage(self, body: dict[str, Any]) -> InputUsage:
        """Return what a request pays, and keep what it writes."""
        pieces = _pieces(body)
        total = pieces[-1].end
        marks = [index for index, piece in enumerate(pieces) if piece.ttl and piece.end >= self.minimum_tokens]
        hit = max((found for mark in marks if (found := self._hit(pieces, mark)) is not None), default=None)
        read = 0 if hit is None else pieces[hit].end
        written_to = max([read, *(pieces[mark].end for mark in marks)])
        for index in [*marks, *([] if hit is None else [hit])]:
            self._until[pieces[index].key] = time.monotonic() + _SECONDS[pieces[index].ttl or "5m"]
        return InputUsage(full=total - written_to, written=written_to - read, read=read)

    def _hit(self, pieces: list[_Piece], mark: int) -> int | None:
        for index in range(mark, max(-1, mark - _LOOKBACK_BLOCKS), -1):
            if self._until.get(pieces[index].key, 0.0) > time.monotonic():
                return index
        return None


def _pieces(body: dict[str, Any]) -> list[_Piece]:
    state, end, pieces = hashlib.sha256(body["model"].encode()), 0, list[_Piece]()
    for place, block in _blocks(body):
        state.update(json.dumps([place, without_marks(block)], sort_keys=True).encode())
        end += tokens_of(block)
        control = block.get("cache_control")
        ttl = control.get("ttl", "5m") if control else None
        pieces.append(_Piece(state.hexdigest(), end, ttl, block.get("type") not in _NEVER_CACHED))
    return _with_automatic_mark(pieces, body.get("cache_control"))


def _blocks(body: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    system = body.get("system") or []
    system = [{"type": "text", "text": system}] if isinstance(system, str) else system
    messages = [(message["role"], block) for message in body["messages"] for block in blocks_of(message)]
    return [*(("tools", each) for each in body.get("tools") or []), *(("system", each) for each in system), *messages]


def _with_automatic_mark(pieces: list[_Piece], control: dict[str, Any] | None) -> list[_Piece]:
    if control is None:
        return pieces
    last = max((index for index, piece in enumerate(pieces) if piece.markable), default=None)
    ttl = control.get("ttl", "5m")
    return [
        _Piece(piece.key, piece.end, ttl, piece.markable) if index == last else piece
        for index, piece in enumerate(pieces)
    ]
