"""What every record shares: frozen, closed to unknown fields, and one canonical text to hash."""

import hashlib
import json
from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict, JsonValue

JsonObject = dict[str, JsonValue]


class Record(BaseModel):
    """A frozen value that crosses a task boundary as JSON text."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


Canonical = str | int | float | bool | None | Record | Mapping[str, "Canonical"] | Sequence["Canonical"]


def canonical(value: Canonical | JsonValue) -> str:
    """Return the one JSON text of a value: keys sorted, no spaces; equal values have equal texts."""
    plain = json.dumps(value, default=_plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return plain


def digest(*parts: Canonical | JsonValue) -> str:
    """Return the SHA-256 of the canonical text of `parts`, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical(list(parts)).encode("utf-8", "surrogatepass")).hexdigest()


def _plain(value: object) -> JsonValue:
    if isinstance(value, Record):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} has no canonical JSON text; pass JSON values or records.")
