"""Great Expectations, alone in its process and silent."""

import logging
import os
import threading
import warnings
from collections.abc import Generator
from contextlib import contextmanager

_ALONE = threading.Lock()
_TELEMETRY = "GX_ANALYTICS_ENABLED"


@contextmanager
def quietly() -> Generator[None]:
    """Let Great Expectations run: one at a time, without telemetry, warnings and log lines.

    Its log lines hold values of rows, and it has one current context for the whole process: the one that was current
    before, of whoever else uses it here, is so again afterwards.
    """
    with _ALONE, warnings.catch_warnings(), _log_kept_back():
        warnings.simplefilter("ignore")
        os.environ[_TELEMETRY] = "false"
        with _their_context_kept():
            yield


@contextmanager
def _log_kept_back() -> Generator[None]:
    # Not by the level: some of its loggers have levels of their own.
    log = logging.getLogger("great_expectations")
    handlers, propagate = log.handlers, log.propagate
    log.handlers, log.propagate = [logging.NullHandler()], False
    try:
        yield
    finally:
        log.handlers, log.propagate = handlers, propagate


@contextmanager
def _their_context_kept() -> Generator[None]:
    from great_expectations.data_context.data_context.context_factory import project_manager
    from great_expectations.exceptions.exceptions import DataContextError

    try:
        current = project_manager.get_current_project()
    except DataContextError:
        current = None
    try:
        yield
    finally:
        project_manager.set_project(current)
