"""Whether the systems that the flow reads from are up, as its author declared them."""

import asyncio
from datetime import UTC, datetime

from pydantic import AwareDatetime

from prefect_healing.domain.options import Source
from prefect_healing.domain.record import Record
from prefect_healing.tools._probe import as_text, ask, look_up
from prefect_healing.tools.tool import ToolContext, tool


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
    answer = await ask(str(source.url))
    return SourceStatus(
        name=source.name,
        up=answer.up,
        status=answer.status,
        latency_ms=answer.latency_ms,
        retry_after_seconds=answer.retry_after_seconds,
        last_data=as_text(look_up(answer.json(), source.last_data)) if answer.up and source.last_data else None,
        detail=answer.detail,
    )
