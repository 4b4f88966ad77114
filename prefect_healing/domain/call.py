"""A call that somebody wants to make, as guardrails see it."""

from typing import Literal

from prefect_healing.domain.plan import Scope
from prefect_healing.domain.record import JsonObject, Record

Effect = Literal["read", "notify", "write", "destroy"]
"""What a tool does to the world: nothing, tell the incident's own people, change something, lose something for good."""


class Call(Record):
    """A tool call with its effect and, for a write, the scope that its preview found."""

    tool: str
    effect: Effect
    arguments: JsonObject
    scope: Scope | None = None
