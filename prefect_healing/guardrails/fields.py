"""What a rule can look at: arguments of the call, its scope, the incident, the flow author's options."""

from collections.abc import Mapping

from pydantic import JsonValue

from prefect_healing.domain.call import Call
from prefect_healing.domain.incident import Incident
from prefect_healing.domain.options import HealingOptions
from prefect_healing.domain.plan import Scope

SCOPE_FIELDS = tuple(Scope.model_fields)
OPTION_FIELDS = tuple(HealingOptions.model_fields)
INCIDENT_FIELDS = ("mode", "cause", "transience", "flow_name", "deployment_name", "round")
_NAMESPACES = {"scope": SCOPE_FIELDS, "options": OPTION_FIELDS, "incident": INCIDENT_FIELDS}


class Absent:
    """The value of a field that a call does not have. No condition holds for it."""


ABSENT = Absent()


def read_field(field: str, call: Call, incident: Incident) -> JsonValue | Absent:
    """Return the value that `field` names, or ABSENT.

    `scope.x`, `incident.x` and `options.x` are what they say; `arguments.x` and plain `x` are the call's argument,
    further dots go into nested objects.
    """
    namespace, _, rest = field.partition(".")
    if namespace == "scope" and rest:
        return ABSENT if call.scope is None else _within(call.scope.model_dump(mode="json"), rest)
    if namespace == "options" and rest:
        return _within(incident.options.model_dump(mode="json"), rest)
    if namespace == "incident" and rest:
        return _within(_facts(incident), rest)
    return _within(call.arguments, argument_path(field))


def argument_path(field: str) -> str:
    """Return `field` without the optional `arguments.` in front."""
    return field.removeprefix("arguments.")


def is_argument(field: str) -> bool:
    """Say whether `field` names an argument of the call."""
    return field.partition(".")[0] not in _NAMESPACES or "." not in field


def unknown_field(field: str) -> str | None:
    """Return why no call can have `field`, or None where one could."""
    namespace, _, rest = field.partition(".")
    if not all(field.split(".")):
        return f"{field!r} is no field name; write an argument's name, or scope.x, options.x or incident.x"
    if is_argument(field) or rest in _NAMESPACES[namespace]:
        return None
    return f"there is no field {field!r}; {namespace} has {', '.join(_NAMESPACES[namespace])}"


def _facts(incident: Incident) -> dict[str, JsonValue]:
    return {
        "mode": incident.mode,
        "cause": incident.classification.cause,
        "transience": incident.classification.transience,
        "flow_name": incident.subject.flow_name,
        "deployment_name": incident.subject.deployment_name,
        "round": incident.round,
    }


def _within(values: Mapping[str, JsonValue], path: str) -> JsonValue | Absent:
    value: JsonValue = dict(values)
    for name in path.split("."):
        if not isinstance(value, dict) or name not in value:
            return ABSENT
        value = value[name]
    return value
