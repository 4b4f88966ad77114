"""Work in a thread of its own: detached from the flow run that is going on here, within a limit of time."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import nullcontext
from contextvars import Context
from typing import Any, TypeVar

T = TypeVar("T")


class OutOfTime(Exception):
    """The work goes on, and nobody waits for it any more."""


def in_own_thread(
    work: "Callable[[], Coroutine[Any, Any, T]]", limit_seconds: float, first: Callable[[], None] = lambda: None
) -> T:
    """Run `first` and `work` in a thread with an empty context, so that nothing becomes part of the current run.

    Only Prefect's settings go along. Raises OutOfTime after `limit_seconds`; the thread is then left to itself.
    """
    from prefect.context import SettingsContext

    current = SettingsContext.get()

    def run() -> T:
        again = (
            nullcontext() if current is None else SettingsContext(profile=current.profile, settings=current.settings)
        )
        with again:
            first()
            return asyncio.run(work())

    result = started(Context(), run)
    try:
        return result.result(timeout=limit_seconds)
    except TimeoutError as error:
        if result.done():  # It was the work's own.
            raise
        raise OutOfTime from error


def started(context: Context, work: Callable[[], T]) -> "Future[T]":
    """Run `work` in a daemon thread, which holds up nobody who ends the process."""
    result = Future[T]()
    result.set_running_or_notify_cancel()  # From here on nobody who stops waiting can cancel it.

    def run() -> None:
        try:
            result.set_result(work())
        except Exception as error:  # noqa: BLE001 - carried over to the thread that waits
            result.set_exception(error)
        except BaseException as error:  # noqa: BLE001 - as above; what would end a process must not end the user's
            result.set_exception(RuntimeError(f"{type(error).__name__}: {error}"))

    threading.Thread(target=context.run, args=(run,), name="prefect-healing", daemon=True).start()
    return result
