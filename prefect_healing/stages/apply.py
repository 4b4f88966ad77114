"""One effect, as a Prefect task: guarded at the door, journalled, done once."""

from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from functools import cache
from typing import Any

from prefect import task

from prefect_healing.agent.loop import deadline
from prefect_healing.agent.perform import is_last_try
from prefect_healing.clock import now
from prefect_healing.domain.call import Call
from prefect_healing.domain.plan import Action
from prefect_healing.domain.repair import Receipt
from prefect_healing.effects import apply_once, give_up, was_begun
from prefect_healing.errors import StorageUnavailable, ToolUnavailable
from prefect_healing.locks import one_writer
from prefect_healing.stages.authorize import decide
from prefect_healing.stages.triage import answers_of
from prefect_healing.tools.tool import AnyTool
from prefect_healing.workbench import Workbench

_LOCK_SECONDS = 180.0


class Undertaking:
    """What `apply` needs. A plain class on purpose: Prefect walks through records it is given.

    `taken` are the writes before it, for the policy's second look; None for an undo, which its action's mandate
    covers.
    """

    def __init__(
        self, bench: Workbench, tool: AnyTool, action: Action, identity: str, taken: tuple[Call, ...] | None
    ) -> None:
        self.bench, self.tool, self.action, self.identity, self.taken = bench, tool, action, identity, taken


async def undertake(undertaking: Undertaking) -> Receipt:
    """Make one effect happen once, in a task under the tool's own name and retries."""
    return Receipt.model_validate_json(await _task_for(undertaking.tool)(undertaking))


@task(
    cache_key_fn=lambda _, parameters: parameters["undertaking"].identity,
    persist_result=True,
    result_serializer="json",
    refresh_cache=False,
    retry_delay_seconds=2,
)
async def apply(undertaking: Undertaking) -> str:
    """Return the JSON text of the Receipt. A refusal is a receipt too."""
    bench, tool, action, identity = undertaking.bench, undertaking.tool, undertaking.action, undertaking.identity
    async with AsyncExitStack() as locks:
        for table in action.scope.tables:
            await locks.enter_async_context(one_writer(f"healing:table:{table}", bench.journal, _LOCK_SECONDS))
        if not await was_begun(bench, identity) and (reason := await _refusal(undertaking)):
            return refused(bench, action, identity, reason).model_dump_json()
        try:
            receipt = await apply_once(bench, tool, action, identity)
        except ToolUnavailable as error:
            if not is_last_try(tool):
                raise
            receipt = await give_up(bench, tool, action, identity, str(error))
    return receipt.model_dump_json()


def refused(bench: Workbench, action: Action, identity: str, reason: str) -> Receipt:
    """Return the receipt of an action that was not begun."""
    return Receipt(
        effect_id=identity,
        action_id=action.id,
        tool=action.tool,
        arguments=action.arguments,
        status="refused",
        detail=bench.redacted(reason),
        at=now(),
    )


async def _refusal(undertaking: Undertaking) -> str | None:
    """Say why the action must not be begun now: the deadline, the policy at the door, or a world that changed."""
    bench, tool, action = undertaking.bench, undertaking.tool, undertaking.action
    if undertaking.taken is None:
        return None
    if now() > (until := deadline(bench.incident, await answers_of(bench))):
        return f"The incident's deadline, {until:%H:%M:%S} UTC, has passed; it is a person's now."
    decision = decide(bench, action, undertaking.taken)
    if not decision.allowed:
        return f"{decision.rule}: {decision.reason}"
    try:
        scope = await tool.run_preview(bench.context(), action.arguments)
    except StorageUnavailable:
        raise
    except Exception as error:  # Nothing was begun; what cannot be previewed is not done.
        if isinstance(error, ToolUnavailable) and not is_last_try(tool):
            raise
        return f"The preview no longer holds: {error}"
    if scope.basis != action.scope.basis:
        return "What the preview saw has changed since; the action needs a new preview."
    return None


@cache
def _task_for(tool: AnyTool) -> "Callable[[Undertaking], Coroutine[Any, Any, str]]":
    return apply.with_options(name=tool.name, task_run_name=tool.name, retries=tool.retries)
