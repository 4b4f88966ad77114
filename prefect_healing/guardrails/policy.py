"""An ordered policy: the first rule that matches decides, and no match is a no."""

from datetime import datetime
from functools import cached_property
from typing import TypedDict, Unpack

from pydantic import model_validator

from prefect_healing.domain.alert import Mode
from prefect_healing.domain.call import Call
from prefect_healing.domain.incident import Incident
from prefect_healing.domain.mandate import Decision
from prefect_healing.domain.record import Record, digest
from prefect_healing.guardrails.limits import Limits
from prefect_healing.guardrails.rules import Rule
from prefect_healing.guardrails.walls import wall

_NEAR_MISSES_SHOWN = 5


class Heals(Record):
    """Globs for the runs that are healed; all that are given must match."""

    deployment: str | None = None
    flow: str | None = None
    tag: str | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "Heals":
        if not (self.deployment or self.flow or self.tag):
            raise ValueError("name a deployment, a flow or a tag")
        return self


class _PolicyFields(TypedDict, total=False):
    rules: tuple[Rule, ...]
    name: str
    limits: Limits
    mode: Mode
    heals: tuple[Heals, ...]


class Policy(Record):
    """What may be done without a person, what needs one, and what may not be done.

    `mode` is what a flow gets that says nothing. `heals` names the runs that are ours; it is kept, and decides nothing.
    """

    name: str = "custom"
    rules: tuple[Rule, ...] = ()
    limits: Limits = Limits()
    mode: Mode = "propose"
    heals: tuple[Heals, ...] = ()

    def __init__(self, *rules: Rule, **fields: Unpack[_PolicyFields]) -> None:
        """Take the rules in their order, and the rest by name."""
        super().__init__(**{**fields, "rules": rules or fields.get("rules", ())})

    @cached_property
    def version(self) -> str:
        """Return the digest of all that the policy says: 64 hexadecimal digits, the same for Python and YAML."""
        return digest("policy", self)

    def decide(self, call: Call, incident: Incident, taken: tuple[Call, ...], now: datetime) -> Decision:
        """Return the verdict on `call`, with the rule and the reason; equal arguments get equal verdicts.

        `taken` are the calls that this incident already made or was already allowed, this one not among them.
        First come the walls, which no rule lifts, then the rules in their order, then the incident's mode: outside
        of `heal` no write is ever allowed, in `propose` it is asked.
        """
        if (refusal := wall(call, incident, taken, self.limits)) is not None:
            return refusal
        misses = list[str]()
        for number, rule in enumerate(self.rules, start=1):
            if (mismatch := rule.mismatch(call, incident, taken, now)) is None:
                return _within_mode(_decision(self.name, number, rule, call), call, incident.mode)
            if rule.tool == call.tool:
                misses.append(f"rule {number} would {rule.verdict} it, but {mismatch}")
        return _no_match(self.name, call, misses)


def effective_mode(policy: Policy, options_mode: Mode | None, environment_mode: Mode | None) -> Mode:
    """Return the mode that counts.

    `off` wins wherever it is said: whoever wants healing to stop is obeyed. Else the environment, the operator's
    switch, overrides the decorator, which knows its flow, which overrides the policy, which speaks for all flows.
    """
    if "off" in (policy.mode, options_mode, environment_mode):
        return "off"
    return environment_mode or options_mode or policy.mode


def _decision(policy_name: str, number: int, rule: Rule, call: Call) -> Decision:
    asks = "".join(f" {each.rstrip('.')}." for each in call.scope.asks) if call.scope else ""
    reason = {
        "allow": f"Policy {policy_name} allows it.",
        "ask": f"Policy {policy_name} leaves it to a person.{asks}",
        "deny": f"Policy {policy_name} forbids it.",
    }[rule.verdict]
    return Decision(verdict=rule.verdict, rule=f"{policy_name} rule {number}: {rule}", reason=reason)


def _within_mode(decision: Decision, call: Call, mode: Mode) -> Decision:
    if call.effect == "read" or decision.verdict == "deny" or mode == "heal":
        return decision
    if mode == "propose":
        if call.effect == "notify":
            return decision
        reason = f"The mode is propose: a person decides. {decision.reason}"
        return Decision(verdict="ask", rule=decision.rule, reason=reason)
    return Decision(verdict="deny", rule=f"mode {mode}", reason=f"The mode is {mode}: nothing but reading is done.")


def _no_match(policy_name: str, call: Call, misses: list[str]) -> Decision:
    why = "; ".join(misses[:_NEAR_MISSES_SHOWN]) or f"none is about {call.tool} with effect {call.effect}"
    return Decision(verdict="deny", rule="no rule", reason=f"No rule of policy {policy_name} matches: {why}.")
