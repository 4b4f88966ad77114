"""The table of signatures, a file a system."""

from functools import cache

from prefect_healing.classify.signature import Table
from prefect_healing.classify.signatures import (
    databases,
    dbt,
    errno,
    http,
    network,
    postgresql,
    prefect,
    process,
    python,
    sqlite,
)


@cache
def table() -> Table:
    """Return the table of all systems."""
    systems = (process, prefect, dbt, postgresql, sqlite, databases, http, network, errno, python)
    return Table([row for system in systems for row in system.ROWS])
