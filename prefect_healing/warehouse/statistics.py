"""What a partition looks like, column by column: counts of every column, values of none but numbers and moments."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, cast

from prefect_healing.domain.catalog import Table
from prefect_healing.domain.record import Record
from prefect_healing.warehouse.column_types import family_of
from prefect_healing.warehouse.figures import MOMENTS, NUMBERS, Figure, as_text, comparable, distinguishable, figure
from prefect_healing.warehouse.partition import in_partition, reflect

if TYPE_CHECKING:
    import sqlalchemy as sa

COLUMNS_MAX = 60
VALUES_MAX = 2_000_000
"""Values (rows times columns) up to which distinct values are counted and put in order, for one partition."""

_PARTS = {"p25": (1, 4), "p50": (1, 2), "p75": (3, 4)}


class ColumnFigures(Record):
    """One column of one partition. `odd` values are none that the column's type allows, or NaN, or infinite.

    `distinct` and the quantiles are None where they were not computed. `minimum`, `maximum` and quantiles are there
    for numbers and moments only, and never for a sensitive column.
    """

    column: str
    type: str
    nulls: int
    null_share: float
    distinct: int | None = None
    odd: int = 0
    minimum: Figure | None = None
    p25: Figure | None = None
    p50: Figure | None = None
    p75: Figure | None = None
    maximum: Figure | None = None


@dataclass(frozen=True)
class PartitionFigures:
    """The rows of a partition and the figures of its columns, in order."""

    rows: int
    columns: tuple[ColumnFigures, ...]


def figures_of(
    connection: "sa.Connection", table: Table, day: date, columns: Sequence[str] | None = None
) -> PartitionFigures:
    """Return the figures of a partition, for at most COLUMNS_MAX columns (all, in order, where none are named).

    One scan, and one more for quantiles; above VALUES_MAX neither distinct values nor quantiles are computed.
    """
    undemanding = table.model_copy(update={"key": ()})
    reflected = reflect(connection, undemanding)
    wanted = [_Wanted(table, reflected, name) for name in columns or chosen_columns(table, list(reflected.c.keys()))]
    within = in_partition(undemanding, reflected, day)
    rows = _count(connection, reflected, within)
    exact = rows * len(wanted) <= VALUES_MAX
    found = _counted(connection, reflected, within, wanted, exact=exact)
    quantiles = _quantiles(connection, reflected, within, found) if exact else {}
    return PartitionFigures(rows, tuple(each.figures(rows, quantiles.get(each.wanted.name, {})) for each in found))


def chosen_columns(table: Table, names: Sequence[str]) -> list[str]:
    """Return the columns worth telling of where there are too many: key and partition first, then in order."""
    first = [*table.key, *([table.partition] if table.partition else []), *table.columns]
    return [name for name in dict.fromkeys((*first, *names)) if name in names][:COLUMNS_MAX]


def count_nulls(connection: "sa.Connection", table: Table, day: date, columns: Iterable[str]) -> dict[str, int]:
    """Return how many nulls each of these columns has in a partition; columns that are not there are left out."""
    import sqlalchemy as sa

    undemanding = table.model_copy(update={"key": ()})
    reflected = reflect(connection, undemanding)
    names = [name for name in dict.fromkeys(columns) if name in reflected.c]
    if not names:
        return {}
    counts: list[sa.ColumnElement[Any]] = [sa.func.count() - sa.func.count(reflected.c[name]) for name in names]
    row = connection.execute(sa.select(*_labelled(counts)).where(in_partition(undemanding, reflected, day))).one()
    return {name: int(count) for name, count in zip(names, row, strict=True)}


class _Wanted:
    """One column, and what may be told of it."""

    def __init__(self, table: Table, reflected: "sa.TableClause", name: str) -> None:
        self.name = name
        self.column: sa.ColumnElement[Any] = reflected.c[name]
        self.family = family_of(self.column.type)
        self.ordered = self.family in NUMBERS | MOMENTS
        shared = self.ordered or (self.family == "text" and table.share_rows)
        self.shows_values = shared and name not in table.sensitive


@dataclass(frozen=True)
class _Counted:
    wanted: _Wanted
    values: int
    distinct: int | None
    fitting: int
    minimum: str | None
    maximum: str | None

    def figures(self, rows: int, quantiles: Mapping[str, str]) -> ColumnFigures:
        family = self.wanted.family
        return ColumnFigures(
            column=self.wanted.name[:200],
            type=family,
            nulls=rows - self.values,
            null_share=round((rows - self.values) / rows, 4) if rows else 0.0,
            distinct=self.distinct,
            odd=self.values - self.fitting,
            minimum=figure(self.minimum, family),
            maximum=figure(self.maximum, family),
            **{name: figure(text, family) for name, text in quantiles.items()},  # pyright: ignore[reportArgumentType]
        )


def _count(connection: "sa.Connection", reflected: "sa.TableClause", within: "sa.ColumnElement[bool]") -> int:
    import sqlalchemy as sa

    return connection.execute(sa.select(sa.func.count()).select_from(reflected).where(within)).scalar_one()


def _counted(
    connection: "sa.Connection",
    reflected: "sa.TableClause",
    within: "sa.ColumnElement[bool]",
    wanted: Sequence[_Wanted],
    *,
    exact: bool,
) -> list[_Counted]:
    import sqlalchemy as sa

    dialect = connection.dialect.name
    asked = [expression for each in wanted for expression in _aggregates(each, dialect, exact=exact)]
    row = connection.execute(sa.select(*_labelled(asked)).select_from(reflected).where(within)).one()
    width = len(asked) // len(wanted) if wanted else 1
    return [_Counted(each, *row[width * at : width * (at + 1)]) for at, each in enumerate(wanted)]


def _aggregates(wanted: _Wanted, dialect: str, *, exact: bool) -> "list[sa.ColumnElement[Any]]":
    import sqlalchemy as sa

    column = wanted.column
    fitting = comparable(column, dialect) if wanted.ordered else column
    nothing: sa.ColumnElement[Any] = sa.literal_column("NULL")
    values = (sa.func.min(fitting), sa.func.max(fitting)) if wanted.shows_values else ()
    return [
        sa.func.count(column),
        sa.func.count(sa.distinct(distinguishable(column))) if exact else nothing,
        sa.func.count(fitting),
        *([as_text(each, column.type) for each in values] or [nothing, nothing]),
    ]


def _labelled(expressions: "Iterable[sa.ColumnElement[Any]]") -> "list[sa.ColumnElement[Any]]":
    return [each.label(f"figure_{at}") for at, each in enumerate(expressions)]


def _quantiles(
    connection: "sa.Connection",
    reflected: "sa.TableClause",
    within: "sa.ColumnElement[bool]",
    counted: Sequence[_Counted],
) -> dict[str, dict[str, str]]:
    """Return the nearest-rank quantiles of the ordered columns, as text by column and name of quantile."""
    import sqlalchemy as sa

    ordered = [each for each in counted if each.wanted.ordered and each.wanted.shows_values and each.fitting]
    if not ordered:
        return {}
    dialect = connection.dialect.name
    values = [comparable(each.wanted.column, dialect).label(f"value_{at}") for at, each in enumerate(ordered)]
    partition = sa.select(*values).select_from(reflected).where(within).cte("partition_values")
    parts: list[Any] = [_at_ranks(partition, at, each) for at, each in enumerate(ordered)]
    query = cast("sa.Executable", sa.union_all(*parts))
    rows = cast("list[tuple[int, int, str]]", connection.execute(query).all())
    quantiles = dict[str, dict[str, str]]()
    for at, rank, text in rows:
        names = [name for name in _PARTS if _rank(name, ordered[at].fitting) == rank]
        quantiles.setdefault(ordered[at].wanted.name, {}).update(dict.fromkeys(names, text))
    return quantiles


def _at_ranks(partition: "sa.CTE", at: int, counted: _Counted) -> "sa.SelectBase":
    import sqlalchemy as sa

    value = partition.c[f"value_{at}"]
    rank = sa.func.row_number().over(order_by=value).label("rank_of_value")
    ranked = sa.select(value.label("value"), rank).where(value.is_not(None)).subquery(f"ranked_{at}")
    ranks = {_rank(name, counted.fitting) for name in _PARTS}
    text = as_text(ranked.c.value, counted.wanted.column.type)
    return sa.select(sa.literal(at, literal_execute=True), ranked.c.rank_of_value, text).where(
        ranked.c.rank_of_value.in_(sorted(ranks))
    )


def _rank(name: str, values: int) -> int:
    part, whole = _PARTS[name]
    return -(-values * part // whole)
