"""What Prefect recorded of data assets: which run made them, when, and from what."""

from typing import TYPE_CHECKING
from uuid import UUID

from pydantic import AwareDatetime

from prefect_healing.domain.lineage import Edge
from prefect_healing.domain.record import Record

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.events.schemas.events import ReceivedEvent

EVENTS_MAX = 50  # The server refuses more at once.
_PREFIX = "prefect.asset.materialization."
_RUN = "prefect.flow-run."


class Materialization(Record):
    """One time that an asset was made, or was to be made. `upstreams` are keys of the assets it was made from."""

    key: str
    at: AwareDatetime
    succeeded: bool
    flow_run_id: UUID | None = None
    upstreams: tuple[str, ...] = ()

    @property
    def edges(self) -> tuple[Edge, ...]:
        """Return what it says of the lineage."""
        return tuple((parent, self.key) for parent in self.upstreams)


async def newest_materializations(client: "PrefectClient") -> tuple[Materialization, ...]:
    """Return the newest materialization of every asset; the server forgets them after a week."""
    return await _materializations(client, distinct=True)


async def materializations_of(client: "PrefectClient", key: str) -> tuple[Materialization, ...]:
    """Return the materializations of one asset, newest first."""
    return await _materializations(client, key)


async def _materializations(
    client: "PrefectClient", key: str | None = None, *, distinct: bool = False
) -> tuple[Materialization, ...]:
    from httpx import HTTPStatusError
    from prefect.events.filters import EventFilter, EventNameFilter, EventResourceFilter

    asked = EventFilter(
        event=EventNameFilter(prefix=[_PREFIX]),
        resource=EventResourceFilter(id=None if key is None else [key], distinct=distinct),
    )
    try:
        page = await client.read_events(asked, limit=EVENTS_MAX)
        found = list(page.events)
        while (following := await page.get_next_page(client)) is not None and len(found) < EVENTS_MAX * 10:
            page = following
            found += page.events
    except HTTPStatusError:  # A server that keeps no events: then nothing is known from them.
        return ()
    return tuple(_materialization(each) for each in found)


def _materialization(event: "ReceivedEvent") -> Materialization:
    related = [(each.role, each.id) for each in event.related]
    runs = [identity.removeprefix(_RUN) for role, identity in related if role == "flow-run"]
    return Materialization(
        key=event.resource.id,
        at=event.occurred,
        succeeded=event.event.endswith(".succeeded"),
        flow_run_id=UUID(runs[0]) if runs else None,
        upstreams=tuple(sorted(identity for role, identity in related if role == "asset")),
    )
