"""dbt's commands: one process at a time for a project, results read from the files that it writes."""

import json
import re
import shutil
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import AwareDatetime

from prefect_healing.clock import now
from prefect_healing.dbt.artifacts import (
    FRESHNESS,
    RESULTS,
    DbtResult,
    SourceFreshness,
    read_freshness,
    read_results,
)
from prefect_healing.dbt.manifest import MANIFEST, Manifest, Node, read_manifest
from prefect_healing.dbt.process import Ended, run_dbt_process
from prefect_healing.dbt.project import DbtProject, one_at_a_time, scratch, selectors
from prefect_healing.domain.record import Record
from prefect_healing.errors import ToolFailed, ToolUnavailable
from prefect_healing.guardrails.redaction import redact

COMMAND_SECONDS = 300.0
_KEPT = ("partial_parse.msgpack", MANIFEST)  # They hold what the project's authors wrote, and no data.
_GENERAL = ("--no-use-colors", "--log-format", "text", "--log-level-file", "none")
_ENCOUNTERED = "Encountered an error"
_STAMP = re.compile(r"^\d\d:\d\d:\d\d {2}", re.MULTILINE)
_MATCHES_NOTHING = re.compile(r"The selection criterion '(?P<word>[^']*)' does not match any")
_FILE_IS_HELD = re.compile(r"Could not set lock on file|Conflicting lock is held")
_SAID_CHARS_MAX = 2_000
_DONE, _SOME_FAILED = 0, 1


class NothingSelected(ToolFailed):
    """A selection, or a word of it, matches no node."""


class TimeIsUp(ToolFailed):
    """dbt did not end in time and was ended; what it had built by then is built."""


class DbtRun(Record):
    """What came of a command, node by node, in the order in which dbt reported them.

    `unmatched` are words of the selection that matched nothing, while others did.
    """

    command: str
    at: AwareDatetime
    results: tuple[DbtResult, ...]
    unmatched: tuple[str, ...] = ()

    @property
    def failed(self) -> tuple[DbtResult, ...]:
        """Return the nodes that failed or could not be computed."""
        return tuple(each for each in self.results if each.outcome in ("failed", "errored"))

    @property
    def skipped(self) -> tuple[DbtResult, ...]:
        """Return the nodes that were left out because of others."""
        return tuple(each for each in self.results if each.outcome == "skipped")

    @property
    def passed(self) -> bool:
        """Say whether all that was asked for passed, with a warning or without."""
        return bool(self.results) and not self.failed and not self.skipped and not self.unmatched


async def run_nodes(
    project: DbtProject,
    command: str,
    *,
    select: str | Sequence[str] | None = None,
    exclude: str | Sequence[str] | None = None,
    options: Sequence[str] = (),
    seconds: float = COMMAND_SECONDS,
    read_only: bool = False,
) -> DbtRun:
    """Run `build`, `run` or `test`, and return what came of each node.

    Raises ToolFailed where dbt refused, NothingSelected and TimeIsUp where its time was up, ToolUnavailable where
    another process has the project or the database file.
    """
    words = (command, *_selected(select, exclude), *options)
    async with _at_work(project, seconds) as desk:
        said = await desk.dbt(words, read_only=read_only)
        results = read_results(desk.target / RESULTS, project, _manifest(desk.target))
    if not results:
        raise NothingSelected(_nothing(select))
    if any(_FILE_IS_HELD.search(each.message or "") for each in results):
        raise ToolUnavailable("Another process has the database file open, so dbt could not; try again later.")
    return DbtRun(command=command, at=now(), results=results, unmatched=_unmatched(said))


async def source_freshness(
    project: DbtProject, select: str | None = None, *, seconds: float = COMMAND_SECONDS
) -> tuple[SourceFreshness, ...]:
    """Return the age of the selected sources; raises as `run_nodes` does."""
    async with _at_work(project, seconds) as desk:
        said = await desk.dbt(("source", "freshness", *_selected(select, None)), read_only=True)
        found = read_freshness(desk.target / FRESHNESS, project, _manifest(desk.target))
    if not found or _unmatched(said):
        raise NothingSelected(_nothing(_unmatched(said) or select))
    return found


async def selected_nodes(
    project: DbtProject, select: str | None = None, *, kinds: Sequence[str] = (), seconds: float = COMMAND_SECONDS
) -> tuple[Manifest, tuple[Node, ...]]:
    """Return the project as it is now and the nodes that are selected; runs none of them."""
    only = [word for kind in kinds for word in ("--resource-type", kind)]
    words = ("ls", *_selected(select, None), *only, "--output", "json", "--output-keys", "unique_id")
    async with _at_work(project, seconds) as desk:
        said = await desk.dbt(words, read_only=True)
        manifest = _manifest(desk.target)
    named = [json.loads(line)["unique_id"] for line in said.splitlines() if line.startswith('{"unique_id"')]
    nodes = tuple(node for name in named if (node := manifest.node(name)) is not None)
    if not nodes or _unmatched(said):
        raise NothingSelected(_nothing(_unmatched(said) or select))
    return manifest, nodes


def _selected(select: str | Sequence[str] | None, exclude: str | Sequence[str] | None) -> tuple[str, ...]:
    wanted, unwanted = selectors(select), selectors(exclude)
    return (*(("--select", *wanted) if wanted else ()), *(("--exclude", *unwanted) if unwanted else ()))


@dataclass(frozen=True)
class _Desk:
    """The project while its lock is ours, and the folder for what dbt writes."""

    project: DbtProject
    target: Path
    lock: int
    seconds: float

    async def dbt(self, words: Sequence[str], *, read_only: bool) -> str:
        """Run dbt to its end and return what it said; raises where it did not come as far as its nodes."""
        folders = ("--target-path", str(self.target), "--log-path", str(self.target / "logs"))
        arguments = (*_GENERAL, *words, *self.project.options, *folders)
        ended = await run_dbt_process(
            arguments, folder=self.project.folder, seconds=self.seconds, lock=self.lock, read_only=read_only
        )
        _refuse(words[0], ended, self.seconds)
        return ended.said


@asynccontextmanager
async def _at_work(project: DbtProject, seconds: float) -> AsyncGenerator[_Desk]:
    async with one_at_a_time(project, seconds) as lock:
        target = scratch(project)
        _clear(target)
        try:
            yield _Desk(project, target, lock, seconds)
        finally:
            _clear(target)


def _refuse(command: str, ended: Ended, seconds: float) -> None:
    """Raise where dbt did not come as far as its nodes."""
    if ended.code is None:
        raise TimeIsUp(f"dbt {command} did not end within {seconds:.0f} s and was ended; select fewer nodes.")
    if ended.code in (_DONE, _SOME_FAILED) and _ENCOUNTERED not in ended.said:
        return
    if _FILE_IS_HELD.search(ended.said):
        raise ToolUnavailable("Another process has the database file open, so dbt could not; try again later.")
    raise ToolFailed(f"dbt {command} was refused: {_said(ended)}")


def _said(ended: Ended) -> str:
    """Return dbt's own words for why it did not begin, which it says before it looks at any data."""
    _, found, after = ended.said.partition(_ENCOUNTERED)
    text = _STAMP.sub("", after.lstrip(":") if found else ended.said).strip()
    return redact(text)[-_SAID_CHARS_MAX:] or f"it ended with status {ended.code}."


def _unmatched(said: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(found["word"] for found in _MATCHES_NOTHING.finditer(said)))


def _nothing(select: str | Sequence[str] | None) -> str:
    wanted = select if isinstance(select, str) else " ".join(select or ())
    return f"dbt selects no node with {wanted[:200]!r}. Look at dbt_lineage for the names of nodes."


def _manifest(target: Path) -> Manifest:
    if (manifest := read_manifest(target / MANIFEST)) is None:
        raise ToolFailed("dbt ended without a manifest that can be read; look at its own log.")
    return manifest


def _clear(target: Path) -> None:
    """Remove what an earlier command left, which may hold what a database quoted of the data."""
    for each in target.iterdir():
        if each.name in _KEPT:
            continue
        if each.is_dir():
            shutil.rmtree(each, ignore_errors=True)
        else:
            each.unlink(missing_ok=True)
