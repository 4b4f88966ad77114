"""What the vendor does wrong on a day, for how long, and what each day was asked: shared by the server's threads."""

import math
import threading
import time
from collections import Counter
from datetime import date
from typing import Literal

from pydantic import Field

from prefect_healing.domain.record import Record

FaultName = Literal[
    "healthy",
    "vendor_outage",
    "rate_limited",
    "cut_connection",
    "slow_vendor",
    "bad_credentials",
    "renamed_column",
    "new_column",
    "changed_type",
    "bad_rows",
    "truncated",
    "late",
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
        now = self.now()
        self._met += 1
        return now

    def now(self) -> FaultName:
        """Return how a request would be answered now, and count none."""
        return self.name if self.active() else "healthy"

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
    """Which fault each day has and what each day was asked."""

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
            return self._faults[day].meet() if day in self._faults else "healthy"

    def now(self, day: date) -> FaultName:
        """Return what is wrong with `day` now, without counting a request."""
        with self._lock:
            return self._faults[day].now() if day in self._faults else "healthy"

    def late(self) -> frozenset[date]:
        """Return the days that have not arrived yet."""
        with self._lock:
            return frozenset(day for day, fault in self._faults.items() if fault.now() == "late")

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
