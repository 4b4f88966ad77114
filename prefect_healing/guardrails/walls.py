"""What no rule can allow, and no person by approving."""

from collections.abc import Iterator

from pydantic import JsonValue

from prefect_healing.domain.call import Call
from prefect_healing.domain.incident import Incident
from prefect_healing.domain.mandate import Decision
from prefect_healing.guardrails.conditions import own_names
from prefect_healing.guardrails.limits import Limits, breach

HEALING_FLOWS = frozenset({"heal", "triage", "repair", "sweep"})
HEALING_TAG = "healing"
_RUN_ARGUMENTS = ("flow_run_id", "flow_run_ids", "flow_run", "flow_runs")
_DEPLOYMENT_ARGUMENTS = ("deployment", "deployments", "deployment_id", "deployment_ids", "deployment_name")
_FLOW_ARGUMENTS = ("flow", "flow_name")


def wall(call: Call, incident: Incident, taken: tuple[Call, ...], limits: Limits) -> Decision | None:
    """Return the denial that no rule lifts, or None. Reads meet no wall: they change nothing."""
    if call.effect == "read":
        return None
    for name, reason in _walls(call, incident, taken, limits):
        if reason is not None:
            return Decision(verdict="deny", rule=f"wall: {name}", reason=reason)
    return None


def _walls(call: Call, incident: Incident, taken: tuple[Call, ...], limits: Limits) -> Iterator[tuple[str, str | None]]:
    yield "destroy", _destroys(call)
    yield "unpreviewed", _unpreviewed(call)
    yield "healing", _targets_healing(call, incident)
    yield "foreign incident", _foreign_incident(call, incident)
    yield "foreign subject", _foreign_subject(call, incident)
    yield "foreign table", _foreign_table(call, incident)
    if call.effect == "write":
        yield "blast radius", _too_far(call, taken, limits)


def _destroys(call: Call) -> str | None:
    if call.effect != "destroy":
        return None
    return f"{call.tool} loses something for good, which healing never does; name it in the proposal to a person."


def _unpreviewed(call: Call) -> str | None:
    if call.effect != "write" or call.scope is not None:
        return None
    return f"{call.tool} writes and nobody knows what it would touch; call its preview first."


def _targets_healing(call: Call, incident: Incident) -> str | None:
    flows = (name for argument in _FLOW_ARGUMENTS for name in _texts(call.arguments.get(argument)))
    named = {name for name in (*subjects(call), *flows) if _is_healing(name)}
    tags = call.arguments.get("tags")
    if tags == HEALING_TAG or (isinstance(tags, list) and HEALING_TAG in tags):
        named.add(f"the tag {HEALING_TAG}")
    if incident.subject.flow_name in HEALING_FLOWS:
        named.add(f"the flow {incident.subject.flow_name}")
    return f"{_listed(named)} belongs to healing, and healing never acts on itself." if named else None


def _foreign_incident(call: Call, incident: Incident) -> str | None:
    named = call.arguments.get("incident_id", incident.id)
    if named == incident.id:
        return None
    return f"{call.tool} names incident {named!s:.40}; it may act for incident {incident.id} only."


def _foreign_subject(call: Call, incident: Incident) -> str | None:
    own = own_names(incident)
    foreign = {name for name in subjects(call) if name not in own}
    if not foreign:
        return None
    return f"{_listed(foreign)} is outside this incident; it may act on {', '.join(sorted(own))} only."


def _foreign_table(call: Call, incident: Incident) -> str | None:
    """Say which tables bear nothing on the incident. Without a catalog nobody can tell, so the rules decide alone."""
    declared = {each.name for each in incident.catalog.tables}
    foreign = set(call.scope.tables if call.scope else ()) - declared
    if not foreign or not declared:
        return None
    return f"{_listed(foreign)} does not bear on this incident; it may write {', '.join(sorted(declared))} only."


def _too_far(call: Call, taken: tuple[Call, ...], limits: Limits) -> str | None:
    if (broken := breach(limits, call, taken)) is None:
        return None
    return f"{call.tool} would reach too far: {broken}. Propose less, or leave it to a person."


def subjects(call: Call) -> frozenset[str]:
    """Return the flow runs and deployments that a call names, by its scope and by its arguments."""
    named = list[str]()
    if call.scope is not None:
        named += [*call.scope.flow_runs, *call.scope.deployments]
    for argument in (*_RUN_ARGUMENTS, *_DEPLOYMENT_ARGUMENTS):
        named += _texts(call.arguments.get(argument))
    return frozenset(named)


def _texts(value: JsonValue) -> list[str]:
    if value is None:
        return []
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]


def _is_healing(name: str) -> bool:
    return any(part.strip().casefold() in HEALING_FLOWS for part in name.split("/"))


def _listed(names: set[str]) -> str:
    shown = sorted(names)[:5]
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return ", ".join(f"{name:.80}" for name in shown) + more
