"""What the vendor has of a day, what it sends of it, and the manifest that tells the one from the other."""

from collections.abc import Collection
from datetime import date

from prefect_healing.demo.data import Flight, flights
from prefect_healing.demo.faults import FaultName
from prefect_healing.domain.record import JsonObject

BAD_ROWS = 5
"""How many rows of a day break the contract, the same ones each time: they are so in the source."""

SENT_PERCENT = 60
"""How much of a day a truncated delivery has."""


def held(day: date, fault: FaultName) -> list[Flight]:
    """Return what the vendor has of a day, in its own order; nothing where the day has not arrived."""
    rows = [] if fault == "late" else flights().of(day)
    match fault:
        case "renamed_column":
            return [_renamed(row) for row in rows]
        case "new_column":
            return [row | {"dep_gate": f"{row['origin']}-{row['hour']}"} for row in rows]
        case "changed_type":
            return [_in_words(row) for row in rows]
        case "bad_rows":
            return _with_bad_rows(rows)
        case _:
            return rows


def sent(rows: list[Flight], fault: FaultName) -> list[Flight]:
    """Return what a request gets of what the vendor has."""
    return rows[: len(rows) * SENT_PERCENT // 100] if fault == "truncated" else rows


def manifest(day: date, rows: list[Flight], last_data: date) -> JsonObject:
    """Return what the vendor says of its rows of a day: how many, nulls and type by column, and its newest day."""
    columns = list(rows[0]) if rows else []
    return {
        "day": day.isoformat(),
        "rows": len(rows),
        "nulls": {column: sum(row[column] is None for row in rows) for column in columns},
        "columns": {column: _type(column, rows) for column in columns},
        "last_data": last_data.isoformat(),
    }


def last_data(day: date | None, late: Collection[date]) -> date:
    """Return the newest day that the vendor has; for a day that has not arrived, the last one before it."""
    arrived = [each for each in flights().days if each not in late]
    before = [each for each in arrived if day not in late or each < day] if day is not None else arrived
    return (before or arrived)[-1]


def _type(column: str, rows: list[Flight]) -> str:
    return "text" if any(isinstance(row[column], str) for row in rows) else "integer"


def _renamed(row: Flight) -> Flight:
    return {("departure_delay" if column == "dep_delay" else column): cell for column, cell in row.items()}


def _in_words(row: Flight) -> Flight:
    delay = row["dep_delay"]
    return row | {"dep_delay": None if delay is None else f"{delay} min"}


def _with_bad_rows(rows: list[Flight]) -> list[Flight]:
    bad = {place * len(rows) // BAD_ROWS for place in range(BAD_ROWS)}
    return [row | {"distance": -1} if place in bad else row for place, row in enumerate(rows)]
