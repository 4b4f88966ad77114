"""What is proposed: actions with the scope that their preview found."""

from typing import Literal

from prefect_healing.domain.cause import Cause, Transience
from prefect_healing.domain.record import JsonObject, Record

EvidenceStatus = Literal["confirmed", "hypothesis", "insufficient"]
Disposition = Literal["repair", "hand_over", "nothing_wrong"]
"""What should follow: carry out the plan, hand it to a person, or leave it as it is because nothing is wrong."""


class Scope(Record):
    """What an action touches, as its preview found it.

    Names and counts are what policy conditions and blast-radius limits look at: ids of flow runs, names of
    deployments (`flow/deployment`), tables, partitions as ISO days, rows. `repeats` names finished tasks that
    would run again. `share` is the largest part of a partition, from 0 to 1, that rows are moved out of. `asks` says,
    each in a sentence, why the catalog wants a person for this. `basis` is what the preview saw and the action relies
    on; a change of it voids the token.
    """

    summary: str
    flow_runs: tuple[str, ...] = ()
    deployments: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    days: tuple[str, ...] = ()
    rows_written: int = 0
    rows_deleted: int = 0
    repeats: tuple[str, ...] = ()
    share: float = 0
    asks: tuple[str, ...] = ()
    basis: str = ""


class Action(Record):
    """One call that would be made: tool, exact arguments, the scope of its preview, and its confirmation token."""

    id: str
    tool: str
    arguments: JsonObject
    scope: Scope
    token: str
    reason: str


class Plan(Record):
    """Actions in the order in which they would be carried out; empty where nothing is to be repaired."""

    actions: tuple[Action, ...] = ()


class Diagnosis(Record):
    """Why it failed, in one sentence, with the evidence that shows it.

    `confidence` runs from 0 to 1. `decisive_line` is verbatim from the evidence. `faulty_object` is a link to what
    is broken where that is in another system. `proposal` says what a person might do where code may not.
    """

    cause: Cause
    summary: str
    disposition: Disposition
    transience: Transience
    confidence: float
    confidence_reason: str
    evidence_status: EvidenceStatus
    cites: tuple[str, ...]
    decisive_line: str | None = None
    gaps: tuple[str, ...] = ()
    faulty_object: str | None = None
    proposal: str | None = None
    plan: Plan = Plan()
