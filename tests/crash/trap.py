"""Where a process dies: at a named boundary, before it, in the middle of it (a torn file), or after it.

The code under test knows nothing of this. It is met in three places that it lets others fill: the storage block that
results and journal go to, the model, and the tools.
"""

import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Literal

from prefect.context import FlowRunContext, TaskRunContext
from prefect.filesystems import LocalFileSystem

from prefect_healing.domain.record import Record

PLAN = "CRASH_PLAN"
_MEET_SECONDS = 10
Phase = Literal["before", "torn", "after"]

_times = Counter[str]()


class Plan(Record):
    """What one row of the matrix does: which script, and where its first process dies.

    `unreachable_from` names the boundary from which on the storage answers that process no more. `deployment` heals
    where there is one of that name, else the process itself. `meet_at` names a boundary at which two processes wait
    for each other, as long as the one might still come.
    """

    row: str
    scenario: str
    folder: str
    target: str
    subject: str
    boundary: str | None = None
    phase: Phase | None = None
    unreachable_from: str | None = None
    deployment: str = "heal/nowhere"
    meet_at: str | None = None

    @property
    def passed(self) -> Path:
        """The boundaries that were passed, one a line."""
        return Path(self.folder, "passed")

    @property
    def sprung(self) -> Path:
        """There once the trap has sprung: who comes back lives."""
        return Path(self.folder, "sprung")

    @property
    def storage(self) -> Path:
        """The result storage."""
        return Path(self.folder, "storage")

    @property
    def asked(self) -> Path:
        """The requests that the model got."""
        return Path(self.folder, "asked")

    @property
    def report(self) -> Path:
        """The report, once there is one."""
        return Path(self.folder, "report.json")


def plan() -> Plan:
    """Return the plan of this process."""
    return Plan.model_validate_json(Path(os.environ[PLAN]).read_text())


def write_atomically(path: Path, text: str) -> None:
    """Write a file that others read while it is written."""
    beside = path.with_suffix(f".{os.getpid()}")
    beside.write_text(text)
    beside.replace(path)


def reached(boundary: str, phase: Phase) -> None:
    """Note that this process got here, and end it where the plan says so."""
    with plan().passed.open("a") as file:
        file.write(f"{boundary} | {phase}\n")
    if plan().meet_at == boundary and phase == "before":
        _meet()
    if springs(boundary, phase):
        die()


def _meet() -> None:
    folder, until = Path(plan().folder), time.monotonic() + _MEET_SECONDS
    (folder / f"here-{os.getpid()}").touch()
    while len(list(folder.glob("here-*"))) < 2 and time.monotonic() < until:
        time.sleep(0.05)


def springs(boundary: str, phase: Phase) -> bool:
    """Say whether this process dies here."""
    given = plan()
    return (given.boundary, given.phase) == (boundary, phase) and not given.sprung.exists()


def die() -> None:
    """End this process as `kill -9` does."""
    plan().sprung.touch()
    os.kill(os.getpid(), signal.SIGKILL)


def numbered(boundary: str) -> str:
    """Return the boundary's name with how often this process came to it, from the second time on."""
    _times[boundary] += 1
    return boundary if _times[boundary] == 1 else f"{boundary}, time {_times[boundary]}"


class TrappedStorage(LocalFileSystem):
    """The storage that Prefect's results and our journal are written to, in the folder of the row."""

    _block_type_name = "Trapped Storage"
    _block_type_slug = "trapped-storage"

    def _resolve_path(self, path: str) -> Path:
        return LocalFileSystem(basepath=str(plan().storage))._resolve_path(path)

    async def aread_path(self, path: str) -> bytes:
        _answer_or_not()
        return await super().aread_path(path)

    def read_path(self, path: str):
        return self.aread_path(path)

    async def awrite_path(self, path: str, content: bytes) -> str:
        boundary = numbered(_name_of(path, content))
        if plan().unreachable_from == boundary and not plan().sprung.exists():
            plan().sprung.touch()
            _unreachable.append(boundary)
        _answer_or_not()
        reached(boundary, "before")
        if springs(boundary, "torn"):
            await super().awrite_path(path, content[: len(content) // 2])
            die()
        written = await super().awrite_path(path, content)
        reached(boundary, "after")
        return written

    def write_path(self, path: str, content: bytes):
        return self.awrite_path(path, content)


_unreachable: list[str] = []


def _answer_or_not() -> None:
    if _unreachable:
        raise ConnectionError("The storage does not answer.")


def _name_of(path: str, content: bytes) -> str:
    """Return a name for what is written that is the same in every run."""
    if not path.startswith("healing/"):
        task, flow = TaskRunContext.get(), FlowRunContext.get()
        return f"result of {task.task.name if task else flow.flow.name if flow and flow.flow else path}"
    parts = path.removesuffix(".json").split("/")[2:]
    if parts[0] == "effects":
        tool = _Effect.model_validate_json(content).tool
        return f"{parts[2]} of {tool}"
    if parts[0] == "locks":
        return f"lock of {parts[1].split('-')[1]}"
    return "/".join(parts)


class _Effect(Record):
    model_config = {"extra": "ignore"}

    tool: str
