"""The repair: exactly the mandated actions, each once, in order, none after one that did not take effect."""

from prefect import flow

from prefect_healing.domain.call import Call
from prefect_healing.domain.mandate import Mandate
from prefect_healing.domain.plan import Action
from prefect_healing.domain.repair import Receipt, Repair
from prefect_healing.effects import effect_id
from prefect_healing.stages.apply import Undertaking, refused, undertake
from prefect_healing.stages.authorize import as_call
from prefect_healing.stages.naming import rename_own_run
from prefect_healing.stages.open_incident import open_workbench
from prefect_healing.workbench import Workbench


async def carry_out(bench: Workbench, mandate: Mandate) -> Repair:
    """Carry out a granted mandate in the `repair` flow; without one, do nothing."""
    if not mandate.granted:
        return Repair()
    return Repair.model_validate_json(await repair(bench.incident.id, bench.incident.round))


@flow(name="repair", flow_run_name="repair {incident_id}", persist_result=False)
async def repair(incident_id: str, round_number: int) -> str:
    """Carry out the mandate of one round and return the JSON text of the Repair."""
    bench = await open_workbench(incident_id, round_number)
    mandate = await bench.journal.read(f"round-{round_number}/mandate", Mandate)
    tools = ", ".join(action.tool for action in (mandate.actions if mandate else ()))
    await rename_own_run(f"repair {bench.incident.alert.about}: {tools or 'nothing'}")
    taken = await bench.taken(round_number)
    receipts: list[Receipt] = []
    for action in mandate.actions if mandate else ():
        receipts.append(await _carry_out(bench, action, taken))
        if receipts[-1].status not in ("done", "already_done"):
            break
        taken = (*taken, as_call(action))
    return Repair(receipts=tuple(receipts)).model_dump_json()


async def _carry_out(bench: Workbench, action: Action, taken: tuple[Call, ...]) -> Receipt:
    identity = effect_id(bench.incident.id, action.tool, action.arguments, bench.incident.round)
    tool = bench.toolset.writer(action.tool)
    if tool is None:
        return refused(bench, action, identity, f"There is no write tool {action.tool!r} here any more.")
    return await undertake(Undertaking(bench, tool, action, identity, taken))
