"""The flow's code: the lines around the failing frame, and what changed since it last worked."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import AwareDatetime, Field

from prefect_healing.domain.record import Record
from prefect_healing.errors import ToolFailed
from prefect_healing.tools._code_root import code_root, is_secret_like, readable_file, refuse_binary
from prefect_healing.tools._frames import failing_frame
from prefect_healing.tools._git import git
from prefect_healing.tools.prefect_api import bounded, prefect_client, run_of
from prefect_healing.tools.tool import ToolContext, tool

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun

FILE_BYTES_MAX = 2_000_000
LINE_CHARS_MAX = 400
COMMITS_MAX = 20
FILES_MAX = 200
DIFF_BYTES_MAX = 20_000

_COMMIT = re.compile(r"[0-9a-f]{7,40}")
_FIELD = "\x1f"


class SourceExcerpt(Record):
    """Lines of a file, numbered, the failing one marked `>`. `version` says which state of the file this is."""

    path: str
    version: str
    line: int
    first_line: int
    total_lines: int
    text: str
    note: str


@tool(effect="read")
async def read_source(
    ctx: ToolContext,
    path: Annotated[
        str | None,
        Field(max_length=1_000, description="File, relative to the code root; leave it out for the failing frame."),
    ] = None,
    line: Annotated[int | None, Field(ge=1, description="Line to show; 1 where only a path is given.")] = None,
    around: Annotated[int, Field(ge=0, le=100, description="Lines before and after.")] = 15,
) -> SourceExcerpt:
    """Read the flow's source around the failing frame, at the version that ran where that is known.

    Use it when a traceback ends in the flow's own code: it shows what the line expected. Without arguments it finds
    the innermost frame of the last traceback that lies in the code root. Only text files inside the code root are
    read; nothing is executed. Next, changes_since_last_success tells whether that line is new.
    """
    root = code_root(ctx)
    async with prefect_client() as client:
        run = await run_of(client, ctx.incident.subject.flow_run_id)
        if path is None:
            frame = await failing_frame(client, run.id, root)
            path, line = frame.path, line or frame.line
    file = readable_file(root, path)
    content, version, note = await _content_at(root, file, run)
    refuse_binary(content, path)
    return _excerpt(str(file.relative_to(root)), content.decode("utf-8", "replace"), line or 1, around, version, note)


class Commit(Record):
    """One commit that touched the code root."""

    id: str
    author: str
    at: AwareDatetime
    subject: str


class Changes(Record):
    """What changed in the code root between `base` and `head`. Both are None where the code root is no repository.

    `uncommitted` tells whether the flow's file on disk differs from its last commit; None where that is not known.
    """

    is_repository: bool
    last_success_at: AwareDatetime | None
    base: str | None = None
    head: str | None = None
    commits: tuple[Commit, ...] = ()
    files: tuple[str, ...] = ()
    diff: str = ""
    diff_cut: bool = False
    uncommitted: bool | None = None
    note: str


@tool(effect="read")
async def changes_since_last_success(ctx: ToolContext) -> Changes:
    """Read the commits and the diff of the flow's code since its last successful run, from its Git repository.

    Use it when a flow that used to work fails in its own code, or for a changed column or option: a change of the
    failing lines since the last success is strong evidence for code_bug or config_error; no change at all points
    outside of the code. Nothing is fetched and nothing is executed.
    """
    root = code_root(ctx)
    async with prefect_client() as client:
        run = await run_of(client, ctx.incident.subject.flow_run_id)
        success = await _last_success(client, run)
    at = None if success is None else success.start_time
    inside = await git(root, "rev-parse", "--verify", "--quiet", "HEAD")
    if inside.status:
        return Changes(is_repository=False, last_success_at=at, note=_no_repository(inside.complaint))
    head = await _commit_of(root, run) or inside.text.strip()
    base = await _commit_of(root, success) or await _commit_before(root, head, at)
    return await _changes(ctx, root, base=base, head=head, last_success_at=at)


async def _changes(
    ctx: ToolContext, root: Path, *, base: str | None, head: str, last_success_at: datetime | None
) -> Changes:
    commits = await _commits(root, f"{base}..{head}" if base else head)
    files = await _changed_files(root, base, head) if base else []
    own = _own_file(ctx, root)
    diff, cut = await _diff(root, base, head, sorted(files, key=lambda name: name != own)) if base else ("", False)
    return Changes(
        is_repository=True,
        last_success_at=last_success_at,
        base=base,
        head=head,
        commits=commits,
        files=tuple(files[:FILES_MAX]),
        diff=diff,
        diff_cut=cut,
        uncommitted=await _uncommitted(root, own),
        note=_changes_note(base, last_success_at, files),
    )


def _excerpt(path: str, text: str, line: int, around: int, version: str, note: str) -> SourceExcerpt:
    lines = text.splitlines()
    if line > len(lines):
        raise ToolFailed(f"{path} has {len(lines)} lines at {version}; there is no line {line}.")
    first, last = max(1, line - around), min(len(lines), line + around)
    shown = (
        f"{'>' if number == line else ' '} {number:5} {bounded(lines[number - 1], LINE_CHARS_MAX)}"
        for number in range(first, last + 1)
    )
    return SourceExcerpt(
        path=path,
        version=version,
        line=line,
        first_line=first,
        total_lines=len(lines),
        text="\n".join(shown),
        note=note,
    )


async def _content_at(root: Path, file: Path, run: "FlowRun") -> tuple[bytes, str, str]:
    """Return a file's content as the run had it, which version that is, and what to bear in mind of it."""
    commit = await _commit_of(root, run)
    if commit is not None:
        shown = await git(root, "cat-file", "blob", f"{commit}:./{file.relative_to(root)}", bytes_max=FILE_BYTES_MAX)
        if not shown.status:
            return shown.content, f"commit {commit[:12]}", "The file as it was committed at the run's code version."
    content, changed = _on_disk(file)
    if run.start_time is not None and changed > run.start_time:
        note = f"Changed at {changed.isoformat(timespec='seconds')}, after the run began: what ran may differ."
    else:
        note = "The file as it is on this machine; it was not changed since the run began."
    return content, "on disk", note


def _on_disk(file: Path) -> tuple[bytes, datetime]:
    with file.open("rb") as opened:
        return opened.read(FILE_BYTES_MAX), datetime.fromtimestamp(file.stat().st_mtime, UTC)


async def _commit_of(root: Path, run: "FlowRun | None") -> str | None:
    """Return the commit that a run's code version names, None where it names none that is here."""
    if run is None:
        return None
    named = (run.labels.get("prefect.deployment.version"), run.deployment_version, run.flow_version)
    for version in named:
        if isinstance(version, str) and _COMMIT.fullmatch(version):
            found = await git(root, "rev-parse", "--verify", "--quiet", f"{version}^{{commit}}")
            if not found.status:
                return found.text.strip()
    return None


async def _commit_before(root: Path, head: str, at: datetime | None) -> str | None:
    if at is None:
        return None
    found = await git(root, "rev-list", "--max-count=1", f"--before={at.astimezone(UTC).isoformat()}", head)
    return found.text.strip() or None


async def _commits(root: Path, which: str) -> tuple[Commit, ...]:
    form = f"--format=%H{_FIELD}%an{_FIELD}%aI{_FIELD}%s"
    log = await git(root, "log", f"--max-count={COMMITS_MAX}", "--no-notes", form, which, "--", ".")
    parts = (each.split(_FIELD, 3) for each in log.text.split("\n") if each.count(_FIELD) >= 3)  # noqa: PLR2004
    return tuple(
        Commit(id=commit, author=bounded(author, 100), at=datetime.fromisoformat(at), subject=bounded(subject, 200))
        for commit, author, at, subject in parts
    )


_NO_PROGRAMS = ("--no-ext-diff", "--no-textconv", "--no-color", "--ignore-submodules=all", "--relative", "--no-renames")


async def _changed_files(root: Path, base: str, head: str) -> list[str]:
    """Return the changed files that may be shown, relative to the code root."""
    names = await git(root, "diff", *_NO_PROGRAMS, "--name-only", "-z", base, head, "--", ".")
    whole = names.text.split("\0")[:-1]
    return [name for name in whole if name and not is_secret_like(Path(name))]


async def _diff(root: Path, base: str, head: str, files: list[str]) -> tuple[str, bool]:
    """Return the diff of `files`, the first of them first, cut at DIFF_BYTES_MAX."""
    text, left = "", DIFF_BYTES_MAX
    for part in (files[:1], files[1:FILES_MAX]):
        if part and left > 0:
            shown = await git(root, "diff", *_NO_PROGRAMS, base, head, "--", *part, bytes_max=left)
            text, left = text + shown.text, 0 if shown.cut else left - len(shown.content)
    return text, left <= 0 or len(files) > FILES_MAX


def _own_file(ctx: ToolContext, root: Path) -> str | None:
    """Return the file that the flow is defined in, relative to the code root."""
    path = (ctx.incident.options.entrypoint or "").rpartition(":")[0]
    if not path.endswith(".py"):
        return None
    try:
        return str(readable_file(root, path).relative_to(root))
    except ToolFailed:
        return None


async def _uncommitted(root: Path, own: str | None) -> bool | None:
    """Compare by hand: `git status` may start the filters that a repository configures."""
    if own is None:
        return None
    committed = await git(root, "cat-file", "blob", f"HEAD:./{own}", bytes_max=FILE_BYTES_MAX)
    content, _ = _on_disk(root / own)
    return bool(committed.status) or content != committed.content


async def _last_success(client: "PrefectClient", run: "FlowRun") -> "FlowRun | None":
    from prefect.client.schemas.filters import FlowFilter, FlowFilterId, FlowRunFilter, FlowRunFilterState
    from prefect.client.schemas.filters import FlowRunFilterStateType as StateIs
    from prefect.client.schemas.objects import StateType
    from prefect.client.schemas.sorting import FlowRunSort

    found = await client.read_flow_runs(
        flow_filter=FlowFilter(id=FlowFilterId(any_=[run.flow_id])),
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=StateIs(any_=[StateType.COMPLETED]))),
        sort=FlowRunSort.START_TIME_DESC,
        limit=1,
    )
    return found[0] if found else None


def _no_repository(complaint: str) -> str:
    why = f" (git says: {bounded(complaint, 300)})" if complaint else ""
    return f"The code root is not a Git repository with a commit, so what changed is not known{why}."


def _changes_note(base: str | None, last_success_at: datetime | None, files: list[str]) -> str:
    if last_success_at is None:
        return "No successful run of this flow is known to compare with; the last commits are shown."
    if base is None:
        return "The repository has no commit from before the last success; its last commits are shown."
    return "" if files else "No file in the code root changed between the last success and this run's version."
