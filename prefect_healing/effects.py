"""The journal of effects: intention before, receipt after, look before acting again.

An effect is identified by incident, tool, canonical arguments and round: asked again in one round, the first receipt
is the answer; a new round, which only follows a verification that failed, may do it again. Writing the intention
spends the confirmation token.
"""

from datetime import datetime

from prefect_healing.clock import now
from prefect_healing.domain.plan import Action
from prefect_healing.domain.record import JsonObject, Record, digest
from prefect_healing.domain.repair import EffectStatus, Receipt
from prefect_healing.errors import ActionInterrupted, StorageUnavailable, ToolFailed, ToolUnavailable
from prefect_healing.tools.tool import AnyTool, Applied, ToolContext
from prefect_healing.workbench import Workbench


class Intention(Record):
    """Written before an effect: whoever finds it without a receipt knows that the effect may have happened."""

    effect_id: str
    tool: str
    arguments: JsonObject
    at: datetime


def effect_id(incident_id: str, tool: str, arguments: JsonObject, round_number: int, what: str = "apply") -> str:
    """Return the identity of an effect, which is also its idempotency key at targets that take one."""
    return f"healing-{incident_id}-{digest(incident_id, tool, arguments, round_number, what)[:32]}"


async def apply_once(bench: Workbench, tool: AnyTool, action: Action, identity: str) -> Receipt:
    """Make the effect happen once, whatever was killed before, and return its receipt.

    Raises ToolUnavailable where the target did not answer and asking again is safe.
    """
    journal = bench.journal
    if (receipt := await journal.read(_key(identity, "receipt"), Receipt)) is not None:
        return receipt
    begun = await journal.read(_key(identity, "intention"), Intention) is not None
    if not begun:
        intention = Intention(effect_id=identity, tool=tool.name, arguments=action.arguments, at=now())
        await journal.write(_key(identity, "intention"), intention)
    context = bench.context(effect_key=identity, scope=action.scope)
    receipt = await _act(bench, tool, action, identity, context, begun=begun)
    await journal.write(_key(identity, "receipt"), receipt)
    return receipt


async def was_begun(bench: Workbench, identity: str) -> bool:
    """Say whether the effect was begun before, so that the world may already look different because of it."""
    return await bench.journal.read(_key(identity, "intention"), Intention) is not None


async def give_up(bench: Workbench, tool: AnyTool, action: Action, identity: str, reason: str) -> Receipt:
    """Write and return the receipt of an effect of which nobody knows whether it happened."""
    receipt = _receipt(bench, action, tool, identity, "unknown", reason)
    await bench.journal.write(_key(identity, "receipt"), receipt)
    return receipt


async def _act(
    bench: Workbench, tool: AnyTool, action: Action, identity: str, context: ToolContext, *, begun: bool
) -> Receipt:
    try:
        if begun and (found := await _look(tool, context, action.arguments)) is not None:
            return _receipt(bench, action, tool, identity, "already_done", found.detail, found)
        applied = await tool.run(context, action.arguments)
    except ToolFailed as error:
        return _receipt(bench, action, tool, identity, "failed", str(error))
    except ActionInterrupted as error:
        return _receipt(bench, action, tool, identity, "unknown", str(error))
    except ToolUnavailable as error:
        if tool.takes_key or tool.can_look:
            raise
        return _receipt(bench, action, tool, identity, "unknown", str(error))
    except StorageUnavailable:
        raise
    except Exception as error:  # noqa: BLE001 - a defect of a tool; how far it came, nobody knows
        detail = f"{tool.name} broke half way: {type(error).__name__}: {error}"
        return _receipt(bench, action, tool, identity, "unknown", detail)
    return _receipt(bench, action, tool, identity, "done", applied.detail, applied)


async def _look(tool: AnyTool, context: ToolContext, arguments: JsonObject) -> Applied | None:
    """Look before acting again: return what was done, None where acting again is safe."""
    if tool.can_look:
        try:
            return await tool.look(context, arguments)
        except ToolFailed as error:
            raise ActionInterrupted(f"{tool.name} was begun; looking whether it took effect failed: {error}") from error
    if not tool.takes_key:
        raise ActionInterrupted(f"{tool.name} was begun and interrupted, and cannot tell whether it took effect.")
    return None


def _receipt(
    bench: Workbench,
    action: Action,
    tool: AnyTool,
    identity: str,
    status: EffectStatus,
    detail: str,
    applied: Applied | None = None,
) -> Receipt:
    return Receipt(
        effect_id=identity,
        action_id=action.id,
        tool=tool.name,
        arguments=action.arguments,
        status=status,
        detail=bench.redacted(detail),
        at=now(),
        data=applied.data if applied else {},
        undo=applied.undo if applied else None,
    )


def _key(identity: str, what: str) -> str:
    return f"effects/{identity}/{what}"
