"""The guard before the model's own queries: one SELECT over the incident's tables, and only what may leave.

The query is parsed, checked against a list of what it may be made of, read as the database will read it, and written
anew from the tree that was checked; that text is what runs. Whatever is not understood is refused.
"""

from collections.abc import Callable
from typing import Literal

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import TokenType

from prefect_healing.domain.catalog import Catalog, Table
from prefect_healing.domain.record import Record
from prefect_healing.errors import ToolFailed
from prefect_healing.warehouse._sql_scopes import Columns, Query
from prefect_healing.warehouse._sql_shapes import ALLOWED, TOKENS_MAX, check_shape, check_text

Dialect = Literal["sqlite", "postgres", "duckdb"]
ROWS_MAX = 200

_BEGINNINGS = (TokenType.SELECT, TokenType.WITH, TokenType.L_PAREN)
_CONFUSED = (SqlglotError, RecursionError, ValueError, TypeError, KeyError, AttributeError, IndexError)


class Guarded(Record):
    """A query that may run: its text, written from the checked tree, the tables it reads, the columns it gives.

    `withholds` says that an aggregate in it is null over few rows. The text asks for one row more than is shown, so
    that what is cut is known to be cut.
    """

    sql: str
    tables: tuple[str, ...]
    columns: tuple[str, ...]
    withholds: bool = False


def guarded(sql: str, catalog: Catalog, dialect: Dialect, columns_of: Callable[[Table], Columns]) -> Guarded:
    """Return the query as it may run. Raises ToolFailed, in words for a model, where it may not.

    `columns_of` gives the columns that a table really has.
    """
    check_text(sql)
    try:
        return _guarded(sql, catalog, dialect, columns_of)
    except _CONFUSED as error:
        raise ToolFailed(f"The query cannot be understood ({type(error).__name__}). {ALLOWED}") from None


def _guarded(sql: str, catalog: Catalog, dialect: Dialect, columns_of: Callable[[Table], Columns]) -> Guarded:
    tree = _parsed(sql, dialect)
    query = Query(catalog, dialect, columns_of)
    outputs = query.read(tree)
    _limit(tree)
    return Guarded(
        sql=_written(tree, dialect),
        tables=tuple(query.tables),
        columns=tuple(output.name for output in outputs),
        withholds=query.withholds,
    )


def _parsed(sql: str, dialect: Dialect) -> exp.Query:
    tokens = sqlglot.tokenize(sql, dialect=dialect)
    while tokens and tokens[-1].token_type == TokenType.SEMICOLON:
        tokens.pop()
    if len(tokens) > TOKENS_MAX:
        raise ToolFailed(f"The query has more than {TOKENS_MAX} words; ask for less at once.")
    if any(each.token_type == TokenType.SEMICOLON for each in tokens):
        raise ToolFailed("The text holds more than one statement; send exactly one SELECT.")
    if not tokens or tokens[0].token_type not in _BEGINNINGS:
        raise ToolFailed(f"Only a query that begins with SELECT or WITH can be asked. {ALLOWED}")
    tree = sqlglot.parse_one(sql, dialect=dialect)
    while isinstance(tree, exp.Subquery) and not any(value for name, value in tree.args.items() if name != "this"):
        tree = tree.this  # Parentheses around all of it.
    check_shape(tree, dialect)
    if not isinstance(tree, exp.Select | exp.SetOperation):
        raise ToolFailed(f"Only a SELECT can be asked. {ALLOWED}")
    return tree


def _limit(tree: exp.Query) -> None:
    limit = tree.args.get("limit")
    asked = int(limit.expression.this) if isinstance(limit, exp.Limit) else ROWS_MAX + 1
    tree.set("limit", exp.Limit(expression=exp.Literal.number(min(asked, ROWS_MAX + 1))))


def _written(tree: exp.Query, dialect: Dialect) -> str:
    """Return the text of the tree. Reading the text must give the tree again, or it is not what was checked."""
    text = tree.sql(dialect=dialect, comments=False)
    again = _parsed(text, dialect)
    if again.sql(dialect=dialect, comments=False) != text:
        raise ToolFailed(f"The query reads differently when it is written anew; write it more plainly. {ALLOWED}")
    return text
