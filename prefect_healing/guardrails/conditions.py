"""Conditions of a rule: data, so that Python and YAML say the same."""

import math
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Literal, get_args

from pydantic import JsonValue, model_validator

from prefect_healing.domain.incident import Incident
from prefect_healing.domain.record import Record, canonical
from prefect_healing.guardrails.fields import Absent

Word = Literal["in_incident", "at_most", "at_least", "equals", "one_of", "empty", "matches"]
WORDS: tuple[Word, ...] = get_args(Word)
BARE_WORDS: tuple[Word, ...] = ("in_incident", "empty")

Every = Callable[[list[bool]], bool]


class Condition(Record):
    """One thing that must hold for a field's value. Made by `at_most(3)` and its like."""

    word: Word
    value: JsonValue = None

    @model_validator(mode="after")
    def _fits(self) -> "Condition":
        if wrong := _misfit(self.word, self.value):
            raise ValueError(wrong)
        return self

    def __str__(self) -> str:
        """Return the condition as a sentence has it, such as `at_most 3`."""
        return self.word if self.word in BARE_WORDS else f"{self.word} {canonical(self.value)}"


def in_incident() -> Condition:
    """Match the incident's own failed run and that run's deployment, by id or by `flow/deployment`."""
    return Condition(word="in_incident")


def at_most(number: float) -> Condition:
    """Match a number up to `number`, or a list with at most that many items."""
    return Condition(word="at_most", value=number)


def at_least(number: float) -> Condition:
    """Match a number from `number` on, or a list with at least that many items."""
    return Condition(word="at_least", value=number)


def equals(value: JsonValue) -> Condition:
    """Match exactly this value; `true` is not 1, and `"1"` is not 1."""
    return Condition(word="equals", value=value)


def one_of(*values: JsonValue) -> Condition:
    """Match any of these values."""
    return Condition(word="one_of", value=list(values))


def empty() -> Condition:
    """Match an empty list, object or text, and null."""
    return Condition(word="empty")


def matches(glob: str) -> Condition:
    """Match text of this shape: `*` is any text, `?` any letter, `[ab]` one of these; case matters."""
    return Condition(word="matches", value=glob)


def holds(condition: Condition, value: JsonValue | Absent, incident: Incident, *, every: bool) -> bool:
    """Say whether `condition` holds for `value`. For an absent one none does.

    Where a list meets a condition on single values, `every` item must meet it, or, without `every`, one is enough.
    """
    if isinstance(value, Absent):
        return False
    if condition.word in ("in_incident", "one_of", "matches"):
        items = value if isinstance(value, list) else [value]
        verdicts = [_holds_for_item(condition, item, incident) for item in items]
        return bool(verdicts) and (all(verdicts) if every else any(verdicts))
    return _holds_for_whole(condition, value)


def own_names(incident: Incident) -> frozenset[str]:
    """Return what names the incident's own run, that run's deployment, and the declared loaders of its tables."""
    subject, alert = incident.subject, incident.alert
    ids = (subject.flow_run_id, alert.flow_run_id, subject.deployment_id, alert.deployment_id)
    names = {str(each) for each in ids if each is not None}
    if subject.deployment_name:
        whole = "/" in subject.deployment_name
        names.add(subject.deployment_name if whole else f"{subject.flow_name}/{subject.deployment_name}")
    names.update(each.loader.deployment for each in incident.catalog.tables if each.loader and each.loader.deployment)
    return frozenset(names)


def same(one: JsonValue, other: JsonValue) -> bool:
    """Say whether two JSON values are equal; unlike Python's `==`, true is not 1."""
    if _is_number(one) and _is_number(other):
        return one == other
    return canonical(one) == canonical(other)


def _holds_for_item(condition: Condition, item: JsonValue, incident: Incident) -> bool:
    if condition.word == "in_incident":
        return isinstance(item, str) and item in own_names(incident)
    if condition.word == "matches":
        return isinstance(item, str) and fnmatchcase(item, str(condition.value))
    return isinstance(condition.value, list) and any(same(item, each) for each in condition.value)


def _holds_for_whole(condition: Condition, value: JsonValue) -> bool:
    if condition.word == "empty":
        return value is None or (isinstance(value, str | list | dict) and not value)
    if condition.word == "equals":
        return same(value, condition.value)
    size, bound = _size(value), _size(condition.value)
    if size is None or bound is None:
        return False
    return size <= bound if condition.word == "at_most" else size >= bound


def _size(value: JsonValue) -> float | None:
    if isinstance(value, list):
        return len(value)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _is_number(value: JsonValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _misfit(word: Word, value: JsonValue) -> str | None:
    if word in BARE_WORDS and value is not None:
        return f"{word} takes no value"
    if word in ("at_most", "at_least") and not (_is_number(value) and math.isfinite(float(str(value)))):
        return f"{word} takes a number, not {canonical(value)}"
    if word == "one_of" and not (isinstance(value, list) and value):
        return "one_of takes a list of at least one value"
    if word == "matches" and not (isinstance(value, str) and value):
        return f'matches takes a glob such as "orders/*", not {canonical(value)}'
    return None
