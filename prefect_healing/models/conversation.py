"""A conversation as the transcript tells it: what was called, and what came back."""

import json
import re
from dataclasses import dataclass
from functools import cached_property

from pydantic import JsonValue

from prefect_healing.domain.record import JsonObject

_TOKEN = re.compile(r"^confirmation token: (\S+)$", re.MULTILINE)
_EVIDENCE_ID = re.compile(r"^\[(E\d+)\]\n")
_FAILED_ROUND = re.compile(r"^Round \d+ did not help", re.MULTILINE)


@dataclass(frozen=True)
class Seen:
    """One answered call."""

    name: str
    ok: bool
    text: str

    @property
    def evidence_id(self) -> str | None:
        """Return the id of the evidence that the answer is."""
        found = _EVIDENCE_ID.match(self.text)
        return found.group(1) if found else None

    @property
    def token(self) -> str | None:
        """Return the confirmation token that a preview gave."""
        found = _TOKEN.search(self.text) if self.ok else None
        return found.group(1) if found else None

    @cached_property
    def data(self) -> JsonObject:
        """Return the answer as JSON values; empty where it is none, or was cut."""
        try:
            value: JsonValue = json.JSONDecoder().raw_decode(_EVIDENCE_ID.sub("", self.text))[0]
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


def answered(messages: tuple[JsonObject, ...]) -> list[Seen]:
    """Return the answered calls, in order."""
    names: dict[str, str] = {}
    seen: list[Seen] = []
    for message in messages:
        for block in as_list(message["content"]):
            if not isinstance(block, dict):
                continue
            if block.get("type") == "tool_use":
                names[str(block["id"])] = str(block["name"])
            elif block.get("type") == "tool_result":
                name = names.get(str(block["tool_use_id"]), "")
                seen.append(Seen(name, not block.get("is_error"), str(block.get("content", ""))))
    return seen


def texts(message: JsonObject) -> str:
    """Return what a message says in words."""
    blocks = (block for block in as_list(message["content"]) if isinstance(block, dict))
    return "\n".join(str(block["text"]) for block in blocks if "text" in block)


def failed_rounds(opening: str) -> int:
    """Return how many rounds did not help, as the opening tells."""
    return len(_FAILED_ROUND.findall(opening))


def as_list(value: JsonValue) -> list[JsonValue]:
    """Return a value where it is a list, else an empty one."""
    return value if isinstance(value, list) else []
