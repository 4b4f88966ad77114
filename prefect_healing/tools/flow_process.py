"""Running a flow run in this process, as if nobody else were running here."""

import asyncio
import logging
import threading
from collections.abc import Coroutine
from contextvars import Context
from inspect import iscoroutine
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.schemas.objects import FlowRun
    from prefect.context import SettingsContext

_logger = logging.getLogger(__name__)


async def run_detached(flow: "Flow[..., Any]", flow_run: "FlowRun") -> None:
    """Run `flow_run` to its end in a thread of its own; how it ended stands on the server, not here.

    The thread starts with an empty context: else the run would become a subflow of whatever runs here. Only Prefect's
    settings go along. It cannot be stopped from outside: where the caller is cancelled, the run goes on until the
    process ends.
    """
    from prefect.context import SettingsContext

    settings = SettingsContext.get()
    done = asyncio.Event()
    loop = asyncio.get_running_loop()

    def work() -> None:
        try:
            Context().run(_run, flow, flow_run, settings)
        finally:
            _tell(loop, done)

    threading.Thread(target=work, name=f"rerun-{flow_run.id}", daemon=True).start()
    await done.wait()


def _run(flow: "Flow[..., Any]", flow_run: "FlowRun", settings: "SettingsContext | None") -> None:
    from contextlib import nullcontext

    from prefect.context import SettingsContext
    from prefect.flow_engine import run_flow

    again = nullcontext() if settings is None else SettingsContext(profile=settings.profile, settings=settings.settings)
    try:
        with again:
            ran: object = run_flow(flow, flow_run=flow_run, return_type="state")
            if iscoroutine(ran):
                asyncio.run(cast("Coroutine[Any, Any, object]", ran))
    except BaseException as error:  # noqa: BLE001  A flow may call sys.exit; the engine has recorded it by then.
        _logger.warning("Flow run %s ended with %s: %s", flow_run.id, type(error).__name__, error)


def _tell(loop: asyncio.AbstractEventLoop, done: asyncio.Event) -> None:
    try:
        loop.call_soon_threadsafe(done.set)
    except RuntimeError:  # The loop was closed: nobody waits any more.
        _logger.info("A detached flow run ended after its caller.")
