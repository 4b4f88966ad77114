"""Fixtures for tests that speak to the local Messages API. `tests/conftest.py` imports them."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.messages_api.script import Answer, Fault
from tests.messages_api.server import KEY, MessagesApi


@dataclass(frozen=True)
class ApiProcess:
    """A Messages API in a process of its own. `environment` points an SDK to it."""

    url: str
    pid: int

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment variables with which a process finds the server."""
        return {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": self.url}

    def requests(self) -> list[dict[str, Any]]:
        """Return every request for a message so far: body, status, answer."""
        with urllib.request.urlopen(f"{self.url}/_requests", timeout=10) as answer:
            return json.load(answer)


@pytest.fixture
def messages_api(monkeypatch: pytest.MonkeyPatch) -> Iterator[MessagesApi]:
    """Start a Messages API in this process and point the environment to it. Set its `script`, and its `faults`."""
    for name in [name for name in os.environ if name.startswith("ANTHROPIC_")]:
        monkeypatch.delenv(name)
    with MessagesApi() as api:
        monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", api.url)
        yield api


@pytest.fixture
def messages_api_process(tmp_path: Path) -> Iterator[Callable[..., ApiProcess]]:
    """Return a function that starts a Messages API in a process of its own: answers, and faults by request."""
    with ExitStack() as stack:

        def start(answers: Sequence[Answer] | str, faults: Sequence[Fault | None] = ()) -> ApiProcess:
            return stack.enter_context(api_process(answers, faults, tmp_path / "messages_api.json"))

        yield start


@contextmanager
def api_process(answers: Sequence[Answer] | str, faults: Sequence[Fault | None], file: Path) -> Iterator[ApiProcess]:
    """Run the server in a process of its own. `answers` may also be `module:attribute`; `file` is for the script."""
    if isinstance(answers, str):
        source = answers
    else:
        loaded = {"answers": [asdict(each) for each in answers], "faults": [each and asdict(each) for each in faults]}
        file.write_text(json.dumps(loaded))
        source = str(file)
    command = [sys.executable, "-m", "tests.messages_api", "--port", "0", "--script", source]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield ApiProcess(process.stdout.readline().strip(), process.pid)
        finally:
            process.terminate()
