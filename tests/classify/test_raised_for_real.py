"""Failures that real libraries raise here, not texts that somebody typed."""

import asyncio
import os
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pandas as pd
import pytest
import sqlalchemy as sa

from prefect_healing.classify import classify, text_of_exception


def raised_by(act: Callable[[], object]) -> str:
    with pytest.raises(BaseException) as caught:  # noqa: PT011 whatever is raised is the matter
        act()
    return text_of_exception(caught.value)


@contextmanager
def answering(reply: bytes) -> Iterator[str]:
    """Serve one connection on loopback with fixed bytes, then close it."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/flights?day=2013-01-05"
        thread.join()


def status(code: int, phrase: str) -> Callable[[], object]:
    def act() -> None:
        with answering(f"HTTP/1.1 {code} {phrase}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()) as url:
            httpx.get(url, trust_env=False).raise_for_status()

    return act


@pytest.mark.parametrize(
    ("code", "phrase", "cause"),
    [
        (503, "Service Unavailable", "upstream_unavailable"),
        (502, "Bad Gateway", "upstream_unavailable"),
        (500, "Internal Server Error", "upstream_unavailable"),
        (429, "Too Many Requests", "rate_limited"),
        (401, "Unauthorized", "auth"),
        (403, "Forbidden", "auth"),
        (404, "Not Found", "missing_upstream_data"),
    ],
)
def test_statuses_that_httpx_raises(code: int, phrase: str, cause: str):
    verdict = classify(raised_by(status(code, phrase)))

    assert verdict.cause == cause
    assert verdict.decisive_line is not None
    assert f"'{code} {phrase}'" in verdict.decisive_line


def test_a_body_cut_in_the_middle():
    def act() -> None:
        with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n[1, 2") as url:
            httpx.get(url, trust_env=False)

    assert classify(raised_by(act)).signature == "net.body_cut"


def test_a_server_that_hangs_up():
    def act() -> None:
        with answering(b"") as url:
            httpx.get(url, trust_env=False)

    assert classify(raised_by(act)).cause == "transient_network"


def test_a_server_that_does_not_answer_in_time():
    def act() -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            httpx.get(f"http://127.0.0.1:{server.getsockname()[1]}/", timeout=0.05, trust_env=False)

    assert classify(raised_by(act)).cause == "timeout"


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    verdict = classify(raised_by(lambda: httpx.get(f"http://127.0.0.1:{port}/", trust_env=False)))

    assert (verdict.cause, verdict.rerun_helps) == ("upstream_unavailable", True)


def test_a_url_without_a_scheme():
    assert classify(raised_by(lambda: httpx.get("vendor.example/flights", trust_env=False))).cause == "config_error"


def lake() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.execute(
        "create table flights (id integer primary key, carrier text not null, month int check (month between 1 and 12))"
    )
    connection.execute("insert into flights values (1, 'UA', 1)")
    return connection


@pytest.mark.parametrize(
    ("statement", "cause"),
    [
        ("select dep_delay from flights", "schema_drift"),
        ("insert into flights (dep_delay) values (1)", "schema_drift"),
        ("insert into flights values (2, 'UA')", "schema_drift"),
        ("select * from planes", "schema_drift"),
        ("insert into flights values (1, 'UA', 1)", "data_quality"),
        ("insert into flights values (2, null, 1)", "data_quality"),
        ("insert into flights values (2, 'UA', 13)", "data_quality"),
        ("select * form flights", "code_bug"),
        ("select median(id) from flights", "code_bug"),
    ],
)
def test_statements_that_sqlite_refuses(statement: str, cause: str):
    assert classify(raised_by(lambda: lake().execute(statement))).cause == cause


def test_a_database_that_is_locked(tmp_path: Path):
    first, second = (sqlite3.connect(tmp_path / "w.db", timeout=0) for _ in range(2))
    first.execute("create table t (x)")
    first.execute("begin exclusive")

    verdict = classify(raised_by(lambda: second.execute("insert into t values (1)")))

    assert (verdict.cause, verdict.transience, verdict.rerun_helps) == ("concurrency_conflict", "transient", True)


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("sqlite:////nowhere/at/all.db", "config_error"),
        ("snowfall://x/y", "dependency_env"),
        ("not a url", "config_error"),
    ],
)
def test_engines_that_sqlalchemy_cannot_connect(url: str, cause: str):
    assert classify(raised_by(lambda: sa.create_engine(url).connect())).cause == cause


def test_a_statement_through_sqlalchemy_is_told_by_the_drivers_message():
    def act() -> None:
        with sa.create_engine("sqlite://").connect() as connection:
            connection.execute(sa.text("select dep_delay from flights"), {})

    verdict = classify(raised_by(act))

    assert verdict.cause == "schema_drift"
    assert verdict.decisive_line == "sqlalchemy.exc.OperationalError: (sqlite3.OperationalError) no such table: flights"


FRAME = pd.DataFrame({"departure_delay": [1, 2]})


@pytest.mark.parametrize(
    ("act", "cause"),
    [
        (lambda: FRAME["dep_delay"], "schema_drift"),
        (lambda: FRAME[["dep_delay", "departure_delay"]], "schema_drift"),
        (lambda: FRAME.dep_delay, "code_bug"),
        (lambda: FRAME.set_axis(["a", "b"], axis=1), "schema_drift"),
        (lambda: pd.to_numeric(pd.Series(["NA!"])), "data_quality"),
        (lambda: pd.read_csv("/nowhere/flights.csv"), "missing_upstream_data"),
        (lambda: os.environ["VENDOR_KEY_THAT_IS_NOT_SET"], "config_error"),
        (lambda: int("n/a"), "data_quality"),
        (lambda: __import__("pyarrow_of_tomorrow"), "dependency_env"),
        (lambda: None.json(), "code_bug"),  # noqa: PLW0108 - the attribute is looked up when it is called
        (lambda: 1 / 0, "code_bug"),
        (lambda: open("/etc"), "config_error"),  # noqa: SIM115, PTH123 it must fail
        (lambda: subprocess.run(["dbt-of-tomorrow"], check=True), "dependency_env"),
        (lambda: subprocess.run([sys.executable, "-c", "raise SystemExit(127)"], check=True), "dependency_env"),
        (lambda: asyncio.run(asyncio.wait_for(asyncio.Event().wait(), 0.01)), "timeout"),
        (lambda: bytes([255]).decode(), "data_quality"),
        (lambda: bytearray(2**62), "resource_exhausted"),
    ],
    ids=range(17),
)
def test_what_python_and_pandas_raise(act: Callable[[], object], cause: str):
    verdict = classify(raised_by(act))

    assert verdict.cause == cause, verdict
    assert verdict.rerun_helps is not True
