"""A flow that fails, healed in its own process: `python nightly.py outage|bug SEEN`, where SEEN is a file to write."""

import sys
from pathlib import Path

from prefect import flow, task

from prefect_healing import self_healing


@task
def load(fault: str, seen: Path) -> str:
    if fault == "bug":
        return {"arrival_delay": "3"}["dep_delay"]
    if not seen.exists():
        seen.touch()
        raise ConnectionError("503 Service Unavailable for url 'http://vendor.example/flights/2013-01-01?page=2'")
    return "loaded"


@self_healing(mode="heal", rerun="safe")
@flow(name="nightly-flights")
def nightly(fault: str, seen: Path) -> str:
    return load(fault, seen)


if __name__ == "__main__":
    nightly(sys.argv[1], Path(sys.argv[2]))
