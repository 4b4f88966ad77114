"""A vendor of flight data on 127.0.0.1 that misbehaves on demand, one day at a time.

GET  /flights?day=2013-01-05   the day's flights, 404 where there are none yet; needs the bearer token
GET  /manifest?day=2013-01-05  what it really has of the day now: row count, null counts, types, its newest day
GET  /health[?day=2013-01-05]  status and last day; 503 during an outage of that day, without `day` of any day
POST /faults                   {"day", "fault", "params": {"seconds", "requests"}}: misbehave for a day from now on
GET  /counts                   how many requests each day had, how many were answered in full, and each status

Faults are set per day, so that scenarios can run side by side. A fault with `seconds` lasts that long from the first
request for the day's flights, one with `requests` for that many of them, one with neither until it is replaced.
Health and manifest are open to all, and asking them changes nothing.
"""

import argparse
import json
import math
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import date
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast
from urllib.parse import parse_qs, urlsplit

from pydantic import ValidationError

from prefect_healing.demo.data import Flight, flights
from prefect_healing.demo.deliveries import held, last_data, manifest, sent
from prefect_healing.demo.faults import FaultName, FaultRequest, Ledger
from prefect_healing.domain.record import JsonObject

TOKEN = "demo-token"  # noqa: S105 - the demo's vendor listens on loopback and guards nothing
HANG_SECONDS = 8.0
"""How long a slow vendor hangs: longer than its client waits."""

_OPEN = frozenset({"/health", "/manifest"})


class VendorServer(ThreadingHTTPServer):
    """The vendor: a ledger, and a thread for each request."""

    daemon_threads = True

    def __init__(self, port: int = 0, *, hang_seconds: float = HANG_SECONDS) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.ledger = Ledger()
        self.hang_seconds = hang_seconds
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        """Return the address that clients use."""
        return f"http://127.0.0.1:{self.server_port}"

    def server_close(self) -> None:
        """Close, without waiting for those that hang."""
        self.closing.set()
        super().server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Stay quiet: a client that gave up waiting is what this vendor is for."""


class Handler(BaseHTTPRequestHandler):
    """One exchange with one client."""

    protocol_version = "HTTP/1.1"

    @property
    def vendor(self) -> VendorServer:
        """Return the server that this exchange belongs to."""
        return cast("VendorServer", self.server)

    def do_GET(self) -> None:
        """Answer a question."""
        self._route(
            {
                "/flights": self._flights,
                "/manifest": self._manifest,
                "/health": self._health,
                "/counts": self._counts,
            }
        )

    def do_POST(self) -> None:
        """Take an order to misbehave."""
        self._route({"/faults": self._faults})

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the standard library's
        """Write no access log; `/counts` tells."""

    def _route(self, routes: dict[str, Callable[[], None]]) -> None:
        path = urlsplit(self.path).path
        if path not in routes:
            return self._error(HTTPStatus.NOT_FOUND, f"No {path} here; there are {sorted(routes)}.")
        if path not in _OPEN and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._error(HTTPStatus.UNAUTHORIZED, "The bearer token is missing or wrong.")
        return routes[path]()

    def _flights(self) -> None:
        if (day := self._day()) is None:
            return self._error(HTTPStatus.BAD_REQUEST, "Ask for a day, as in /flights?day=2013-01-05.")
        return self._answer_as(self.vendor.ledger.meet(day), day)

    def _answer_as(self, fault: FaultName, day: date) -> None:
        match fault:
            case "vendor_outage":
                self._refuse(day, HTTPStatus.SERVICE_UNAVAILABLE, "The flights service is down.")
            case "rate_limited":
                self._refuse(day, HTTPStatus.TOO_MANY_REQUESTS, "Too many requests.", self._retry_after(day))
            case "bad_credentials":
                self._refuse(day, HTTPStatus.UNAUTHORIZED, "The API token was revoked.")
            case "cut_connection":
                self._cut(day)
            case "slow_vendor":
                self._hang(day)
            case _:
                self._serve(day, fault)

    def _serve(self, day: date, fault: FaultName) -> None:
        rows = held(day, fault)
        if not rows:
            self.vendor.ledger.record(day, "404")
            return self._nothing_yet(day)
        page = sent(rows, fault)
        # Counted before it is sent: whoever has the answer in hand finds it in the counts.
        self.vendor.ledger.record(day, "200", served=len(page) == len(rows))
        return self._json(HTTPStatus.OK, _page(day, page))

    def _manifest(self) -> None:
        if (day := self._day()) is None:
            return self._error(HTTPStatus.BAD_REQUEST, "Ask for a day, as in /manifest?day=2013-01-05.")
        rows = held(day, self.vendor.ledger.now(day))
        if not rows:
            return self._nothing_yet(day)
        return self._json(HTTPStatus.OK, manifest(day, rows, last_data(day, self.vendor.ledger.late())))

    def _nothing_yet(self, day: date) -> None:
        newest = last_data(day, self.vendor.ledger.late() | {day}).isoformat()
        said = {"error": "Not Found", "detail": f"No data of {day} yet.", "day": day.isoformat(), "last_data": newest}
        self._json(HTTPStatus.NOT_FOUND, {**said})

    def _refuse(self, day: date, status: HTTPStatus, detail: str, headers: dict[str, str] | None = None) -> None:
        self.vendor.ledger.record(day, str(status.value))
        self._error(status, detail, headers)

    def _retry_after(self, day: date) -> dict[str, str]:
        left = self.vendor.ledger.seconds_left(day)
        return {"Retry-After": str(max(1, math.ceil(left)))} if math.isfinite(left) else {"Retry-After": "60"}

    def _cut(self, day: date) -> None:
        self.vendor.ledger.record(day, "cut")
        body = json.dumps(_page(day, flights().of(day))).encode()
        with self._closing_after():
            self._head(HTTPStatus.OK, len(body), {})
            self.wfile.write(body[: len(body) // 2])

    def _hang(self, day: date) -> None:
        self.vendor.ledger.record(day, "hung")
        with self._closing_after():
            self.vendor.closing.wait(self.vendor.hang_seconds)

    def _health(self) -> None:
        last_day = flights().days[-1].isoformat()
        if down := self.vendor.ledger.down(self._day()):
            days = [day.isoformat() for day in down]
            return self._json(HTTPStatus.SERVICE_UNAVAILABLE, {"status": "down", "last_day": last_day, "down": [*days]})
        return self._json(HTTPStatus.OK, {"status": "up", "last_day": last_day})

    def _counts(self) -> None:
        counts = self.vendor.ledger.counts()
        self._json(HTTPStatus.OK, {day.isoformat(): count.model_dump(mode="json") for day, count in counts.items()})

    def _faults(self) -> None:
        try:
            request = FaultRequest.model_validate_json(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        except ValidationError as error:
            return self._error(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
        self.vendor.ledger.put(request)
        return self._json(HTTPStatus.OK, {"day": request.day.isoformat(), "fault": request.fault})

    def _day(self) -> date | None:
        try:
            return date.fromisoformat(parse_qs(urlsplit(self.path).query)["day"][0])
        except (KeyError, ValueError):
            return None

    def _error(self, status: HTTPStatus, detail: str, headers: dict[str, str] | None = None) -> None:
        self._json(status, {"error": status.phrase, "detail": detail}, headers)

    def _json(self, status: HTTPStatus, value: JsonObject, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(value).encode()
        self._head(status, len(body), headers or {})
        self.wfile.write(body)

    def _head(self, status: HTTPStatus, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(length), **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    @contextmanager
    def _closing_after(self) -> Generator[None]:
        try:
            yield
        finally:
            self.close_connection = True


@contextmanager
def vendor_in_thread(port: int = 0, *, hang_seconds: float = HANG_SECONDS) -> Generator[VendorServer]:
    """Run the vendor in a thread of this process; port 0 takes a free one."""
    server = VendorServer(port, hang_seconds=hang_seconds)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m prefect_healing.demo.vendor", description="Serve flight data.")
    parser.add_argument("--port", type=int, default=8765)
    server = VendorServer(parser.parse_args().port)
    flights()
    print(f"Vendor at {server.url}", flush=True)  # noqa: T201 - a command's output
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


def _page(day: date, rows: list[Flight]) -> JsonObject:
    return {"day": day.isoformat(), "rows": len(rows), "flights": [dict(row) for row in rows]}


if __name__ == "__main__":
    main()
