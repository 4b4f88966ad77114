"""One rule of a policy: what it looks at, and what it says."""

from collections.abc import Mapping
from datetime import datetime

from pydantic import Field, ValidationError, field_validator

from prefect_healing.domain.call import Call, Effect
from prefect_healing.domain.incident import Incident
from prefect_healing.domain.mandate import Verdict
from prefect_healing.domain.record import Record
from prefect_healing.errors import ConfigurationError
from prefect_healing.guardrails.conditions import Condition, holds, same
from prefect_healing.guardrails.fields import read_field, unknown_field
from prefect_healing.guardrails.freeze import Freeze


class Rule(Record):
    """A verdict and the fields that a call must match to get it. Made by `allow`, `ask` and `deny`.

    `tool` is an exact name or `*`. A field that the call does not have matches nothing. Where a field is a list,
    `allow` wants every item to meet the condition, `ask` and `deny` are content with one.
    `times`: once calls of this tool and effect were taken so often in the incident, whatever their arguments, the
    rule no longer matches, and the rules after it decide.
    `undoes`: matches only where the incident has taken a call of that tool whose common arguments are equal.
    """

    verdict: Verdict
    tool: str = Field(min_length=1)
    effect: Effect | None = None
    where: dict[str, Condition] = {}
    times: int | None = Field(default=None, ge=1)
    during: Freeze | None = None
    undoes: str | None = Field(default=None, min_length=1)

    @field_validator("where")
    @classmethod
    def _knows_fields(cls, where: dict[str, Condition]) -> dict[str, Condition]:
        for field in where:
            if wrong := unknown_field(field):
                raise ValueError(wrong)
        return where

    def __str__(self) -> str:
        """Return the rule as one reads it aloud."""
        where = " and ".join(f"{field} {self.where[field]}" for field in sorted(self.where))
        parts = [f"{self.verdict} {self.tool}"]
        parts += [f"with effect {self.effect}"] if self.effect else []
        parts += [f"where {where}"] if where else []
        parts += [f"undoing {self.undoes}"] if self.undoes else []
        parts += [f"at most {self.times} times"] if self.times else []
        parts += [f"during {self.during}"] if self.during else []
        return " ".join(parts)

    def mismatch(self, call: Call, incident: Incident, taken: tuple[Call, ...], now: datetime) -> str | None:
        """Return why the rule does not speak about this call, or None where it does."""
        if not self._names(call):
            return f"it is about {self.tool}" + (f" with effect {self.effect}" if self.effect else "")
        for field in sorted(self.where):
            if not holds(self.where[field], read_field(field, call, incident), incident, every=self.verdict == "allow"):
                return f"{field} is not {self.where[field]}"
        if self.undoes and not any(_undoes(call, earlier) for earlier in taken if earlier.tool == self.undoes):
            return f"the incident has no {self.undoes} that it would undo"
        if self.times is not None and sum(map(self._names, taken)) >= self.times:
            return f"it was used up: {self.times} taken in this incident"
        if self.during is not None and not self.during.covers(now):
            return f"it is not {self.during}"
        return None

    def _names(self, call: Call) -> bool:
        return self.tool in ("*", call.tool) and self.effect in (None, call.effect)


def allow(
    tool: str,
    *,
    effect: Effect | None = None,
    where: Mapping[str, Condition] | None = None,
    times: int | None = None,
    during: Freeze | None = None,
    undoes: str | None = None,
) -> Rule:
    """Let matching calls happen."""
    return _rule("allow", tool, effect, where, times, during, undoes)


def ask(
    tool: str,
    *,
    effect: Effect | None = None,
    where: Mapping[str, Condition] | None = None,
    times: int | None = None,
    during: Freeze | None = None,
    undoes: str | None = None,
) -> Rule:
    """Let a person decide on matching calls."""
    return _rule("ask", tool, effect, where, times, during, undoes)


def deny(
    tool: str,
    *,
    effect: Effect | None = None,
    where: Mapping[str, Condition] | None = None,
    times: int | None = None,
    during: Freeze | None = None,
    undoes: str | None = None,
) -> Rule:
    """Refuse matching calls."""
    return _rule("deny", tool, effect, where, times, during, undoes)


def _rule(
    verdict: Verdict,
    tool: str,
    effect: Effect | None,
    where: Mapping[str, Condition] | None,
    times: int | None,
    during: Freeze | None,
    undoes: str | None,
) -> Rule:
    conditions = dict(where or {})
    try:
        return Rule(
            verdict=verdict, tool=tool, effect=effect, where=conditions, times=times, during=during, undoes=undoes
        )
    except ValidationError as error:
        first = error.errors()[0]
        place, wrong = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
        raise ConfigurationError(f"The rule {verdict}({tool!r}) is wrong at {place}: {wrong}.") from None


def _undoes(call: Call, earlier: Call) -> bool:
    common = call.arguments.keys() & earlier.arguments.keys()
    return bool(common) and all(same(call.arguments[name], earlier.arguments[name]) for name in common)
