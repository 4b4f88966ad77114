"""A warehouse with bookings, freshly made, on each database."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from prefect_healing.checkpoints.checked import Checked
from prefect_healing.checkpoints.run import run_checkpoint
from prefect_healing.domain.catalog import Gate
from prefect_healing.settings import Settings
from tests.checkpoints.tables import BAD, bookings, create_bookings

Check = Callable[..., Awaitable[Checked]]


@pytest.fixture
def warehouse(database_url: str) -> Settings:
    """Return the settings of a warehouse that has the table of bookings."""
    create_bookings(database_url)
    return Settings(warehouse=database_url)


@pytest.fixture
def check(warehouse: Settings) -> Check:
    """Run a gate over the bad day of the bookings, unless told otherwise."""

    async def run(gate: Gate, **changes: Any) -> Checked:
        day, gate_id = changes.pop("day", BAD), changes.pop("gate_id", None)
        return await run_checkpoint(gate, bookings(**changes), day, warehouse, gate_id)

    return run
