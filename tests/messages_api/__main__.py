"""Serve a script from a process of its own, which outlives the clients that a test kills.

    python -m tests.messages_api --port 0 --script answers.json [--record requests.jsonl]

Prints the URL on one line, then serves until it is ended.
"""

import argparse
import threading
from pathlib import Path

from tests.messages_api.script import load
from tests.messages_api.server import MessagesApi


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.messages_api", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--script", required=True, help="a .json file, or module:attribute")
    parser.add_argument("--record", type=Path, help="append a line of JSON for every request")
    given = parser.parse_args()
    script, faults = load(given.script)
    with MessagesApi(script, faults=faults, port=given.port, record=given.record) as api:
        print(api.url, flush=True)  # noqa: T201 - how the one who started it finds it
        threading.Event().wait()


if __name__ == "__main__":
    main()
