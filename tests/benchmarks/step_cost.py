"""What a step of the agent costs beside a plain Prefect flow that persists two tasks a step.

A step is one model call and one tool call; the model is scripted, so that nothing but Prefect and this library is
measured. Agent and plain flow run in turns, in one process, against one server, which is let come to rest between
them. `ratio` is the wall time of the agent's steps over that of the plain ones; `growth` is the wall time of the
agent's last quarter of steps over its first.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from measure import Row, leave_alone, machine, server, show

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

    from prefect_healing.domain.incident import Incident
    from prefect_healing.workbench import Workbench

RATIO_GOAL, GROWTH_GOAL = 1.3, 1.2
_TEXT = "2013-07-04 03:00:07 ERROR load failed for flight UA 1545 from EWR to IAH; " * 6  # What a tool may answer.


@dataclass(frozen=True)
class Block:
    """One flow run: the wall time of each of its steps, and the CPU that this process spent on all of them."""

    seconds: tuple[float, ...]
    cpu_seconds: float


def main() -> int:
    """Measure, print, and return 0 where both goals are met."""
    options = _options()
    leave_alone()
    with server():
        agent, plain = asyncio.run(_in_turns(options.steps, options.rounds))
    ratio, growth = _ratio(agent, plain), _growth(agent)
    met = ratio <= RATIO_GOAL and growth <= GROWTH_GOAL
    result: Row = {
        "ratio": ratio,
        "growth": growth,
        "ratio_of_each_round": [_ratio([ours], [theirs]) for ours, theirs in zip(agent, plain, strict=True)],
        "cpu_ratio": round(sum(each.cpu_seconds for each in agent) / sum(each.cpu_seconds for each in plain), 3),
        "plain_growth": _growth(plain),
        "agent_ms_a_step": _milliseconds(agent),
        "plain_ms_a_step": _milliseconds(plain),
        "steps": options.steps,
        "rounds": options.rounds,
        "goals": {"ratio": RATIO_GOAL, "growth": GROWTH_GOAL},
        "met": met,
        "machine": machine(),
    }
    show(result, as_json=options.json)
    return 0 if met else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=60, help="steps in a run, at least 4")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each, in turns")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


async def _in_turns(steps: int, rounds: int) -> tuple[list[Block], list[Block]]:
    from prefect.client.orchestration import get_client

    blocks: dict[Callable[[int], Awaitable[tuple[UUID, Block]]], list[Block]] = {_agent: [], _plain: []}
    async with get_client() as client:
        for work in blocks:  # Once unmeasured: what is first in a process imports and connects.
            await _rested(client, await work(4), 4)
        for number in range(rounds):
            for work in list(blocks) if number % 2 else reversed(list(blocks)):
                blocks[work].append(await _rested(client, await work(steps), steps))
    return blocks[_agent], blocks[_plain]


async def _rested(client: "PrefectClient", done: tuple[UUID, Block], steps: int) -> Block:
    """Wait until the server has recorded the run's tasks, which it does long after the run."""
    run_id, block = done
    async with asyncio.timeout(120):
        while await _recorded(client, run_id) < 2 * steps:
            await asyncio.sleep(0.5)
    return block


async def _recorded(client: "PrefectClient", run_id: UUID) -> int:
    body = {"flow_runs": {"id": {"any_": [str(run_id)]}}, "task_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}
    response = await client.request("POST", "/task_runs/count", json=body)
    return int(response.json())


async def _plain(steps: int) -> tuple[UUID, Block]:
    """Run the floor: two persisted tasks a step, with keys of their own and texts of the same size."""
    from prefect import flow, task
    from prefect.runtime import flow_run

    @task(persist_result=True, result_serializer="json", cache_key_fn=lambda _, given: given["key"])
    async def think(key: str) -> str:
        marks.append(time.perf_counter())
        return f"{key} {_TEXT[:200]}"

    @task(persist_result=True, result_serializer="json", cache_key_fn=lambda _, given: given["key"])
    async def look(key: str) -> str:
        return f"{key} {_TEXT}"

    @flow(name="plain steps")
    async def plain_steps() -> UUID:
        prefix = uuid4().hex
        for number in range(steps):
            await think(f"{prefix}-{number}-think")
            await look(f"{prefix}-{number}-look")
        marks.append(time.perf_counter())
        return UUID(str(flow_run.get_id()))

    marks: list[float] = []
    before = time.process_time()
    run_id = await plain_steps()
    return run_id, _block(marks, time.process_time() - before)


async def _agent(steps: int) -> tuple[UUID, Block]:
    """Run the agent's loop, with all its guards, budget, journal and tasks, in a flow."""
    from prefect import flow
    from prefect.runtime import flow_run

    from prefect_healing.agent.agent import Agent
    from prefect_healing.agent.budget import Budget
    from prefect_healing.agent.loop import run_agent
    from prefect_healing.models.model import Request
    from prefect_healing.models.scripted import Scripted, Turn

    def script(request: Request) -> Turn:
        marks.append(time.perf_counter())
        number = sum(message["role"] == "assistant" for message in request.messages)
        return Scripted.calls(("look", {"number": number}), says=_TEXT[:200])

    budget = Budget(
        turns=steps, tool_calls=steps, tokens=10**9, cost_usd=1.0, minutes=60, output_chars=8_000, identical_calls=2
    )
    agent = Agent(name="benchmark", prompt="", prompt_version="1", model=Scripted(script), budget=budget)
    bench = await _bench()

    @flow(name="agent steps")
    async def agent_steps() -> UUID:
        ending = await run_agent(agent, bench)
        marks.append(time.perf_counter())
        answered = sum(each.status == "ok" for each in ending.observations)
        if answered != steps:
            raise SystemExit(f"{answered} of {steps} steps were made; the benchmark measures nothing.")
        return UUID(str(flow_run.get_id()))

    marks: list[float] = []
    before = time.process_time()
    run_id = await agent_steps()
    return run_id, _block(marks, time.process_time() - before)


async def _bench() -> "Workbench":
    from prefect_healing.domain.record import Record
    from prefect_healing.guardrails.policy import Policy
    from prefect_healing.guardrails.rules import allow
    from prefect_healing.journal import open_journal
    from prefect_healing.settings import settings
    from prefect_healing.tools.tool import tool
    from prefect_healing.tools.toolset import Toolset, default_toolset
    from prefect_healing.workbench import Workbench

    class Seen(Record):
        number: int
        text: str

    async def look(number: int) -> Seen:
        """Look at a text."""
        return Seen(number=number, text=_TEXT)

    incident = _incident()
    return Workbench(
        incident=incident,
        journal=await open_journal(incident.id),
        settings=settings(),
        policy=Policy(allow("*", effect="read")),
        toolset=Toolset([*default_toolset(settings()), tool(effect="read")(look)]),
        token_key=b"benchmark",
    )


def _incident() -> "Incident":
    from prefect_healing.domain.alert import FlowRunAlert, incident_id
    from prefect_healing.domain.classification import Classification
    from prefect_healing.domain.incident import Incident, Subject
    from prefect_healing.domain.options import HealingOptions

    alert = FlowRunAlert(flow_run_id=uuid4(), flow_name="nightly", fingerprint=uuid4().hex)
    now = datetime.now(UTC)
    return Incident(
        id=incident_id(alert),
        alert=alert,
        options=HealingOptions(),
        subject=Subject(
            flow_run_id=alert.flow_run_id, flow_run_name="nightly-1", flow_name="nightly", state_name="Failed"
        ),
        classification=Classification(
            cause="unknown", transience="unknown", confidence=0.0, decisive_line=None, rerun_helps=None
        ),
        evidence=(),
        mode="observe",
        policy_name="benchmark",
        policy_version="1",
        opened_at=now,
        deadline_at=now + timedelta(hours=1),
    )


def _block(marks: list[float], cpu_seconds: float) -> Block:
    """Return the time of each step: from one model call to the next."""
    seconds = tuple(later - earlier for earlier, later in pairwise(marks))
    return Block(seconds, cpu_seconds)


def _total(blocks: list[Block]) -> float:
    return sum(sum(each.seconds) for each in blocks)


def _ratio(agent: list[Block], plain: list[Block]) -> float:
    return round(_total(agent) / _total(plain), 3)


def _growth(blocks: list[Block]) -> float:
    quarter = len(blocks[0].seconds) // 4
    first = sum(sum(each.seconds[:quarter]) for each in blocks)
    last = sum(sum(each.seconds[-quarter:]) for each in blocks)
    return round(last / first, 3)


def _milliseconds(blocks: list[Block]) -> float:
    return round(1_000 * _total(blocks) / sum(len(each.seconds) for each in blocks), 2)


if __name__ == "__main__":
    sys.exit(main())
