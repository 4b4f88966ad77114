"""`@self_healing`, and the hook under it: look at the failed run, dispatch a heal run; no work in the hook."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from contextvars import copy_context
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, overload
from uuid import UUID

from prefect_healing.domain.alert import Mode
from prefect_healing.domain.options import HealingOptions, Source
from prefect_healing.errors import ConfigurationError, ToolError
from prefect_healing.own_thread import OutOfTime, in_own_thread, started
from prefect_healing.registry import register
from prefect_healing.settings import settings

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.schemas.objects import FlowRun, State

    from prefect_healing.dispatch import Dispatched

P = ParamSpec("P")
R = TypeVar("R")
_logger = logging.getLogger("prefect.prefect_healing")


@overload
def self_healing(flow: "Flow[P, R]", /) -> "Flow[P, R]": ...


@overload
def self_healing(
    *,
    policy: str | None = None,
    mode: Mode | None = None,
    rerun: Literal["ask", "safe"] = "ask",
    sources: Sequence[Source] = (),
) -> "Callable[[Flow[P, R]], Flow[P, R]]": ...


def self_healing(
    flow: "Flow[P, R] | None" = None,
    /,
    *,
    policy: str | None = None,
    mode: Mode | None = None,
    rerun: Literal["ask", "safe"] = "ask",
    sources: Sequence[Source] = (),
) -> "Flow[P, R] | Callable[[Flow[P, R]], Flow[P, R]]":
    """Heal a flow's failed and crashed runs. Outermost: above `@flow`.

    `policy` names a policy file; without one the default counts. `mode` says how far healing goes (`off`, `observe`,
    `propose`, `heal`). `rerun="safe"` says that repeating finished tasks does no harm. `sources` are what the flow
    reads from, so that healing can look whether they are up.

    Raises ConfigurationError where it is used below `@flow`.
    """
    if flow is None:

        def decorate(decorated: "Flow[P, R]") -> "Flow[P, R]":
            options = HealingOptions(policy=policy, mode=mode, rerun=rerun, sources=tuple(sources))
            return _healed(decorated, options)

        return decorate
    return _healed(flow, HealingOptions())


def _healed(flow: "Flow[P, R]", options: HealingOptions) -> "Flow[P, R]":
    from prefect import Flow

    if not isinstance(flow, Flow):  # pyright: ignore[reportUnnecessaryIsInstance] - what type checkers do not see
        name = getattr(flow, "__name__", repr(flow))
        raise ConfigurationError(
            f"@self_healing was given {name}, which is no flow. Put it above @flow: first @self_healing, then @flow."
        )
    options = _located(flow, options)
    healed = copy(flow)
    hook = _async_hook(options) if flow.isasync else _sync_hook(options)
    # New lists: the ones a user passed to @flow may be shared with other flows.
    healed.on_failure_hooks = [*_others(flow.on_failure_hooks), hook]
    healed.on_crashed_hooks = [*_others(flow.on_crashed_hooks), hook]
    return register(healed, options)


def _others(hooks: "Sequence[Callable[..., Any]] | None") -> "list[Callable[..., Any]]":
    """Return the hooks that are not ours: a flow that was decorated twice heals once."""
    return [each for each in hooks or () if getattr(each, "__module__", None) != __name__]


def _located(flow: "Flow[P, R]", options: HealingOptions) -> HealingOptions:
    """Return the options with where the flow's code is, so that another process can find it."""
    import inspect

    try:
        file = Path(inspect.getfile(flow.fn)).resolve()
    except (TypeError, OSError):
        return options
    entrypoint = f"{file}:{flow.fn.__name__}"
    return options.model_copy(update={"entrypoint": entrypoint, "code_root": str(_code_root(file))})


def _code_root(file: Path) -> Path:
    """Return the checkout that holds the file, else its folder."""
    return next((folder for folder in file.parents if (folder / ".git").exists()), file.parent)


def _sync_hook(options: HealingOptions) -> "Callable[..., None]":
    def heal_on_failure(flow: "Flow[..., Any]", flow_run: "FlowRun", state: "State[Any]") -> None:
        _Raised(flow_run, options).settle()

    return heal_on_failure


def _async_hook(options: HealingOptions) -> "Callable[..., Coroutine[Any, Any, None]]":
    async def heal_on_failure(flow: "Flow[..., Any]", flow_run: "FlowRun", state: "State[Any]") -> None:
        # The user's loop goes on meanwhile: other runs may share it. Not `to_thread`: its threads hold an interrupted
        # process until they end.
        await asyncio.wrap_future(started(copy_context(), _Raised(flow_run, options).settle))

    return heal_on_failure


class _Raised:
    """One failing run in the hook. Whatever happens here stays here: nothing reaches the user's process."""

    def __init__(self, flow_run: "FlowRun", options: HealingOptions) -> None:
        self.flow_run, self.options = flow_run, options

    def settle(self) -> None:
        """Dispatch, and heal inline where there is no heal deployment."""
        try:
            self._settle()
        except Exception as error:  # noqa: BLE001 - the one place: a hook must not add a failure to a failure
            self._log(
                logging.ERROR,
                f"Healing could not begin: {type(error).__name__}: {error}. "
                f"Begin it by hand: prefect-healing heal {self.flow_run.id}",
            )

    def _settle(self) -> None:
        limit = settings().dispatch_seconds
        try:
            done = in_own_thread(self._dispatched, limit, first=_flush_logs)
        except OutOfTime:
            self._log(
                logging.ERROR,
                f"Dispatch took longer than {limit:.0f} s and goes on without this run; "
                f"see `prefect-healing incidents`, or begin it by hand: prefect-healing heal {self.flow_run.id}",
            )
            return
        self._log(_level(done), opening_line(done), to_server=False)
        if done.action == "inline" and done.heal_flow_run_id is not None:
            self._heal_inline(done, done.heal_flow_run_id)

    async def _dispatched(self) -> "Dispatched":
        from prefect_healing.dispatch import dispatch
        from prefect_healing.stages.failed_run_log import write_line

        done = await dispatch(self.flow_run.id, self.options)
        # Not through the logger: a process that a signal ends does not send what its loggers still hold.
        with suppress(ToolError):
            await write_line(self.flow_run.id, _level(done), opening_line(done))
        return done

    def _heal_inline(self, done: "Dispatched", heal_flow_run_id: UUID) -> None:
        from prefect_healing.inline import run_heal

        limit = settings().inline_seconds
        try:
            ended = in_own_thread(lambda: run_heal(heal_flow_run_id), limit)
        except OutOfTime:
            self._log(
                logging.ERROR,
                f"Incident {done.incident_id} is not closed after {limit:.0f} s; this process waits no longer. "
                f"Go on with: prefect-healing heal {done.incident_id}",
            )
            return
        # The heal run has put the same line into this run's log on the server; here it is for the terminal.
        self._log(logging.WARNING, ended, to_server=False)

    def _log(self, level: int, text: str, *, to_server: bool = True) -> None:
        from prefect.logging.loggers import flow_run_logger

        flow_run_logger(self.flow_run).log(level, text, extra={"send_to_api": to_server})


def _level(done: "Dispatched") -> int:
    return logging.INFO if done.action == "left" else logging.WARNING


def opening_line(done: "Dispatched") -> str:
    """Return what the failing run's log says of the dispatch."""
    where = done.url or f"{done.heal_flow_run_id}"
    if done.action == "left":
        return f"Not healed: {done.reason}"
    if done.action == "joined":
        return f"Incident {done.incident_id} covers this run: healing in flow run {where}"
    if done.action == "inline":
        minutes = f"at most {settings().inline_seconds:.0f} s"
        return f"Incident {done.incident_id} opened: healing in this process for {minutes}, flow run {where}"
    warning = f"; {done.warning}" if done.warning else ""
    return f"Incident {done.incident_id} opened: healing in flow run {where}{warning}"


def _flush_logs() -> None:
    """Send the failing run's log lines now, so that the evidence is there."""
    from prefect.logging.handlers import APILogHandler

    try:
        APILogHandler().flush()
    except (RuntimeError, OSError, TimeoutError):  # The lines follow by themselves, or the server is not there.
        _logger.debug("Log lines could not be flushed from here.")
