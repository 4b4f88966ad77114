"""What was agreed with the vendor, and what breaks it: columns that are missing, new, or of another type."""

from collections.abc import Sequence
from typing import Literal

from prefect_healing.demo.data import Flight

NewColumns = Literal["escalate", "load"]
"""What a column means that was not agreed on: stop and say so, or load the rest."""

_TEXT = frozenset({"carrier", "tailnum", "origin", "dest", "time_hour"})
_NUMBERS = frozenset(
    {
        *("year", "month", "day", "hour", "minute", "flight", "distance", "air_time"),
        *("dep_time", "sched_dep_time", "dep_delay", "arr_time", "sched_arr_time", "arr_delay"),
    }
)


class ContractBroken(Exception):
    """What the vendor sent is not what was agreed."""


def hold(rows: Sequence[Flight], required: frozenset[str], new_columns: NewColumns = "escalate") -> None:
    """Hold rows against the contract. Raises ContractBroken, which names columns and counts rows, never a value."""
    got = sorted({column for row in rows for column in row})
    if missing := sorted(required.difference(got)):
        raise ContractBroken(f"missing columns {missing}; got {got}")
    new = sorted(set(got) - _TEXT - _NUMBERS)
    if new and new_columns == "escalate":
        raise ContractBroken(f"unexpected columns {new}; the contract has no such columns; got {got}")
    for column in sorted(required):
        _hold_type(column, rows)


def _hold_type(column: str, rows: Sequence[Flight]) -> None:
    agreed, name = (str, "text") if column in _TEXT else (int, "integer")
    other = sum(row.get(column) is not None and not isinstance(row.get(column), agreed) for row in rows)
    if other:
        raise ContractBroken(
            f"schema changed: column {column} should be {name}, and {other} of {len(rows)} rows have another type"
        )
