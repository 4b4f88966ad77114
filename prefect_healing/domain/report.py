"""What happened, for people and for the audit."""

from typing import Literal

from pydantic import AwareDatetime

from prefect_healing.domain.evidence import Evidence
from prefect_healing.domain.incident import Incident
from prefect_healing.domain.mandate import Mandate
from prefect_healing.domain.plan import Diagnosis
from prefect_healing.domain.record import JsonObject, Record
from prefect_healing.domain.repair import Repair, RollBack
from prefect_healing.domain.usage import Usage
from prefect_healing.domain.verification import Verification

Outcome = Literal["healed", "declined", "rolled_back", "inconclusive", "escalated"]
"""Only `healed` means verified; all others tell a person."""


class CallRecord(Record):
    """One row of the audit: a call that a model made or that the repair made, and what was decided on it."""

    incident_id: str
    round: int
    index: int
    model: str
    tool: str
    arguments: JsonObject
    verdict: str
    rule: str
    outcome: str
    detail: str
    started_at: AwareDatetime
    seconds: float


class Question(Record):
    """What the agent asks a person, why, and where it stands."""

    question: str
    why: str
    summary: str


class Answer(Record):
    """What a person answered: evidence with a name, never a permission."""

    text: str
    person: str
    at: AwareDatetime


class Triage(Record):
    """How one agent run ended: a diagnosis, a question for a person, or out of limits with the reason.

    `evidence` is what its calls found, beside the evidence that the incident was opened with.
    """

    model: str
    diagnosis: Diagnosis | None = None
    question: Question | None = None
    out_of_limits: str | None = None
    fallback_reason: str | None = None
    usage: Usage = Usage()
    model_calls: int = 0
    calls: tuple[CallRecord, ...] = ()
    evidence: tuple[Evidence, ...] = ()


class Round(Record):
    """What one round found, was allowed, did and saw."""

    number: int
    triage: Triage
    mandate: Mandate | None = None
    repair: Repair | None = None
    verification: Verification | None = None
    roll_back: RollBack | None = None


class Report(Record):
    """The outcome, and everything that led to it."""

    incident: Incident
    outcome: Outcome
    reason: str
    rounds: tuple[Round, ...]
    left_for_person: tuple[str, ...] = ()
    also_covers: tuple[str, ...] = ()
    closed_at: AwareDatetime
    heal_run_url: str | None = None

    @property
    def diagnosis(self) -> Diagnosis | None:
        """Return the last round's diagnosis."""
        return self.rounds[-1].triage.diagnosis if self.rounds else None

    @property
    def usage(self) -> Usage:
        """Return the sum over all rounds."""
        return sum((each.triage.usage for each in self.rounds), Usage())
