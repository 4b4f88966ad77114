"""Policies as operators write them: YAML that says what the Python says, word for word."""

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import NoReturn, cast

import yaml
from pydantic import JsonValue, ValidationError

from prefect_healing.errors import ConfigurationError
from prefect_healing.guardrails.conditions import BARE_WORDS, WORDS, Condition
from prefect_healing.guardrails.default_policy import DEFAULT_POLICY
from prefect_healing.guardrails.fields import argument_path, is_argument, unknown_field
from prefect_healing.guardrails.limits import Limits
from prefect_healing.guardrails.policy import Heals, Policy
from prefect_healing.guardrails.rules import Rule

_BYTES_MAX = 100_000
_NESTING_MAX = 20
_VERDICTS = ("allow", "ask", "deny")
_RULE_FIELDS = ("effect", "where", "times", "during", "undoes")
_POLICY_FIELDS = tuple(Policy.model_fields)
_FREEZE_FIELDS = ("start", "end", "timezone")

Place = tuple[str | int, ...]
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


class _Loader(yaml.SafeLoader):
    """YAML in which only what looks like one is a number or a truth value: `off` and `16:00` stay text."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("int", r"[-+]?(?:0|[1-9][0-9_]*)", "-+0123456789"),
    ("float", r"[-+]?[0-9]+\.[0-9]*(?:[eE][-+][0-9]+)?", "-+0123456789"),
):
    _letters = [letter.strip("\0") for letter in _first]
    _Loader.add_implicit_resolver(  # pyright: ignore[reportUnknownMemberType]
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _letters
    )


class _Reader:
    """Turns one text into a policy, and knows the line of everything that may be wrong in it."""

    def __init__(self, source: str, text: str, known_tools: KnownTools | None) -> None:
        self.source = source
        self.text = text
        self.known_tools = known_tools
        self.arguments: Mapping[str, Collection[str]] = {}
        if isinstance(known_tools, Mapping):
            self.arguments = cast("Mapping[str, Collection[str]]", known_tools)
        self.lines: dict[Place, int] = {}

    def policy(self) -> Policy:
        """Return the policy, or raise ConfigurationError."""
        fields = self._mapping(self._document(), (), _POLICY_FIELDS, "a policy")
        try:
            rules = tuple(self._rules(self._list(fields.get("rules"), ("rules",))))
            fields |= {"rules": rules, "heals": tuple(self._heals(self._list(fields.get("heals"), ("heals",))))}
            fields["limits"] = self._limits(fields.get("limits"))
            return Policy.model_validate(fields)
        except ValidationError as error:
            self._refuse_invalid(error, ())

    def _document(self) -> JsonValue:
        try:
            self._refuse_growth()
            loader = _Loader(self.text)
            if (node := loader.get_single_node()) is None:
                self._refuse_at(1, f"the policy is empty; it takes {', '.join(_POLICY_FIELDS)}")
            self._walk(node, ())
            return cast("JsonValue", loader.construct_document(node))  # pyright: ignore[reportUnknownMemberType]
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            mark = getattr(error, "problem_mark", None)
            line = mark.line + 1 if isinstance(mark, yaml.Mark) else 1
            problem = getattr(error, "problem", None) or "it is nested too deeply or has a value that cannot be read"
            self._refuse_at(line, f"this is not YAML: {problem}")

    def _refuse_growth(self) -> None:
        # An alias within aliases makes a short text grow without bound, and deep nesting costs time without sense.
        depth = 0
        for event in cast("Iterator[yaml.Event]", yaml.parse(self.text, _Loader)):  # pyright: ignore[reportUnknownMemberType]
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent):
                self._refuse_at(event.start_mark.line + 1, "aliases are not read; write the value out")
            if depth > _NESTING_MAX:
                self._refuse_at(event.start_mark.line + 1, f"it is nested more than {_NESTING_MAX} deep; unfold it")

    def _walk(self, node: yaml.Node, place: Place) -> None:
        self.lines[place] = node.start_mark.line + 1
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self._walk(item, (*place, index))
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                below: Place = (*place, str(key.value))
                if below in self.lines:
                    self._refuse_at(key.start_mark.line + 1, f"{key.value!r} is given twice; keep one")
                self._walk(value, below)
                self.lines[below] = key.start_mark.line + 1

    def _rules(self, items: list[JsonValue]) -> Iterator[Rule]:
        for index, item in enumerate(items):
            place: Place = ("rules", index)
            fields = self._mapping(item, place, (*_VERDICTS, *_RULE_FIELDS), f"rule {index + 1}")
            verdicts = [verdict for verdict in _VERDICTS if verdict in fields]
            if len(verdicts) != 1:
                self._refuse(place, f"rule {index + 1} must have exactly one of {', '.join(_VERDICTS)}")
            fields = {"verdict": verdicts[0], "tool": fields.pop(verdicts[0]), **fields}
            yield self._rule(fields, place)

    def _rule(self, fields: dict[str, object], place: Place) -> Rule:
        fields["where"] = dict(self._conditions(cast("JsonValue", fields.get("where")), (*place, "where")))
        if "during" in fields:
            during = (*place, "during")
            fields["during"] = window = self._mapping(fields["during"], during, _FREEZE_FIELDS, "during")
            if not {"start", "end"} <= window.keys():
                self._refuse(during, "during must have start and end, such as 'Fri 16:00' and 'Mon 08:00'")
        try:
            rule = Rule.model_validate(fields)
        except ValidationError as error:
            self._refuse_invalid(error, place)
        self._check_tools(rule, place)
        return rule

    def _conditions(self, where: JsonValue, place: Place) -> Iterator[tuple[str, Condition]]:
        if where is None:
            return
        if not isinstance(where, dict):
            self._refuse(place, "where must be a mapping of field to condition")
        for field, condition in where.items():
            here = (*place, str(field))
            if wrong := unknown_field(str(field)):
                self._refuse(here, wrong)
            word, value = self._condition(condition, here)
            try:
                yield str(field), Condition.model_validate({"word": word, "value": value})
            except ValidationError as error:
                self._refuse_invalid(error, here)

    def _condition(self, condition: JsonValue, place: Place) -> tuple[str, JsonValue]:
        if isinstance(condition, str):
            condition = {condition: None}
        if not isinstance(condition, dict) or len(condition) != 1:
            self._refuse(place, f"a condition is one of {', '.join(WORDS)}, such as in_incident or 'at_most: 3'")
        word, value = next(iter(condition.items()))
        if word not in WORDS:
            self._refuse(place, _unknown("condition", str(word), WORDS))
        return word, value

    def _check_tools(self, rule: Rule, place: Place) -> None:
        if self.known_tools is None:
            return
        for key, name in ((rule.verdict, rule.tool), ("undoes", rule.undoes)):
            if name not in (None, "*") and name not in self.known_tools:
                self._refuse((*place, key), _unknown("tool", str(name), self.known_tools))
        if rule.tool in self.arguments:
            self._check_arguments(rule, self.arguments[rule.tool], place)

    def _check_arguments(self, rule: Rule, arguments: Collection[str], place: Place) -> None:
        for field in rule.where:
            if is_argument(field) and argument_path(field).partition(".")[0] not in arguments:
                self._refuse((*place, "where", field), _unknown(f"argument of {rule.tool}", field, arguments))

    def _heals(self, items: list[JsonValue]) -> Iterator[Heals]:
        for index, item in enumerate(items):
            place: Place = ("heals", index)
            fields = self._mapping(item, place, tuple(Heals.model_fields), f"heals {index + 1}")
            if not fields:
                self._refuse(place, f"heals {index + 1} says nothing; name a deployment, a flow or a tag")
            try:
                yield Heals.model_validate(fields)
            except ValidationError as error:
                self._refuse_invalid(error, place)

    def _limits(self, value: object) -> Limits:
        if value is None:
            return Limits()
        place: Place = ("limits",)
        try:
            return Limits.model_validate(self._mapping(value, place, tuple(Limits.model_fields), "limits"), strict=True)
        except ValidationError as error:
            self._refuse_invalid(error, place)

    def _list(self, value: object, place: Place) -> list[JsonValue]:
        if value is None:
            return []
        if not isinstance(value, list):
            self._refuse(place, f"{place[-1]} must be a list; begin each item with '- '")
        return cast("list[JsonValue]", value)

    def _mapping(self, value: object, place: Place, allowed: Collection[str], what: str) -> dict[str, object]:
        if not isinstance(value, dict):
            self._refuse(place, f"{what} must be a mapping with the fields {', '.join(allowed)}")
        fields = cast("dict[object, object]", value)
        for name in fields:
            if name not in allowed:
                self._refuse((*place, str(name)), f"{what}: {_unknown('field', str(name), allowed)}")
        return {str(name): field for name, field in fields.items()}

    def _refuse_invalid(self, error: ValidationError, place: Place) -> NoReturn:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        message = first["msg"].removeprefix("Value error, ")
        self._refuse((*place, *first["loc"]), f"{name}: {message}" if name else message)

    def _refuse(self, place: Place, problem: str) -> NoReturn:
        while place not in self.lines and place:
            place = place[:-1]
        self._refuse_at(self.lines.get(place, 1), problem)

    def _refuse_at(self, line: int, problem: str) -> NoReturn:
        raise ConfigurationError(f"{self.source}, line {line}: {problem}.") from None


def _unknown(what: str, name: str, allowed: Collection[str]) -> str:
    near = difflib.get_close_matches(name[:100], list(allowed), n=1)
    meant = f" Did you mean {near[0]}?" if near else ""
    return f"there is no {what} {name[:100]!r}.{meant} Write one of {', '.join(sorted(allowed))}"


def _content(path: Path) -> str:
    try:
        if path.stat().st_size > _BYTES_MAX:
            raise ConfigurationError(f"The policy file {path} has more than {_BYTES_MAX} bytes; that is no policy.")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ConfigurationError(f"The policy file {path} is not UTF-8 text; save it as UTF-8.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no path"
        remedy = "set PREFECT_HEALING_POLICY to a readable file or to default"
        raise ConfigurationError(f"Cannot read the policy file {str(path)[:200]!r}: {reason}; {remedy}.") from None
