"""A finding told in counts: what may leave the warehouse of it."""

import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import cast

from prefect_healing.checkpoints.findings import SAMPLES, Finding
from prefect_healing.domain.catalog import Table
from prefect_healing.domain.violation import Violation

SAMPLE_CHARS = 80
_EXPECTED_CHARS = 200
_VALUES_NAMED = 5
_COLUMN_ARGUMENTS = ("column", "column_A", "column_B", "column_list", "column_set")
_NOT_EXPECTED = (*_COLUMN_ARGUMENTS, "batch_id", "result_format", "catch_exceptions", "include_config")
_COUNTING = frozenset({
    "expect_column_unique_value_count_to_be_between",
    "expect_column_proportion_of_unique_values_to_be_between",
    "expect_column_proportion_of_non_null_values_to_be_between",
})  # fmt: skip
"""What is observed here is a count or a share; elsewhere, as with a maximum, it is a value of some row."""


def violation_of(finding: Finding, table: Table, id_: str) -> Violation:
    """Return a finding as a violation: counts, and values only where the catalog lets them be seen."""
    expected = finding.expected
    columns = columns_of(expected.kwargs)
    hidden = bool({each.casefold() for each in columns} & {each.casefold() for each in table.sensitive})
    observed = None if hidden and expected.type not in _COUNTING else _number(finding.figures.get("observed_value"))
    checked = _number(finding.figures.get("element_count"))
    return Violation(
        id=id_,
        expectation=expected.type,
        column=", ".join(columns) or None,
        severity=expected.severity,
        status="violated" if finding.error is None else "errored",
        detail=_detail(finding, columns, observed),
        checked=None if checked is None else int(checked),
        unexpected=finding.unexpected,
        observed=observed,
        expected=_wanted(expected.kwargs, hidden=hidden),
        sample=_sample(finding) if table.share_rows and columns and not hidden else (),
        refusal=finding.refusal,
    )


def columns_of(kwargs: Mapping[str, object]) -> tuple[str, ...]:
    """Return the columns that an expectation is about; none for one about the table or in SQL."""
    named: list[str] = []
    for name in _COLUMN_ARGUMENTS:
        value = kwargs.get(name)
        if isinstance(value, str):
            named.append(value)
        elif isinstance(value, Iterable):
            named += [str(each) for each in cast("Iterable[object]", value)]
    return tuple(named)


def _detail(finding: Finding, columns: tuple[str, ...], observed: float | None) -> str:
    type_ = finding.expected.type
    about = f"{type_} of {', '.join(columns)}" if columns else type_
    if finding.error is not None:
        return f"{about} could not be computed, so nothing is known of the data: {finding.error.rstrip('.')}."
    if finding.unexpected is not None:
        checked = _number(finding.figures.get("element_count"))
        return f"{finding.unexpected}{'' if checked is None else f' of {checked:.0f}'} rows break {about}."
    return f"The partition breaks {about}{'.' if observed is None else f': {observed:g} was observed.'}"


def _number(value: object) -> float | None:
    item = getattr(value, "item", None)  # Of numpy.
    number = item() if callable(item) else value
    if isinstance(number, bool) or not isinstance(number, int | float | Decimal) or not math.isfinite(number):
        return None
    return float(number)


def _wanted(kwargs: Mapping[str, object], *, hidden: bool) -> str | None:
    told = [
        f"{name} {_argument(value, hidden=hidden)}"
        for name, value in kwargs.items()
        if name not in _NOT_EXPECTED and value is not None
    ]
    return ", ".join(told)[:_EXPECTED_CHARS] or None


def _argument(value: object, *, hidden: bool) -> str:
    if isinstance(value, str) or not isinstance(value, Iterable):
        return str(value)
    values = [str(each) for each in cast("Iterable[object]", value)]
    return f"({len(values)} values)" if hidden or len(values) > _VALUES_NAMED else f"({', '.join(values)})"


def _sample(finding: Finding) -> tuple[str, ...]:
    values = finding.figures.get("partial_unexpected_list")
    if not isinstance(values, list):
        return ()
    return tuple(str(each)[:SAMPLE_CHARS] for each in cast("list[object]", values)[:SAMPLES])
