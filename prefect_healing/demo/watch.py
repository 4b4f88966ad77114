"""Follow the scenarios on the server: one request a look, whatever their number."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from prefect_healing.demo.result import Found
from prefect_healing.demo.scenarios import NO_INCIDENT, Scenario

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun

_OUTCOMES: dict[str, Found] = {
    "Healed": "healed",
    "Declined": "declined",
    "RolledBack": "rolled_back",
    "Inconclusive": "inconclusive",
    "Escalated": "escalated",
}
_MARKS = ("incident:", "raised:")


@dataclass(frozen=True)
class Sight:
    """What the server shows of one run, and of the heal run of the incident that it failed with or raised."""

    run: "FlowRun | None" = None
    heal: "FlowRun | None" = None

    @property
    def incident_id(self) -> str | None:
        """Return the incident that the run belongs to."""
        return _incident_of(self.run) if self.run else None

    @property
    def outcome(self) -> Found | None:
        """Return how the scenario ended, None while it goes on; `unfinished` where the healer itself failed."""
        if self.heal is not None:
            return _outcome_of(self.heal)
        return NO_INCIDENT if self.completed and self.incident_id is None else None

    @property
    def completed(self) -> bool:
        """Say whether the run has completed."""
        return self.run is not None and self.run.state is not None and self.run.state.is_completed()

    @property
    def broke_off(self) -> bool:
        """Say whether the run has ended without completing."""
        return self.run is not None and self.run.state is not None and self.run.state.is_final() and not self.completed

    @property
    def seconds(self) -> float:
        """Return the seconds from the run's creation to the end that counts."""
        last = self.heal or self.run
        began = self.run.created if self.run else None
        ended = last.end_time if last else None
        return (ended - began).total_seconds() if began and ended else 0.0

    @property
    def words(self) -> str:
        """Say where the scenario stands."""
        if self.run is None or self.run.state is None:
            return "starting"
        if self.outcome == NO_INCIDENT:
            return "completed, nothing to heal"
        if self.incident_id is None:
            return f"run {(self.run.state.name or '').lower()}"
        if self.outcome is None:
            return f"incident {self.incident_id} opened"
        return f"incident {self.incident_id}: {self.outcome}"


async def look(client: "PrefectClient", since: datetime) -> "list[FlowRun]":
    """Return the runs since the demo began, first ones first, without those that are part of another."""
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterExpectedStartTime,
        FlowRunFilterParentTaskRunId,
    )
    from prefect.client.schemas.sorting import FlowRunSort

    recent = FlowRunFilter(
        expected_start_time=FlowRunFilterExpectedStartTime.model_validate({"after_": since}),
        parent_task_run_id=FlowRunFilterParentTaskRunId.model_validate({"is_null_": True}),
    )
    return await client.read_flow_runs(flow_run_filter=recent, sort=FlowRunSort.EXPECTED_START_TIME_ASC, limit=200)


def sight_of(scenario: Scenario, run_id: UUID | None, runs: "Sequence[FlowRun]") -> Sight:
    """Return what the server shows of a run of the scenario; a script's own is known by its day."""
    first = next((run for run in runs if (run.id == run_id if run_id else _is_of(scenario, run))), None)
    sight = Sight(run=first)
    incident = sight.incident_id
    if incident is None:
        return sight
    heals = [run for run in runs if _heals(incident, run)]
    return replace(sight, heal=heals[-1] if heals else None)


def _is_of(scenario: Scenario, run: "FlowRun") -> bool:
    return "healing" not in run.tags and run.parameters.get("day") == scenario.day.isoformat()


def _heals(incident_id: str, run: "FlowRun") -> bool:
    return "healing" in run.tags and _incident_of(run) == incident_id


def _incident_of(run: "FlowRun") -> str | None:
    marks = [tag.partition(":")[2] for tag in sorted(run.tags) if tag.startswith(_MARKS)]
    return marks[0] if marks else None


def _outcome_of(heal: "FlowRun") -> Found | None:
    if heal.state is None or not heal.state.is_final():
        return None
    return _OUTCOMES.get(heal.state.name or "", "unfinished")
