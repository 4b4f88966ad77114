"""Some of the rows that fail a dbt test, where the catalog shares them; never a value of a sensitive column."""

import re
from typing import TYPE_CHECKING

from prefect_healing.dbt.artifacts import SQL_CHARS_MAX, DbtResult
from prefect_healing.dbt.manifest import declared_table
from prefect_healing.domain.catalog import Table
from prefect_healing.domain.record import canonical
from prefect_healing.errors import ConfigurationError, ToolError
from prefect_healing.guardrails.database_texts import MASK
from prefect_healing.guardrails.redaction import redact
from prefect_healing.tools.tool import ToolContext
from prefect_healing.warehouse.connection import reading
from prefect_healing.warehouse.partition import reflect

if TYPE_CHECKING:
    import sqlalchemy as sa

ROWS_SHOWN = 5
_CELL_CHARS_MAX = 80
_WORD = re.compile(r"\w+")


async def failing_rows(ctx: ToolContext, result: DbtResult) -> tuple[tuple[str, ...], str | None]:
    """Return some rows that fail the test, as JSON, or why none is shown."""
    if result.kind != "test" or not result.failures or result.compiled_sql is None:
        return (), "no test counted rows"
    tables = [declared_table(ctx.incident.catalog, name) for name in result.tables]
    shared = tuple(each for each in tables if each is not None and each.share_rows)
    if not tables or len(shared) < len(tables):
        return (), "the catalog does not share the rows of what is tested"
    if (refusal := _refusal(result.compiled_sql, shared)) is not None:
        return (), refusal
    sql = result.compiled_sql
    try:
        return await reading(ctx.settings, lambda connection: _rows(connection, sql, shared)), None
    except (ToolError, ConfigurationError) as error:
        return (), f"the warehouse could not be asked: {redact(str(error))[:200]}"


def _refusal(sql: str, tables: tuple[Table, ...]) -> str | None:
    if MASK in sql or len(sql) > SQL_CHARS_MAX:
        return "the test's SQL is not kept whole"
    sensitive = {name.casefold() for each in tables for name in each.sensitive}
    # What a test makes of a column can bear any name, and then nobody sees any more whose values those are.
    if sensitive.intersection(word.casefold() for word in _WORD.findall(sql)):
        return "the test looks at a sensitive column"
    return None


def _rows(connection: "sa.Connection", sql: str, tables: tuple[Table, ...]) -> tuple[str, ...]:
    connection.execution_options(no_parameters=True)  # A percent sign in the test's SQL is the author's.
    query = f"SELECT * FROM ({sql.strip().rstrip(';')}\n) AS failing LIMIT {ROWS_SHOWN}"  # noqa: S608 - dbt compiled it
    found = connection.exec_driver_sql(query)
    shown = [name for name in found.keys() if _is_shown(connection, name, tables)]  # noqa: SIM118 - a result has keys
    return tuple(canonical({name: _cell(row[name]) for name in shown}) for row in found.mappings())


def _is_shown(connection: "sa.Connection", name: str, tables: tuple[Table, ...]) -> bool:
    """Where any column is sensitive, show only what bears the name of one that is not."""
    sensitive = {each.casefold() for table in tables for each in table.sensitive}
    if not sensitive:
        return True
    columns = {each.name.casefold() for table in tables for each in reflect(connection, table).c}
    return name.casefold() in columns - sensitive


def _cell(value: object) -> str | int | float | bool | None:
    if value is None or isinstance(value, bool | int | float):
        return value
    return redact(str(value))[:_CELL_CHARS_MAX]
