"""A cheap fact of rows, computed where they are: the same for the same rows in any order, another for any others."""

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from prefect_healing.domain.catalog import Table
from prefect_healing.domain.record import Record, digest
from prefect_healing.warehouse.partition import in_partition, reflect

if TYPE_CHECKING:
    import sqlalchemy as sa

_ARGUMENTS_MAX = 100
_FUNCTION = "healing_fingerprint"
_MODULUS = 1 << 128


class Fingerprint(Record):
    """How many rows there are, and a digest of them all; `digest` is empty where they were only counted."""

    rows: int
    digest: str = ""


def fingerprint_of(connection: "sa.Connection", rows: "sa.Select[Any] | sa.CompoundSelect[Any]") -> Fingerprint:
    """Return the fingerprint of what `rows` selects, in one pass that keeps nothing but a sum."""
    import sqlalchemy as sa

    if connection.dialect.name == "sqlite":
        _teach(connection)
    those = rows.subquery()
    columns = list(those.columns)
    parts = [columns[begin : begin + _ARGUMENTS_MAX] for begin in range(0, len(columns), _ARGUMENTS_MAX)]
    sums = [_sum(connection.dialect.name, part) for part in parts]
    counted, *found = connection.execute(sa.select(sa.func.count(), *sums).select_from(those)).one()
    return Fingerprint(rows=counted, digest=digest([str(each) for each in found])[:16] if counted else "none")


def partition_fingerprint(
    connection: "sa.Connection", table: Table, day: date | None, rows_max: int | None = None
) -> Fingerprint:
    """Return the fingerprint of one partition, of the whole table where it has none; above `rows_max` only a count."""
    import sqlalchemy as sa

    reflected = reflect(connection, table)
    where = whole_or_partition(table, reflected, day)
    counted = connection.execute(sa.select(sa.func.count()).select_from(reflected).where(where)).scalar_one()
    if rows_max is not None and counted > rows_max:
        return Fingerprint(rows=counted)
    return fingerprint_of(connection, sa.select(*reflected.columns).where(where))


def whole_or_partition(table: Table, reflected: "sa.TableClause", day: date | None) -> "sa.ColumnElement[bool]":
    """Return the predicate of one partition; without a day, of all rows."""
    import sqlalchemy as sa

    return sa.true() if day is None else in_partition(table, reflected, day)


def _sum(dialect: str, columns: "Sequence[sa.ColumnElement[object]]") -> "sa.ColumnElement[object]":
    import sqlalchemy as sa

    if dialect == "sqlite":
        return sa.Function(_FUNCTION, *(sa.type_coerce(each, sa.types.NullType()) for each in columns))
    row = sa.cast(sa.func.row(*columns), sa.Text)
    hashed = sa.func.hashtextextended(row, 0) if dialect == "postgresql" else sa.func.hash(row)
    return sa.func.sum(sa.cast(hashed, sa.Numeric(38, 0)))


def _teach(connection: "sa.Connection") -> None:
    """SQLite has no hash of its own: give it one, which sees a row at a time."""
    import sqlite3

    driver = connection.connection.dbapi_connection
    if isinstance(driver, sqlite3.Connection):
        driver.create_aggregate(_FUNCTION, -1, _Sum)  # pyright: ignore[reportArgumentType] - it may return text


class _Sum:
    """The sum of the hashes of rows, so that their order does not matter."""

    def __init__(self) -> None:
        self.total = 0

    def step(self, *cells: float | str | bytes | None) -> None:
        from hashlib import blake2b

        text = repr(cells).encode("utf-8", "surrogatepass")
        self.total += int.from_bytes(blake2b(text, digest_size=16).digest(), "big")

    def finalize(self) -> str:
        return f"{self.total % _MODULUS:032x}"
