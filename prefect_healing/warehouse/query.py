"""Runs a guarded query: in a transaction that cannot write, for some seconds, up to so many rows and bytes.

The guard is the first wall. A role of the database that sees the catalog's tables and no others is the best second one.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, cast

from pydantic import JsonValue

from prefect_healing.domain.catalog import Catalog, Table
from prefect_healing.domain.record import Record
from prefect_healing.errors import ToolFailed
from prefect_healing.warehouse._sql_flow import Kind
from prefect_healing.warehouse._sql_scopes import Columns
from prefect_healing.warehouse._sql_values import ROWS_MIN
from prefect_healing.warehouse._sqlite_wall import walled
from prefect_healing.warehouse.partition import reflect
from prefect_healing.warehouse.sql_guard import ROWS_MAX, Dialect, Guarded, guarded

if TYPE_CHECKING:
    import sqlalchemy as sa
    from sqlalchemy.exc import DBAPIError

QUERY_SECONDS = 15.0
BYTES_MAX = 20_000
CELL_CHARS_MAX = 500

_DIALECTS: dict[str, Dialect] = {"sqlite": "sqlite", "postgresql": "postgres", "duckdb": "duckdb"}
_NO_FRACTION = re.compile(r"(?<=\d\d:\d\d:\d\d)\.000000$")  # How SQLite keeps a time without fractions of a second.
_CANCELED = "57014"


class QueryAnswer(Record):
    """What a query gave: `columns`, `rows` in their order, and in `note` what was cut off, empty where nothing was.

    Times are ISO texts, decimals are numbers.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[JsonValue, ...], ...]
    tables: tuple[str, ...]
    note: str = ""


def answer(connection: "sa.Connection", sql: str, catalog: Catalog) -> QueryAnswer:
    """Guard and run one query in an open transaction. Raises ToolFailed where it is refused, fails or takes too long.

    What the database says of a failed query can quote rows, so only the kind of the failure is passed on.
    """
    from sqlalchemy.exc import DBAPIError

    dialect = _DIALECTS.get(connection.dialect.name)
    if dialect is None:
        raise ToolFailed(f"Queries are not guarded for {connection.dialect.name}; use the other tools.")
    query = guarded(sql, catalog, dialect, lambda table: _columns_of(connection, table))
    try:
        with walled(connection, _views_and_tables(query), QUERY_SECONDS):
            return _run(connection, query)
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        raise _failed(error) from None


def _run(connection: "sa.Connection", query: Guarded) -> QueryAnswer:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {QUERY_SECONDS * 1000:.0f}")
    options = connection.execution_options(no_parameters=True, stream_results=True)
    result = options.exec_driver_sql(query.sql)
    rows, cut = _bounded(cast("Iterable[tuple[object, ...]]", result))
    result.close()
    notes = [cut, _few_note(query)]
    return QueryAnswer(
        columns=query.columns, rows=tuple(rows), tables=query.tables, note=" ".join(note for note in notes if note)
    )


def _bounded(found: Iterable[tuple[object, ...]]) -> tuple[list[tuple[JsonValue, ...]], str]:
    rows: list[tuple[JsonValue, ...]] = []
    size = 0
    for row in found:
        if len(rows) == ROWS_MAX:
            return rows, f"Only the first {ROWS_MAX} rows are shown; aggregate, or ask for less."
        shown = tuple(_plain(value) for value in row)
        size += len(repr(shown).encode("utf-8", "replace"))
        if size > BYTES_MAX:
            return rows, f"Only the first {len(rows)} rows are shown, up to {BYTES_MAX} bytes; ask for fewer columns."
        rows.append(shown)
    return rows, ""


def _plain(value: object) -> JsonValue:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, bytes):
        return f"({len(value)} bytes)"
    text = value.isoformat(" ") if isinstance(value, datetime) else _NO_FRACTION.sub("", str(value))
    return text if len(text) <= CELL_CHARS_MAX else f"{text[:CELL_CHARS_MAX]}... ({len(text)} characters)"


def _few_note(query: Guarded) -> str:
    if not query.withholds:
        return ""
    return f"Rows are not shared: an aggregate of values over fewer than {ROWS_MIN} rows is null, whatever it is."


def _columns_of(connection: "sa.Connection", table: Table) -> Columns:
    return {column.name: _kind(column.type) for column in reflect(connection, table).columns}


def _kind(of: "sa.types.TypeEngine[object]") -> Kind:
    import sqlalchemy as sa

    if isinstance(of, sa.Boolean):
        return "other"
    if isinstance(of, sa.Numeric | sa.Integer):
        return "number"
    if isinstance(of, sa.Date | sa.DateTime):
        return "date"
    return "text" if isinstance(of, sa.String) else "other"


def _views_and_tables(query: Guarded) -> frozenset[str]:
    return frozenset(name.rpartition(".")[2].casefold() for name in query.tables)


def _failed(error: "DBAPIError") -> ToolFailed:
    state = str(getattr(error.orig, "sqlstate", None) or "")
    name = str(getattr(error.orig, "sqlite_errorname", None) or type(error.orig).__name__)
    if state == _CANCELED or name == "SQLITE_INTERRUPT":
        return ToolFailed(
            f"The query did not end within {QUERY_SECONDS:.0f} seconds; restrict it to one partition, or join less."
        )
    said = _said(error, state)
    return ToolFailed(
        f"The warehouse refused the query: {name}{f' ({state})' if state else ''}{said}. Correct types and casts; "
        "its own words are left out where they can quote rows."
    )


def _said(error: "DBAPIError", state: str) -> str:
    # Errors of class 42 are found before any row is read: a function for these types is not there, and the like.
    primary = getattr(getattr(error.orig, "diag", None), "message_primary", None)
    return f": {str(primary)[:300]}" if state.startswith("42") and primary else ""
