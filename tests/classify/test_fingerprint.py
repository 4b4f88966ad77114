"""One failure, one fingerprint: what changes from run to run is not in it, what makes another failure is."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_healing.classify import classify, fingerprint


def of(text: str, flow: str = "nightly") -> str:
    return fingerprint(flow, classify(text), text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "httpx.HTTPStatusError: Server error '503 Service Unavailable' for url 'http://127.0.0.1:8099/flights?day=2013-01-05'",
            "httpx.HTTPStatusError: Server error '503 Service Unavailable' for url 'http://127.0.0.1:8100/flights?day=2013-02-07&page=3'",
        ),
        (
            "17:03:11.020 | ERROR   | Flow run 'red-fox' - Flow run exceeded timeout of 5.0 second(s)",
            "04:00:00.001 | ERROR   | Flow run 'blue-owl' - Flow run exceeded timeout of 5.0 second(s)",
        ),
        (
            "RuntimeError: run 6f1e2c34-90ab-4cde-8f01-23456789abcd left 12 rows at 0x7fda10",
            "RuntimeError: run 00000000-90ab-4cde-8f01-23456789abcd left 7 rows at 0x55aa",
        ),
        ("OSError: cannot use /tmp/tmpab12cd/out.csv", "OSError: cannot use /tmp/tmpzz99/out.csv"),
        (
            'psycopg.errors.UniqueViolation: duplicate key value violates unique constraint "pk" Key (email)=(a@b.c) already exists',
            'psycopg.errors.UniqueViolation: duplicate key value violates unique constraint "pk" Key (email)=(z@y.x) already exists',
        ),
        (
            "ValueError: could not convert string to float: 'N/A'",
            "ValueError: could not convert string to float: 'none'",
        ),
        (
            "httpx.ConnectError: [Errno 111] Connection refused",
            "Finished in state Failed('Flow run encountered an exception: ConnectError: [Errno 111] Connection refused')",
        ),
        ("no partition flights_2013_01_05", "no partition flights_2014_12_31"),
    ],
    ids=range(8),
)
def test_the_same_failure_is_recognised(one: str, other: str):
    assert of(one) == of(other)


def test_different_failures_differ():
    texts = [
        "KeyError: 'dep_delay'",
        "KeyError: 'arr_delay'",
        "httpx.HTTPStatusError: Server error '503 Service Unavailable' for url 'http://a.example/x'",
        "httpx.HTTPStatusError: Server error '503 Service Unavailable' for url 'http://b.example/x'",
        "httpx.HTTPStatusError: Server error '502 Bad Gateway' for url 'http://a.example/x'",
        "OSError: [Errno 28] No space left on device",
        "OSError: [Errno 24] Too many open files",
        "RuntimeError: error code 17",
        "RuntimeError: error code 18",
        "sqlite3.OperationalError: no such column: a",
        "sqlite3.OperationalError: no such column: b",
        "",
    ]

    assert len({of(text) for text in texts}) == len(texts)


def test_flows_differ():
    assert of("KeyError: 'x'", "a") != of("KeyError: 'x'", "b")


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(0, 10**9),
    port=st.integers(1024, 65535),
    day=st.dates(),
    run=st.uuids(),
    address=st.integers(2**20, 2**48),
)
def test_numbers_days_ids_and_addresses_do_not_matter(count: int, port: int, day: object, run: object, address: int):
    text = "LoadError: {} rows of {} refused by db.example:{} in run {} <Loader object at {:#x}>"

    assert of(text.format(count, day, port, run, address)) == of(
        text.format(1, "2013-01-05", 5432, "6f1e2c34-90ab-4cde-8f01-23456789abcd", 2**30)
    )


@settings(max_examples=40, deadline=None)
@given(text=st.text(max_size=300), flow=st.text(max_size=20))
def test_any_text_has_one_of_sixteen_digits(text: str, flow: str):
    assert of(text, flow) == of(text, flow)
    assert int(of(text, flow), 16) >= 0
    assert len(of(text, flow)) == 16
