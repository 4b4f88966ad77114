"""What one tool call told the agent."""

from typing import Literal

from pydantic import AwareDatetime

from prefect_healing.domain.mandate import Decision
from prefect_healing.domain.plan import Scope
from prefect_healing.domain.record import JsonObject, Record
from prefect_healing.models.model import ToolCall


class Previewed(Record):
    """A write that was previewed: what it would touch, and the token to propose it with."""

    tool: str
    arguments: JsonObject
    scope: Scope
    token: str


class Observation(Record):
    """The answer to one call, as the model is shown it: redacted, bounded, with an evidence id where it is a fact."""

    call: ToolCall
    status: Literal["ok", "refused", "failed", "unavailable"]
    text: str
    decision: Decision
    started_at: AwareDatetime
    seconds: float = 0.0
    evidence_id: str | None = None
    previewed: Previewed | None = None
    spilled_chars: int = 0

    def block(self) -> JsonObject:
        """Return the tool_result block of the Messages API."""
        return {
            "type": "tool_result",
            "tool_use_id": self.call.id,
            "content": self.text or "(no output)",
            "is_error": self.status != "ok",
        }
