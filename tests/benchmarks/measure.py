"""What the benchmarks share: pairs measured in turns, the machine they were measured on, and how results are shown."""

import json
import math
import os
import platform
import random
import statistics
import tempfile
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TypedDict

Cost = Callable[[], float]
"""Does a piece of work once and returns what it cost, in seconds."""

Row = Mapping[str, object]
"""A part of a result, as JSON shows it."""


class Compared(TypedDict):
    """The cost of one thing over another's, as the median of the ratios of pairs, with its 95 % interval."""

    ratio: float
    low: float
    high: float
    plain_seconds: float
    other_seconds: float
    pairs: int


def in_pairs(plain: Cost, other: Cost, pairs: int) -> tuple[Compared, Compared]:
    """Measure `other` against `plain`, and `plain` against itself as the error bar, all in turns.

    The order within a round changes at random, so that what the machine does meanwhile falls on all alike.
    """
    shuffled = random.Random(1)
    costs: dict[str, list[float]] = {"plain": [], "again": [], "other": []}
    works = {"plain": plain, "again": plain, "other": other}
    for _ in range(pairs):
        for name in shuffled.sample(list(works), len(works)):
            costs[name].append(works[name]())
    return compared(costs["plain"], costs["other"]), compared(costs["plain"], costs["again"])


def compared(plain: list[float], other: list[float]) -> Compared:
    """Return the median of the ratios of pairs, and its 95 % interval by order statistics."""
    ratios = sorted(ours / theirs for theirs, ours in zip(plain, other, strict=True))
    count = len(ratios)
    reach = math.ceil(0.98 * math.sqrt(count))  # 1.96 standard deviations of a fair coin's count, which is sqrt(n)/2.
    return Compared(
        ratio=round(statistics.median(ratios), 4),
        low=round(ratios[max(0, count // 2 - reach)], 4),
        high=round(ratios[min(count - 1, count // 2 + reach)], 4),
        plain_seconds=round(statistics.median(plain), 4),
        other_seconds=round(statistics.median(other), 4),
        pairs=count,
    )


def machine() -> Row:
    """Describe where this was measured."""
    return {
        "python": platform.python_version(),
        "prefect": version("prefect"),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 0,
        "load": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.machine()}",
    }


def show(result: Row, *, as_json: bool) -> None:
    """Print a result for a machine, or for a person."""
    print(json.dumps(result) if as_json else json.dumps(result, indent=2))


def leave_alone() -> None:
    """Forget the Prefect and the keys of whoever runs this. Call it before anything imports Prefect."""
    for name in [name for name in os.environ if name.startswith(("ANTHROPIC_", "PREFECT_"))]:
        del os.environ[name]
    os.environ |= {
        "DO_NOT_TRACK": "1",
        "PREFECT_HOME": tempfile.mkdtemp(prefix="prefect-healing-benchmark-"),
        "PREFECT_LOGGING_LEVEL": "ERROR",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }


@contextmanager
def server() -> Generator[None]:
    """Run a Prefect server on an empty SQLite database."""
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=180):
        yield


@contextmanager
def folder() -> Generator[Path]:
    """Lend an empty folder."""
    with tempfile.TemporaryDirectory(prefix="prefect-healing-benchmark-") as path:
        yield Path(path)
