"""Rows of the matrix: a process that is killed at one boundary, and one that comes after it."""

import json
import multiprocessing
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from uuid import uuid4

from prefect.client.orchestration import SyncPrefectClient

from prefect_healing.agent.ask import Asked
from prefect_healing.domain.report import Report
from tests.crash import trap
from tests.crash.child import heal_to_the_end
from tests.crash.target import Counted, Target
from tests.crash.trap import Phase, Plan

ALONE_SECONDS = 240  # A lock whose holder died before it signed is given back by the server after 60 s.
_KILLED = -9
_ITEMS = ("book", "restore", "send_letter")


@dataclass(frozen=True)
class Row:
    """One row: which script, and where its first process dies."""

    scenario: str
    boundary: str
    phase: Phase

    def __str__(self) -> str:
        return f"{self.scenario}: {self.phase} {self.boundary}"


@dataclass(frozen=True)
class Ended:
    """How a row ended."""

    plan: Plan
    report: Report | None
    counted: dict[str, Counted]
    asked: tuple[str, ...]
    known_before: frozenset[str]
    asked_before: int
    deaths: tuple[int | None, ...]

    @property
    def asked_again(self) -> list[str]:
        """The requests that were sent again although their reply was persisted."""
        return [each for each in self.asked[self.asked_before :] if each in self.known_before]

    @property
    def statuses(self) -> list[list[tuple[str, str]]]:
        """Each round's receipts: tool and status, where a look that finds the effect counts like the effect."""
        assert self.report is not None
        return [
            [(each.tool, each.status.removeprefix("already_")) for each in done.repair.receipts]
            for done in self.report.rounds
            if done.repair
        ]

    @property
    def effects(self) -> dict[str, tuple[int, int]]:
        """How often the target saw each item done, and taken back."""
        return {item: (counted.done, counted.undone) for item, counted in self.counted.items()}

    @property
    def log(self) -> str:
        """What the processes of the row said."""
        return "\n".join(each.read_text() for each in sorted(Path(self.plan.folder).glob("*.log")))


class Ground:
    """What all rows share: a Prefect server, a target, and a warm process that others are forked from.

    A forked child has spent no time on imports and has no thread, loop or connection yet: for what it does next it is
    a new process.
    """

    def __init__(self, folder: Path, api_url: str, environment: dict[str, str]) -> None:
        self.folder, self.api_url, self.environment = folder, api_url, environment
        self.target = Target()
        self._context: ForkServerContext = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["__main__", "tests.crash.child"])

    def plan(
        self,
        scenario: str,
        boundary: str | None = None,
        phase: Phase | None = None,
        unreachable_from: str | None = None,
        deployment: str = "heal/nowhere",
        meet_at: str | None = None,
    ) -> Plan:
        """Write the plan of a new row, with a failed flow run of its own to heal."""
        row = f"row-{uuid4().hex[:8]}"
        folder = self.folder / row
        (folder / "storage").mkdir(parents=True, exist_ok=True)
        made = Plan(
            row=row,
            scenario=scenario,
            folder=str(folder),
            target=self.target.url,
            subject=self._failed_run(row),
            boundary=boundary,
            phase=phase,
            unreachable_from=unreachable_from,
            deployment=deployment,
            meet_at=meet_at,
        )
        trap.write_atomically(folder / "plan.json", made.model_dump_json())
        return made

    def start(self, plan: Plan, what: Callable[..., None] = heal_to_the_end, *more: str) -> ForkServerProcess:
        """Start a process that heals."""
        process = self._context.Process(target=what, args=(str(Path(plan.folder, "plan.json")), *more), daemon=True)
        process.start()
        return process

    def finish(self, process: ForkServerProcess, plan: Plan) -> int | None:
        """Wait for a process, and return its exit code; one that does not end is killed, with what it said so far."""
        process.join(ALONE_SECONDS)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise TimeoutError(f"Process {process.pid} did not end: {self.ended(plan).log[-4000:]}")
        return process.exitcode

    def run(self, row: Row) -> Ended:
        """Kill a process at the row's boundary, bring it back, and return how it ended."""
        return self.run_twice(self.plan(row.scenario, row.boundary, row.phase))

    def run_twice(self, plan: Plan) -> Ended:
        """Let one process come as far as the plan lets it, then another one, and return how it ended."""
        first = self.finish(self.start(plan), plan)
        known, asked = persisted_replies(plan), len(asked_of(plan))
        second = self.finish(self.start(plan), plan)
        return self.ended(plan, deaths=(first, second), known=known, asked=asked)

    def uninterrupted(self, scenario: str) -> Ended:
        """Let a process come through."""
        plan = self.plan(scenario)
        return self.ended(plan, deaths=(self.finish(self.start(plan), plan),))

    def ended(
        self, plan: Plan, deaths: tuple[int | None, ...] = (), known: frozenset[str] = frozenset(), asked: int = 0
    ) -> Ended:
        """Return how a row stands now."""
        report = Report.model_validate_json(plan.report.read_text()) if plan.report.exists() else None
        counted = {item: self.target.look(f"{plan.row}/{item}") for item in _ITEMS}
        return Ended(plan, report, counted, asked_of(plan), known, asked, deaths)

    def close(self) -> None:
        """Stop the target; the warm process ends with this one."""
        self.target.close()

    def _failed_run(self, flow_name: str) -> str:
        message = f"httpx.HTTPStatusError: Server error '503 Service Unavailable' for url 'http://{flow_name}/'"
        failed = {"type": "FAILED", "name": "Failed", "message": message}
        with SyncPrefectClient(self.api_url) as client:  # It tries again where a busy server says 503.
            flow = client.request("POST", "/flows/", json={"name": flow_name}).json()
            run = client.request("POST", "/flow_runs/", json={"flow_id": flow["id"], "state": failed}).json()
        return run["id"]


def boundaries(plan: Plan) -> list[tuple[str, Phase]]:
    """Return the boundaries that a process passed, in order; what is written can also be torn."""
    found: list[tuple[str, Phase]] = []
    for line in plan.passed.read_text().splitlines():
        boundary, _, phase = line.rpartition(" | ")
        found.append((boundary, "after" if phase == "after" else "before"))
        if phase == "before" and not boundary.startswith(("model", "body of")):
            found.append((boundary, "torn"))
    return found


def asked_of(plan: Plan) -> tuple[str, ...]:
    """Return the requests that the model of a row got, as digests, in order."""
    return tuple(plan.asked.read_text().split()) if plan.asked.exists() else ()


def persisted_replies(plan: Plan) -> frozenset[str]:
    """Return the requests whose reply is whole in the storage."""
    return frozenset(filter(None, map(_reply_in, plan.storage.glob("healing-*"))))


def _reply_in(file: Path) -> str | None:
    try:
        stored = json.loads(json.loads(file.read_text())["result"])
        reply = Asked.model_validate_json(stored).reply if isinstance(stored, str) else None
    except (ValueError, KeyError):
        return None
    return reply.wire_id if reply else None


def more_than_once(asked: tuple[str, ...]) -> list[str]:
    """Return the requests that were sent more than once."""
    return [each for each, times in Counter(asked).items() if times > 1]


def environment(api_url: str, policy: Path) -> dict[str, str]:
    """Return what the processes of all rows are started with."""
    return {
        "PREFECT_API_URL": api_url,
        "PREFECT_API_TLS_INSECURE_SKIP_VERIFY": "true",  # Else every client loads every certificate: 0.2 s of CPU.
        "PREFECT_LOGGING_TO_API_ENABLED": "false",
        "PREFECT_RESULTS_DEFAULT_STORAGE_BLOCK": "trapped-storage/crash",
        "PREFECT_HEALING_MODEL": "tests.crash.model:model",
        "PREFECT_HEALING_TOOLS": "tests.crash.tools",
        "PREFECT_HEALING_POLICY": str(policy),
        "PREFECT_HEALING_HEAL_DEPLOYMENT": "heal/nowhere",
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]),
    }
