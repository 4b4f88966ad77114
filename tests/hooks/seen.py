"""What the server knows afterwards: heal runs, log lines, tags."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import FlowRun

from prefect_healing.heal_runs import heal_runs

T = TypeVar("T")


async def until(look: Callable[[], Awaitable[T]], seconds: float = 60) -> T:
    """Look again and again until there is something to see."""
    end = time.monotonic() + seconds
    while not (seen := await look()):
        assert time.monotonic() < end, f"Nothing to see after {seconds} s: {look}"
        await asyncio.sleep(0.1)
    return seen


async def run_of(flow_run_id: UUID) -> FlowRun:
    async with get_client() as client:
        return await client.read_flow_run(flow_run_id)


async def heal_runs_of(flow_run_id: UUID) -> list[FlowRun]:
    """Return the heal runs of the incident that a failed run's tag names."""
    async with get_client() as client:
        tags = [tag for tag in (await client.read_flow_run(flow_run_id)).tags if tag.startswith("incident:")]
        return [run for tag in tags for run in await heal_runs(client, tag)]


async def the_heal_run_of(flow_run_id: UUID) -> FlowRun:
    (run,) = await heal_runs_of(flow_run_id)
    return run


async def log_of(flow_run_id: UUID) -> list[str]:
    async with get_client() as client:
        lines = await client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[flow_run_id])), limit=200)
    return [line.message for line in lines]


async def lines_with(flow_run_id: UUID, text: str) -> list[str]:
    """Return the lines of a run's log on the server that hold `text`, as soon as there is one."""

    async def look() -> list[str]:
        return [line for line in await log_of(flow_run_id) if text in line]

    return await until(look)
