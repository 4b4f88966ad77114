"""SQL expressions for the figures of one column, which read the same values on every database.

SQLite keeps what it is given: a column of numbers may hold words, and a date is text. PostgreSQL has NaN and infinity.
Such values are left out of minimum, maximum and quantiles, and counted instead: a figure is never a stray value.
"""

import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from prefect_healing.warehouse.column_types import family_of

if TYPE_CHECKING:
    import sqlalchemy as sa

NUMBERS = frozenset({"integer", "number"})
MOMENTS = frozenset({"date", "timestamp"})
Figure = int | float | str
"""A number, or a day or moment as ISO text (UTC)."""

_EQUAL_AS_THEY_ARE = NUMBERS | MOMENTS | {"text", "boolean", "time", "interval", "uuid", "binary"}
_NOT_FINITE = ("NaN", "Infinity", "-Infinity")
_ISO_DAY = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*"
_MOMENT = re.compile(r"\d{4,6}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d(?::?\d\d)?)?)?(?: BC)?")
_WHOLE_MAX = 2**63
_NUMBER_CHARS_MAX = 40
_TEXT_CHARS_MAX = 60


def comparable(column: "sa.ColumnElement[Any]", dialect: str) -> "sa.ColumnElement[Any]":
    """Return the values of a column of numbers or moments that can be put in order, null for all others."""
    import sqlalchemy as sa

    family = family_of(column.type)
    if dialect == "sqlite":
        return sa.case((_fits_sqlite(column, family), column), else_=None)
    if family == "number":
        return sa.case((sa.cast(column, sa.Text).not_in(_not_finite(dialect)), column), else_=None)
    if family in MOMENTS and dialect == "postgresql":
        return sa.case((sa.func.isfinite(column), column), else_=None)
    return column


def distinguishable(column: "sa.ColumnElement[Any]") -> "sa.ColumnElement[Any]":
    """Return a column as something whose values can be told apart: PostgreSQL has no equality for json and others."""
    import sqlalchemy as sa

    return column if family_of(column.type) in _EQUAL_AS_THEY_ARE else sa.cast(column, sa.Text)


def as_text(value: "sa.ColumnElement[Any]", kind: "sa.types.TypeEngine[Any]") -> "sa.ColumnElement[str]":
    """Return an expression as text, moments with a time zone in UTC: no driver can stumble over what it holds."""
    import sqlalchemy as sa

    zoned = getattr(kind, "timezone", False) and family_of(kind) == "timestamp"
    return sa.cast(sa.func.timezone("UTC", value) if zoned else value, sa.Text)


def figure(text: str | None, family: str) -> Figure | None:
    """Return the figure that a database wrote as text, None where it is none of its family."""
    if text is None:
        return None
    if family in NUMBERS:
        return _number(text)
    if family in MOMENTS:
        return text.replace(" ", "T", 1) if _MOMENT.fullmatch(text) else None
    return text[:_TEXT_CHARS_MAX]


def _fits_sqlite(column: "sa.ColumnElement[Any]", family: str) -> "sa.ColumnElement[bool]":
    import sqlalchemy as sa

    if family in MOMENTS:
        text = sa.func.typeof(column) == "text"
        return sa.and_(text, sa.type_coerce(column, sa.Text).op("GLOB")(_ISO_DAY))
    # Words are greater than any number there, infinity is beyond this rim, and NaN is kept as null.
    rim: sa.ColumnElement[Any] = sa.literal_column("1e308")
    return sa.type_coerce(column, sa.Float).between(-rim, rim)


def _not_finite(dialect: str) -> tuple[str, ...]:
    return ("nan", "inf", "-inf") if dialect == "duckdb" else _NOT_FINITE


def _number(text: str) -> int | float | str | None:
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    if not value.is_finite():
        return None
    if abs(value) >= _WHOLE_MAX or len(text) > _NUMBER_CHARS_MAX:
        return f"{value:.6e}"
    return int(value) if value == value.to_integral_value() else float(value)
