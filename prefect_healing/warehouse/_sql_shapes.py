"""What a query may be made of: the kinds of expression, the parts that each may have, and sizes. The rest is refused.

A kind or part that is not named here does not pass, so what a new version of the parser learns is refused at first.
"""

import re
from collections.abc import Callable

from sqlglot import exp
from sqlglot.expressions import DType

from prefect_healing.errors import ToolFailed

TEXT_CHARS_MAX = 6_000
TOKENS_MAX = 1_500
PARENTHESES_MAX = 40
NODES_MAX = 2_000
COLUMNS_MAX = 50
STARS_MAX = 3
SOURCES_MAX = 12
LITERAL_CHARS_MAX = 200

ALLOWED = (
    "Allowed is one SELECT, also with joins written JOIN ... ON, subqueries, WITH, UNION, CASE and CAST, over the "
    "tables of this incident, with plain functions such as count, sum, avg, min, max, round, coalesce and length."
)

_BINARY = "this expression"
_PARTS: dict[type[exp.Expr], str] = {
    exp.Select: "expressions from_ joins where group having order limit offset distinct with_",
    **dict.fromkeys((exp.Union, exp.Intersect, exp.Except), "this expression distinct order limit offset with_"),
    exp.With: "expressions",
    exp.CTE: "this alias",
    exp.Subquery: "this alias",
    exp.Join: "this on using side kind",
    exp.Ordered: "this desc nulls_first",
    **dict.fromkeys((exp.From, exp.Where, exp.Having, exp.Not, exp.Paren, exp.Neg, exp.Exists, exp.TableAlias), "this"),
    **dict.fromkeys((exp.Limit, exp.Offset), "expression"),
    **dict.fromkeys((exp.Group, exp.Order, exp.Distinct), "expressions"),
    exp.Table: "this db alias",
    exp.Identifier: "this quoted",
    exp.Column: "this table",
    exp.Alias: "this alias",
    **dict.fromkeys((exp.Star, exp.Null, exp.CurrentDate, exp.CurrentTimestamp), ""),
    exp.Literal: "this is_string",
    **dict.fromkeys((exp.Boolean, exp.Var), "this"),
    **dict.fromkeys((exp.And, exp.Or, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE), _BINARY),
    **dict.fromkeys((exp.NullSafeEQ, exp.NullSafeNEQ, exp.Escape, exp.Filter), _BINARY),
    **dict.fromkeys((exp.Is, exp.Like, exp.ILike), "this expression negate"),
    exp.In: "this expressions query",
    exp.Between: "this low high",
    exp.Case: "this ifs default",
    exp.If: "this true false",
    **dict.fromkeys((exp.Add, exp.Sub, exp.Mul, exp.Mod), _BINARY),
    exp.Div: "this expression typed safe",
    exp.Cast: "this to",
    exp.DataType: "this nested expressions",
    exp.DataTypeParam: "this",
    exp.Count: "this big_int",
    **dict.fromkeys((exp.Sum, exp.Avg, exp.Min, exp.Max), "this"),
    **dict.fromkeys((exp.Stddev, exp.StddevSamp, exp.StddevPop, exp.Variance, exp.VariancePop), "this"),
    **dict.fromkeys((exp.Abs, exp.Ceil, exp.Floor, exp.Lower, exp.Upper, exp.Trim, exp.Length), "this"),
    exp.Round: "this decimals",
    exp.Coalesce: "this expressions",
    exp.Nullif: _BINARY,
    **dict.fromkeys((exp.Greatest, exp.Least), "this expressions ignore_nulls"),
    exp.Substring: "this start length",
    exp.Date: "this",
    exp.TimestampTrunc: "this unit",
    exp.DateTrunc: "this unit unabbreviate",
    exp.Extract: _BINARY,
    exp.TimeToStr: "this format",
    exp.TsOrDsToTimestamp: "this",
    exp.Interval: "this unit",
    exp.Typeof: "this",
}
_POSTGRES_ONLY = (exp.Stddev, exp.StddevSamp, exp.StddevPop, exp.Variance, exp.VariancePop, exp.TimestampTrunc)
_ONLY_SQLITE = (exp.Typeof, exp.TsOrDsToTimestamp)
_NOT_SQLITE = (*_POSTGRES_ONLY, exp.DateTrunc, exp.Extract, exp.Interval, exp.ILike)
_TAKE_A_UNIT = (exp.Extract, exp.Interval, exp.TimestampTrunc, exp.DateTrunc)
_TYPES = frozenset(
    (DType.INT, DType.BIGINT, DType.SMALLINT, DType.DECIMAL, DType.FLOAT, DType.DOUBLE, DType.TEXT, DType.BOOLEAN)
)
_TIMES = frozenset((DType.DATE, DType.TIMESTAMP))
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_ $-]{0,62}")
_NUMBER = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?|\.[0-9]{1,20}")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_SYSTEM = ("pg_", "sqlite_", "duckdb_", "pragma_")
_SYSTEM_SCHEMAS = ("information_schema", "pg_catalog", "temp", "pg_temp", "system")


def check_text(sql: str) -> None:
    """Refuse a text that is too long, or holds what no query needs, before anything reads it."""
    if not sql.strip():
        raise ToolFailed(f"There is no query. {ALLOWED}")
    if len(sql) > TEXT_CHARS_MAX:
        raise ToolFailed(f"The query has {len(sql)} characters; {TEXT_CHARS_MAX} is the most. Ask for less at once.")
    if _UNPRINTABLE.search(sql):
        raise ToolFailed("The query holds control characters or broken Unicode; write it in plain text.")
    depth = deepest = 0
    for character in sql:
        depth += (character == "(") - (character == ")")
        deepest = max(deepest, depth)
    if deepest > PARENTHESES_MAX:
        raise ToolFailed(f"The query nests parentheses {deepest} deep; {PARENTHESES_MAX} is the most. Use WITH.")


def check_shape(tree: exp.Expr, dialect: str) -> None:
    """Refuse a query that holds any kind of expression, or any part of one, that is not on the list."""
    if not isinstance(tree, exp.Select | exp.SetOperation):
        raise ToolFailed(f"Only a SELECT can be asked, and this is {_spoken(tree)}. {ALLOWED}")
    nodes = list(tree.walk())
    if len(nodes) > NODES_MAX:
        raise ToolFailed(f"The query has {len(nodes)} parts; {NODES_MAX} is the most. Ask for less at once.")
    for node in nodes:
        _check_node(node, dialect)
    _check_counts(nodes)
    if any(node.parent is not tree for node in nodes if isinstance(node, exp.With)):
        raise ToolFailed("WITH stands inside a subquery; write all of it once, at the beginning of the query.")


def _check_counts(nodes: list[exp.Expr]) -> None:
    if sum(isinstance(node, exp.Table) for node in nodes) > SOURCES_MAX:
        raise ToolFailed(f"The query names more than {SOURCES_MAX} tables; ask in several queries.")
    stars = sum(isinstance(node, exp.Star) and not isinstance(node.parent, exp.Count) for node in nodes)
    if stars > STARS_MAX:
        raise ToolFailed(f"The query has {stars} stars; {STARS_MAX} is the most. Name the columns you want.")


def _check_node(node: exp.Expr, dialect: str) -> None:
    parts = _PARTS.get(type(node))
    if parts is None or isinstance(node, _NOT_SQLITE if dialect == "sqlite" else _ONLY_SQLITE):
        raise ToolFailed(f"{_spoken(node)} cannot be used in a query. {_instead(node, dialect)}")
    known = parts.split()
    for name, value in node.args.items():
        if name not in known and value not in (None, False, []):
            part = name.strip("_").replace("_", " ").upper()
            raise ToolFailed(f"{_spoken(node)} with {part} cannot be used in a query. {_instead(node, dialect)}")
    if (special := _SPECIAL.get(type(node))) is not None:
        special(node, dialect)


def _spoken(node: exp.Expr) -> str:
    if isinstance(node, exp.Anonymous):
        return f"The function {str(node.this)[:60]}"
    if isinstance(node, exp.Func):
        return f"The function {node.sql_name().lower()}"
    if isinstance(node, exp.Placeholder | exp.Parameter):
        return "A parameter"
    return f"{type(node).__name__} ({node.key})" if isinstance(node, exp.Command) else type(node).__name__


_INSTEAD: tuple[tuple[tuple[type[exp.Expr], ...], str], ...] = (
    ((exp.Window,), "Group instead: aggregates with GROUP BY, joined to another query in WITH where needed."),
    (
        (exp.GroupConcat, exp.ArrayAgg, exp.JSONArrayAgg),
        "Aggregates that list values are refused; ask COUNT(*) and COUNT(DISTINCT ...).",
    ),
    ((exp.With,), "A query that calls itself could run without end; write it as plain SELECTs."),
    ((exp.Typeof,), "Here every column has one type, and diff_schema tells it."),
    ((exp.Interval,), "In SQLite compare with an ISO text such as '2013-01-05', or use date(column)."),
    ((exp.DateTrunc, exp.TimestampTrunc, exp.Extract), "In SQLite use date(column) or strftime('%H', column)."),
    ((exp.ILike,), "In SQLite LIKE already ignores case."),
    (
        (exp.Stddev, exp.StddevSamp, exp.StddevPop, exp.Variance, exp.VariancePop),
        "SQLite has no such function; ask AVG(x) and AVG(x * x).",
    ),
    ((exp.Placeholder, exp.Parameter), "Write the value itself."),
    ((exp.Join,), "Write JOIN ... ON, LEFT JOIN ... ON or CROSS JOIN."),
    ((exp.TableAlias,), "Name the columns inside, with AS, and give the table a plain alias."),
)


def _instead(node: exp.Expr, dialect: str) -> str:
    return next((advice for kinds, advice in _INSTEAD if isinstance(node, kinds)), ALLOWED)


def _check_identifier(node: exp.Expr, _: str) -> None:
    if not _NAME.fullmatch(str(node.this)):
        raise ToolFailed(
            "A name in the query is longer than 63 characters or is not made of plain letters, digits and underscores; "
            "write the names of tables and columns as read_catalog and table_statistics give them."
        )


def _check_literal(node: exp.Expr, _: str) -> None:
    text = str(node.this)
    if not node.args.get("is_string"):
        if not _NUMBER.fullmatch(text):
            raise ToolFailed("A number in the query is not a plain decimal of at most 20 digits; write it so.")
    elif len(text) > LITERAL_CHARS_MAX or "\\" in text:
        raise ToolFailed(f"A text in the query has a backslash or over {LITERAL_CHARS_MAX} characters; write it plain.")


def _check_table(node: exp.Expr, _: str) -> None:
    name, schema = node.name.casefold(), node.text("db").casefold()
    if not isinstance(node.this, exp.Identifier):
        raise ToolFailed(f"A function stands where a table is read. {ALLOWED}")
    if name.startswith(_SYSTEM) or schema.startswith(_SYSTEM) or schema in _SYSTEM_SCHEMAS:
        raise ToolFailed(
            f"{name} is the database's own table, and none of those can be read; "
            "read_catalog and diff_schema tell what tables and columns there are."
        )


def _check_type(node: exp.Expr, dialect: str) -> None:
    if node.this not in _TYPES and not (node.this in _TIMES and dialect != "sqlite"):
        remedy = " In SQLite use date(column), or compare with an ISO text." if node.this in _TIMES else ""
        raise ToolFailed(
            "A value can be cast to integer, bigint, numeric, real, double precision, text, boolean"
            f"{'' if dialect == 'sqlite' else ', date, timestamp'}, and to nothing else.{remedy}"
        )
    if node.expressions and (node.this is not DType.DECIMAL or not all(map(_is_small, node.expressions))):
        raise ToolFailed("Only numeric takes a size when casting, of at most 38 digits.")


def _is_small(node: exp.Expr) -> bool:
    text = str(node.name)
    return text.isascii() and text.isdigit() and int(text) <= 38  # noqa: PLR2004 - what every database holds


def _check_join(node: exp.Expr, _: str) -> None:
    side, kind = str(node.args.get("side") or "").upper(), str(node.args.get("kind") or "").upper()
    if side not in ("", "LEFT", "RIGHT", "FULL") or kind not in ("", "INNER", "OUTER", "CROSS"):
        raise ToolFailed(f"A join cannot be {side} {kind}; write JOIN ... ON, LEFT JOIN ... ON or CROSS JOIN.")


def _check_bound(node: exp.Expr, _: str) -> None:
    if not isinstance(node.expression, exp.Literal) or not str(node.expression.this).isdigit():
        raise ToolFailed("LIMIT and OFFSET take a plain number, such as LIMIT 10; at most 200 rows are shown.")


def _check_pattern(node: exp.Expr, _: str) -> None:
    if not (isinstance(node.expression, exp.Literal) and node.expression.is_string):
        raise ToolFailed("LIKE takes a text as its pattern, such as 'N%'.")


def _check_is(node: exp.Expr, _: str) -> None:
    if not isinstance(node.expression, exp.Null | exp.Boolean):
        raise ToolFailed("IS takes NULL, TRUE or FALSE; compare values with =.")


def _check_unit(node: exp.Expr, _: str) -> None:
    if not str(node.this).isalpha() or not isinstance(node.parent, _TAKE_A_UNIT):
        raise ToolFailed("A unit of time, such as HOUR, stands where none belongs.")


def _check_interval(node: exp.Expr, _: str) -> None:
    if not isinstance(node.this, exp.Literal):
        raise ToolFailed("INTERVAL takes a text such as '1 day'; write one.")


def _check_format(node: exp.Expr, _: str) -> None:
    if not isinstance(node.args.get("format"), exp.Literal):
        raise ToolFailed("A time is formatted by a text, such as '%H' in SQLite; write one.")


_SPECIAL: dict[type[exp.Expr], Callable[[exp.Expr, str], None]] = {
    exp.Identifier: _check_identifier,
    exp.Literal: _check_literal,
    exp.Table: _check_table,
    exp.DataType: _check_type,
    exp.Join: _check_join,
    exp.Limit: _check_bound,
    exp.Offset: _check_bound,
    exp.Like: _check_pattern,
    exp.ILike: _check_pattern,
    exp.Is: _check_is,
    exp.Var: _check_unit,
    exp.Interval: _check_interval,
    exp.TimeToStr: _check_format,
}
