"""What a passing gate costs through us, beside the bare checkpoint.

Both check the same suite over the same partition of the same database, and both make their context, data source,
query asset and batch anew, as a process that runs one gate does. The bare one is a Checkpoint with the result format
that it has by default, and with the cheapest one. Ours is `quality_gate` inside a flow run: it also reads the catalog,
counts the partition and remembers that it is good. Great Expectations is imported before anything is measured.
"""

import argparse
import json
import logging
import sys
import time
import warnings
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

from measure import Row, folder, in_pairs, leave_alone, machine, server, show

Clock = Callable[[], float]

RATIO_GOAL, MORE_SECONDS_GOAL = 1.1, 0.05
DAYS, ROWS, DAY = 30, 1_000, date(2013, 1, 15)
SUITE: list[tuple[str, dict[str, object]]] = [
    ("expect_table_row_count_to_be_between", {"min_value": ROWS, "max_value": ROWS}),
    ("expect_column_values_to_not_be_null", {"column": "flight_id"}),
    ("expect_column_values_to_be_unique", {"column": "flight_id"}),
    ("expect_column_values_to_not_be_null", {"column": "carrier"}),
    ("expect_column_values_to_be_in_set", {"column": "carrier", "value_set": ["UA", "AA", "DL"]}),
    ("expect_column_values_to_be_between", {"column": "delay", "min_value": 0, "max_value": 60}),
    ("expect_column_mean_to_be_between", {"column": "delay", "min_value": 10, "max_value": 50}),
    ("expect_column_max_to_be_between", {"column": "delay", "max_value": 60}),
]

TABLE = {
    "layer": "staging",
    "key": ["flight_id"],
    "partition": "flight_date",
    "gate": {"expectations": [{"type": type_, "kwargs": kwargs} for type_, kwargs in SUITE]},
}


def main() -> int:
    """Measure, print, and return 0 where the goal is met on every database."""
    options = _options()
    leave_alone()
    logging.disable(logging.INFO)
    with server(), folder() as place, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        urls = [f"sqlite:///{place / 'warehouse.db'}", *options.warehouse]
        clock = time.process_time if options.cpu else time.perf_counter
        measured = [_measured(url, place, options.pairs, clock) for url in urls]
    met = all(each["met"] for each in measured)
    result: Row = {
        "databases": measured,
        "clock": "CPU" if options.cpu else "wall",
        "goals": {"ratio": RATIO_GOAL, "more_seconds": MORE_SECONDS_GOAL},
        "met": met,
        "machine": machine(),
    }
    show(result, as_json=options.json)
    return 0 if met else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=20, help="passing gates of each, in turns")
    parser.add_argument("--cpu", action="store_true", help="CPU of this process, which a busy machine changes less")
    parser.add_argument("--warehouse", action="append", default=[], help="URL of one more empty database to measure on")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _measured(url: str, place: Path, pairs: int, clock: Clock) -> dict[str, object]:
    """Measure inside one flow run, as most gates are run."""
    from prefect import flow

    from prefect_healing.testing import healing

    _fill(url)
    catalog = place / "catalog.yaml"
    catalog.write_text(json.dumps({"tables": {"flights": TABLE}}))

    @flow(name="a load with a gate", persist_result=False)
    def load() -> dict[str, object]:
        return _compared(url, pairs, clock)

    with healing(catalog=str(catalog), warehouse=url):
        return {"database": url.partition(":")[0], **load()}


def _compared(url: str, pairs: int, clock: Clock) -> dict[str, object]:
    ours, found, met = _seconds_of(_ours, clock), {}, True
    for name, result_format in (("default", "SUMMARY"), ("cheapest", "BOOLEAN_ONLY")):
        bare = _seconds_of(lambda wanted=result_format: _bare(url, wanted), clock)
        ours(), bare()  # Once unmeasured: what is first in a process imports and compiles.
        beside, against_itself = in_pairs(bare, ours, pairs)
        more = round(beside["other_seconds"] - beside["plain_seconds"], 4)
        found[name] = {"beside_bare": beside, "bare_beside_itself": against_itself, "more_seconds": more}
        met = met and beside["other_seconds"] <= beside["plain_seconds"] * RATIO_GOAL + MORE_SECONDS_GOAL
    return {**found, "met": met}


def _seconds_of(work: Callable[[], None], clock: Clock) -> Callable[[], float]:
    def measured() -> float:
        begun = clock()
        work()
        return clock() - begun

    return measured


def _ours() -> None:
    from prefect_healing.quality_gate import quality_gate

    found = quality_gate("flights", DAY)
    if not found.gate_passed:
        raise SystemExit(f"The gate was to pass, and found {found.violations}.")


def _bare(url: str, result_format: str) -> None:
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_sql("warehouse", connection_string=url)
    query = f"SELECT * FROM flights WHERE flight_date = '{DAY}'"
    batches = source.add_query_asset("partition", query=query).add_batch_definition_whole_table("all of it")
    suite = context.suites.add(
        gx.ExpectationSuite(name="flights", expectations=[{"type": type_, "kwargs": dict(kw)} for type_, kw in SUITE])
    )
    definition = gx.ValidationDefinition(name="flights", data=batches, suite=suite)
    definition = context.validation_definitions.add(definition)
    checkpoint = gx.Checkpoint(name="flights", validation_definitions=[definition], result_format=result_format)
    if not context.checkpoints.add(checkpoint).run().success:
        raise SystemExit("The bare checkpoint was to pass, and did not.")


def _fill(url: str) -> None:
    import sqlalchemy as sa

    engine = sa.create_engine(url, poolclass=sa.NullPool)
    flights = sa.Table(
        "flights",
        sa.MetaData(),
        sa.Column("flight_id", sa.Integer, primary_key=True),
        sa.Column("flight_date", sa.Date, index=True),
        sa.Column("carrier", sa.String(2)),
        sa.Column("delay", sa.Integer),
    )
    with engine.begin() as connection:
        flights.create(connection)
        for number in range(DAYS):
            day = date(2013, 1, 1) + timedelta(days=number)
            connection.execute(flights.insert(), [_flight(number * ROWS + row, day) for row in range(ROWS)])


def _flight(id_: int, day: date) -> dict[str, object]:
    return {"flight_id": id_, "flight_date": day, "carrier": ("UA", "AA", "DL")[id_ % 3], "delay": id_ % 61}


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    sys.exit(main())
