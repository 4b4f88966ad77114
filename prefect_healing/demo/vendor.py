"""A vendor of flight data on 127.0.0.1 that misbehaves on demand, one day at a time.

GET  /flights?day=2013-01-05   the day's flights; needs the bearer token
GET  /health[?day=2013-01-05]  status and last day; 503 during an outage of that day, without `day` of any day
POST /faults                   {"day", "fault", "params": {"seconds", "requests"}}: misbehave for a day from now on
GET  /counts                   how many requests each day had, how many were answered in full, and each status

Faults are set per day, so that scenarios can run side by side. A fault with `seconds` lasts that long from the first
request that meets it, one with `requests` for that many requests, one with neither until it is replaced.
"""

import argparse
import json
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import date
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal, cast
from urllib.parse import parse_qs, urlsplit

from pydantic import Field, ValidationError

from prefect_healing.demo.data import Flight, flights
from prefect_healing.domain.record import JsonObject, Record

TOKEN = "demo-token"  # noqa: S105 - the demo's vendor listens on loopback and guards nothing
HANG_SECONDS = 5.0
"""How long a slow vendor hangs: longer than its client waits."""

FaultName = Literal[
    "healthy", "vendor_outage", "rate_limited", "cut_connection", "slow_vendor", "renamed_column", "bad_credentials"
]


class FaultParams(Record):
    """For how long a fault lasts: `seconds` from its first request, that many `requests`, or for good."""

    seconds: float | None = Field(default=None, gt=0, le=3600)
    requests: int | None = Field(default=None, ge=1, le=10_000)


class FaultRequest(Record):
    """What to do wrong on one day."""

    day: date
    fault: FaultName
    params: FaultParams = FaultParams()


class DayCount(Record):
    """What one day was asked for and given: all requests, those answered in full, and each status as text."""

    requests: int = 0
    served: int = 0
    statuses: dict[str, int] = {}


class Fault:
    """A fault in force, and when it first met a request (monotonic seconds)."""

    def __init__(self, request: FaultRequest) -> None:
        self.name: FaultName = request.fault
        self._params = request.params
        self._met = 0
        self._since: float | None = None

    def meet(self) -> FaultName:
        """Count one request and return how to answer it."""
        self._since = time.monotonic() if self._since is None else self._since
        active = self.active()
        self._met += 1
        return self.name if active else "healthy"

    def active(self) -> bool:
        """Say whether a request now would meet the fault."""
        if self._params.requests is not None:
            return self._met < self._params.requests
        return self.seconds_left() > 0

    def down(self) -> bool:
        """Say whether this is an outage that has begun and is not over."""
        return self.name == "vendor_outage" and self._since is not None and self.active()

    def seconds_left(self) -> float:
        """Return the seconds until the fault ends by itself; infinite where it does not."""
        if self._params.seconds is None:
            return math.inf
        return self._params.seconds - (0 if self._since is None else time.monotonic() - self._since)


class Ledger:
    """Which fault each day has and what each day was asked; shared by the server's threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: dict[date, Fault] = {}
        self._statuses: dict[date, Counter[str]] = {}
        self._served: Counter[date] = Counter()

    def put(self, request: FaultRequest) -> None:
        """Let a day misbehave from now on."""
        with self._lock:
            self._faults[request.day] = Fault(request)

    def meet(self, day: date) -> FaultName:
        """Count one request for `day` and return how to answer it."""
        with self._lock:
            fault = self._faults.get(day)
            return fault.meet() if fault else "healthy"

    def seconds_left(self, day: date) -> float:
        """Return how long the day's fault goes on, in seconds; infinite where it does not end."""
        with self._lock:
            return self._faults[day].seconds_left() if day in self._faults else 0

    def record(self, day: date, status: str, *, served: bool = False) -> None:
        """Count how one request for `day` was answered."""
        with self._lock:
            self._statuses.setdefault(day, Counter())[status] += 1
            self._served[day] += served

    def down(self, day: date | None) -> list[date]:
        """Return the days, or the one day, that have an outage now."""
        with self._lock:
            return sorted(each for each, fault in self._faults.items() if day in (None, each) and fault.down())

    def counts(self) -> dict[date, DayCount]:
        """Return what each day was asked for and given."""
        with self._lock:
            return {
                day: DayCount(requests=statuses.total(), served=self._served[day], statuses=dict(statuses))
                for day, statuses in self._statuses.items()
            }


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
        self._route({"/flights": self._flights, "/health": self._health, "/counts": self._counts})

    def do_POST(self) -> None:
        """Take an order to misbehave."""
        self._route({"/faults": self._faults})

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the standard library's
        """Write no access log; `/counts` tells."""

    def _route(self, routes: dict[str, Callable[[], None]]) -> None:
        path = urlsplit(self.path).path
        if path not in routes:
            return self._error(HTTPStatus.NOT_FOUND, f"No {path} here; there are {sorted(routes)}.")
        if path != "/health" and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._error(HTTPStatus.UNAUTHORIZED, "The bearer token is missing or wrong.")
        return routes[path]()

    def _flights(self) -> None:
        if (day := self._day()) is None:
            return self._error(HTTPStatus.BAD_REQUEST, "Ask for a day, as in /flights?day=2013-01-05.")
        return self._answer_as(self.vendor.ledger.meet(day), day)

    def _answer_as(self, fault: FaultName, day: date) -> None:
        match fault:
            case "healthy":
                self._serve(day, flights().of(day))
            case "renamed_column":
                self._serve(day, [_renamed(row) for row in flights().of(day)])
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

    def _serve(self, day: date, rows: list[Flight]) -> None:
        # Counted before it is sent: whoever has the answer in hand finds it in the counts.
        self.vendor.ledger.record(day, "200", served=True)
        self._json(HTTPStatus.OK, _page(day, rows))

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
    # `rows` is the vendor's own count: the manifest against which a receiver can hold what arrived.
    return {"day": day.isoformat(), "rows": flights().count(day), "flights": [dict(row) for row in rows]}


def _renamed(row: Flight) -> Flight:
    return {("departure_delay" if column == "dep_delay" else column): cell for column, cell in row.items()}


if __name__ == "__main__":
    main()
