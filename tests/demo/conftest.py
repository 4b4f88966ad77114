"""A vendor on loopback and a warehouse of the test's own."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine

from prefect_healing.demo.vendor import TOKEN, VendorServer, vendor_in_thread
from prefect_healing.demo.warehouse import connected, prepare

DAY = date(2013, 1, 5)


@pytest.fixture
def vendor() -> Iterator[VendorServer]:
    """Run the vendor; it hangs for half a second where it is told to be slow."""
    with vendor_in_thread(hang_seconds=0.5) as server:
        yield server


@pytest.fixture
def client(vendor: VendorServer) -> Iterator[httpx.Client]:
    """Ask the vendor as its customer does."""
    with httpx.Client(base_url=vendor.url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=5) as opened:
        yield opened


@pytest.fixture
def warehouse_url(tmp_path: Path) -> str:
    """Name a warehouse in a new file."""
    return f"sqlite:///{tmp_path / 'warehouse.db'}"


@pytest.fixture
def warehouse(warehouse_url: str) -> Iterator[Engine]:
    """Open a new warehouse with its tables."""
    with connected(warehouse_url) as engine:
        prepare(engine)
        yield engine
