"""A production-like pipeline: one day of flights from a vendor into a warehouse, and a daily table made from it.

Addresses and credentials come from the environment: VENDOR_URL, VENDOR_TOKEN, WAREHOUSE_URL.
"""

import os
import sys
from datetime import date
from typing import Literal

import httpx
from prefect import flow, get_run_logger, task
from pydantic import AnyHttpUrl

from prefect_healing import Source, retry_if_transient, self_healing
from prefect_healing.demo import contract
from prefect_healing.demo.data import Flight

VENDOR_TIMEOUT_SECONDS = 4.0

Breakdown = Literal["origin", "dest"]
Statement = Literal["none", "accountants"]
LoadMode = Literal["replace", "append"]

_NOT_FOUND = 404


def vendor_url() -> str:
    """Return the address of the vendor."""
    return os.environ.get("VENDOR_URL", "http://127.0.0.1:8765")


def warehouse_url() -> str:
    """Return the SQLAlchemy URL of the warehouse."""
    return os.environ.get("WAREHOUSE_URL", "sqlite:///warehouse.db")


VENDOR = Source(name="flights-vendor", url=AnyHttpUrl(f"{vendor_url()}/health"), last_data="last_day")


@task(persist_result=True, retries=1, retry_delay_seconds=1, retry_condition_fn=retry_if_transient)
def extract_flights(day: date) -> list[Flight]:
    """Fetch one day of flights from the vendor."""
    return _page(_asked(day))


@task(persist_result=True, retries=1, retry_delay_seconds=1, retry_condition_fn=retry_if_transient)
def extract_delivery(day: date) -> list[Flight]:
    """Fetch what the vendor has delivered of one day: nothing, and a warning in the log, where it has nothing yet."""
    response = _asked(day)
    if response.status_code == _NOT_FOUND:
        get_run_logger().warning("The vendor has nothing of %s; its last day is %s", day, _last_day(response))
        return []
    return _page(response)


@task(persist_result=True)
def check_columns(rows: list[Flight], new_columns: contract.NewColumns = "escalate") -> list[Flight]:
    """Hold what arrived against the contract with the vendor."""
    from prefect_healing.demo.tables import REQUIRED_COLUMNS

    contract.hold(rows, REQUIRED_COLUMNS, new_columns)
    return rows


@task(persist_result=True)
def load_flights(day: date, rows: list[Flight], mode: LoadMode = "replace") -> int:
    """Replace the day's partition of the flights table; `append` adds to it, whatever is there."""
    from prefect_healing.demo.warehouse import connected, load_partition, prepare

    with connected(warehouse_url()) as engine:
        prepare(engine)
        return load_partition(engine, day, rows, append=mode == "append")


@task(persist_result=True)
def build_daily_delays(day: date, breakdown: Breakdown, airports: tuple[str, ...] | None = None) -> int:
    """Replace the day's rows of the daily table, by airport of origin or destination.

    With `airports` only these are built, and the day is replaced all the same.
    """
    from prefect_healing.demo.warehouse import connected, delays_by, prepare, replace_daily

    with connected(warehouse_url()) as engine:
        prepare(engine)
        delays = delays_by(engine, day, breakdown)
        wanted = [airport for airport in delays if airports is None or airport in airports]
        return replace_daily(engine, day, [daily_row(day, airport, delays[airport]) for airport in wanted])


def daily_row(day: date, airport: str, delays: list[int | None]) -> dict[str, str | int | float | date | None]:
    """Summarise the departures of one airport on one day."""
    flown = [delay for delay in delays if delay is not None]
    mean_delay = sum(flown) / len(flown)
    return {
        "flight_date": day,
        "airport": airport,
        "flights": len(delays),
        "flown": len(flown),
        "mean_dep_delay": round(mean_delay, 2),
    }


@task(persist_result=True)
def send_statement(day: date) -> str:
    """Write the day's statement for the accountants, in their format."""
    from airline_statements import write_statement  # pyright: ignore[reportMissingImports, reportUnknownVariableType]

    return str(write_statement(day))  # pyright: ignore[reportUnknownArgumentType]


def publish_day(day: date, *, breakdown: Breakdown = "origin", statement: Statement = "none") -> int:
    """Extract, check, load and summarise one day; return how many flights were loaded."""
    rows = check_columns(extract_flights(day))
    loaded = load_flights(day, rows)
    build_daily_delays(day, breakdown)
    if statement == "accountants":
        send_statement(day)
    return loaded


@self_healing(sources=[VENDOR])
@flow(name="nightly-flights", flow_run_name="flights-of-{day}", persist_result=True)
def nightly_flights(day: date, breakdown: Breakdown = "origin", statement: Statement = "none") -> int:
    """Bring one day of flights into the warehouse, as every night."""
    return publish_day(day, breakdown=breakdown, statement=statement)


@self_healing(sources=[VENDOR], rerun="safe")
@flow(name="backfill-flights", flow_run_name="backfill-of-{day}", persist_result=True)
def backfill_flights(day: date) -> int:
    """Bring one past day into the warehouse, from a script. Loads replace their day, so repeating them is safe."""
    return publish_day(day)


def _asked(day: date) -> httpx.Response:
    response = httpx.get(
        f"{vendor_url()}/flights",
        params={"day": day.isoformat()},
        headers={"Authorization": f"Bearer {os.environ.get('VENDOR_TOKEN', 'demo-token')}"},
        timeout=VENDOR_TIMEOUT_SECONDS,
    )
    if wait := response.headers.get("Retry-After"):
        get_run_logger().warning("The vendor answered %s with Retry-After: %s", response.status_code, wait)
    return response


def _page(response: httpx.Response) -> list[Flight]:
    response.raise_for_status()
    return response.json()["flights"]


def _last_day(response: httpx.Response) -> str:
    try:
        return str(response.json()["last_data"])
    except (ValueError, KeyError, TypeError):
        return "unknown"


if __name__ == "__main__":
    backfill_flights(date.fromisoformat(sys.argv[1]))
