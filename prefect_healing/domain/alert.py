"""What sets a heal run off."""

from typing import Literal
from uuid import UUID

from prefect_healing.domain.record import Record, digest

Mode = Literal["off", "observe", "propose", "heal"]
"""How far healing may go: not at all, triage and report, a plan ready for a person, repair within the policy."""

_ID_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no letter that reads like another.
_ID_LENGTH = 8


class FlowRunAlert(Record):
    """A flow run failed or crashed.

    `fingerprint` groups runs that fail alike; `generation` counts the incidents that this fingerprint had before.
    """

    kind: Literal["flow_run"] = "flow_run"
    flow_run_id: UUID
    flow_name: str
    fingerprint: str
    generation: int = 0
    deployment_id: UUID | None = None
    raised_by: Literal["hook", "person", "automation", "sweeper"] = "hook"


Alert = FlowRunAlert
"""What set a heal run off: in this version, a flow run that failed or crashed."""


def incident_id(alert: FlowRunAlert) -> str:
    """Return the incident's id, eight characters, a pure function of fingerprint and generation."""
    number = int(digest("incident", alert.fingerprint, alert.generation), 16)
    return "".join(_ID_ALPHABET[(number >> (5 * place)) & 31] for place in range(_ID_LENGTH))
