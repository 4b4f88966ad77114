"""Whether the systems that the flow reads from are up, as its author declared them."""

import asyncio
import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import TYPE_CHECKING

from pydantic import AwareDatetime, JsonValue

from prefect_healing.domain.options import Source
from prefect_healing.domain.record import Record
from prefect_healing.tools.prefect_api import bounded
from prefect_healing.tools.tool import ToolContext, tool

if TYPE_CHECKING:
    import httpx

TIMEOUT_SECONDS = 5.0
BODY_BYTES_MAX = 64 * 1024

_REDIRECTS = range(300, 400)
_SERVER_ERRORS = range(500, 600)
_TOO_MANY_REQUESTS = 429


class SourceStatus(Record):
    """How one source answered. `up` means that it answered as a working system does, with latency in milliseconds.

    `status` is None where no answer came. `last_data` is what the source says of its own newest data.
    """

    name: str
    up: bool
    status: int | None = None
    latency_ms: int | None = None
    retry_after_seconds: float | None = None
    last_data: str | None = None
    detail: str = ""


class SourcesStatus(Record):
    """All declared sources, asked at the same moment."""

    checked_at: AwareDatetime
    sources: tuple[SourceStatus, ...]
    note: str = ""


@tool(effect="read")
async def check_upstream_sources(ctx: ToolContext) -> SourcesStatus:
    """Ask each source that the flow's author declared whether it is up: status, latency, Retry-After, newest data.

    Use it before proposing to re-run after an outage, a timeout or a rate limit: a source that is down now will fail
    the re-run too, so propose it for later (`not_before`), or not at all. A source that is up speaks for re-running,
    or for looking at the flow itself. It takes no address: only declared sources are ever asked.
    """
    sources = ctx.incident.options.sources
    checked_at = datetime.now(UTC)
    found = await asyncio.gather(*(_ask(source) for source in sources))
    note = "" if sources else "The flow's author declared no source: nothing is known of what it reads from."
    return SourcesStatus(checked_at=checked_at, sources=tuple(found), note=note)


async def _ask(source: Source) -> SourceStatus:
    import httpx

    began = monotonic()
    try:
        # The limit is on the whole answer: one that trickles resets httpx's own timeout with every byte.
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await _get(source)
    except (TimeoutError, httpx.TimeoutException):
        detail = f"No whole answer within {TIMEOUT_SECONDS:.0f} seconds."
    except httpx.HTTPError as error:
        detail = f"{type(error).__name__}: {bounded(str(error), 300)}"
    return SourceStatus(name=source.name, up=False, latency_ms=_ms_since(began), detail=detail)


async def _get(source: Source) -> SourceStatus:
    import httpx

    began = monotonic()
    async with (
        httpx.AsyncClient(follow_redirects=False, timeout=TIMEOUT_SECONDS) as client,
        client.stream("GET", str(source.url), headers={"Accept-Encoding": "identity"}) as answer,
    ):
        latency_ms = _ms_since(began)
        body = await _body(answer)
    up, detail = _verdict(answer, whole=len(body) < BODY_BYTES_MAX)
    return SourceStatus(
        name=source.name,
        up=up,
        status=answer.status_code,
        latency_ms=latency_ms,
        retry_after_seconds=_retry_after_seconds(answer.headers.get("retry-after")),
        last_data=_last_data(source, body) if up else None,
        detail=detail,
    )


async def _body(answer: "httpx.Response") -> bytes:
    """Return the start of the body as sent, undecoded: a small compressed body may hide a huge one."""
    body = bytearray()
    async for chunk in answer.aiter_raw():
        body += chunk
        if len(body) >= BODY_BYTES_MAX:
            break
    return bytes(body[:BODY_BYTES_MAX])


def _verdict(answer: "httpx.Response", *, whole: bool) -> tuple[bool, str]:
    status = answer.status_code
    if status in _REDIRECTS:
        return False, f"It redirects to {bounded(answer.headers.get('location'), 200)}, which was not followed."
    if status == _TOO_MANY_REQUESTS:
        return False, "It answers, but refuses for now: too many requests."
    if status in _SERVER_ERRORS:
        return False, f"It fails with {status} {answer.reason_phrase}."
    if not answer.is_success:
        return True, f"It answers, but refuses this address with {status} {answer.reason_phrase}."
    return True, "" if whole else f"Only the first {BODY_BYTES_MAX} bytes were read."


def _retry_after_seconds(value: str | None) -> float | None:
    """Return what a Retry-After header asks for: seconds, or a date."""
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return float(value[:10])
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _last_data(source: Source, body: bytes) -> str | None:
    if source.last_data is None:
        return None
    try:
        found: JsonValue = json.loads(body)
        for key in source.last_data.split("."):
            found = _at(found, key)
    except (ValueError, KeyError, IndexError, RecursionError):
        return None
    return bounded(found if isinstance(found, str) else json.dumps(found), 200)


def _at(value: JsonValue, key: str) -> JsonValue:
    if isinstance(value, dict):
        return value[key]
    if isinstance(value, list):
        return value[int(key)]
    raise KeyError(key)


def _ms_since(began: float) -> int:
    return round((monotonic() - began) * 1000)
