"""What rules and people allowed."""

from typing import Literal

from prefect_healing.domain.plan import Action
from prefect_healing.domain.record import Record

Verdict = Literal["allow", "ask", "deny"]


class Decision(Record):
    """A guardrail's verdict on one call, with the rule that gave it and the reason in words."""

    verdict: Verdict
    rule: str
    reason: str

    @property
    def allowed(self) -> bool:
        """Say whether the call may be made now."""
        return self.verdict == "allow"


class Authorized(Record):
    """An action together with the decision on it."""

    action: Action
    decision: Decision


class Mandate(Record):
    """The decisions on a whole plan. It is granted whole or not at all: later actions rely on earlier ones."""

    decisions: tuple[Authorized, ...] = ()

    @property
    def granted(self) -> bool:
        """Say whether there is something to do and all of it was allowed."""
        return bool(self.decisions) and all(each.decision.allowed for each in self.decisions)

    @property
    def actions(self) -> tuple[Action, ...]:
        """Return the actions that may be carried out: all of the plan or none."""
        return tuple(each.action for each in self.decisions) if self.granted else ()
