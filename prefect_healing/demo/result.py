"""What the demo found."""

from typing import Annotated, Literal

from pydantic import AfterValidator

from prefect_healing.demo.scenarios import NO_INCIDENT, Scenario
from prefect_healing.domain.cause import Cause
from prefect_healing.domain.record import JsonObject, Record
from prefect_healing.domain.report import Outcome, Report

Found = Outcome | Literal["no incident", "unfinished"]
"""How a scenario ended; `unfinished` where no report came in time, or the healer itself failed."""


Seconds = Annotated[float, AfterValidator(lambda seconds: round(seconds, 1))]


class ScenarioResult(Record):
    """How one scenario ended, beside how it should have. `requests` were counted by the vendor."""

    scenario: str
    expected_cause: Cause | None
    cause: Cause | None
    expected_outcome: Outcome | Literal["no incident"]
    outcome: Found
    right: bool
    seconds: Seconds
    incident_id: str | None
    requests: int
    action: str = ""
    proof: str = ""
    url: str | None = None

    @classmethod
    def of(
        cls,
        scenario: Scenario,
        report: Report | None,
        *,
        outcome: Found,
        requests: int,
        seconds: float,
        incident_id: str | None,
        url: str | None,
    ) -> "ScenarioResult":
        """Compare what was found with what is known of the scenario."""
        cause = report.diagnosis.cause if report and report.diagnosis else None
        few_enough = scenario.requests is None or requests <= scenario.requests
        return cls(
            scenario=scenario.name,
            expected_cause=scenario.expected_cause,
            cause=cause,
            expected_outcome=scenario.expected_outcome,
            outcome=outcome,
            right=outcome == scenario.expected_outcome and cause == scenario.expected_cause and few_enough,
            seconds=seconds,
            incident_id=incident_id,
            requests=requests,
            action=_actions(report),
            proof=_proof(report, outcome),
            url=url,
        )


class Timings(Record):
    """How long the parts took, in seconds."""

    server: Seconds
    serve: Seconds
    scenarios: Seconds
    total: Seconds


class DemoResult(Record):
    """All scenarios that were run, and how long the parts took."""

    scenarios: tuple[ScenarioResult, ...]
    timings: Timings

    @property
    def right(self) -> bool:
        """Say whether every scenario ended as it should."""
        return all(each.right for each in self.scenarios)

    def as_json(self) -> JsonObject:
        """Return what `prefect-healing demo --json` prints."""
        return self.model_dump(mode="json")


def _actions(report: Report | None) -> str:
    applied = [receipt for each in report.rounds if each.repair for receipt in each.repair.applied] if report else []
    return ", ".join(receipt.tool for receipt in applied) or "none"


def _proof(report: Report | None, outcome: Found) -> str:
    if report is None:
        return "the run completed" if outcome == NO_INCIDENT else ""
    if outcome != "healed":
        return (report.diagnosis.decisive_line if report.diagnosis else None) or report.reason
    checks = report.rounds[-1].verification.checks if report.rounds and report.rounds[-1].verification else ()
    return "; ".join(check.detail for check in checks)
