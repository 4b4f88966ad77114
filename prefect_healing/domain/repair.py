"""What was really done."""

from typing import Literal

from pydantic import AwareDatetime

from prefect_healing.domain.record import JsonObject, Record

EffectStatus = Literal["done", "already_done", "failed", "unknown", "refused"]
"""`failed`: the target said no, nothing changed. `unknown`: begun, and nobody can tell whether it took effect."""


class Undo(Record):
    """The call that takes an effect back; `tables` are those it writes, which are locked meanwhile."""

    tool: str
    arguments: JsonObject
    tables: tuple[str, ...] = ()


class Receipt(Record):
    """What came back from one action. `data` is what its check and its undo need to know."""

    effect_id: str
    action_id: str
    tool: str
    arguments: JsonObject
    status: EffectStatus
    detail: str
    at: AwareDatetime
    data: JsonObject = {}
    undo: Undo | None = None


class Repair(Record):
    """The receipts of one round, in the order of the actions."""

    receipts: tuple[Receipt, ...] = ()

    @property
    def applied(self) -> tuple[Receipt, ...]:
        """Return the receipts of actions that took effect."""
        return tuple(each for each in self.receipts if each.status in ("done", "already_done"))

    @property
    def unknown(self) -> tuple[Receipt, ...]:
        """Return the receipts of actions of which nobody knows whether they took effect."""
        return tuple(each for each in self.receipts if each.status == "unknown")


class RollBack(Record):
    """The receipts of the undoing calls, last action first; `failed` names actions that could not be undone."""

    receipts: tuple[Receipt, ...] = ()
    failed: tuple[str, ...] = ()
