"""A day of flights into the warehouse, under `@self_healing`: deployed by `prefect.yaml`, and a script.

    VENDOR_URL=http://127.0.0.1:8765 python flows/nightly_flights.py 2013-01-05

A vendor to try it with: `python -m prefect_healing.demo.vendor --port 8765`.
"""

import sys
from datetime import date

from prefect_healing.demo.pipeline import backfill_flights, nightly_flights

__all__ = ["backfill_flights", "nightly_flights"]

if __name__ == "__main__":
    backfill_flights(date.fromisoformat(sys.argv[1]))
