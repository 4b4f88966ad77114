"""Why a check could not be computed, without repeating what an error quotes of the data."""

import builtins
import re
from collections.abc import Iterable, Mapping
from typing import cast

CHARS = 200
_OWN_WORDS = re.compile(
    r'Error: The column "[^"]{1,200}" in BatchData does not exist\.'
    r"|(?:Regex|Like patterns) (?:is|are) not supported for dialect \w{1,40}",
)
"""What Great Expectations says of the expectation itself."""

_OF_THE_STATEMENT = (
    "sqlite3.OperationalError", "psycopg.errors.UndefinedColumn", "psycopg.errors.UndefinedFunction",
    "psycopg.errors.UndefinedTable", "psycopg.errors.SyntaxError", "psycopg.errors.InsufficientPrivilege",
    "psycopg.errors.AmbiguousColumn", "psycopg.errors.DatatypeMismatch", "psycopg.errors.GroupingError",
    "psycopg.errors.QueryCanceled", "psycopg.errors.ReadOnlySqlTransaction",
)  # fmt: skip
"""Errors whose text is about the SQL. That of others may quote a value: `invalid input syntax for type date: "..."`."""

_SQLITE_SAYS = re.compile(
    r"no such \w|near \"|ambiguous column|misuse of|wrong number of arg|attempt to write|interrupted"
)
_RAISED = re.compile(r"^([A-Za-z_][\w.]*)(?::|$)", re.MULTILINE)
_LIBRARIES = ("great_expectations.", "sqlalchemy.", "psycopg.", "sqlite3.", "pandas.", "numpy.", "duckdb.")


def why_errored(exception_info: Mapping[str, object]) -> str | None:
    """Return why a check could not be computed, None where it could. Great Expectations tells it in two shapes."""
    told = list(_told(exception_info))
    return _in_our_words(told[0]) if told else None


def name_of(error: BaseException) -> str:
    """Return the class of an error, with its module unless it is Python's own."""
    kind = type(error)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def _told(exception_info: Mapping[str, object]) -> Iterable[Mapping[str, object]]:
    if "raised_exception" in exception_info:
        shapes: Iterable[object] = (exception_info,)
    else:
        shapes = exception_info.values()
    for each in shapes:
        if isinstance(each, Mapping) and (one := cast("Mapping[str, object]", each)).get("raised_exception"):
            yield one


def _in_our_words(told: Mapping[str, object]) -> str:
    first = next(iter(str(told.get("exception_message") or "").strip().splitlines()), "")
    if found := _OWN_WORDS.match(first):
        return found.group().removeprefix("Error: ")[:CHARS]
    class_, _, said = first.removeprefix("(").partition(") ")
    if class_ in _OF_THE_STATEMENT and (not class_.startswith("sqlite3") or _SQLITE_SAYS.match(said)):
        return said[:CHARS]
    return f"{_class_in(str(told.get('exception_traceback') or ''))}, whose text may quote rows and is not repeated"


def _class_in(traceback: str) -> str:
    known = [name for name in _RAISED.findall(traceback) if name.startswith(_LIBRARIES) or hasattr(builtins, name)]
    return known[-1] if known else "an error"
