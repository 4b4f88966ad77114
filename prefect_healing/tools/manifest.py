"""What a source says of its own data, asked of the manifest that the catalog declares."""

from collections.abc import Iterator
from datetime import UTC, date, datetime

from pydantic import JsonValue

from prefect_healing.domain.catalog import Upstream
from prefect_healing.domain.record import Record
from prefect_healing.tools._probe import Answer, as_text, ask, look_up
from prefect_healing.tools.prefect_api import bounded

BODY_BYTES_MAX = 512 * 1024
COLUMNS_MAX = 2_000

_NOT_FOUND = 404
_COUNT_MAX = 2**63 - 1
_NAME_CHARS_MAX = 200


class Manifest(Record):
    """What a source says of one partition. `up` means that it answered as a working system does.

    `has_partition` is None where the answer does not tell; `rows`, `nulls` and `columns` (type names) are empty where
    the source does not say. `last_data` is the newest data it has, in its own words. `detail` says what is odd.
    """

    up: bool
    has_partition: bool | None = None
    rows: int | None = None
    nulls: dict[str, int] = {}
    columns: dict[str, str] = {}
    last_data: str | None = None
    detail: str = ""


async def read_manifest(source: Upstream, day: date | None) -> Manifest:
    """Ask a declared source what it has of a day; without one, what its newest data are and which columns it sends.

    It takes at most five seconds and never raises: a source that is down, slow or odd is told in `up` and `detail`.
    404 means that the source has no such partition.
    """
    answer = await ask(_address(source, day), BODY_BYTES_MAX)
    said = answer.json()
    if not answer.up:
        return Manifest(up=False, detail=answer.detail)
    if answer.status == _NOT_FOUND:
        return _without_partition(source, day, said)
    if not answer.ok or not isinstance(said, dict):
        return Manifest(up=True, detail=answer.detail or "Its manifest is no JSON object, so nothing is known from it.")
    return _told(source, day, said, answer)


def _address(source: Upstream, day: date | None) -> str:
    return source.manifest.replace("{partition}", (day or datetime.now(UTC).date()).isoformat())


def _without_partition(source: Upstream, day: date | None, said: JsonValue) -> Manifest:
    return Manifest(
        up=True,
        has_partition=None if day is None else False,
        last_data=as_text(look_up(said, source.last_data)),
        detail="" if day is None else f"It has no data of {day} (404).",
    )


def _told(source: Upstream, day: date | None, said: JsonValue, answer: Answer) -> Manifest:
    rows = _count(look_up(said, source.rows))
    odd = "" if rows is not None or day is None else f"It gives no row count under {source.rows!r}."
    return Manifest(
        up=True,
        has_partition=None if day is None else True,
        rows=None if day is None else rows,
        nulls={} if day is None else dict(_counts(look_up(said, source.nulls))),
        columns=dict(_types(look_up(said, source.columns))),
        last_data=as_text(look_up(said, source.last_data)),
        detail=" ".join(each for each in (answer.detail, odd) if each),
    )


def _counts(value: JsonValue) -> Iterator[tuple[str, int]]:
    for name, each in _fields(value):
        if (count := _count(each)) is not None:
            yield name, count


def _types(value: JsonValue) -> Iterator[tuple[str, str]]:
    for name, each in _fields(value):
        if isinstance(each, str):
            yield name, bounded(each, _NAME_CHARS_MAX)


def _fields(value: JsonValue) -> Iterator[tuple[str, JsonValue]]:
    fields = list(value.items())[:COLUMNS_MAX] if isinstance(value, dict) else []
    return ((bounded(name, _NAME_CHARS_MAX), each) for name, each in fields)


def _count(value: JsonValue) -> int | None:
    """Return a count, None for anything else; a bool is none, and neither is half a row."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _COUNT_MAX:
        return None
    return int(value) if value == int(value) else None
