"""What the repair of a partition costs by its size: copy, quarantine, return and restore, on both databases.

Everything happens inside the database, so what grows is its work: linearly, where the time of a row stays the same
from the smallest partition that is not all overhead to the largest. `peak_mb` is the most memory of this process above
what it has after the import of Great Expectations. A reload is a copy, the run of its loader, which is not ours, and
one row that says so; where the loader fails, a restore is added.
"""

import argparse
import asyncio
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measure import Row, leave_alone, machine, show

sys.path.insert(0, str(Path(__file__).parents[2]))

if TYPE_CHECKING:
    import sqlalchemy as sa

    from prefect_healing.settings import Settings

SIZES = (1_000, 10_000, 100_000, 1_000_000)
PEAK_MB_GOAL, GROWTH_GOAL = 300.0, 3.0
_DAY = date(2013, 1, 5)
_FILL_BATCH = 10_000
_SHARE = 20  # One row of so many is bad.


def main() -> int:
    """Measure, print, and return 0 where the goals are met."""
    options = _options()
    leave_alone()
    import great_expectations  # noqa: F401 - what the goal is measured above

    base = _peak_mb()
    rows = [each for kind in options.databases for each in _measured(kind, options.sizes)]
    growth = {kind: _growth([each for each in rows if each["database"] == kind]) for kind in options.databases}
    peak = round(_peak_mb() - base, 1)
    met = peak <= PEAK_MB_GOAL and all(each <= GROWTH_GOAL for each in growth.values())
    result: Row = {
        "rows": rows,
        "growth": growth,
        "peak_mb": peak,
        "import_mb": round(base, 1),
        "goals": {"peak_mb": PEAK_MB_GOAL, "growth": GROWTH_GOAL},
        "met": met,
        "machine": machine(),
    }
    show(result, as_json=options.json)
    return 0 if met else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="rows of the partition")
    parser.add_argument("--databases", nargs="+", default=["sqlite", "postgresql"])
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _measured(kind: str, sizes: list[int]) -> Iterator[dict[str, Any]]:
    for size in sizes:
        with _warehouse(kind) as url:
            _fill(url, size)
            seconds = asyncio.run(_repairs(url, size))
        yield {
            "database": kind,
            "rows": size,
            "seconds": {name: round(each, 3) for name, each in seconds.items()},
            "microseconds_a_row": {name: round(each / size * 1e6, 1) for name, each in seconds.items()},
        }


@contextmanager
def _warehouse(kind: str) -> Generator[str]:
    if kind == "sqlite":
        with tempfile.TemporaryDirectory(prefix="prefect-healing-benchmark-") as folder:
            yield f"sqlite:///{folder}/warehouse.db"
        return
    from tests.databases import running_postgres

    with running_postgres() as server:
        yield server.create_database()


def _fill(url: str, size: int) -> None:
    """Fill the partition, and another of the same size beside it, in batches."""
    import sqlalchemy as sa

    engine = sa.create_engine(url, poolclass=sa.NullPool)
    table = sa.Table(
        "orders",
        sa.MetaData(),
        sa.Column("id", sa.Integer),
        sa.Column("day", sa.Date, index=True),
        *(sa.Column(f"text_{number}", sa.String(20)) for number in range(4)),
        *(sa.Column(f"number_{number}", sa.Float) for number in range(6)),
    )
    with engine.begin() as connection:
        table.create(connection)
        for begin in range(0, size, _FILL_BATCH):
            numbers = range(begin, min(size, begin + _FILL_BATCH))
            for day in (_DAY, date(2013, 1, 6)):
                connection.execute(sa.insert(table), [_order(number, day) for number in numbers])
    engine.dispose()


def _order(number: int, day: date) -> dict[str, Any]:
    texts = {f"text_{each}": f"text {number} {each}" for each in range(4)}
    return {"id": number, "day": day, **texts, **{f"number_{each}": number / (each + 1) for each in range(6)}}


async def _repairs(url: str, size: int) -> dict[str, float]:
    from prefect_healing.domain.catalog import Catalog, Table
    from prefect_healing.settings import Settings
    from prefect_healing.warehouse.copies import copy_of, restore, take_copy
    from prefect_healing.warehouse.fingerprint import partition_fingerprint
    from prefect_healing.warehouse.quarantine import Rows, give_back, quarantine, quarantine_of
    from prefect_healing.warehouse.violation_keys import keep_keys

    orders = Table(name="orders", layer="staging", key=("id", "text_0"), partition="day")
    catalog, settings = Catalog(tables=(orders,)), Settings(warehouse=url)
    bad = max(1, size // _SHARE)
    keys = ((number * _SHARE, f"text {number * _SHARE} 0") for number in range(bad))
    rows = Rows(table=orders, day=_DAY, gate_id="g", violation="v", incident="I", kept=bad)

    def give_all_back(connection: "sa.Connection") -> int:
        found = quarantine_of(connection, "q")
        return give_back(connection, orders, found) if found else 0

    works: dict[str, Callable[[sa.Connection], object]] = {
        "fingerprint": lambda inside: partition_fingerprint(inside, orders, _DAY),
        "copy": lambda inside: take_copy(inside, "c", "I", [(orders, _DAY)]),
        "keep_keys": lambda inside: keep_keys(inside, "g", "v", orders, keys),
        "quarantine": lambda inside: quarantine(inside, rows, "q", "bad", bad),
        "return": give_all_back,
        "restore": lambda inside: restore(inside, catalog, copy_of(inside, "c")),
    }
    return {name: await _timed(settings, work) for name, work in works.items()}


async def _timed(settings: "Settings", work: "Callable[[sa.Connection], object]") -> float:
    from prefect_healing.warehouse.connection import writing

    begin = time.perf_counter()
    await writing(settings, work)
    return time.perf_counter() - begin


def _growth(rows: list[dict[str, Any]]) -> float:
    """Return the time of a row in the largest partition over that in one of a tenth of its rows."""
    if len(rows) < 2:
        return 1.0
    largest, before = rows[-1], rows[-2]
    total = [sum(each["seconds"].values()) / each["rows"] for each in (largest, before)]
    return round(total[0] / total[1], 2)


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
