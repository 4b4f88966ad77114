"""A question of the model's own to the warehouse, in SQL, behind the guard."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, JsonValue

from prefect_healing.domain.record import Record
from prefect_healing.tools.tool import ToolContext, tool
from prefect_healing.warehouse.connection import reading

if TYPE_CHECKING:
    import sqlalchemy as sa


class QueryRows(Record):
    """What a query gave: `columns`, `rows` in their order, the `tables` read; `note` says what was cut or left out."""

    columns: tuple[str, ...]
    rows: tuple[tuple[JsonValue, ...], ...]
    tables: tuple[str, ...]
    note: str = ""


@tool(effect="read")
async def query_warehouse(
    ctx: ToolContext,
    sql: Annotated[str, Field(description="One SELECT, in the SQL of the warehouse (SQLite or PostgreSQL).")],
) -> QueryRows:
    """Ask the warehouse one read-only question in SQL, where no other tool answers it.

    One SELECT (joins with ON, subqueries, WITH, UNION, CASE, CAST, FILTER) over the tables of this incident; at most
    200 rows, 20,000 bytes and 15 seconds. No windows, no table functions, no system tables, no SELECT of values that
    stay home: of a table that does not share its rows only aggregates leave, grouped by its partition column, and
    null over fewer than 5 rows; sensitive columns only in COUNT, COUNT(DISTINCT ...) and IS [NOT] NULL. Prefer
    compare_row_counts, table_statistics, find_duplicates and diff_schema, which need no SQL.
    """

    def ask(connection: "sa.Connection") -> QueryRows:
        from prefect_healing.warehouse.query import answer

        return QueryRows.model_validate(answer(connection, sql, ctx.incident.catalog).model_dump())

    return await reading(ctx.settings, ask)
