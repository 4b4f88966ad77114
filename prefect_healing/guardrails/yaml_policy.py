"""Policies as operators write them: YAML that says what the Python says, word for word."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import cast

import yaml
from pydantic import JsonValue, ValidationError

from prefect_healing.guardrails.conditions import BARE_WORDS, WORDS, Condition
from prefect_healing.guardrails.default_policy import DEFAULT_POLICY
from prefect_healing.guardrails.fields import argument_path, is_argument, unknown_field
from prefect_healing.guardrails.limits import Limits
from prefect_healing.guardrails.policy import Heals, Policy
from prefect_healing.guardrails.rules import Rule
from prefect_healing.guardrails.strict_yaml import Place, StrictYaml, content_of, unknown

_BYTES_MAX = 100_000
_VERDICTS = ("allow", "ask", "deny")
_RULE_FIELDS = ("effect", "where", "times", "during", "undoes")
_POLICY_FIELDS = tuple(Policy.model_fields)
_FREEZE_FIELDS = ("start", "end", "timezone")

KnownTools = Collection[str] | Mapping[str, Collection[str]]


def load_policy(path_or_text: str | Path, known_tools: KnownTools | None = None) -> Policy:
    """Read a policy from a file, from YAML text (a `str` of more than one line), or the shipped one, `"default"`.

    `known_tools`, where given, are the tools that rules may name; as a mapping of tool to argument names it also
    bounds what `where` may look at. Raises ConfigurationError, naming line, field and remedy, for whatever is wrong.
    """
    if path_or_text == "default":
        return DEFAULT_POLICY
    if isinstance(path_or_text, str) and "\n" in path_or_text:
        return _Reader("policy text", path_or_text, known_tools).policy()
    return _Reader(str(path_or_text), _content(Path(path_or_text)), known_tools).policy()


def policy_to_yaml(policy: Policy) -> str:
    """Return the YAML that `load_policy` reads as an equal policy."""
    plain: dict[str, JsonValue] = {
        "name": policy.name,
        "mode": policy.mode,
        "limits": policy.limits.model_dump(mode="json"),
        "rules": [_plain_rule(rule) for rule in policy.rules],
    }
    if policy.heals:
        plain["heals"] = [each.model_dump(mode="json", exclude_none=True) for each in policy.heals]
    return yaml.safe_dump(plain, sort_keys=False, width=120)


def _plain_rule(rule: Rule) -> dict[str, JsonValue]:
    plain: dict[str, JsonValue] = {rule.verdict: rule.tool}
    dumped = rule.model_dump(mode="json", exclude_defaults=True, include=set(_RULE_FIELDS))
    plain |= {name: dumped[name] for name in _RULE_FIELDS if name in dumped}
    if rule.where:
        plain["where"] = {name: _plain_condition(rule.where[name]) for name in sorted(rule.where)}
    return plain


def _plain_condition(condition: Condition) -> JsonValue:
    return condition.word if condition.word in BARE_WORDS else {condition.word: condition.value}


class _Reader:
    """Turns one text into a policy."""

    def __init__(self, source: str, text: str, known_tools: KnownTools | None) -> None:
        self.known_tools = known_tools
        self.arguments: Mapping[str, Collection[str]] = {}
        if isinstance(known_tools, Mapping):
            self.arguments = cast("Mapping[str, Collection[str]]", known_tools)
        self.yaml = StrictYaml(source, text, what="a policy", fields=_POLICY_FIELDS)

    def policy(self) -> Policy:
        """Return the policy, or raise ConfigurationError."""
        fields = self.yaml.fields
        try:
            rules = tuple(self._rules(self.yaml.items(fields.get("rules"), ("rules",))))
            fields |= {"rules": rules, "heals": tuple(self._heals(self.yaml.items(fields.get("heals"), ("heals",))))}
            fields["limits"] = self._limits(fields.get("limits"))
            return Policy.model_validate(fields)
        except ValidationError as error:
            self.yaml.refuse_invalid(error, ())

    def _rules(self, items: list[JsonValue]) -> Iterator[Rule]:
        for index, item in enumerate(items):
            place: Place = ("rules", index)
            fields = self.yaml.mapping(item, place, (*_VERDICTS, *_RULE_FIELDS), f"rule {index + 1}")
            verdicts = [verdict for verdict in _VERDICTS if verdict in fields]
            if len(verdicts) != 1:
                self.yaml.refuse(place, f"rule {index + 1} must have exactly one of {', '.join(_VERDICTS)}")
            fields = {"verdict": verdicts[0], "tool": fields.pop(verdicts[0]), **fields}
            yield self._rule(fields, place)

    def _rule(self, fields: dict[str, object], place: Place) -> Rule:
        fields["where"] = dict(self._conditions(cast("JsonValue", fields.get("where")), (*place, "where")))
        if "during" in fields:
            during = (*place, "during")
            fields["during"] = window = self.yaml.mapping(fields["during"], during, _FREEZE_FIELDS, "during")
            if not {"start", "end"} <= window.keys():
                self.yaml.refuse(during, "during must have start and end, such as 'Fri 16:00' and 'Mon 08:00'")
        try:
            rule = Rule.model_validate(fields)
        except ValidationError as error:
            self.yaml.refuse_invalid(error, place)
        self._check_tools(rule, place)
        return rule

    def _conditions(self, where: JsonValue, place: Place) -> Iterator[tuple[str, Condition]]:
        if where is None:
            return
        if not isinstance(where, dict):
            self.yaml.refuse(place, "where must be a mapping of field to condition")
        for field, condition in where.items():
            here = (*place, str(field))
            if wrong := unknown_field(str(field)):
                self.yaml.refuse(here, wrong)
            word, value = self._condition(condition, here)
            try:
                yield str(field), Condition.model_validate({"word": word, "value": value})
            except ValidationError as error:
                self.yaml.refuse_invalid(error, here)

    def _condition(self, condition: JsonValue, place: Place) -> tuple[str, JsonValue]:
        if isinstance(condition, str):
            condition = {condition: None}
        if not isinstance(condition, dict) or len(condition) != 1:
            self.yaml.refuse(place, f"a condition is one of {', '.join(WORDS)}, such as in_incident or 'at_most: 3'")
        word, value = next(iter(condition.items()))
        if word not in WORDS:
            self.yaml.refuse(place, unknown("condition", str(word), WORDS))
        return word, value

    def _check_tools(self, rule: Rule, place: Place) -> None:
        if self.known_tools is None:
            return
        for key, name in ((rule.verdict, rule.tool), ("undoes", rule.undoes)):
            if name not in (None, "*") and name not in self.known_tools:
                self.yaml.refuse((*place, key), unknown("tool", str(name), self.known_tools))
        if rule.tool in self.arguments:
            self._check_arguments(rule, self.arguments[rule.tool], place)

    def _check_arguments(self, rule: Rule, arguments: Collection[str], place: Place) -> None:
        for field in rule.where:
            if is_argument(field) and argument_path(field).partition(".")[0] not in arguments:
                self.yaml.refuse((*place, "where", field), unknown(f"argument of {rule.tool}", field, arguments))

    def _heals(self, items: list[JsonValue]) -> Iterator[Heals]:
        for index, item in enumerate(items):
            place: Place = ("heals", index)
            fields = self.yaml.mapping(item, place, tuple(Heals.model_fields), f"heals {index + 1}")
            if not fields:
                self.yaml.refuse(place, f"heals {index + 1} says nothing; name a deployment, a flow or a tag")
            try:
                yield Heals.model_validate(fields)
            except ValidationError as error:
                self.yaml.refuse_invalid(error, place)

    def _limits(self, value: object) -> Limits:
        if value is None:
            return Limits()
        place: Place = ("limits",)
        try:
            fields = self.yaml.mapping(value, place, tuple(Limits.model_fields), "limits")
            return Limits.model_validate(fields, strict=True)
        except ValidationError as error:
            self.yaml.refuse_invalid(error, place)


def _content(path: Path) -> str:
    remedy = "set PREFECT_HEALING_POLICY to a readable file or to default"
    return content_of(path, kind="policy", bytes_max=_BYTES_MAX, remedy=remedy)
