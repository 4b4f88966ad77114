"""Databases for tests: a file for SQLite, and a real PostgreSQL server that this session starts and ends.

`tests/conftest.py` imports the fixtures.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

DATABASES = ("sqlite", "postgresql")
_PARAMETRISED = ("database_url", "warehouse", "failed_build")
"""The fixtures that are there once for each kind of database, beside those that `make_warehouse` makes."""

_KINDS = ("postgresql", "postgres")
_OWNER = "healer"
_START_SECONDS = 120.0
_STOP_SECONDS = 30.0
_DEBIAN = Path("/usr/lib/postgresql")
_CLUSTER = ("-U", _OWNER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",  # A machine that loses power loses the tests too; a server that is killed does not lose data.
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "50",
    "autovacuum": "off",
}


@dataclass(frozen=True)
class PostgresServer:
    """A running PostgreSQL server. It trusts whoever connects from this machine."""

    port: int
    pid: int

    def url(self, database: str = "postgres") -> str:
        """Return the SQLAlchemy URL of a database of this server."""
        return f"postgresql+psycopg://{_OWNER}@127.0.0.1:{self.port}/{database}"

    def create_database(self) -> str:
        """Create an empty database; return its URL."""
        name = f"warehouse_{secrets.token_hex(8)}"
        self._execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Drop a database that `create_database` made, whoever is still connected to it."""
        self._execute(f'DROP DATABASE IF EXISTS "{url.rpartition("/")[2]}" WITH (FORCE)')

    def _execute(self, statement: str) -> None:
        import psycopg

        conninfo = f"host=127.0.0.1 port={self.port} user={_OWNER} dbname=postgres"
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(statement.encode())


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a PostgreSQL server: it is run where there is one, and never skipped there."""
    for item in items:
        if isinstance(item, pytest.Function) and _needs_postgres(item):
            item.add_marker(pytest.mark.postgres)


def _needs_postgres(item: pytest.Function) -> bool:
    if any("postgres" in name for name in item.fixturenames):
        return True
    params = item.callspec.params if hasattr(item, "callspec") else {}
    names = _PARAMETRISED if "make_warehouse" not in item.fixturenames else tuple(params)
    return any(params.get(name) in _KINDS for name in names)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """Start the one PostgreSQL server of this session (with xdist: of this worker)."""
    with running_postgres() as server:
        yield server


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return the SQLAlchemy URL of a fresh and empty database, once of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'warehouse.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = server.create_database()
    yield url
    server.drop_database(url)


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """Start a PostgreSQL server of one's own on a free port of 127.0.0.1; end it, and remove its data, at the end."""
    folder = Path(tempfile.mkdtemp(prefix="healing-postgres-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, _unprivileged())
        _run(_program("initdb"), *_CLUSTER, "-D", folder / "data")
        process, port = _started(folder)
        try:
            _wait_until_it_answers(process, port, folder / "log")
            yield PostgresServer(port=port, pid=process.pid)
        finally:
            _end(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _started(folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    port = _free_port()
    options = [f"--{name}={value}" for name, value in _SETTINGS.items()]
    command = [_program("postgres"), "-D", folder / "data", "-p", str(port), "-k", folder, *options]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(part) for part in command], stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=folder, **_as_user()
        )
    return process, port


def _wait_until_it_answers(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    ready = [_program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port), "-d", "postgres", "-U", _OWNER]
    until = time.monotonic() + _START_SECONDS
    while subprocess.run(ready, check=False).returncode != 0:
        if process.poll() is not None or time.monotonic() > until:
            pytest.fail(f"PostgreSQL did not start:\n{log.read_text(errors='replace')[-2_000:]}", pytrace=False)
        time.sleep(0.1)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)  # "Fast": whoever is connected is sent away.
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _run(*command: str | Path) -> None:
    done = subprocess.run(
        [str(part) for part in command], check=False, capture_output=True, text=True, cwd="/", **_as_user()
    )
    if done.returncode != 0:
        pytest.fail(f"{command[0]} failed:\n{done.stderr[-2_000:]}", pytrace=False)


def _as_user() -> dict[str, Any]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    import pwd

    found = pwd.getpwnam(_unprivileged())
    return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": ()}


def _unprivileged() -> str:
    import pwd

    known = {each.pw_name for each in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in known)


def _program(name: str) -> str:
    """Return where a program of the newest PostgreSQL server on this machine is."""
    debian = sorted(_DEBIAN.glob(f"*/bin/{name}"), key=lambda path: float(path.parts[-3]), reverse=True)
    if found := next(map(str, debian), None) or shutil.which(name):
        return found
    pytest.fail(
        f"PostgreSQL's {name} is not on this machine, and the tests that need it are never skipped. "
        "Install the server: apt-get install postgresql (on Debian).",
        pytrace=False,
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
