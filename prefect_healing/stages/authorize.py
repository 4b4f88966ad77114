"""Rule by rule: what of the plan may be carried out."""

from prefect_healing.domain.call import Call
from prefect_healing.domain.mandate import Authorized, Decision, Mandate
from prefect_healing.domain.plan import Action, Plan
from prefect_healing.workbench import Workbench


async def authorize(bench: Workbench, plan: Plan) -> Mandate:
    """Return a decision for every action of the plan, in order; each counts the ones before it as taken."""
    number = bench.incident.round
    taken = await bench.taken(number)
    decisions: list[Authorized] = []
    for action in plan.actions:
        decision = decide(bench, action, taken)
        decisions.append(Authorized(action=action, decision=decision))
        taken = (*taken, as_call(action))
    return Mandate(decisions=tuple(decisions))


def decide(bench: Workbench, action: Action, taken: tuple[Call, ...]) -> Decision:
    """Return the verdict on one action: the token, then the policy. Asked again right before it is done."""
    tool = bench.toolset.writer(action.tool)
    if tool is None:
        return Decision(verdict="deny", rule="known tools", reason=f"There is no write tool {action.tool!r}.")
    if action.token != bench.token(bench.incident.round, action.tool, action.arguments, action.scope):
        reason = "The confirmation token does not belong to this action, these arguments and this scope."
        return Decision(verdict="deny", rule="confirmation token", reason=reason)
    return bench.decide(tool, action.arguments, action.scope, taken)


def as_call(action: Action) -> Call:
    """Return the action as policy counts it."""
    return Call(tool=action.tool, effect="write", arguments=action.arguments, scope=action.scope)
