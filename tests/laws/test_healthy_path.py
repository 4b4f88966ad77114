"""What healing may cost a flow that succeeds: nothing that anybody could count."""

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx
import pytest
from prefect import Flow, flow, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId
from prefect.runtime import flow_run

from prefect_healing import self_healing


@task
async def extract() -> int:
    return 842


async def nightly() -> str:
    await extract()
    return str(flow_run.get_id())


plain = flow(name="plain-nightly")(nightly)
healed = self_healing(flow(name="healed-nightly")(nightly))


@asynccontextmanager
async def requests_counted(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Counter[str]]:
    """Count the requests of this process by method and kind of path.

    Batches of log lines go when they go, and each new client fetches a token for itself; neither is counted.
    """
    seen: Counter[str] = Counter()
    send = httpx.AsyncClient.send

    async def counted(self: httpx.AsyncClient, request: httpx.Request, **options: object) -> httpx.Response:
        parts = ["-" if len(part) == 36 else part for part in request.url.path.split("/")]
        if not {"logs", "csrf-token"} & set(parts):
            seen[f"{request.method} {'/'.join(parts)}"] += 1
        return await send(self, request, **options)  # pyright: ignore[reportArgumentType]

    with monkeypatch.context() as patch:
        patch.setattr(httpx.AsyncClient, "send", counted)
        yield seen


async def requests_of(nightly: Flow[[], Any], monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    await nightly()  # Once uncounted: a first run creates the flow.
    async with requests_counted(monkeypatch) as seen:
        await nightly()
    return seen


@pytest.mark.usefixtures("prefect_server")
async def test_a_flow_that_succeeds_makes_no_extra_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither more nor other requests than the same flow without the decorator."""
    theirs = await requests_of(plain, monkeypatch)
    ours = await requests_of(healed, monkeypatch)

    assert theirs.total() > 0
    assert ours == theirs


@pytest.mark.usefixtures("prefect_server")
async def test_a_flow_that_succeeds_starts_no_other_flow_run() -> None:
    """No heal run exists after it, and its own run has no tag that it would not have had."""
    run_id = UUID(await healed())
    children_only = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run_id]))

    async with get_client() as client:
        own = await client.read_flow_run(run_id)
        children = await client.read_flow_runs(flow_run_filter=children_only)
    assert own.tags == []
    assert children == []
