"""A declared table as the database has it, and the predicate that keeps everything inside one partition."""

from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

from prefect_healing.domain.catalog import Catalog, Table
from prefect_healing.errors import ToolFailed

if TYPE_CHECKING:
    import sqlalchemy as sa

_EARLIEST, _LATEST = date(1900, 1, 1), date(2200, 1, 1)


def declared(catalog: Catalog, name: str) -> Table:
    """Return the table's catalog entry. Raises ToolFailed where this incident has no such table."""
    if (table := catalog.table(name)) is None:
        known = ", ".join(each.name for each in catalog.tables) or "none: the catalog has nothing on this incident"
        raise ToolFailed(f"No table {name[:80]!r} bears on this incident; there are {known}.")
    return table


def as_day(text: str) -> date:
    """Return the partition that an ISO day names. Raises ToolFailed for anything else."""
    try:
        day = date.fromisoformat(text) if len(text) == len("2013-01-05") else None
    except ValueError:
        day = None
    if day is None or not _EARLIEST <= day < _LATEST:
        raise ToolFailed(f"{text[:40]!r} is no partition; a partition is a day such as 2013-01-05.")
    return day


def reflect(connection: "sa.Connection", table: Table) -> "sa.TableClause":
    """Return the table with its columns and their types, as the database has it now.

    Raises ToolFailed where there is no such table, it lacks its declared partition column or key, or a sensitive
    column is declared in another spelling than it has: nothing would then be withheld.
    """
    import sqlalchemy as sa
    from sqlalchemy.exc import NoSuchTableError

    schema, name = schema_and_name(table.name)
    inspector = sa.inspect(connection)
    try:
        columns = inspector.get_columns(name, schema=schema)
    except NoSuchTableError:
        raise ToolFailed(
            f"The catalog declares table {table.name}, and the warehouse has none of that name; correct the catalog."
        ) from None
    known = {each["name"] for each in columns}
    wanted = {*table.key, *([table.partition] if table.partition else [])}
    if missing := sorted(wanted - known):
        raise ToolFailed(f"The catalog declares columns of {table.name} that it does not have: {', '.join(missing)}.")
    if misspelt := sorted(_misspelt(table.sensitive, known)):
        raise ToolFailed(f"The catalog spells sensitive columns of {table.name} wrongly: {', '.join(misspelt)}.")
    return sa.table(name, *(sa.column(each["name"], each["type"]) for each in columns), schema=schema)


def _misspelt(sensitive: frozenset[str], known: set[str]) -> set[str]:
    return {each for each in sensitive - known if each.casefold() in {name.casefold() for name in known}}


def schema_and_name(name: str) -> tuple[str | None, str]:
    """Return schema (None for the default one) and table of a declared name."""
    schema, _, table = name.rpartition(".")
    return schema or None, table


def in_partition(table: Table, reflected: "sa.TableClause", day: date) -> "sa.ColumnElement[bool]":
    """Return the predicate of one partition. Raises ToolFailed where the table declares no partition column."""
    import sqlalchemy as sa

    if table.partition is None:
        raise ToolFailed(f"Table {table.name} declares no partition column, so no single partition of it can be named.")
    column = reflected.c[table.partition]
    if isinstance(column.type, sa.DateTime):
        begin = datetime.combine(day, time())
        return sa.and_(column >= begin, column < begin + timedelta(days=1))
    if isinstance(column.type, sa.String):
        return column == day.isoformat()
    return column == day


def count_rows(connection: "sa.Connection", table: Table, day: date | None = None) -> int:
    """Return how many rows a table, or one partition of it, has."""
    import sqlalchemy as sa

    reflected = reflect(connection, table)
    query = sa.select(sa.func.count()).select_from(reflected)
    if day is not None:
        query = query.where(in_partition(table, reflected, day))
    return connection.execute(query).scalar_one()
