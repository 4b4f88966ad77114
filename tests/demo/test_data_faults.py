"""Without healing each fault is real: in the warehouse the data is bad, late or missing, and its gate says so."""

from datetime import date
from pathlib import Path

import pytest
import sqlalchemy as sa
from prefect import State

from prefect_healing.catalog import load_catalog
from prefect_healing.checkpoints.checked import Checked
from prefect_healing.checkpoints.run import run_checkpoint
from prefect_healing.demo import loads, pipeline
from prefect_healing.demo.data import flights
from prefect_healing.demo.faults import FaultRequest
from prefect_healing.demo.scenarios import Run, Scenario, chosen
from prefect_healing.demo.surroundings import CATALOG
from prefect_healing.demo.tables import DAILY, FLIGHTS
from prefect_healing.demo.vendor import VendorServer
from prefect_healing.demo.warehouse import count_loads, count_rows
from prefect_healing.settings import Settings

PATIENCE_SECONDS = 30
UNGATED = {
    "load-flights": loads.load_flights,
    "gated-flights": loads.load_flights,  # the same load, before its gate
    "build-daily-delays": loads.build_daily_delays,
}
ONE_DAY = [
    "truncated_partition",
    "truncated_for_good",
    "double_load",
    "bad_rows",
    "genuine_anomaly",
    "late_upstream",
    "late_for_good",
]


@pytest.fixture
def warehouse_url(database_url: str) -> str:
    """Name a new warehouse, once of each kind."""
    return database_url


@pytest.fixture(autouse=True)
def _surroundings(
    monkeypatch: pytest.MonkeyPatch, prefect_server: str, vendor: VendorServer, warehouse_url: str
) -> None:
    monkeypatch.setenv("VENDOR_URL", vendor.url)
    monkeypatch.setenv("WAREHOUSE_URL", warehouse_url)
    monkeypatch.setattr(pipeline, "VENDOR_TIMEOUT_SECONDS", PATIENCE_SECONDS)


def run_ungated(run: Run, day: date) -> State:
    """Run what the scenario runs, without gate and hooks, so that what is left in the warehouse is the fault alone."""
    unhealed = UNGATED[run.flow].with_options()
    unhealed.on_failure_hooks, unhealed.on_crashed_hooks = [], []
    return unhealed(day, **run.parameters, return_state=True)


def play_ungated(scenario: Scenario, vendor: VendorServer) -> list[State]:
    vendor.ledger.put(FaultRequest(day=scenario.day, fault=scenario.fault, params=scenario.fault_params))
    return [run_ungated(run, scenario.day) for run in scenario.runs]


async def gate_of(name: str, day: date, warehouse_url: str) -> Checked:
    """Run a table's own checkpoint, as the catalog of the demo declares it."""
    table = load_catalog(CATALOG).table(name)
    assert table is not None
    assert table.gate is not None
    return await run_checkpoint(table.gate, table, day, Settings(warehouse=warehouse_url))


def counted(warehouse: sa.Engine, day: date, *where: sa.ColumnElement[bool]) -> int:
    query = sa.select(sa.func.count()).select_from(FLIGHTS).where(FLIGHTS.c.flight_date == day, *where)
    with warehouse.connect() as connection:
        return connection.execute(query).scalar_one()


def stopping(checked: Checked) -> list[tuple[str, str | None]]:
    """Return what stops, with the column where it is about one."""
    columns = {column.name for column in FLIGHTS.columns}
    return [(each.expectation, each.column if each.column in columns else None) for each in checked.stopping]


async def test_every_fault_leaves_runs_green_and_its_gate_red(
    vendor: VendorServer, warehouse: sa.Engine, warehouse_url: str
):
    """Whole, half and double days side by side in one warehouse, as the demo has them."""
    scenarios = {each.name: each for each in chosen(ONE_DAY)}
    for scenario in scenarios.values():
        assert all(state.is_completed() for state in play_ungated(scenario, vendor)), scenario.name
    days = {name: scenario.day for name, scenario in scenarios.items()}

    assert {name: count_rows(warehouse, day) for name, day in days.items()} == {
        "truncated_partition": 929 * 60 // 100,
        "truncated_for_good": 893 * 60 // 100,
        "double_load": 2 * 918,
        "bad_rows": 948,
        "genuine_anomaly": 930,
        "late_upstream": 0,
        "late_for_good": 0,
    }
    assert counted(warehouse, days["bad_rows"], FLIGHTS.c.distance < 0) == 5
    assert counted(warehouse, days["genuine_anomaly"], FLIGHTS.c.dep_time.is_(None)) == 472

    found = {name: await gate_of("flights", day, warehouse_url) for name, day in days.items()}

    row_count, unique = "expect_table_row_count_to_be_between", "expect_compound_columns_to_be_unique"
    assert {name: stopping(checked) for name, checked in found.items() if checked.rows} == {
        "truncated_partition": [(row_count, None)],
        "truncated_for_good": [(row_count, None)],
        "double_load": [(row_count, None), (unique, None)],
        "bad_rows": [("expect_column_values_to_be_between", "distance")],
        "genuine_anomaly": [("expect_column_values_to_not_be_null", "dep_time")],
    }
    assert [each.status for name in ("late_upstream", "late_for_good") for each in found[name].stopping] == [
        "missing",
        "missing",
    ]


async def test_the_loader_once_more_makes_a_double_day_whole(
    vendor: VendorServer, warehouse: sa.Engine, warehouse_url: str
):
    """It replaces its day, whatever is there; then the gate passes."""
    (double,) = chosen(["double_load"])
    play_ungated(double, vendor)

    assert run_ungated(Run(flow="load-flights"), double.day).is_completed()

    assert count_rows(warehouse, double.day) == flights().count(double.day) == 918
    assert count_loads(warehouse, double.day) == 3
    assert (await gate_of("flights", double.day, warehouse_url)).passed


async def test_a_partial_build_takes_the_place_of_the_whole_day(
    vendor: VendorServer, warehouse: sa.Engine, warehouse_url: str
):
    (gold,) = chosen(["gold_table"])
    assert run_ungated(gold.before[0], gold.day).is_completed()
    assert run_ungated(Run(flow="build-daily-delays"), gold.day).is_completed()
    assert (await gate_of("daily_delays", gold.day, warehouse_url)).passed

    built = pipeline.build_daily_delays.fn(gold.day, "origin", tuple(gold.run.parameters["airports"]))

    assert built == count_rows(warehouse, gold.day, DAILY) == 1
    assert not (await gate_of("daily_delays", gold.day, warehouse_url)).passed


def test_the_catalog_names_what_there_is(warehouse: sa.Engine, tmp_path: Path):
    """Each declared table has its columns, and its loader is a flow of the demo that takes the day."""
    from prefect_healing.demo.served import DEMO_FLOWS

    known = {f"{each.name}/demo": each for each in DEMO_FLOWS}
    for table in load_catalog(CATALOG).tables:
        columns = {each["name"] for each in sa.inspect(warehouse).get_columns(table.name)}
        assert {*table.key, table.partition, *table.columns} <= columns
        assert table.loader is not None
        assert table.loader.parameter in known[table.loader.name].parameters.properties
