"""What loads a table: runs that really happened, on a real server."""

import asyncio
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect import flow, get_client, get_run_logger
from prefect.client.schemas.objects import StateType
from prefect.states import State

from prefect_healing.domain.catalog import Loader, Table
from prefect_healing.errors import ToolFailed
from prefect_healing.tools._entrypoints import flow_name_of
from prefect_healing.tools._etl_job import EtlJob
from prefect_healing.tools.warehouse_read import read_etl_job
from tests.warehouse_read.conftest import About

pytestmark = pytest.mark.usefixtures("prefect_server")

QUOTED = 'duplicate key value violates unique constraint "u"\nDETAIL:  Key (email)=(c4nary@x.org) already exists.'


@pytest.fixture
def database_url() -> str:
    """Prefect alone is asked; no warehouse is needed."""
    return "sqlite://"


@flow(name="load-trips-of-a-day")
def load_trips(day: str, password: str = "", *, broken: bool = False) -> str:
    if broken:
        get_run_logger().error("cannot load %s: %s", day, QUOTED)
        raise ValueError(QUOTED)
    return day


def trips(**loader: Any) -> Table:
    return Table(name="trips", layer="staging", owner="ops", partition="day", loader=Loader(**loader))


async def test_a_flow_s_runs_come_newest_first_with_the_errors_of_the_failed_one(about: About):
    here = f"{Path(__file__)}:load_trips"
    for day in range(1, 6):
        await asyncio.to_thread(load_trips, f"2013-01-0{day}", password="hunter-1234", return_state=True)
    failed = await asyncio.to_thread(load_trips, "2013-01-06", broken=True, return_state=True)

    found = await _with_errors(about, here)

    assert (found.loader, found.kind, found.paused) == (here, "flow", None)
    assert [each.partition for each in found.last_runs] == [f"2013-01-0{day}" for day in (6, 5, 4, 3, 2)]
    assert [each.state_type for each in found.last_runs] == ["FAILED"] + ["COMPLETED"] * 4
    assert found.errors_of == failed.state_details.flow_run_id
    assert "cannot load 2013-01-06" in found.errors[0]
    assert "Key (email)=" in found.errors[0]
    assert "c4nary" not in found.model_dump_json()
    assert "hunter-1234" not in found.model_dump_json()
    assert found.last_runs[1].parameters["password"] == "[redacted:password]"


async def test_a_deployment_s_late_run_is_told_and_tomorrow_s_is_not(about: About):
    deployment, name = await _deployment(paused=True)
    await _run_of(deployment, StateType.COMPLETED, day="2013-01-04")
    await _run_of(deployment, StateType.CRASHED, day="2013-01-05")
    await _run_of(deployment, StateType.SCHEDULED, day="2013-01-06", in_hours=-1)
    await _run_of(deployment, StateType.SCHEDULED, day="2013-01-07", in_hours=24)

    found = await read_etl_job(about(trips(deployment=name)), "trips")

    assert (found.loader, found.kind, found.paused, found.parameter) == (name, "deployment", True, "day")
    assert {each.partition: each.state_type for each in found.last_runs} == {
        "2013-01-04": "COMPLETED",
        "2013-01-05": "CRASHED",
        "2013-01-06": "SCHEDULED",
    }
    assert found.errors == ()


async def test_a_loader_that_never_ran_is_told_so(about: About):
    _, name = await _deployment()

    found = await read_etl_job(about(trips(deployment=name)), "trips")

    assert found.last_runs == ()
    assert "no run of it" in found.note


async def test_what_dbt_makes_is_told_apart(about: About):
    found = await read_etl_job(about(trips(dbt="stg_trips")), "trips")

    assert (found.kind, found.loader, found.last_runs) == ("dbt", "dbt stg_trips", ())


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (trips(deployment=f"no/{uuid4().hex}"), "There is no deployment"),
        (trips(flow="nowhere.py:load"), "cannot be read"),
        (Table(name="trips", layer="staging", owner="ops"), "names no loader of trips; ask its owner, ops"),
    ],
)
async def test_a_loader_that_is_not_there_is_named(about: About, table: Table, says: str):
    with pytest.raises(ToolFailed, match=says):
        await read_etl_job(about(table), "trips")


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("@flow\ndef load_it(): ...", "load-it"),
        ("@flow(name='Load it', retries=1)\nasync def load_it(): ...", "Load it"),
        ("@self_healing(rerun='safe')\n@flow(retries=2)\ndef load_it(): ...", "load-it"),
        ("@flow(name=NAME)\ndef load_it(): ...", "load-it"),
        ("def other(): ...", None),
        ("def load_it(: ...", None),
    ],
)
def test_a_flow_s_name_is_read_and_nothing_is_run(tmp_path: Path, source: str, name: str | None):
    (tmp_path / "loads.py").write_text(f"raise SystemExit('run')\n{source}\n")

    assert flow_name_of("loads.py:load_it", str(tmp_path)) == name
    assert flow_name_of(f"{tmp_path / 'loads.py'}:load_it") == name


def test_a_flow_in_a_module_is_found_too():
    assert flow_name_of("prefect_healing.heal:heal") == "heal"
    assert flow_name_of("no_such_module:heal") is None


async def _with_errors(about: About, entrypoint: str) -> EtlJob:
    async with asyncio.timeout(60):  # Logs reach the server late.
        while not (found := await read_etl_job(about(trips(flow=entrypoint)), "trips")).errors:
            await asyncio.sleep(0.2)
    return found


async def _deployment(*, paused: bool = False) -> tuple[UUID, str]:
    name = f"nightly-{uuid4().hex[:6]}"
    async with get_client() as client:
        flow_id = await client.create_flow(load_trips)
        deployment = await client.create_deployment(flow_id=flow_id, name=name, paused=paused)
    return deployment, f"{load_trips.name}/{name}"


async def _run_of(deployment: UUID, state: StateType, *, day: str, in_hours: float = 0) -> None:
    from datetime import UTC, datetime, timedelta

    async with get_client() as client:
        at = datetime.now(UTC) + timedelta(hours=in_hours)
        begun = State(type=StateType.SCHEDULED, state_details={"scheduled_time": at})
        run = await client.create_flow_run_from_deployment(deployment, parameters={"day": day}, state=begun)
        if state is not StateType.SCHEDULED:
            await client.set_flow_run_state(run.id, State(type=state), force=True)
