"""What costs nothing where it is not needed."""

import subprocess
import sys
from pathlib import Path

from tests.checkpoints.tables import NEVER, create_bookings

PROGRAM = """
import asyncio, sys
from datetime import date
from prefect_healing.checkpoints.run import run_checkpoint
from prefect_healing.settings import Settings
from tests.checkpoints.tables import NO_NULL_SEATS, bookings, gate

day, settings = date.fromisoformat({day!r}), Settings(warehouse={url!r})
found = asyncio.run(run_checkpoint(gate(NO_NULL_SEATS), bookings(), day, settings))
assert found.violations[0].status == "missing", found
assert "great_expectations" not in sys.modules and "pandas" not in sys.modules
"""


def test_a_missing_partition_needs_no_great_expectations(tmp_path: Path):
    """Its import takes seconds, and 200 MB."""
    url = f"sqlite:///{tmp_path / 'warehouse.db'}"
    create_bookings(url, rows=2)

    program = PROGRAM.format(day=NEVER.isoformat(), url=url)
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
