"""A process that carries out one action on a warehouse, and is killed at the boundary that it is told."""

import asyncio
import os
import signal
import sys
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from prefect.filesystems import LocalFileSystem
from sqlalchemy import event

from prefect_healing.domain.incident import Incident
from prefect_healing.domain.plan import Scope
from prefect_healing.domain.record import JsonObject, Record
from prefect_healing.domain.repair import Receipt
from prefect_healing.journal import Journal
from tests.warehouse_write.conftest import TOOLS
from tests.warehouse_write.shop import Healer

KILLED = -signal.SIGKILL
_NEVER = 0
_SECONDS = 120
_context = get_context("forkserver")
_context.set_forkserver_preload([__name__, "prefect.flow_engine", "tests.warehouse_write.loaders"])


class Plan(Record):
    """One action, and where its process dies: at which passing of a boundary, 0 for nowhere.

    Boundaries are: a statement was executed, a commit is next, a connection was given back (so, after a commit).
    """

    url: str
    folder: str
    incident: Incident
    tool: str
    arguments: JsonObject
    scope: Scope
    what: str = "apply"
    dies_at: int = _NEVER
    environment: dict[str, str] = {}

    @property
    def receipt(self) -> Receipt | None:
        """Return the receipt that the process wrote, None where it was killed."""
        path = Path(self.folder) / "receipt.json"
        return Receipt.model_validate_json(path.read_text()) if path.exists() else None

    @property
    def boundaries(self) -> int:
        """Return how many boundaries the last process passed that came to its end."""
        return int((Path(self.folder) / "boundaries").read_text())


def run(plan: Plan) -> int | None:
    """Carry out the plan in a process of its own; return its exit code."""
    process = _context.Process(target=_carry_out, args=(plan.model_dump_json(),))
    process.start()
    process.join(_SECONDS)
    if process.is_alive():
        process.kill()
        process.join()
        raise TimeoutError(Path(plan.folder, "log").read_text()[-4_000:])
    return process.exitcode


def _carry_out(text: str) -> None:
    plan = Plan.model_validate_json(text)
    os.environ.update(plan.environment)
    with Path(plan.folder, "log").open("w") as log:
        os.dup2(log.fileno(), sys.stdout.fileno())
        os.dup2(log.fileno(), sys.stderr.fileno())
    passed = _trap(plan.dies_at)
    receipt = asyncio.run(_apply(plan))
    Path(plan.folder, "receipt.json").write_text(receipt.model_dump_json())
    Path(plan.folder, "boundaries").write_text(str(passed[0]))


async def _apply(plan: Plan) -> Receipt:
    journal = Journal(LocalFileSystem(basepath=plan.folder), plan.incident.id)
    healer = Healer(plan.url, plan.incident, journal, TOOLS)
    return await healer.carry_out(plan.tool, plan.what, scope=plan.scope, **plan.arguments)


def _trap(dies_at: int) -> list[int]:
    passed = [0]

    def boundary(*_: Any) -> None:
        passed[0] += 1
        if passed[0] == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(sa.Engine, "after_cursor_execute", boundary)
    event.listen(sa.Engine, "commit", boundary)
    event.listen(sa.pool.Pool, "reset", boundary)
    return passed
