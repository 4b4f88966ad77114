"""Git, read-only: no shell, no hooks, no pager, no program that the repository's configuration names."""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

from prefect_healing.errors import ToolFailed, ToolUnavailable

TIMEOUT_SECONDS = 20.0

_SAFE = (
    "--no-pager", "--literal-pathspecs",
    "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "protocol.allow=never",
    "-c", "log.showSignature=false", "-c", "core.quotePath=false", "-c", "color.ui=false",
)  # fmt: skip
_ENVIRONMENT = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_CONFIG_NOSYSTEM": "1",
    "LC_ALL": "C.UTF-8",
}


@dataclass(frozen=True)
class Output:
    """What git printed, at most so many bytes, and whether more was cut."""

    content: bytes
    cut: bool
    status: int
    complaint: str

    @property
    def text(self) -> str:
        """Return the output as text; bytes that are no UTF-8 are replaced."""
        return self.content.decode("utf-8", "replace")


async def git(root: Path, *arguments: str, bytes_max: int = 100_000) -> Output:
    """Run one git command in `root`; stop it at `bytes_max` of output.

    Raises ToolFailed where git is not installed, ToolUnavailable where it takes more than TIMEOUT_SECONDS.
    """
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    try:
        process = await asyncio.create_subprocess_exec(
            "git", *_SAFE, *arguments,
            cwd=root,
            env=inherited | _ENVIRONMENT,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise ToolFailed("git is not installed on this machine.") from error
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await _collect(process, bytes_max)
    except TimeoutError as error:
        raise ToolUnavailable(f"git {arguments[0]} took more than {TIMEOUT_SECONDS:.0f} seconds.") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _collect(process: asyncio.subprocess.Process, bytes_max: int) -> Output:
    assert process.stdout is not None  # noqa: S101  Asked for above.
    assert process.stderr is not None  # noqa: S101  As above.
    complaints = asyncio.ensure_future(_read(process.stderr, 4_000, to_the_end=True))
    content = await _read(process.stdout, bytes_max + 1, to_the_end=False)
    if cut := len(content) > bytes_max:
        process.kill()
    complaint = await complaints
    status = await process.wait()
    return Output(content[:bytes_max], cut, 0 if cut else status, complaint.decode("utf-8", "replace").strip())


async def _read(stream: asyncio.StreamReader, bytes_max: int, *, to_the_end: bool) -> bytes:
    content = bytearray()
    while chunk := await stream.read(65_536):
        content += chunk[: max(0, bytes_max - len(content))]
        if len(content) >= bytes_max and not to_the_end:
            break
    return bytes(content)
