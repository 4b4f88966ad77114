"""Did the world recover? Decided by code."""

from typing import Literal

from prefect_healing.domain.record import Record


class Check(Record):
    """One look at the world after an action, and what it saw."""

    name: str
    status: Literal["passed", "failed", "inconclusive"]
    detail: str
    link: str | None = None


class Verification(Record):
    """All checks of one round. No check, or one that could not be made, counts as failed."""

    checks: tuple[Check, ...] = ()

    @property
    def passed(self) -> bool:
        """Say whether the world recovered."""
        return bool(self.checks) and all(check.status == "passed" for check in self.checks)
