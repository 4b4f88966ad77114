"""Reading the flow's code, and only that; what changed, from a real repository."""

import asyncio
import os
import subprocess
from pathlib import Path

import pytest
from prefect.flows import load_flow_from_entrypoint

from prefect_healing.errors import ToolFailed
from prefect_healing.tools._frames import last_frame_in
from prefect_healing.tools.code import DIFF_BYTES_MAX, changes_since_last_success, read_source
from tests.tools.conftest import About, Fail, until

pytestmark = pytest.mark.usefixtures("prefect_server")

_FLOW = """\
from prefect import flow

def parse(row):
    return int(row["delay"])

@flow(name="code-{name}")
def nightly(row: dict):
    return parse(row)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A code root with a flow, a secret, something binary, and a way out."""
    root = tmp_path / "code"
    root.mkdir()
    (root / "nightly.py").write_text(_FLOW.format(name=tmp_path.name))
    (root / ".env").write_text("TOKEN=hunter2")
    (root / "weights.py").write_bytes(b"\x00\x01\x02")
    (tmp_path / "outside.py").write_text("secret = 'hunter2'")
    (root / "escape.py").symlink_to(tmp_path / "outside.py")
    (root / "harmless.py").symlink_to(root / ".env")
    os.mkfifo(root / "pipe.py")
    return root


async def test_the_failing_frame_is_found_and_shown(fail: Fail, about: About, root: Path):
    run = await fail(_nightly(root), row={"delay": "late"})
    ctx = about(run, code_root=str(root))

    source = await until(lambda: _or_none(read_source(ctx)))

    assert (source.path, source.line) == ("nightly.py", 4)
    assert '>     4     return int(row["delay"])' in source.text.splitlines()
    assert "not changed since the run began" in source.note


async def test_a_file_that_changed_after_the_run_is_shown_with_a_warning(fail: Fail, about: About, root: Path):
    run = await fail(_nightly(root), row={})
    (root / "nightly.py").write_text("# all new\n")

    source = await read_source(about(run, code_root=str(root)), "nightly.py")

    assert "after the run began" in source.note


async def test_the_file_is_shown_as_committed_where_the_run_names_its_commit(fail: Fail, about: About, root: Path):
    commit = _commit(root, "first")
    nightly = _nightly(root).with_options(version=commit)
    run = await fail(nightly, row={})
    (root / "nightly.py").write_text("# all new\n")

    source = await read_source(about(run, code_root=str(root)), "nightly.py", 4)

    assert source.version == f"commit {commit[:12]}"
    assert 'int(row["delay"])' in source.text


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("escape.py", "outside"),
        ("../outside.py", "outside"),
        ("/etc/passwd", "outside"),
        ("harmless.py", "secrets"),
        (".env", "secrets"),
        ("weights.py", "binary"),
        ("pipe.py", "not a file"),
        (".", "not a file"),
        ("nothing.py", "no file"),
        ("nul\0byte.py", "no file"),
        ("x" * 900, "no file"),
    ],
)
async def test_nothing_else_is_read(about: About, root: Path, path: str, reason: str, failed_run):
    with pytest.raises(ToolFailed, match=reason):
        await read_source(about(failed_run, code_root=str(root)), path)


async def test_git_s_own_files_are_not_read(about: About, root: Path, failed_run):
    _commit(root, "first")

    with pytest.raises(ToolFailed, match="secrets"):
        await read_source(about(failed_run, code_root=str(root)), ".git/config")


async def test_without_a_code_root_nothing_is_read(about: About, failed_run):
    with pytest.raises(ToolFailed, match="no code root"):
        await read_source(about(failed_run), "nightly.py")


async def test_a_line_beyond_the_end_is_a_plain_no(about: About, root: Path, failed_run):
    with pytest.raises(ToolFailed, match="has 8 lines"):
        await read_source(about(failed_run, code_root=str(root)), "nightly.py", 900)


def test_the_last_frame_in_the_root_counts_whatever_lies_below_it(root: Path):
    """Libraries fail on behalf of the flow; a frame of another machine is found by the end of its path."""
    text = (
        f'  File "{root}/nightly.py", line 8, in nightly\n'
        '  File "/opt/prefect/work/nightly.py", line 4, in parse\n'
        '  File "/usr/lib/python3/site-packages/nightly.py", line 99, in read\n'
        '  File "<string>", line 1, in <module>\n'
    )

    frame = last_frame_in(text, root)

    assert frame is not None
    assert (frame.path, frame.line) == ("nightly.py", 4)


async def test_a_folder_without_a_repository_is_said_plainly(about: About, root: Path, failed_run):
    changes = await changes_since_last_success(about(failed_run, code_root=str(root)))

    assert not changes.is_repository
    assert "not a Git repository" in changes.note


async def test_commits_and_diff_since_the_last_success_are_shown(fail: Fail, about: About, root: Path):
    """The flow's own file comes first; secrets are left out; nothing that the repository configures is started."""
    good = _commit(root, "good")
    await _succeed(_nightly(root).with_options(version=good))
    flow_file = root / "nightly.py"
    flow_file.write_text(flow_file.read_text().replace('"delay"', '"dep_delay"'))
    (root / ".env").write_text("TOKEN=hunter3")
    (root / "about.txt").write_text("text\n")
    bad = _commit(root, "rename the column")
    trap = _trap(root)
    run = await fail(_nightly(root).with_options(version=bad), row={"delay": "1"})
    flow_file.write_text(flow_file.read_text() + "# not committed\n")

    changes = await changes_since_last_success(about(run, code_root=str(root), entrypoint="nightly.py:nightly"))

    assert (changes.base, changes.head) == (good, bad)
    assert [commit.subject for commit in changes.commits] == ["rename the column"]
    assert changes.files == ("about.txt", "nightly.py")
    assert '+    return int(row["dep_delay"])' in changes.diff
    assert changes.diff.index("nightly.py") < changes.diff.index("about.txt")
    assert "hunter" not in changes.diff
    assert changes.uncommitted is True
    assert not trap.exists()


async def test_without_a_commit_in_the_run_the_time_of_the_last_success_decides(fail: Fail, about: About, root: Path):
    good = _commit(root, "good", at="2020-01-01T00:00:00+00:00")
    await _succeed(_nightly(root))
    (root / "nightly.py").write_text((root / "nightly.py").read_text() + "# " + "x" * 2 * DIFF_BYTES_MAX)
    _commit(root, "later", at="2099-01-01T00:00:00+00:00")
    run = await fail(_nightly(root), row={})

    changes = await changes_since_last_success(about(run, code_root=str(root)))

    assert changes.base == good
    assert [commit.subject for commit in changes.commits] == ["later"]
    assert changes.diff_cut
    assert len(changes.diff) <= DIFF_BYTES_MAX


async def test_without_a_success_the_last_commits_are_shown(fail: Fail, about: About, root: Path):
    _commit(root, "only")
    run = await fail(_nightly(root), row={})

    changes = await changes_since_last_success(about(run, code_root=str(root)))

    assert changes.base is None
    assert [commit.subject for commit in changes.commits] == ["only"]
    assert "No successful run" in changes.note


@pytest.fixture
async def failed_run(fail: Fail, root: Path):
    return await fail(_nightly(root), row={})


def _nightly(root: Path):
    return load_flow_from_entrypoint(f"{root}/nightly.py:nightly")


async def _succeed(nightly) -> None:
    state = await asyncio.to_thread(nightly, {"delay": "7"}, return_state=True)
    assert state.is_completed()


async def _or_none(reading):
    try:
        return await reading
    except ToolFailed:
        return None


def _commit(root: Path, subject: str, at: str | None = None) -> str:
    when = {} if at is None else {"GIT_AUTHOR_DATE": at, "GIT_COMMITTER_DATE": at}
    who = ("-c", "user.name=A Person", "-c", "user.email=person@example.org", "-c", "commit.gpgSign=false")

    def git(*arguments: str) -> str:
        command = ["git", *who, *arguments]
        done = subprocess.run(command, cwd=root, env=os.environ | when, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    (root / "pipe.py").unlink(missing_ok=True)
    git("init", "--quiet")
    git("add", "--all", "--", ".", ":!*__pycache__*")
    git("commit", "--quiet", "--message", subject)
    return git("rev-parse", "HEAD")


def _trap(root: Path) -> Path:
    """Configure every program that git starts when it shows a diff to leave a trace."""
    trace = root.parent / "started"
    script = root.parent / "trap.sh"
    script.write_text(f"#!/bin/sh\ntouch {trace}\ncat\n")
    script.chmod(0o755)
    names = ("diff.external", "diff.text.textconv", "core.fsmonitor", "filter.text.clean", "core.pager")
    for name in names:
        subprocess.run(["git", "config", name, str(script)], cwd=root, check=True)
    (root / ".git" / "info" / "attributes").write_text("* diff=text filter=text\n")
    return trace
