"""A heal deployment that nobody polls: dispatch ends there, and what it created can be looked at."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from prefect import flow
from prefect.client.orchestration import get_client


@pytest.fixture
async def asleep(prefect_server: str) -> AsyncIterator[str]:
    """Return the name of a heal deployment whose runs stay scheduled."""

    @flow(name="heal")
    def heal(alert: dict[str, object], options: dict[str, object]) -> None: ...

    name = f"asleep-{uuid4().hex[:8]}"
    async with get_client() as client:
        deployment = await client.create_deployment(await client.create_flow(heal), name=name)
    yield f"heal/{name}"
    async with get_client() as client:
        await client.delete_deployment(deployment)
