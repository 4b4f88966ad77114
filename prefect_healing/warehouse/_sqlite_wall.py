"""The second wall, of SQLite's own: it asks for each table before it reads it, and looks at the clock on its way."""

import sqlite3
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlalchemy as sa

_VIEWS = "SELECT name FROM sqlite_master WHERE type = 'view'"
_OPERATIONS = 20_000  # How many steps of its virtual machine SQLite takes between two looks at the clock: about 1 ms.
_DATES = ("current_date", "current_timestamp", "date", "datetime", "julianday", "strftime")
_TEXTS = ("length", "like", "lower", "substr", "substring", "trim", "typeof", "upper")
_CHOICES = ("coalesce", "ifnull", "iif", "max", "min", "nullif")
_NUMBERS = ("abs", "avg", "ceil", "ceiling", "count", "floor", "round", "sum")
_FUNCTIONS = frozenset((*_DATES, *_TEXTS, *_CHOICES, *_NUMBERS))


@contextmanager
def walled(connection: "sa.Connection", readable: frozenset[str], seconds: float) -> "Generator[None]":
    """Let only these tables and views be read inside, for so long. Does nothing on other databases."""
    raw = connection.connection.driver_connection
    if not isinstance(raw, sqlite3.Connection):
        yield
        return
    views = frozenset(str(name).casefold() for (name,) in raw.execute(_VIEWS))
    until = time.monotonic() + seconds
    raw.set_authorizer(_only(readable, views & readable))
    raw.set_progress_handler(lambda: int(time.monotonic() > until), _OPERATIONS)
    try:
        yield
    finally:
        raw.set_progress_handler(None, 0)
        raw.set_authorizer(None)


def _only(readable: frozenset[str], views: frozenset[str]):  # noqa: ANN202 - sqlite3 types the callback
    def allowed(action: int, what: str | None, detail: str | None, schema: str | None, within: str | None) -> int:
        if action == sqlite3.SQLITE_SELECT:
            return sqlite3.SQLITE_OK
        inside = (within or "").casefold() in views
        if action == sqlite3.SQLITE_READ and schema in ("main", None):
            # Without a column rows are counted, and of a view SQLite then says what it is made from.
            return _verdict((what or "").casefold() in readable or inside or (bool(views) and not detail))
        if action == sqlite3.SQLITE_FUNCTION:
            return _verdict((detail or "").casefold() in _FUNCTIONS or inside)
        return sqlite3.SQLITE_DENY

    return allowed


def _verdict(yes: bool) -> int:  # noqa: FBT001 - the answer itself
    return sqlite3.SQLITE_OK if yes else sqlite3.SQLITE_DENY
