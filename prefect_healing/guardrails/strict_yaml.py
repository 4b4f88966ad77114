"""YAML that people write for us, read strictly: no surprise types, nothing given twice, a line for every mistake."""

import difflib
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NoReturn, cast

import yaml
from pydantic import JsonValue, ValidationError

from prefect_healing.errors import ConfigurationError

_NESTING_MAX = 20

Place = tuple[str | int, ...]
"""Where a value stands: keys and indexes from the top."""


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


class StrictYaml:
    """One YAML document, and the line of everything that may be wrong in it.

    `source` is how errors name it, `what` the kind of thing that it describes, with an article. Every refusal is a
    ConfigurationError with source, line, problem and remedy.
    """

    def __init__(self, source: str, text: str, *, what: str, fields: Collection[str]) -> None:
        self.source = source
        self._text = text
        self._what = what
        self._lines: dict[Place, int] = {}
        self.fields = self.mapping(self._document(fields), (), fields, what)

    def mapping(self, value: object, place: Place, allowed: Collection[str], what: str) -> dict[str, object]:
        """Return `value` as a mapping with no other fields than the `allowed` ones."""
        if not isinstance(value, dict):
            self.refuse(place, f"{what} must be a mapping with the fields {', '.join(allowed)}")
        fields = cast("dict[object, object]", value)
        for name in fields:
            if name not in allowed:
                self.refuse((*place, str(name)), f"{what}: {unknown('field', str(name), allowed)}")
        return {str(name): field for name, field in fields.items()}

    def named(self, value: object, place: Place, what: str) -> dict[str, JsonValue]:
        """Return `value` as a mapping of names that people chose; empty where it is not given."""
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.refuse(place, f"{place[-1]} must be a mapping of the name of {what} to its entry")
        return {str(name): entry for name, entry in cast("dict[object, JsonValue]", value).items()}

    def items(self, value: object, place: Place) -> list[JsonValue]:
        """Return `value` as a list; empty where it is not given."""
        if value is None:
            return []
        if not isinstance(value, list):
            self.refuse(place, f"{place[-1]} must be a list; begin each item with '- '")
        return cast("list[JsonValue]", value)

    def refuse_invalid(self, error: ValidationError, place: Place) -> NoReturn:
        """Say what pydantic found first, at its line, without the value that it found."""
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        message = first["msg"].removeprefix("Value error, ")
        self.refuse((*place, *first["loc"]), f"{name}: {message}" if name else message)

    def refuse(self, place: Place, problem: str) -> NoReturn:
        """Say what is wrong at a place, or at the nearest one above it that has a line."""
        while place not in self._lines and place:
            place = place[:-1]
        self._refuse_at(self._lines.get(place, 1), problem)

    def _document(self, fields: Collection[str]) -> JsonValue:
        try:
            self._refuse_growth()
            loader = _Loader(self._text)
            if (node := loader.get_single_node()) is None:
                kind = self._what.rpartition(" ")[2]
                self._refuse_at(1, f"the {kind} is empty; it takes {', '.join(fields)}")
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
        for event in cast("Iterator[yaml.Event]", yaml.parse(self._text, _Loader)):  # pyright: ignore[reportUnknownMemberType]
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent):
                self._refuse_at(event.start_mark.line + 1, "aliases are not read; write the value out")
            if depth > _NESTING_MAX:
                self._refuse_at(event.start_mark.line + 1, f"it is nested more than {_NESTING_MAX} deep; unfold it")

    def _walk(self, node: yaml.Node, place: Place) -> None:
        self._lines[place] = node.start_mark.line + 1
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self._walk(item, (*place, index))
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                below: Place = (*place, str(key.value))
                if below in self._lines:
                    self._refuse_at(key.start_mark.line + 1, f"{key.value!r} is given twice; keep one")
                self._walk(value, below)
                self._lines[below] = key.start_mark.line + 1

    def _refuse_at(self, line: int, problem: str) -> NoReturn:
        raise ConfigurationError(f"{self.source}, line {line}: {problem}.") from None


def unknown(what: str, name: str, allowed: Collection[str]) -> str:
    """Say that there is no such name, which one may have been meant, and which there are."""
    near = difflib.get_close_matches(name[:100], list(allowed), n=1)
    meant = f" Did you mean {near[0]}?" if near else ""
    return f"there is no {what} {name[:100]!r}.{meant} Write one of {', '.join(sorted(allowed))}"


def content_of(path: Path, *, kind: str, bytes_max: int, remedy: str) -> str:
    """Return the text of a file that the operator named; `kind` is what it should be, `remedy` what to do if not."""
    try:
        if path.stat().st_size > bytes_max:
            raise ConfigurationError(f"The {kind} file {path} has more than {bytes_max} bytes; that is no {kind}.")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ConfigurationError(f"The {kind} file {path} is not UTF-8 text; save it as UTF-8.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no path"
        raise ConfigurationError(f"Cannot read the {kind} file {str(path)[:200]!r}: {reason}; {remedy}.") from None
