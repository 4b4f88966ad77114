"""One GET of a declared address: no redirects, a limit on the whole answer and on its size; being down is a value."""

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import TYPE_CHECKING

from pydantic import JsonValue

from prefect_healing.tools.prefect_api import bounded

if TYPE_CHECKING:
    import httpx

TIMEOUT_SECONDS = 5.0
BODY_BYTES_MAX = 64 * 1024

_REDIRECTS = range(300, 400)
_SERVER_ERRORS = range(500, 600)
_TOO_MANY_REQUESTS = 429


@dataclass(frozen=True)
class Answer:
    """How an address answered. `up` means as a working system does; `status` is None where no answer came.

    `body` is its start as sent, at most the bytes that were asked for; `latency_ms` counts up to the headers.
    """

    up: bool
    detail: str
    latency_ms: int
    status: int | None = None
    retry_after_seconds: float | None = None
    body: bytes = b""

    @property
    def ok(self) -> bool:
        """Say whether the answer is what was asked for."""
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004 - HTTP's own numbers

    def json(self) -> JsonValue:
        """Return the body as JSON, None where it is none, is cut off, or nests too deeply."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None


async def ask(url: str, bytes_max: int = BODY_BYTES_MAX) -> Answer:
    """Ask an address that a person declared; whatever is wrong with it is told in the answer."""
    import httpx

    began = monotonic()
    try:
        # The limit is on the whole answer: one that trickles resets httpx's own timeout with every byte.
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await _get(url, bytes_max)
    except (TimeoutError, httpx.TimeoutException):
        detail = f"No whole answer within {TIMEOUT_SECONDS:.0f} seconds."
    except httpx.HTTPError as error:
        detail = f"{type(error).__name__}: {bounded(str(error), 300)}"
    except (httpx.InvalidURL, ValueError) as error:
        detail = f"Its declared address cannot be asked: {type(error).__name__}: {bounded(str(error), 300)}"
    return Answer(up=False, detail=detail, latency_ms=_ms_since(began))


def look_up(value: JsonValue, key: str | None) -> JsonValue:
    """Return what stands under a key (dotted for nested objects, numbers for lists), None where nothing does."""
    if key is None:
        return None
    try:
        for each in key.split("."):
            value = _at(value, each)
    except (KeyError, IndexError, ValueError):
        return None
    return value


def as_text(value: JsonValue) -> str | None:
    """Return a JSON value as a short text, a string as it is and None as None."""
    if value is None:
        return None
    try:
        return bounded(value if isinstance(value, str) else json.dumps(value), 200)
    except RecursionError:
        return None


async def _get(url: str, bytes_max: int) -> Answer:
    import httpx

    began = monotonic()
    async with (
        httpx.AsyncClient(follow_redirects=False, timeout=TIMEOUT_SECONDS) as client,
        client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as answer,
    ):
        latency_ms = _ms_since(began)
        body = await _body(answer, bytes_max)
    up, detail = _verdict(answer, cut_at=bytes_max if len(body) >= bytes_max else None)
    return Answer(
        up=up,
        detail=detail,
        latency_ms=latency_ms,
        status=answer.status_code,
        retry_after_seconds=_retry_after_seconds(answer.headers.get("retry-after")),
        body=body,
    )


async def _body(answer: "httpx.Response", bytes_max: int) -> bytes:
    """Return the start of the body as sent, undecoded: a small compressed body may hide a huge one."""
    body = bytearray()
    async for chunk in answer.aiter_raw():
        body += chunk
        if len(body) >= bytes_max:
            break
    return bytes(body[:bytes_max])


def _verdict(answer: "httpx.Response", *, cut_at: int | None) -> tuple[bool, str]:
    status = answer.status_code
    if status in _REDIRECTS:
        return False, f"It redirects to {bounded(answer.headers.get('location'), 200)}, which was not followed."
    if status == _TOO_MANY_REQUESTS:
        return False, "It answers, but refuses for now: too many requests."
    if status in _SERVER_ERRORS:
        return False, f"It fails with {status} {answer.reason_phrase}."
    if not answer.is_success:
        return True, f"It answers, but refuses this address with {status} {answer.reason_phrase}."
    return True, "" if cut_at is None else f"Only the first {cut_at} bytes were read."


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


def _at(value: JsonValue, key: str) -> JsonValue:
    if isinstance(value, dict):
        return value[key]
    if isinstance(value, list):
        return value[int(key)]
    raise KeyError(key)


def _ms_since(began: float) -> int:
    return round((monotonic() - began) * 1000)
