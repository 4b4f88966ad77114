"""A dbt project, where dbt puts what it makes of it for us, and the lock that keeps two runs of it apart."""

import asyncio
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from pydantic import Field

from prefect_healing.domain.record import Record, digest
from prefect_healing.errors import ConfigurationError, ToolFailed, ToolUnavailable
from prefect_healing.settings import Settings

Selection = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9_.:+*@/,][A-Za-z0-9_.:+*@/,-]*( [A-Za-z0-9_.:+*@/,][A-Za-z0-9_.:+*@/,-]*)*$",
        max_length=400,
        description="dbt's selection syntax: `daily`, `+daily` (with what it is made from), `daily+`, `tag:nightly`.",
    ),
]
"""What a model may say of a dbt command: which nodes. No word of it can begin with a dash, so none is an option."""

_PROJECT_FILE = "dbt_project.yml"
_POLL_SECONDS = 0.2


class DbtProject(Record):
    """Where a dbt project is. `profiles` and `target` are left to dbt's own rules where they are None."""

    folder: str
    profiles: str | None = None
    target: str | None = None

    @property
    def options(self) -> tuple[str, ...]:
        """Return the options of dbt that say which project, profiles and target."""
        profiles = () if self.profiles is None else ("--profiles-dir", self.profiles)
        target = () if self.target is None else ("--target", self.target)
        return ("--project-dir", self.folder, *profiles, *target)


def dbt_project(folder: str | Path, *, profiles: str | Path | None = None, target: str | None = None) -> DbtProject:
    """Return the project in a folder. Raises ConfigurationError where there is none."""
    found = Path(folder).expanduser().resolve()
    if not (found / _PROJECT_FILE).is_file():
        raise ConfigurationError(
            f"There is no dbt project in {found}: it holds no {_PROJECT_FILE}. Correct PREFECT_HEALING_DBT_PROJECT, or "
            "the folder given to dbt_build."
        )
    profiles = None if profiles is None else str(Path(profiles).expanduser().resolve())
    return DbtProject(folder=str(found), profiles=profiles, target=target)


def configured_project(settings: Settings) -> DbtProject:
    """Return the project that the settings name. Raises ToolFailed where they name none."""
    if settings.dbt_project is None:
        raise ToolFailed("No dbt project is known here: PREFECT_HEALING_DBT_PROJECT is not set.")
    return dbt_project(settings.dbt_project)


def selectors(select: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return what is to be selected, word by word. Raises ToolFailed for a word that dbt would take as an option."""
    words = tuple(select.split()) if isinstance(select, str) else tuple(select or ())
    for word in words:
        if word.startswith("-") or not word.strip():
            raise ToolFailed(f"{word[:80]!r} selects no dbt node; say words such as daily+ or tag:nightly.")
    return words


def scratch(project: DbtProject) -> Path:
    """Return the folder, ours alone, in which dbt keeps what it parsed of the project and writes its results."""
    from prefect.settings import PREFECT_HOME

    folder = PREFECT_HOME.value() / "healing-dbt" / digest(project)[:16]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


@asynccontextmanager
async def one_at_a_time(project: DbtProject, wait_seconds: float) -> AsyncGenerator[int]:
    """Hold the project's lock on this machine, and yield the descriptor that holds it.

    Whoever inherits the descriptor holds the lock too: a dbt process that outlives us keeps others out until it ends.
    Raises ToolUnavailable where another process kept it for `wait_seconds`.
    """
    held = os.open(project.folder, os.O_RDONLY)
    try:
        await _lock(held, project, wait_seconds)
        yield held
    finally:
        os.close(held)


async def _lock(held: int, project: DbtProject, wait_seconds: float) -> None:
    import fcntl

    until = asyncio.get_running_loop().time() + wait_seconds
    while True:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if asyncio.get_running_loop().time() > until:
                raise ToolUnavailable(
                    f"Another dbt has been at work on {project.folder} for {wait_seconds:.0f} s; try again later."
                ) from None
            await asyncio.sleep(_POLL_SECONDS)
        else:
            return
