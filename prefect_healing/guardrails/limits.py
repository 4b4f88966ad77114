"""How far the writes of one incident may reach, all together."""

from pydantic import Field

from prefect_healing.domain.call import Call
from prefect_healing.domain.plan import Scope
from prefect_healing.domain.record import Record


class Limits(Record):
    """The most that all writes of one incident may touch.

    `tables` and `days` are counted once each, however often they are touched. `rows_written`, moved to quarantine
    included, and `rows_deleted` add up. `runs` are flow runs started or changed; a write that names none counts as one.
    """

    tables: int = Field(default=5, ge=0)
    days: int = Field(default=7, ge=0)
    rows_written: int = Field(default=1_000, ge=0)
    rows_deleted: int = Field(default=0, ge=0)
    runs: int = Field(default=10, ge=0)


def breach(limits: Limits, call: Call, taken: tuple[Call, ...]) -> str | None:
    """Return which limit `call` would break after the calls already taken, with the numbers, or None."""
    scopes = [each.scope or Scope(summary="") for each in (*taken, call) if each.effect in ("write", "destroy")]
    touched = reach(scopes)
    for name, most in limits:
        if (would_be := touched[name]) > most:
            before = reach(scopes[:-1])[name]
            return f"{name} would be {would_be}, the limit of an incident is {most}, taken so far is {before}"
    return None


def reach(scopes: list[Scope]) -> dict[str, int]:
    """Return what `scopes` touch together, a number for each field of Limits."""
    # A negative count would buy room for the next write.
    return {
        "tables": len({table for scope in scopes for table in scope.tables}),
        "days": len({day for scope in scopes for day in scope.days}),
        "rows_written": sum(max(0, scope.rows_written) for scope in scopes),
        "rows_deleted": sum(max(0, scope.rows_deleted) for scope in scopes),
        "runs": sum(max(1, len(scope.flow_runs)) for scope in scopes),
    }
