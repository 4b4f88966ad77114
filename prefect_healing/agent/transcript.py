"""What was said, in order; only ever appended to, so that caches hold and a replay is exact."""

from dataclasses import dataclass, replace

from prefect_healing.agent.observation import Observation
from prefect_healing.domain.record import JsonObject
from prefect_healing.models.model import Reply, Request


@dataclass(frozen=True)
class Transcript:
    """System prompt and tools, fixed; messages, growing; and the observations behind them."""

    system: str
    tools: tuple[JsonObject, ...]
    messages: tuple[JsonObject, ...]
    opening_evidence: tuple[tuple[str, str], ...]
    observations: tuple[Observation, ...] = ()

    def after_reply(self, reply: Reply) -> "Transcript":
        """Append a reply, verbatim."""
        message: JsonObject = {"role": "assistant", "content": list(reply.content)}
        return replace(self, messages=(*self.messages, message))

    def after_observations(self, observations: tuple[Observation, ...]) -> "Transcript":
        """Append the answers to all calls of a turn, in one user message, in the order of the calls."""
        message: JsonObject = {"role": "user", "content": [each.block() for each in observations]}
        return replace(self, messages=(*self.messages, message), observations=(*self.observations, *observations))

    def after_reminder(self, text: str) -> "Transcript":
        """Append a plain word from code."""
        message: JsonObject = {"role": "user", "content": [{"type": "text", "text": text}]}
        return replace(self, messages=(*self.messages, message))

    def request(self, max_tokens: int) -> Request:
        """Return the next model call."""
        return Request(system=self.system, tools=self.tools, messages=self.messages, max_tokens=max_tokens)

    @property
    def evidence(self) -> dict[str, str]:
        """Return every piece of evidence that was shown, by id."""
        observed = {each.evidence_id: each.text for each in self.observations if each.evidence_id}
        return {**dict(self.opening_evidence), **observed}

    def evidence_id(self, offset: int) -> str:
        """Return the id of the evidence that the call at `offset` of the coming turn would give."""
        return f"E{len(self.opening_evidence) + len(self.observations) + offset + 1}"
