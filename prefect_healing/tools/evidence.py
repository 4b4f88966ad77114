"""Reading on in evidence that was too long to show at once."""

from typing import Annotated

from pydantic import Field

from prefect_healing.domain.incident import Incident
from prefect_healing.domain.record import Record
from prefect_healing.errors import ToolFailed
from prefect_healing.tools.tool import ToolContext, tool


class Spilled(Record):
    """A text too long to show at once, already redacted."""

    text: str


class Excerpt(Record):
    """A part of a long text, where it starts, how long the whole is, and where to read on (None at the end)."""

    text: str
    offset: int
    total_chars: int
    next_offset: int | None = None


def spill_key(incident: Incident, evidence_id: str) -> str:
    """Return where the journal keeps the whole text of a piece of this round's evidence."""
    return f"round-{incident.round}/spilled/{evidence_id}"


@tool(effect="read")
async def read_more(
    ctx: ToolContext,
    evidence_id: Annotated[str, Field(pattern=r"^E[0-9]{1,6}$", description="The evidence whose text was cut.")],
    offset: Annotated[int, Field(ge=0, description="Character to start at.")] = 0,
    limit: Annotated[int, Field(ge=1, le=6_000, description="Characters to return at most.")] = 4_000,
) -> Excerpt:
    """Read on in evidence of this incident whose text was cut. Use it only where the cut part may hold the cause."""
    spilled = await ctx.journal.read(spill_key(ctx.incident, evidence_id), Spilled)
    if spilled is None:
        raise ToolFailed(f"{evidence_id} was not cut, or does not belong to this round; all of it was shown.")
    end = offset + limit
    total = len(spilled.text)
    return Excerpt(
        text=spilled.text[offset:end], offset=offset, total_chars=total, next_offset=end if end < total else None
    )
