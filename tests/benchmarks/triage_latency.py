"""How long a failed flow waits: to the first tool call, to the report, beside what its re-run takes by itself.

A flow fails once and is healed inline with the rules model, so that no network and no worker's polling is measured.
All times are those of Prefect's API, from the moment at which the flow run was set to Failed.
"""

import argparse
import asyncio
import statistics
import sys
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from measure import Row, leave_alone, machine, server, show

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun, TaskRun

PHASES = ("to_heal_run", "to_first_tool_call", "to_diagnosis", "to_report", "rerun")


def main() -> int:
    """Measure, print, and return 0 where each run was healed."""
    options = _options()
    leave_alone()
    with server():
        measured = [asyncio.run(_measured(_broken_once())) for _ in range(options.runs + 1)][1:]
    result: Row = {
        "median_seconds": {phase: round(statistics.median(each[phase] for each in measured), 2) for phase in PHASES},
        "longest_seconds": {phase: round(max(each[phase] for each in measured), 2) for phase in PHASES},
        "runs": options.runs,
        "model": "rules",
        "machine": machine(),
    }
    show(result, as_json=options.json)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="failing runs that count; one more goes before them")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _broken_once() -> UUID:
    """Run a flow that fails the first time, and let it be healed; return the failed run's id."""
    from prefect import flow, task

    from prefect_healing import self_healing
    from prefect_healing.testing import healing

    asked: list[str] = []

    @task
    def extract() -> int:
        asked.append("vendor")
        if len(asked) == 1:
            raise ConnectionError("[Errno 111] Connection refused by the vendor's API")
        return 842

    @task
    def load(rows: int) -> int:
        return rows

    @self_healing(rerun="safe")
    @flow(name=f"nightly-{uuid4()}")
    def nightly() -> int:
        return load(extract())

    with healing():
        state = nightly(return_state=True)
    if len(asked) != 2 or state.state_details.flow_run_id is None:
        raise SystemExit(f"The vendor was asked {len(asked)} times, not twice: nothing was healed, nothing measured.")
    return state.state_details.flow_run_id


async def _measured(failed_run_id: UUID) -> dict[str, float]:
    from prefect.client.orchestration import get_client

    from prefect_healing.api import incidents

    line = next(each for each in await incidents() if each.flow_run_id == failed_run_id)
    if line.status != "healed":
        raise SystemExit(f"Incident {line.incident_id} ended as {line.status}: nothing to measure.")
    async with get_client() as client:
        failed = await client.read_flow_run(failed_run_id)
        heal = await client.read_flow_run(line.heal_flow_run_id)
        triage = next(each for each in await _children(client, heal.id) if each.name.startswith("triage"))
        rerun = next(each for each in await _runs_of(client, failed.flow_id) if each.id != failed.id)
        tools = [each for each in await _tasks(client, triage.id) if not each.name.startswith("ask")]
    began = _moment(failed.end_time)
    moments = {
        "to_heal_run": heal.created,
        "to_first_tool_call": min(_moment(each.start_time) for each in tools),
        "to_diagnosis": triage.end_time,
        "to_report": heal.end_time,
    }
    seconds = {phase: (_moment(at) - began).total_seconds() for phase, at in moments.items()}
    return {**seconds, "rerun": (_moment(rerun.end_time) - _moment(rerun.start_time)).total_seconds()}


def _moment(at: datetime | None) -> datetime:
    if at is None:
        raise SystemExit("Prefect has no time for a run that ended; nothing to measure.")
    return at


async def _children(client: "PrefectClient", run_id: UUID) -> "list[FlowRun]":
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId

    return await client.read_flow_runs(
        flow_run_filter=FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run_id]))
    )


async def _runs_of(client: "PrefectClient", flow_id: UUID) -> "list[FlowRun]":
    from prefect.client.schemas.filters import FlowFilter, FlowFilterId

    return await client.read_flow_runs(flow_filter=FlowFilter(id=FlowFilterId(any_=[flow_id])))


async def _tasks(client: "PrefectClient", run_id: UUID) -> "list[TaskRun]":
    """Return a run's tasks, once the server has recorded at least one tool call; it does so late."""
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    this_run = FlowRunFilter(id=FlowRunFilterId(any_=[run_id]))
    async with asyncio.timeout(120):
        while True:
            found = await client.read_task_runs(flow_run_filter=this_run)
            if any(each.start_time for each in found if not each.name.startswith("ask")):
                return [each for each in found if each.start_time]
            await asyncio.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())
