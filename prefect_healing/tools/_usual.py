"""A partition's figures beside those of good partitions."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from statistics import median
from typing import TYPE_CHECKING

from prefect_healing.domain.catalog import Table
from prefect_healing.domain.record import Record
from prefect_healing.warehouse.good_partitions import GoodPartition, recent_good
from prefect_healing.warehouse.schema_history import schema_of
from prefect_healing.warehouse.statistics import (
    VALUES_MAX,
    ColumnFigures,
    PartitionFigures,
    chosen_columns,
    figures_of,
)

if TYPE_CHECKING:
    import sqlalchemy as sa

_VALUES_COMPARED_MAX = 3 * VALUES_MAX


class UsualFigures(Record):
    """What is usual of a column in good partitions: medians, and the widest minimum and maximum of numbers."""

    null_share: float
    distinct: float | None = None
    minimum: float | None = None
    p50: float | None = None
    maximum: float | None = None


class ComparedColumn(ColumnFigures):
    """A column's figures, what is usual, and how many nulls the source itself counts."""

    usual: UsualFigures | None = None
    source_nulls: int | None = None


@dataclass(frozen=True)
class Compared:
    """The figures of a partition beside the usual ones."""

    rows: int
    usual_rows: float | None
    columns: tuple[ComparedColumn, ...]
    left_out: int
    compared_with: tuple[str, ...]
    note: str


def compared(connection: "sa.Connection", table: Table, day: date, source_nulls: Mapping[str, int]) -> Compared:
    """Return a partition's figures, beside those of at most seven good ones before it, as many as cost little."""
    names = list(schema_of(connection, table))
    chosen = chosen_columns(table, names)
    now = figures_of(connection, table, day, chosen)
    affordable = _affordable(recent_good(connection, table, day), len(chosen))
    past = [(each.partition, _past(connection, table, each, chosen)) for each in affordable]
    past = [(partition, figures) for partition, figures in past if figures.rows]
    return Compared(
        rows=now.rows,
        usual_rows=median(figures.rows for _, figures in past) if past else None,
        columns=tuple(_beside(each, [figures for _, figures in past], source_nulls) for each in now.columns),
        left_out=len(names) - len(chosen),
        compared_with=tuple(partition for partition, _ in past),
        note=_note(now, past=bool(past)),
    )


def _past(connection: "sa.Connection", table: Table, good: GoodPartition, chosen: Sequence[str]) -> PartitionFigures:
    return figures_of(connection, table, date.fromisoformat(good.partition), chosen)


def _affordable(good: Iterable[GoodPartition], columns: int) -> list[GoodPartition]:
    taken, values = list[GoodPartition](), 0
    for each in good:
        values += each.rows * columns
        if taken and values > _VALUES_COMPARED_MAX:
            break
        taken.append(each)
    return taken


def _beside(column: ColumnFigures, past: Sequence[PartitionFigures], source_nulls: Mapping[str, int]) -> ComparedColumn:
    before = [each for figures in past for each in figures.columns if each.column == column.column]
    return ComparedColumn(
        **column.model_dump(),
        usual=_usual(before) if before else None,
        source_nulls=source_nulls.get(column.column),
    )


def _usual(before: Sequence[ColumnFigures]) -> UsualFigures:
    return UsualFigures(
        null_share=round(median(each.null_share for each in before), 4),
        distinct=_over(median, (each.distinct for each in before)),
        minimum=_over(min, (each.minimum for each in before)),
        p50=_over(median, (each.p50 for each in before)),
        maximum=_over(max, (each.maximum for each in before)),
    )


def _over(choose: Callable[[list[float]], float], figures: Iterable[object]) -> float | None:
    """Return one of several numbers; None where there is none. Days and moments differ by partition anyhow."""
    numbers = [float(each) for each in figures if isinstance(each, int | float)]
    return choose(numbers) if numbers else None


def _note(now: PartitionFigures, *, past: bool) -> str:
    notes = [] if past else ["No good partition is known, so nothing is usual."]
    if not now.rows:
        notes.append("The partition has no row.")
    elif any(each.distinct is None for each in now.columns):
        notes.append("The partition is too large to count distinct values or find quantiles.")
    return " ".join(notes)
