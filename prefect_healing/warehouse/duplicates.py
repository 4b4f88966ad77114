"""Rows of a partition that share their key."""

from datetime import date
from typing import TYPE_CHECKING, Any

from prefect_healing.domain.catalog import Table
from prefect_healing.domain.record import Record
from prefect_healing.errors import ToolFailed
from prefect_healing.warehouse.figures import distinguishable
from prefect_healing.warehouse.partition import in_partition, reflect

if TYPE_CHECKING:
    import sqlalchemy as sa

WHOLE_ROWS_MAX = 200_000
_SHOWN_MAX = 5


class Duplicates(Record):
    """How often keys occur more than once, in counts only.

    `surplus_rows` are the rows beyond one for each key; `identical_rows` of all rows repeat another one in every
    column, None where that was not looked at. `copies` tells how many keys occur how often, the most common first.
    `rows_without_key` have a null in their key, and count as no duplicate.
    """

    key: tuple[str, ...]
    rows: int
    duplicated_keys: int
    surplus_rows: int
    copies: dict[int, int]
    identical_rows: int | None
    rows_without_key: int


def duplicates_in(connection: "sa.Connection", table: Table, day: date) -> Duplicates:
    """Count the duplicates of a partition by the table's key. Raises ToolFailed where it declares none."""
    import sqlalchemy as sa

    if not table.key:
        raise ToolFailed(f"Table {table.name} declares no key, so nothing says which rows are duplicates.")
    reflected = reflect(connection, table)
    within = in_partition(table, reflected, day)
    keys = [reflected.c[name] for name in table.key]
    whole = sa.and_(within, *(each.is_not(None) for each in keys))
    rows = _count(connection, sa.select(sa.func.count()).select_from(reflected).where(within))
    keyed = _count(connection, sa.select(sa.func.count()).select_from(reflected).where(whole))
    copies = _copies(connection, whole, [distinguishable(each) for each in keys])
    surplus = sum((times - 1) * many for times, many in copies.items())
    return Duplicates(
        key=table.key,
        rows=rows,
        duplicated_keys=sum(copies.values()),
        surplus_rows=surplus,
        copies=dict(sorted(copies.items(), key=lambda pair: -pair[1])[:_SHOWN_MAX]),
        identical_rows=_identical(connection, reflected, within, rows) if surplus and rows <= WHOLE_ROWS_MAX else None,
        rows_without_key=rows - keyed,
    )


def _copies(
    connection: "sa.Connection", within: "sa.ColumnElement[bool]", keys: "list[sa.ColumnElement[Any]]"
) -> dict[int, int]:
    """Return how many keys occur how many times, those that occur once aside."""
    import sqlalchemy as sa

    times = sa.func.count().label("times")
    groups = sa.select(times).where(within).group_by(*keys).having(sa.func.count() > 1).subquery("duplicated")
    found = connection.execute(sa.select(groups.c.times, sa.func.count()).group_by(groups.c.times))
    return {row[0]: row[1] for row in found}


def _identical(
    connection: "sa.Connection", reflected: "sa.TableClause", within: "sa.ColumnElement[bool]", rows: int
) -> int:
    import sqlalchemy as sa

    columns = [distinguishable(each).label(f"column_{at}") for at, each in enumerate(reflected.c)]
    different = sa.select(*columns).where(within).distinct().subquery("different")
    return rows - _count(connection, sa.select(sa.func.count()).select_from(different))


def _count(connection: "sa.Connection", query: "sa.Select[Any]") -> int:
    return int(connection.execute(query).scalar_one())
