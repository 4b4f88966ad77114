"""How old a table is, and which days it has: asked in the database, told as aware UTC times."""

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from pydantic import AwareDatetime

from prefect_healing.domain.catalog import Table
from prefect_healing.domain.record import Record
from prefect_healing.errors import ToolFailed
from prefect_healing.warehouse.partition import reflect

if TYPE_CHECKING:
    import sqlalchemy as sa

_SKEW = timedelta(minutes=5)
_SECONDS_PER_HOUR = 3600


class Age(Record):
    """How far a table got. Times are UTC; one that is stored without a zone is taken as UTC, a day as its begin.

    `last_update` is the newest value of the freshness column that is not in the future, None where there is none or no
    freshness is declared; `ahead` says that there are later ones, which prove nothing. `first` and `newest` are its
    partitions, None where it is empty or has no partition column.
    """

    last_update: AwareDatetime | None = None
    ahead: bool = False
    first: date | None = None
    newest: date | None = None

    def hours(self, at: datetime) -> float | None:
        """Return the age in hours, never negative, None where the table was never updated."""
        if self.last_update is None:
            return None
        return max(0.0, (at - self.last_update).total_seconds() / _SECONDS_PER_HOUR)

    def breaches(self, table: Table, at: datetime) -> bool | None:
        """Say whether the table is older than its entry allows, None where the entry does not say."""
        if table.freshness is None:
            return None
        hours = self.hours(at)
        return hours is None or hours > table.freshness.max_age_hours


def age_of(connection: "sa.Connection", table: Table, at: datetime) -> Age:
    """Return how far a table got at a moment.

    Raises ToolFailed where the table is not there, lacks a declared column, or holds what is no time.
    """
    reflected = reflect(connection, table)
    last_update, ahead = _last_update(connection, table, reflected, at)
    first, newest = _partitions(connection, table, reflected)
    return Age(last_update=last_update, ahead=ahead, first=first, newest=newest)


def days_of(connection: "sa.Connection", table: Table, since: date | None, limit: int) -> tuple[date, ...]:
    """Return the newest days that a table has a partition of, from `since` on, oldest first."""
    import sqlalchemy as sa

    reflected = reflect(connection, table)
    if table.partition is None:
        return ()
    column = reflected.c[table.partition]
    day = _day(connection, column).label("day")
    query = sa.select(day).where(column.is_not(None)).distinct().order_by(sa.desc("day")).limit(limit)
    if since is not None:
        query = query.where(column >= _bound(column, datetime.combine(since, time(), UTC)))
    return tuple(sorted(_as_date(each, table) for each in connection.execute(query).scalars()))


def _last_update(
    connection: "sa.Connection", table: Table, reflected: "sa.TableClause", at: datetime
) -> tuple[datetime | None, bool]:
    import sqlalchemy as sa

    if table.freshness is None:
        return None, False
    if (column := reflected.c.get(table.freshness.column)) is None:
        raise ToolFailed(
            f"The freshness of {table.name} is declared by column {table.freshness.column}, which it does not have; "
            "correct the catalog."
        )
    if not isinstance(column.type, sa.DateTime | sa.Date | sa.String):
        raise ToolFailed(f"Column {column.name} of {table.name} is {column.type}; freshness needs a date or a time.")
    value, until = _comparable(connection, column), _bound(column, at + _SKEW)
    if connection.dialect.name == "sqlite":
        until = (at + _SKEW).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    known = sa.func.max(sa.case((value <= until, value)))
    newest, last, filled = connection.execute(sa.select(sa.func.max(value), known, sa.func.count(column))).one()
    if newest is None and filled:
        raise ToolFailed(f"No value of column {column.name} of {table.name} is a time; correct the catalog.")
    _as_moment(newest, table)  # What is no time sorts anywhere, so it may stand behind all that are.
    return _as_moment(last, table), newest != last


def _comparable(connection: "sa.Connection", column: "sa.ColumnClause[Any]") -> "sa.ColumnElement[Any]":
    """Return the column as what compares by time: SQLite has text only, in whatever form and zone it was written."""
    import sqlalchemy as sa

    if connection.dialect.name == "sqlite":
        return sa.func.datetime(column)
    return _raw(column)


def _raw(column: "sa.ColumnElement[Any]") -> "sa.ColumnElement[Any]":
    """Return the column without its type, which would fail on what a loose database holds, and quote it."""
    import sqlalchemy as sa

    return sa.type_coerce(column, sa.types.NullType())


def _bound(column: "sa.ColumnElement[Any]", moment: datetime) -> "sa.ColumnElement[Any]":
    """Return a moment as a value of the column's type."""
    import sqlalchemy as sa

    kind = column.type
    if isinstance(kind, sa.DateTime):
        zoned = moment if kind.timezone else moment.astimezone(UTC).replace(tzinfo=None)
        return sa.literal(zoned, sa.DateTime(timezone=kind.timezone))
    if isinstance(kind, sa.String):
        midnight = moment.time() == time()
        return sa.literal(moment.date().isoformat() if midnight else moment.astimezone(UTC).isoformat())
    return sa.literal(moment.date(), sa.Date())


def _partitions(
    connection: "sa.Connection", table: Table, reflected: "sa.TableClause"
) -> tuple[date | None, date | None]:
    import sqlalchemy as sa

    if table.partition is None:
        return None, None
    column = _raw(reflected.c[table.partition])
    first, newest = connection.execute(sa.select(sa.func.min(column), sa.func.max(column))).one()
    return None if first is None else _as_date(first, table), None if newest is None else _as_date(newest, table)


def _day(connection: "sa.Connection", column: "sa.ColumnElement[Any]") -> "sa.ColumnElement[Any]":
    import sqlalchemy as sa

    if not isinstance(column.type, sa.DateTime):
        return _raw(column)
    return sa.func.date(column) if connection.dialect.name == "sqlite" else sa.cast(column, sa.Date())


def _as_date(value: object, table: Table) -> date:
    moment = value if isinstance(value, date) else _parsed(value)
    if moment is None:
        raise ToolFailed(f"Column {table.partition} of {table.name} holds what is no day; correct the catalog.")
    return moment.date() if isinstance(moment, datetime) else moment


def _as_moment(value: object, table: Table) -> datetime | None:
    if value is None:
        return None
    moment = value if isinstance(value, date) else _parsed(value)
    if moment is None:
        raise ToolFailed(f"The freshness column of {table.name} holds what is no time; correct the catalog.")
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time())
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _parsed(value: object) -> datetime | None:
    try:
        return datetime.fromisoformat(value.strip()) if isinstance(value, str) else None
    except ValueError:
        return None
