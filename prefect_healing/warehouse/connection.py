"""The one way into the warehouse: a transaction in a thread, errors in our words, values never in them."""

import asyncio
import contextvars
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar, cast

from prefect_healing.errors import ConfigurationError, ToolFailed, ToolUnavailable
from prefect_healing.settings import Settings

if TYPE_CHECKING:
    import sqlalchemy as sa
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.pool import ConnectionPoolEntry

T = TypeVar("T")

READ_SECONDS = 30.0
WRITE_SECONDS = 600.0
_SECRET = "secret:"  # noqa: S105 - how a setting begins that names a Prefect block
_BUSY_MILLISECONDS = 30_000
_SQLITE_STEPS = 100_000  # of its virtual machine, between two looks at the clock: a few milliseconds
_NOT_NOW = ("08", "53", "57")  # classes of SQLSTATE: connection, resources, an operator intervened
_TOO_SLOW = "57014"
_OTHERS_WRITE = ("40P01", "55P03", "40001")  # deadlock, lock timeout, serialization


async def warehouse_url(settings: Settings) -> str:
    """Return the SQLAlchemy URL of the warehouse: the setting itself, or the value of the Secret block it names.

    Raises ConfigurationError where neither is there.
    """
    named = settings.warehouse
    if named is None:
        raise ConfigurationError(
            "PREFECT_HEALING_WAREHOUSE is not set; give it the SQLAlchemy URL of the warehouse, or secret:NAME for a "
            "Prefect Secret block that holds it."
        )
    if not named.startswith(_SECRET):
        return named
    from prefect.blocks.system import Secret

    name = named.removeprefix(_SECRET)
    try:
        block = cast("Secret[str]", await Secret.aload(name))  # pyright: ignore[reportUnknownMemberType]
    except ValueError as error:
        raise ConfigurationError(
            f"PREFECT_HEALING_WAREHOUSE names the Secret block {name!r}, which is not there: {error}"
        ) from error
    return block.get()


async def reading(settings: Settings, work: "Callable[[sa.Connection], T]") -> T:
    """Run `work` in a transaction that cannot write and ends within 30 seconds, and return what it returns."""
    return await _in_thread(await warehouse_url(settings), work, writes=False)


async def writing(settings: Settings, work: "Callable[[sa.Connection], T]") -> T:
    """Run `work` in one transaction: all of it, or, whatever is killed, nothing of it."""
    return await _in_thread(await warehouse_url(settings), work, writes=True)


async def _in_thread(url: str, work: "Callable[[sa.Connection], T]", *, writes: bool) -> T:
    def run() -> T:
        with connected(url, writes=writes) as engine, engine.begin() as connection:
            return work(connection)

    return await asyncio.to_thread(contextvars.copy_context().run, run)


@contextmanager
def connected(url: str, *, writes: bool) -> "Generator[sa.Engine]":
    """Yield an engine; inside, ToolFailed and ToolUnavailable stand for what the database says.

    Messages name the error and the object, never a value: what a database quotes of a row stays there.
    """
    import sqlalchemy as sa
    from sqlalchemy.exc import ArgumentError, DBAPIError

    try:
        engine = sa.create_engine(url, poolclass=sa.NullPool, hide_parameters=True)
    except (ArgumentError, ImportError) as error:
        raise ConfigurationError(f"PREFECT_HEALING_WAREHOUSE cannot be used: {type(error).__name__}: {error}") from None
    _prepare(engine, writes=writes)
    try:
        yield engine
    except DBAPIError as error:
        raise in_our_words(error) from None
    finally:
        engine.dispose()


def in_our_words(error: "DBAPIError") -> ToolFailed | ToolUnavailable:
    """Return what a database error means for the one who asked: no, or not now."""
    from prefect_healing.guardrails.redaction import redact

    said = redact(str(error.orig).strip(), ())
    state = str(getattr(error.orig, "sqlstate", None) or "")
    if state == _TOO_SLOW or _sqlite_says(error, "SQLITE_INTERRUPT"):
        return ToolFailed(f"The warehouse ended a statement that took too long: {said}")
    gone = error.connection_invalidated or state[:2] in _NOT_NOW or state in _OTHERS_WRITE
    lost = not state and type(error).__name__ == "OperationalError" and _no_server(said)
    if gone or lost or _sqlite_says(error, "SQLITE_BUSY", "SQLITE_LOCKED"):
        return ToolUnavailable(f"The warehouse cannot answer now: {said}")
    return ToolFailed(f"The warehouse refused: {said}")


def _no_server(said: str) -> bool:
    return any(words in said.casefold() for words in ("connection", "could not connect", "server closed", "timeout"))


def _sqlite_says(error: "DBAPIError", *names: str) -> bool:
    return getattr(error.orig, "sqlite_errorname", "").startswith(names)


def _prepare(engine: "sa.Engine", *, writes: bool) -> None:
    from sqlalchemy import event

    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _sqlite_writer if writes else _sqlite_reader)
        event.listen(engine, "begin", _begin_immediate if writes else _begin)
    elif engine.dialect.name == "postgresql":
        event.listen(engine, "begin", _postgres_writer if writes else _postgres_reader)


def _sqlite_writer(connection: "DBAPIConnection", _: "ConnectionPoolEntry") -> None:
    # The driver's own transactions leave DDL out and begin late; ours begin when they are told to.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_MILLISECONDS}")


def _sqlite_reader(connection: "DBAPIConnection", entry: "ConnectionPoolEntry") -> None:
    _sqlite_writer(connection, entry)
    connection.execute("PRAGMA query_only = ON")
    until = time.monotonic() + READ_SECONDS
    connection.set_progress_handler(lambda: int(time.monotonic() > until), _SQLITE_STEPS)


def _begin(connection: "sa.Connection") -> None:
    connection.exec_driver_sql("BEGIN")


def _begin_immediate(connection: "sa.Connection") -> None:
    # Two writers that both begin by reading would stand in each other's way for good.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _postgres_reader(connection: "sa.Connection") -> None:
    connection.exec_driver_sql("SET TRANSACTION READ ONLY")
    connection.exec_driver_sql(f"SET LOCAL statement_timeout = {READ_SECONDS * 1000:.0f}")


def _postgres_writer(connection: "sa.Connection") -> None:
    connection.exec_driver_sql(f"SET LOCAL statement_timeout = {WRITE_SECONDS * 1000:.0f}")
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {_BUSY_MILLISECONDS}")
