"""The command line in this process, and failed runs for it to work on."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest

from prefect_healing.cli import main
from tests.fundamentals.flows import Vendor, failed_run_id, flow_that_asks


@dataclass(frozen=True)
class Done:
    """What a command printed, and its exit status."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Cli = Callable[..., Done]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run the command line; what was printed before is not in what it returns."""
    monkeypatch.setenv("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "ERROR")

    def run(*arguments: object) -> Done:
        capsys.readouterr()
        status = 0
        try:
            main([str(each) for each in arguments])
        except SystemExit as ended:
            status = int(ended.code or 0)
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return Done(status, printed.out, printed.err)

    return run


@pytest.fixture
def failed_run(prefect_server: str) -> UUID:
    """Return a run of an undecorated flow that failed on its vendor, which is up again."""
    return failed_run_id(flow_that_asks(Vendor(fails=1), f"nightly-{uuid4().hex[:8]}")(return_state=True))
