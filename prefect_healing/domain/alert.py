"""What sets a heal run off."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field, TypeAdapter

from prefect_healing.domain.catalog import Gate
from prefect_healing.domain.record import Record, digest
from prefect_healing.domain.violation import Violation

Mode = Literal["off", "observe", "propose", "heal"]
"""How far healing may go: not at all, triage and report, a plan ready for a person, repair within the policy."""

RaisedBy = Literal["hook", "person", "automation", "sweeper", "gate", "watch"]

_ID_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no letter that reads like another.
_ID_LENGTH = 8


class _Raised(Record):
    """What every alert has: the flow run that failed or found the fault, and which incident this belongs to.

    `fingerprint` groups what fails alike; `generation` counts the incidents that this fingerprint had before.
    """

    flow_run_id: UUID
    flow_name: str
    fingerprint: str
    generation: int = 0
    deployment_id: UUID | None = None
    raised_by: RaisedBy = "hook"

    @property
    def about(self) -> str:
        """Return what is at fault, in a word or two: the flow, or the table with its partition."""
        return self.flow_name


class FlowRunAlert(_Raised):
    """A flow run failed or crashed."""

    kind: Literal["flow_run"] = "flow_run"


class GateAlert(_Raised):
    """A quality gate found violations that stop: in this table, in this partition (an ISO day).

    `gate_id` is what the keys of the violating rows are kept under in the warehouse.
    """

    kind: Literal["gate"] = "gate"
    table: str
    partition: str
    gate: Gate
    gate_id: str
    violations: tuple[Violation, ...]
    raised_by: RaisedBy = "gate"

    @property
    def about(self) -> str:
        """Return table and partition."""
        return f"{self.table} {self.partition}"


class FreshnessAlert(_Raised):
    """A table is older than its catalog entry allows; `last_update` is None where it has no row."""

    kind: Literal["freshness"] = "freshness"
    table: str
    last_update: AwareDatetime | None
    max_age_hours: float
    raised_by: RaisedBy = "watch"

    @property
    def about(self) -> str:
        """Return the table."""
        return self.table


Alert = Annotated[FlowRunAlert | GateAlert | FreshnessAlert, Field(discriminator="kind")]
"""What set a heal run off."""

AnyAlert: TypeAdapter[FlowRunAlert | GateAlert | FreshnessAlert] = TypeAdapter(Alert)
"""Reads an alert of any kind."""


def incident_id(alert: Alert) -> str:
    """Return the incident's id, eight characters, a pure function of fingerprint and generation."""
    number = int(digest("incident", alert.fingerprint, alert.generation), 16)
    return "".join(_ID_ALPHABET[(number >> (5 * place)) & 31] for place in range(_ID_LENGTH))
