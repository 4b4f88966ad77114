"""What a flow's author declares for healing: configuration, never evidence."""

from typing import Literal

from pydantic import AnyHttpUrl

from prefect_healing.domain.alert import Mode
from prefect_healing.domain.record import Record


class Source(Record):
    """A system that the flow reads from.

    `url` is asked with GET to see whether the source is up. Where it answers JSON, `last_data` names the key
    (dotted for nested objects) that holds when or what it last had.
    """

    name: str
    url: AnyHttpUrl
    last_data: str | None = None


class HealingOptions(Record):
    """What `@self_healing(...)` was given, carried to the heal run as its parameter.

    `rerun="safe"` says that repeating finished tasks does no harm. `entrypoint` finds the flow in another process
    (`path/file.py:flow` or `module:flow`); `code_root` bounds what `read_source` may read.
    """

    policy: str | None = None
    mode: Mode | None = None
    rerun: Literal["ask", "safe"] = "ask"
    sources: tuple[Source, ...] = ()
    entrypoint: str | None = None
    code_root: str | None = None
