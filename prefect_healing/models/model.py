"""What the agent needs of a model: a request in, a reply out, both in the Messages API's wire form."""

from dataclasses import dataclass
from typing import Protocol

from prefect_healing.domain.record import JsonObject, Record
from prefect_healing.domain.usage import Usage


@dataclass(frozen=True)
class Request:
    """One model call: system prompt, tools and messages as the Messages API spells them.

    Within one agent run `system` and `tools` never change and `messages` only grows, so that caches hold.
    """

    system: str
    tools: tuple[JsonObject, ...]
    messages: tuple[JsonObject, ...]
    max_tokens: int


class ToolCall(Record):
    """One tool call of a reply. `arguments` is whatever the model wrote, not yet validated."""

    id: str
    name: str
    arguments: JsonObject


class Reply(Record):
    """A model's answer: `content` is the wire's list of blocks, verbatim, unknown blocks included.

    `stop_reason` is the Messages API's: `tool_use`, `end_turn`, `max_tokens`, `pause_turn`, `refusal`, ...
    """

    content: tuple[JsonObject, ...]
    stop_reason: str
    usage: Usage = Usage()
    model: str
    wire_id: str | None = None

    @property
    def text(self) -> str:
        """Return the text blocks, joined."""
        texts = (block.get("text") for block in self.content if block.get("type") == "text")
        return "\n".join(str(text) for text in texts if text)


class Model(Protocol):
    """A way to get the next reply."""

    @property
    def id(self) -> str:
        """Name the model for keys, records and reports, such as `claude-opus-5-5` or `rules-1`."""
        ...

    def cost_ceiling_usd(self, request: Request) -> float:
        """Return what the call can cost at most, charged before it is sent."""
        ...

    async def reply(self, request: Request) -> Reply:
        """Return the next reply.

        Raises ModelUnavailable where trying again may help (with the service's retry-after), ConfigurationError
        where key, address or model id are wrong, ModelMisbehaved for whatever else will not get better.
        """
        ...
