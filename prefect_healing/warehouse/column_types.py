"""Types of columns by family, so that one schema reads the same wherever it lives."""

import re
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy.types import TypeEngine

_NAMES = (  # The first that fits: `interval` begins as `int` does, `timestamp` and `datetime` as `time` and `date` do.
    ("interval", r"interval|timedelta|duration"),
    ("array", r".*\[\]$|array|list"),
    ("boolean", r"bool"),
    ("uuid", r"uuid|guid|uniqueidentifier"),
    ("json", r"json|struct|map|variant|record"),
    ("timestamp", r"timestamp|datetime"),
    ("date", r"date"),
    ("time", r"time"),
    ("integer", r"u?(?:tiny|small|medium|big|huge)?int(?:eger)?\d*$|(?:small|big)?serial|long$|short$"),
    ("number", r"float|double|real|dec|num|money|half"),
    ("binary", r"binary|varbinary|blob|bytea|bytes|large_?binary|image"),
    ("text", r".*char|text|.*text$|.*str|enum|clob|utf8|object|categor"),
)
_FAMILIES = tuple((family, re.compile(pattern)) for family, pattern in _NAMES)
_NAME_CHARS_MAX = 60


def family_of(kind: "TypeEngine[Any]") -> str:
    """Return the family of a reflected type: integer, number, text, boolean, date, timestamp and so on.

    A type of no family is told by its own name.
    """
    found = next((family for of_family, family in _generic() if isinstance(kind, of_family)), None)
    return found or family_of_name(kind.__visit_name__.replace("null", ""))  # So it calls what it does not know.


def family_of_name(name: str) -> str:
    """Return the family of a type as a database or a source names it, such as `VARCHAR(20)` or `int64`."""
    plain = re.sub(r"\([^)]*\)", "", name[:_NAME_CHARS_MAX]).strip().casefold()
    return next((family for family, pattern in _FAMILIES if pattern.match(plain)), plain or "unknown")


@cache
def _generic() -> "tuple[tuple[type[TypeEngine[Any]], str], ...]":
    import sqlalchemy as sa

    families: dict[str, Any] = {
        "boolean": sa.Boolean,
        "integer": sa.Integer,
        "number": sa.Numeric,
        "text": sa.String,
        "timestamp": sa.DateTime,
        "date": sa.Date,
        "time": sa.Time,
        "interval": sa.Interval,
        "binary": sa.LargeBinary,
        "json": sa.JSON,
        "uuid": sa.Uuid,
        "array": sa.ARRAY,
    }
    return (*((kind, family) for family, kind in families.items()), (sa.Float, "number"))
