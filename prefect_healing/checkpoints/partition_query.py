"""One partition, as a query that reads nothing else."""

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from prefect_healing.domain.catalog import Table
from prefect_healing.warehouse.partition import in_partition, reflect

if TYPE_CHECKING:
    from collections.abc import Mapping

    import sqlalchemy as sa
    from sqlalchemy.types import TypeEngine


@dataclass(frozen=True)
class Partition:
    """A partition's rows counted, the SQL that selects them, and its columns' types as the database has them.

    The predicate is a plain comparison of the partition column, so that its index serves every single check.
    """

    rows: int
    query: str
    types: "Mapping[str, TypeEngine[object]]"
    dialect: str


def look(connection: "sa.Connection", table: Table, day: date) -> Partition:
    """Count a partition's rows, and write the query for them. Raises ToolFailed where there is no such table."""
    import sqlalchemy as sa

    reflected = reflect(connection, table)
    inside = in_partition(table, reflected, day)
    query = sa.select(*reflected.c).where(inside)
    text = query.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
    return Partition(
        rows=connection.execute(sa.select(sa.func.count()).select_from(reflected).where(inside)).scalar_one(),
        query=str(text),
        types={column.name: column.type for column in reflected.c},
        dialect=connection.dialect.name,
    )
