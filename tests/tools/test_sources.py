"""Probing declared sources, over HTTP against servers that behave well and badly."""

import gzip
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import pytest

from prefect_healing.domain.options import Source
from prefect_healing.tools.sources import SourceStatus, check_upstream_sources
from tests.tools.conftest import About


class Upstream:
    """A loopback server; each path misbehaves in its own way, and requests are counted."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.over = Event()
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                upstream.asked.append(self.path)
                getattr(upstream, "answer_" + self.path.strip("/"))(self)

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def source(self, path: str, last_data: str | None = None) -> Source:
        return Source.model_validate({"name": path, "url": self.url(path), "last_data": last_data})

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/{path}"

    def close(self) -> None:
        self.over.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def answer_up(self, request: BaseHTTPRequestHandler) -> None:
        body, headers = b'{"data": {"days": ["2013-01-01", "2013-01-02"], "rows": 842}}', dict[str, str]()
        if "gzip" in request.headers["Accept-Encoding"]:
            body, headers = gzip.compress(body), {"Content-Encoding": "gzip"}
        self._send(request, 200, body, headers)

    def answer_down(self, request: BaseHTTPRequestHandler) -> None:
        self._send(request, 503, b"down", {"Retry-After": "120"})

    def answer_busy(self, request: BaseHTTPRequestHandler) -> None:
        later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
        self._send(request, 429, b"busy", {"Retry-After": later})

    def answer_private(self, request: BaseHTTPRequestHandler) -> None:
        self._send(request, 401, b"who are you?")

    def answer_moved(self, request: BaseHTTPRequestHandler) -> None:
        self._send(request, 302, b"", {"Location": self.url("secret")})

    def answer_secret(self, request: BaseHTTPRequestHandler) -> None:
        self._send(request, 200, b"you should not be here")

    def answer_silent(self, request: BaseHTTPRequestHandler) -> None:
        self.over.wait(30)

    def answer_trickle(self, request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        while not self.over.wait(0.2):
            request.wfile.write(b".")

    def answer_huge(self, request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(10**12))
        request.end_headers()
        try:
            while not self.over.is_set():
                request.wfile.write(b"[" * 65_536)
        except OSError:  # What is wanted: the reader has had enough.
            return

    def answer_bomb(self, request: BaseHTTPRequestHandler) -> None:
        self._send(request, 200, gzip.compress(b"0" * 50_000_000), {"Content-Encoding": "gzip"})

    def answer_cut(self, request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "1000")
        request.end_headers()
        request.wfile.write(b"half")

    @staticmethod
    def _send(request: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        request.send_response(status)
        for name, value in (headers or {}).items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    server = Upstream()
    yield server
    server.close()


async def test_a_source_that_is_up_says_since_when_it_has_data(about: About, upstream: Upstream):
    status = await _probe(about, upstream.source("up", "data.days.1"))

    assert (status.up, status.status, status.last_data) == (True, 200, "2013-01-02")
    assert status.latency_ms is not None


@pytest.mark.parametrize("key", ["data.months", "data.days.7", "data.rows.x", "nothing", ""])
async def test_a_key_that_is_not_there_is_no_failure(about: About, upstream: Upstream, key: str):
    status = await _probe(about, upstream.source("up", key))

    assert (status.up, status.last_data) == (True, None)


async def test_a_source_that_is_down_says_when_to_come_back(about: About, upstream: Upstream):
    status = await _probe(about, upstream.source("down"))

    assert (status.up, status.status, status.retry_after_seconds) == (False, 503, 120)


async def test_retry_after_may_be_a_date(about: About, upstream: Upstream):
    status = await _probe(about, upstream.source("busy"))

    assert status.status == 429
    assert status.retry_after_seconds is not None
    assert 80 < status.retry_after_seconds <= 90


async def test_a_source_that_refuses_us_is_up(about: About, upstream: Upstream):
    status = await _probe(about, upstream.source("private"))

    assert (status.up, status.status) == (True, 401)
    assert "refuses" in status.detail


async def test_redirects_are_told_and_never_followed(about: About, upstream: Upstream):
    status = await _probe(about, upstream.source("moved"))

    assert not status.up
    assert "not followed" in status.detail
    assert upstream.asked == ["/moved"]


@pytest.mark.parametrize("path", ["huge", "bomb"])
async def test_of_a_huge_answer_only_the_start_is_read(about: About, upstream: Upstream, path: str):
    status = await _probe(about, upstream.source(path, "data"))

    assert (status.up, status.last_data) == (True, None)


async def test_an_answer_that_breaks_off_is_down(about: About, upstream: Upstream):
    status = await _probe(about, upstream.source("cut"))

    assert not status.up
    assert status.status is None


async def test_nobody_at_the_address_is_down(about: About, upstream: Upstream):
    source = upstream.source("up")
    upstream.close()

    status = await _probe(about, source)

    assert (status.up, status.status) == (False, None)
    assert "ConnectError" in status.detail


async def test_slow_sources_are_asked_at_once_and_given_up_together(about: About, upstream: Upstream):
    """One that sends a byte now and then is as slow as one that sends none."""
    sources = (upstream.source("silent"), upstream.source("trickle"), upstream.source("up"))
    began = time.monotonic()

    found = await check_upstream_sources(about(sources=sources))

    assert [each.up for each in found.sources] == [False, False, True]
    assert time.monotonic() - began < 8


async def test_no_declared_source_is_said_plainly(about: About):
    found = await check_upstream_sources(about())

    assert found.sources == ()
    assert "declared no source" in found.note


def test_no_argument_can_carry_an_address():
    assert check_upstream_sources.specification()["input_schema"] == {
        "additionalProperties": False,
        "properties": {},
        "title": "check_upstream_sources_arguments",
        "type": "object",
    }


async def _probe(about: About, source: Source) -> SourceStatus:
    (status,) = (await check_upstream_sources(about(sources=(source,)))).sources
    return status
