"""Every test runs without keys, without a machine's own Prefect, and against one server at most.

The environment is set before anything imports Prefect, which reads it once.
"""

import logging
import os
import shutil
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

pytest_plugins = ["tests.messages_api.fixtures", "tests.databases"]
_FOREIGN = ("ANTHROPIC_", "PREFECT_")
_HOME = Path(tempfile.mkdtemp(prefix="prefect-healing-tests-"))
_SERVER_STARTUP_SECONDS = 180  # Migrations of a new database take 20 s on two quiet cores, and 50 s on busy ones.


def _isolate() -> None:
    for name in [name for name in os.environ if name.startswith(_FOREIGN)]:
        del os.environ[name]
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # Processes that tests start would compile everything anew.
    os.environ |= {
        "DO_NOT_TRACK": "1",
        "NO_PROXY": "127.0.0.1,localhost",
        "PREFECT_HOME": str(_HOME),
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",  # A test that needs a server asks for `prefect_server`.
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }


_isolate()


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Run the whole default suite in two workers: most of its tests wait for a server, and each worker has its own.

    A file of one's choice, and the tests that kill processes or open a browser, run in one.
    """
    marked = "not crash" not in config.option.markexpr
    return 0 if marked or config.option.file_or_dir else 2


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let reports travel between workers: some tests log text that is not valid Unicode, on purpose."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "replace").decode()) for name, text in report.sections]
    return report


@pytest.fixture(scope="session", autouse=True)
def _home_is_removed() -> Iterator[None]:
    yield
    shutil.rmtree(_HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[str]:
    """Start the one Prefect server of this session; return the URL of its API.

    Processes that tests start find it too, by `PREFECT_API_URL`.
    """
    from prefect.settings import PREFECT_API_URL
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=_SERVER_STARTUP_SECONDS), pytest.MonkeyPatch.context() as patch:
        url = str(PREFECT_API_URL.value())
        patch.setenv("PREFECT_API_URL", url)
        yield url
        # The server says that it stops when pytest has closed what a worker would say it to.
        logging.raiseExceptions = False
