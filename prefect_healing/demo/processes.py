"""The processes of the demo: each with its own log, ended by the pid it was started with."""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from prefect_healing.errors import ConfigurationError

_GRACE_SECONDS = 8.0
_LINES_SHOWN = 15


class ProcessDied(ConfigurationError):
    """A process that the demo needs has ended."""


class Child:
    """A process that this one started, and the file that its output goes to."""

    def __init__(self, name: str, process: Process, log: Path) -> None:
        self.name = name
        self._process = process
        self.log = log

    @property
    def pid(self) -> int:
        """Return the id of the process, and of the group that it leads."""
        return self._process.pid

    def check_alive(self) -> None:
        """Raise ProcessDied, with the end of the log, where the process has ended."""
        if self._process.returncode is not None:
            end = "\n".join(self.log.read_text(errors="replace").splitlines()[-_LINES_SHOWN:])
            status = self._process.returncode
            raise ProcessDied(f"The demo's {self.name} ended with status {status}. Its log, {self.log}, ends:\n{end}")

    async def wait(self) -> int:
        """Wait for the process to end; return its status."""
        return await self._process.wait()

    async def end(self) -> None:
        """End the process and those it started: politely, then not."""
        self._signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), _GRACE_SECONDS)
        except TimeoutError:
            pass
        finally:  # what it started may outlive it, and an interrupt must not
            self._signal(signal.SIGKILL)
            await self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        # Each child leads a group of its own, which its own children are in.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


@asynccontextmanager
async def child(name: str, arguments: Sequence[str], *, env: Mapping[str, str], home: Path) -> AsyncGenerator[Child]:
    """Run `python -m arguments` until the block ends; its output goes to `home/logs/name.log`."""
    log = home / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", *arguments, env=env, cwd=home, stdout=output, stderr=output, start_new_session=True
        )
    started = Child(name, process, log)
    try:
        yield started
    finally:
        await started.end()


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
