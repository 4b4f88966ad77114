"""What classify and fingerprint cost: 200 lines, and how it grows to 10 MB and one line of 50 MB."""

import argparse
import json
import platform
import time
from collections.abc import Callable

from prefect_healing.classify import classify, fingerprint

TRACEBACK = """Traceback (most recent call last):
  File "/app/flow.py", line 5, in load
    raise httpx.ConnectError("[Errno 111] Connection refused")
httpx.ConnectError: [Errno 111] Connection refused
"""
LOG_LINE = "05:55:35.411 | INFO    | Task run 'load-c66' - loaded a batch of 512 flights with status 200\n"
ERROR_LINE = "2026-01-01 00:00:01,123 - app - ERROR - widget failed code 7 timeout of column, connection closed 503\n"


def milliseconds(act: Callable[[], object], times: int = 9) -> float:
    """Return the best of several runs."""
    act()
    best = float("inf")
    for _ in range(times):
        begun = time.perf_counter()
        act()
        best = min(best, time.perf_counter() - begun)
    return round(best * 1000, 3)


def measure() -> dict[str, object]:
    log = LOG_LINE * 196 + TRACEBACK
    verdict = classify(log)
    sizes = {size: (LOG_LINE * (size * 1_000_000 // len(LOG_LINE))) + TRACEBACK for size in (1, 5, 10)}
    seconds = {f"{size}_mb": milliseconds(lambda text=text: classify(text), 1) / 1000 for size, text in sizes.items()}
    return {
        "log_200_lines_ms": milliseconds(lambda: classify(log)),
        "errors_200_lines_ms": milliseconds(lambda: classify(ERROR_LINE * 199 + "KeyError: 'x'\n")),
        "fingerprint_ms": milliseconds(lambda: fingerprint("nightly", verdict, log)),
        "seconds": seconds,
        "growth_1_to_10_mb": round(seconds["10_mb"] / seconds["1_mb"], 2),
        "one_line_of_50_mb_seconds": milliseconds(lambda: classify("x" * 50_000_000), 1) / 1000,
        "machine": f"{platform.machine()} Python {platform.python_version()}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    wanted = parser.parse_args()
    result = measure()
    print(json.dumps(result) if wanted.json else "\n".join(f"{key}: {value}" for key, value in result.items()))


if __name__ == "__main__":
    main()
