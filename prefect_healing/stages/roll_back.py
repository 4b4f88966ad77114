"""Undo what did not help, last first."""

from prefect_healing.domain.plan import Action, Scope
from prefect_healing.domain.repair import Receipt, Repair, RollBack, Undo
from prefect_healing.effects import effect_id
from prefect_healing.stages.apply import Undertaking, refused, undertake
from prefect_healing.workbench import Workbench


async def roll_back(bench: Workbench, repair: Repair) -> RollBack:
    """Undo every applied action that says how, last first. An undo that fails is named, and a person is told."""
    receipts = [await _undo(bench, each, each.undo) for each in reversed(repair.applied) if each.undo]
    failed = tuple(each.action_id for each in receipts if each.status not in ("done", "already_done"))
    return RollBack(receipts=tuple(receipts), failed=failed)


async def _undo(bench: Workbench, applied: Receipt, undo: Undo) -> Receipt:
    incident = bench.incident
    identity = effect_id(incident.id, undo.tool, undo.arguments, incident.round, f"undo {applied.effect_id}")
    action = Action(
        id=f"undo {applied.action_id}",
        tool=undo.tool,
        arguments=undo.arguments,
        scope=Scope(summary=f"Take back: {applied.detail}", tables=undo.tables),
        token="",
        reason="The repair did not help.",
    )
    tool = bench.toolset.writer(undo.tool)
    if tool is None:
        return refused(bench, action, identity, f"There is no write tool {undo.tool!r} to undo {applied.tool} with.")
    return await undertake(Undertaking(bench, tool, action, identity, taken=None))
