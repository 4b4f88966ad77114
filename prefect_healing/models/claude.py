"""Claude over the Messages API."""

import asyncio
import threading
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, cast

from prefect_healing.errors import ConfigurationError, ModelUnavailable
from prefect_healing.models import claude_errors, claude_wire
from prefect_healing.models.model import Reply, Request
from prefect_healing.models.prices import price_of

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic
    from anthropic.types import MessageParam, OutputConfigParam, TextBlockParam, ToolParam

_CONNECT_SECONDS = 10.0


class Claude:
    """A Model that asks Claude.

    The key and the address come from the environment as the SDK reads it (`ANTHROPIC_API_KEY`,
    `ANTHROPIC_BASE_URL`). The SDK retries nothing: whoever calls decides that. `effort` is `low`, `medium`, `high`,
    `xhigh` or `max`; without it the model's own default holds. `timeout_seconds` bounds one whole call.

    One Claude may serve several event loops; each has a client of its own, which is closed when the loop ends.
    """

    def __init__(self, model_id: str, *, timeout_seconds: float, effort: str | None = None) -> None:
        self._id = model_id
        self._timeout_seconds = timeout_seconds
        self._effort = effort
        self._lock = threading.Lock()
        self._clients: dict[asyncio.AbstractEventLoop, tuple[AsyncAnthropic, AsyncGenerator[AsyncAnthropic]]] = {}

    @property
    def id(self) -> str:
        """Name the model."""
        return self._id

    def cost_ceiling_usd(self, request: Request) -> float:
        """Return what the call can cost at most: no cache helps, and the reply is as long as allowed.

        An estimate: a token for every three bytes of the request, which is more than text usually has.
        """
        input_tokens = claude_wire.bytes_of(request) // 3 + 1
        return price_of(self._id, input_tokens).ceiling(input_tokens, request.max_tokens)

    async def reply(self, request: Request) -> Reply:
        """Return Claude's reply, its content as it came over the wire.

        Raises ModelUnavailable where trying again may help, ModelMisbehaved where it cannot, and ConfigurationError
        where the key, its rights or the model's name are wrong. No message holds the key.
        """
        import anthropic

        client = await self._client()
        try:
            async with asyncio.timeout(self._timeout_seconds):
                text, request_id = await self._post(client, request)
        except TimeoutError:
            raise ModelUnavailable(
                f"{self._id} did not answer within {self._timeout_seconds:g} s. Trying again may help; "
                "PREFECT_HEALING_MODEL_TIMEOUT_SECONDS allows more."
            ) from None
        except (anthropic.AnthropicError, TypeError, ValueError) as error:
            raise claude_errors.translated(error, self._id, (client.api_key, client.auth_token)) from None
        return claude_wire.reply_from(text, self._id, request_id)

    async def aclose(self) -> None:
        """Close the client of the running event loop; it is made anew when needed."""
        loop = asyncio.get_running_loop()
        with self._lock:
            _, kept = self._clients.pop(loop, (None, None))
        if kept is not None:
            await kept.aclose()

    async def _post(self, client: "AsyncAnthropic", request: Request) -> tuple[str, str | None]:
        from anthropic import omit

        body = claude_wire.body_of(request)
        effort = cast("OutputConfigParam", {"effort": self._effort})
        raw = await client.messages.with_raw_response.create(
            model=self._id,
            max_tokens=request.max_tokens,
            system=cast("list[TextBlockParam]", body.system) if body.system else omit,
            tools=cast("list[ToolParam]", body.tools) if body.tools else omit,
            messages=cast("list[MessageParam]", body.messages),
            cache_control={"type": "ephemeral"},
            output_config=omit if self._effort is None else effort,
        )
        return raw.http_response.text, raw.request_id

    async def _client(self) -> "AsyncAnthropic":
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            kept = _kept_open(self._timeout_seconds)
            client = await anext(kept)
            with self._lock:
                for ended in [each for each in self._clients if each.is_closed()]:
                    del self._clients[ended]
                self._clients[loop] = (client, kept)
        return self._clients[loop][0]


async def _kept_open(timeout_seconds: float) -> "AsyncGenerator[AsyncAnthropic, None]":
    # A loop closes the generators that are left when it ends, so the client's sockets end with the loop they belong
    # to, also where nobody calls `aclose`. Nothing is awaited before the yield: tasks of one loop share one client.
    import anthropic
    import httpx2

    timeout = anthropic.Timeout(timeout_seconds, connect=min(_CONNECT_SECONDS, timeout_seconds))
    try:
        client = anthropic.AsyncAnthropic(max_retries=0, timeout=timeout)
    except (anthropic.AnthropicError, httpx2.InvalidURL, ValueError) as error:
        raise ConfigurationError(
            f"The Claude client cannot be made: {type(error).__name__}. Check ANTHROPIC_BASE_URL, "
            "the other ANTHROPIC_* variables and HTTPS_PROXY."
        ) from None
    try:
        yield client
    finally:
        await client.close()
