"""dbt in a process of its own: its time is limited, it has none of our keys, and it leaves nothing running."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from shutil import which
from tempfile import TemporaryFile
from typing import IO, NamedTuple

from prefect_healing.errors import ConfigurationError

_OURS = ("ANTHROPIC_", "PREFECT_")
_QUIET = {"DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "DO_NOT_TRACK": "1", "PYTHONIOENCODING": "utf-8"}
_GRACE_SECONDS = 10.0  # dbt cancels its queries when it is interrupted, which a kill would leave running.
_SAID_BYTES_MAX = 4_000_000
_READ_ONLY = "-c default_transaction_read_only=on"


class Ended(NamedTuple):
    """How a process ended, and what it said; `code` is None where its time was up."""

    code: int | None
    said: str


async def run_dbt_process(
    arguments: Sequence[str], *, folder: str, seconds: float, lock: int, read_only: bool
) -> Ended:
    """Run dbt to its end, or end it with all that it started when `seconds` are over or we are cancelled."""
    with TemporaryFile() as said:  # No pipe: what we no longer read must not stop a dbt that outlives us.
        process = await asyncio.create_subprocess_exec(
            *_dbt(),
            *arguments,
            cwd=folder,
            env=environment(os.environ, read_only=read_only),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=said,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(lock,),
        )
        try:
            async with asyncio.timeout(seconds):
                await process.wait()
        except TimeoutError:
            return Ended(None, _text(said))
        finally:
            if process.returncode is None:
                await _end(process)
        return Ended(process.returncode, _text(said))


def _dbt() -> tuple[str, ...]:
    """Return the command that is dbt: of this environment, else the one on the path."""
    if find_spec("dbt") is not None and find_spec("dbt.cli") is not None:
        return (sys.executable, "-P", "-c", "from dbt.cli.main import cli; cli(prog_name='dbt')")
    if (found := which("dbt")) is not None:
        return (found,)
    raise ConfigurationError("dbt is not installed here; install prefect-healing[dbt].")


def environment(known: Mapping[str, str], *, read_only: bool) -> dict[str, str]:
    """Return the variables of a dbt process: none of ours; where it is to read only, PostgreSQL is told so too."""
    kept = {name: value for name, value in known.items() if not name.startswith(_OURS)} | _QUIET
    if read_only:
        kept.pop("DBT_STORE_FAILURES", None)
        kept["PGOPTIONS"] = f"{kept.get('PGOPTIONS', '')} {_READ_ONLY}".strip()
    return kept


async def _end(process: asyncio.subprocess.Process) -> None:
    for number, seconds in ((signal.SIGINT, _GRACE_SECONDS), (signal.SIGKILL, None)):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), seconds)


def _text(said: IO[bytes]) -> str:
    end = said.seek(0, os.SEEK_END)
    said.seek(max(0, end - _SAID_BYTES_MAX))
    return said.read().decode("utf-8", "replace")
