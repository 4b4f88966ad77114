"""How deep a reply may nest."""

from typing import Final

from pydantic import JsonValue

LEVELS_MAX: Final = 100
"""JSON parsers stop near 200 levels, and a persisted reply lies a few levels deeper than the reply itself."""


def is_too_deep(value: JsonValue) -> bool:
    """Say whether a JSON value nests more than 100 levels, so that it could be stored but not read again."""
    level = [value]
    for _ in range(LEVELS_MAX + 1):
        level = [inner for each in level for inner in _inside(each)]
        if not level:
            return False
    return True


def _inside(value: JsonValue) -> list[JsonValue]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
