"""What healing costs a flow that succeeds: CPU of the import, and CPU of a run.

Each is measured in alternating pairs against the same without healing, with plain against plain as the error bar.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from measure import Compared, Row, folder, in_pairs, leave_alone, machine, server, show

IMPORT_GOAL, RUN_GOAL = 1.05, 1.02
_RUNS = 5  # In one measurement: a single run costs too little beside what its threads do later.

_PLAIN = """
from prefect import flow


@flow
def nightly() -> None:
    pass
"""

_HEALED = """
from prefect import flow

from prefect_healing import self_healing


@self_healing
@flow
def nightly() -> None:
    pass
"""


def main() -> int:
    """Measure, print, and return 0 where both goals are met."""
    options = _options()
    leave_alone()
    with folder() as scratch:
        imports = in_pairs(_script(scratch, "plain", _PLAIN), _script(scratch, "healed", _HEALED), options.pairs)
    with server():
        runs = _runs(options.pairs, options.tasks)
    met = imports[0]["ratio"] <= IMPORT_GOAL and runs[0]["ratio"] <= RUN_GOAL
    result: Row = {
        "import": _row(*imports, IMPORT_GOAL),
        "run": _row(*runs, RUN_GOAL),
        "met": met,
        "machine": machine(),
    }
    show(result, as_json=options.json)
    return 0 if met else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--tasks", type=int, default=2, help="tasks in the flow that is run")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _row(healed: Compared, plain: Compared, goal: float) -> Row:
    return {**healed, "plain_against_plain": {**plain}, "goal": goal, "met": healed["ratio"] <= goal}


def _script(scratch: Path, name: str, code: str) -> Callable[[], float]:
    """Return what running a file in a new interpreter costs, in seconds of CPU."""
    path = scratch / f"{name}.py"
    path.write_text(code)

    def cost() -> float:
        process = subprocess.Popen([sys.executable, str(path)])
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{path.name} ended with status {process.returncode}.")
        return usage.ru_utime + usage.ru_stime

    cost()  # Once unmeasured: it compiles what was never imported here.
    return cost


def _runs(pairs: int, tasks: int) -> tuple[Compared, Compared]:
    """Compare runs of one flow, with and without healing, in this process."""
    from prefect import flow, task

    from prefect_healing import self_healing

    @task
    async def step(number: int) -> int:
        return number

    async def nightly() -> int:
        return sum([await step(number) for number in range(tasks)])

    plain = flow(name="plain")(nightly)
    healed = self_healing(flow(name="healed")(nightly))
    with asyncio.Runner() as runner:
        for each in (plain, healed, plain, healed):
            runner.run(each())
        return in_pairs(_run(runner, plain), _run(runner, healed), pairs)


def _run(runner: asyncio.Runner, nightly: Callable[[], Coroutine[Any, Any, int]]) -> Callable[[], float]:
    """Return what some runs cost this process, in seconds of CPU of all its threads."""

    def cost() -> float:
        before = time.process_time()
        for _ in range(_RUNS):
            runner.run(nightly())
        return time.process_time() - before

    return cost


if __name__ == "__main__":
    sys.exit(main())
