"""The pipeline breaks as each scenario says: for the cause that is known, asking the vendor no more than it should."""

import traceback
from datetime import date

import httpx
import pytest
from prefect import State
from sqlalchemy import Engine

from prefect_healing import classify
from prefect_healing.demo import contract, loads, pipeline
from prefect_healing.demo.data import flights
from prefect_healing.demo.faults import FaultRequest
from prefect_healing.demo.scenarios import PIPELINE_SCENARIOS, SCENARIOS, Scenario, chosen
from prefect_healing.demo.tables import REQUIRED_COLUMNS
from prefect_healing.demo.vendor import VendorServer
from prefect_healing.demo.warehouse import count_loads, count_rows
from prefect_healing.errors import ConfigurationError

PATIENCE_SECONDS = 30
FAILING = [each for each in PIPELINE_SCENARIOS if each.name != "healthy"]
FLOWS = {each.name: each for each in (pipeline.nightly_flights, loads.load_flights)}


@pytest.fixture
def surroundings(
    monkeypatch: pytest.MonkeyPatch, prefect_server: str, vendor: VendorServer, warehouse_url: str
) -> None:
    monkeypatch.setenv("VENDOR_URL", vendor.url)
    monkeypatch.setenv("WAREHOUSE_URL", warehouse_url)


def run_unhealed(scenario: Scenario, vendor: VendorServer) -> State:
    """Run the scenario's flow without its hooks, so that what is seen is the failure alone."""
    vendor.ledger.put(FaultRequest(day=scenario.day, fault=scenario.fault, params=scenario.fault_params))
    flow = pipeline.backfill_flights if scenario.inline else FLOWS[scenario.run.flow]
    unhealed = flow.with_options()
    unhealed.on_failure_hooks, unhealed.on_crashed_hooks = [], []
    return unhealed(scenario.day, **scenario.run.parameters, return_state=True)


@pytest.mark.usefixtures("surroundings")
@pytest.mark.parametrize("scenario", FAILING, ids=lambda scenario: scenario.name)
async def test_a_scenario_fails_for_its_known_cause(
    scenario: Scenario, vendor: VendorServer, monkeypatch: pytest.MonkeyPatch
):
    """What passes by itself was tried twice by Prefect; what does not was tried once."""
    # A busy machine may take its time to answer; only who waits for a vendor that never does waits shortly.
    monkeypatch.setattr(
        pipeline, "VENDOR_TIMEOUT_SECONDS", 0.2 if scenario.expected_cause == "timeout" else PATIENCE_SECONDS
    )

    state = run_unhealed(scenario, vendor)

    assert state.is_failed()
    text = "".join(traceback.format_exception(await state.aresult(raise_on_failure=False)))
    assert classify(text).cause == scenario.expected_cause, text
    assert vendor.ledger.counts()[scenario.day].requests == (2 if scenario.expected_outcome == "healed" else 1)


@pytest.mark.usefixtures("surroundings")
def test_a_healthy_day_is_loaded_once(vendor: VendorServer, warehouse: Engine):
    (healthy,) = chosen(["healthy"])

    state = run_unhealed(healthy, vendor)

    assert state.is_completed()
    assert count_rows(warehouse, healthy.day) == 924
    assert count_loads(warehouse, healthy.day) == 1


@pytest.mark.usefixtures("surroundings")
def test_a_limit_is_said_in_the_log_of_the_run(vendor: VendorServer, caplog: pytest.LogCaptureFixture):
    """How long to wait stands in a header, which no exception shows."""
    (limited,) = chosen(["rate_limited"])

    run_unhealed(limited, vendor)

    assert "429 with Retry-After:" in caplog.text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dep_delay": ...}, r"missing columns \['dep_delay'\]; got \['air_time', 'arr_delay'"),
        ({"dep_gate": "EWR-5"}, r"unexpected columns \['dep_gate'\]; the contract has no such columns"),
        ({"dep_delay": "12 min"}, "schema changed: column dep_delay should be integer, and 1 of 720 rows have another"),
        ({"origin": 7}, "schema changed: column origin should be text, and 1 of 720 rows have another"),
    ],
)
def test_a_contract_names_columns_and_counts_rows_and_tells_no_value(change: dict[str, object], said: str):
    rows = flights().of(date(2013, 1, 5))
    for row in rows if ... in change.values() else rows[:1]:
        row.update(change)
    without = [{column: cell for column, cell in row.items() if cell is not ...} for row in rows]

    with pytest.raises(contract.ContractBroken, match=said) as broken:
        contract.hold(without, REQUIRED_COLUMNS)
    assert "12 min" not in str(broken.value)


def test_where_the_catalog_says_so_a_new_column_is_loaded_without():
    rows = [row | {"dep_gate": "EWR-5"} for row in flights().of(date(2013, 1, 5))]

    contract.hold(rows, REQUIRED_COLUMNS, "load")


def test_scenarios_do_not_share_a_day():
    """They run side by side, and a fault is set for a day."""
    assert len({scenario.day for scenario in SCENARIOS}) == len(SCENARIOS)


def test_an_unknown_scenario_is_said_with_those_there_are():
    with pytest.raises(ConfigurationError, match=r"No scenario 'gremlins'\. There are: bad_credentials, bad_rows, "):
        chosen(["healthy", "gremlins"])


def test_the_vendor_says_how_it_is_without_a_token(vendor: VendorServer):
    """The declared source is asked by the healer, which has no credentials of the pipeline."""
    assert httpx.get(f"{vendor.url}/health").json()["last_day"] == "2013-12-31"
