"""A gate stops bad data, has it healed, and lets the same checkpoint decide again."""

import os
from datetime import date
from pathlib import Path
from uuid import uuid4

import pytest
from prefect import flow, get_client

from prefect_healing import self_healing
from prefect_healing.api import incidents, report_of, report_of_run
from prefect_healing.errors import ConfigurationError
from prefect_healing.quality_gate import GateFailed, GateResult, aquality_gate, quality_gate
from tests.gates.conftest import DAY, ROWS, World, orders


@flow(name="gated")
def gated(*, raises: bool = False) -> str:
    return quality_gate("orders", DAY, raises=raises).model_dump_json()


def in_a_flow(*, raises: bool = False) -> GateResult:
    return GateResult.model_validate_json(gated(raises=raises))


async def open_incidents() -> int:
    return len(await incidents())


async def test_good_data_pass_and_nothing_happens(world: World):
    before = await open_incidents()

    result = in_a_flow()

    assert result == GateResult(gate_passed=True)
    assert await open_incidents() == before
    assert world.count("loads") == 0


async def test_a_partition_that_came_short_is_loaded_again_once(world: World):
    world.holds(orders(20))

    result = in_a_flow()

    assert (result.gate_passed, result.healed) == (True, True)
    assert result.violations[0].expectation == "expect_table_row_count_to_be_between"
    assert world.count() == ROWS
    assert world.count("loads") == 1
    assert result.actions
    assert result.incident_id is not None
    report = await report_of(result.incident_id)
    assert report is not None
    assert report.outcome == "healed"
    assert "passes now" in report.reason


async def test_rows_that_came_twice_are_loaded_again(world: World):
    world.holds([*orders(25), *orders(25)])
    world.sends(orders(35))

    result = in_a_flow()

    assert result.healed
    assert world.count() == 35


async def test_a_few_bad_rows_are_moved_to_quarantine(world: World):
    bad = [{**row, "amount": -1} if row["id"] == 7 else row for row in orders()]
    world.sends(bad)
    world.holds(bad)

    result = in_a_flow()

    assert result.healed
    assert world.count() == ROWS - 1
    assert world.count("orders", "id = 7") == 0
    assert world.count("healing_quarantine_orders", "id = 7") == 1
    assert world.count("loads") == 0


async def test_what_the_source_has_too_is_left_as_it_is(world: World):
    odd = [{**row, "email": None} if row["id"] < 20 else row for row in orders()]
    world.sends(odd)
    world.holds(odd)

    result = in_a_flow()

    assert not result.gate_passed
    assert result.incident_id is not None
    report = await report_of(result.incident_id)
    assert report is not None
    assert report.outcome == "declined"
    assert "unusual" in report.reason
    assert world.count() == ROWS
    assert world.count("loads") == 0


async def test_a_repair_that_does_not_help_is_taken_back(world: World):
    """The source has more than the table, but not enough for the gate."""
    world.sends(orders(25))
    world.holds(orders(20))

    result = in_a_flow()

    assert not result.gate_passed
    assert world.count() == 20
    assert world.count("loads") == 1


async def test_a_failing_gate_raises_where_it_is_told_to(world: World):
    """The flow's own incident would be a second one for the same fault."""
    world.sends(orders(20))
    world.holds(orders(20))

    state = self_healing(gated)(raises=True, return_state=True)

    assert state.is_failed()
    with pytest.raises(GateFailed, match=r"partition 2013-01-05, did not pass.*incident [0-9A-Z]{8}"):
        await state.aresult()
    async with get_client() as client:
        run = await client.read_flow_run(state.state_details.flow_run_id)
    assert not [tag for tag in run.tags if tag.startswith("incident:")]
    assert await report_of_run(run.id) is not None


async def test_an_empty_partition_is_a_violation_of_its_own(world: World):
    world.holds([])

    result = in_a_flow()

    assert [each.status for each in result.violations] == ["missing"]
    assert result.healed
    assert world.count() == ROWS


async def test_a_warning_stops_nothing(world: World):
    dear = [{**row, "amount": 100} for row in orders()]
    world.holds(dear)
    before = await open_incidents()

    result = in_a_flow()

    assert result.gate_passed
    assert [each.severity for each in result.violations] == ["warning"]
    assert await open_incidents() == before


@pytest.mark.parametrize("layer", ["gold"])
async def test_a_gold_table_waits_for_a_person(world: World, layer: str):
    world.holds(orders(20))

    result = in_a_flow()

    assert not result.gate_passed
    assert "gold" in result.reason
    assert world.count() == 20
    assert world.count("loads") == 0


def test_outside_of_a_flow_it_becomes_a_run_of_its_own(world: World):
    world.holds(orders(20))

    assert quality_gate("orders", date(2013, 1, 5)).healed


async def test_an_async_flow_hands_over_expectations_of_its_own(world: World):
    """They are checked again after the repair, wherever that is done."""
    from prefect_healing.checkpoints.quietly import quietly

    with quietly():
        import great_expectations.expectations as gxe

        expectations = [gxe.ExpectTableRowCountToBeBetween(min_value=ROWS)]

    @flow(name="gated-async")
    async def gated_async() -> str:
        return (await aquality_gate("orders", DAY, gate=expectations)).model_dump_json()

    world.holds(orders(35))

    result = GateResult.model_validate_json(await gated_async())

    assert result.healed
    assert [each.expectation for each in result.violations] == ["expect_table_row_count_to_be_between"]
    assert world.count() == ROWS


@pytest.mark.parametrize("partition", ["2013-02-30", "'; drop table orders; --", "2013-1-5"])
def test_what_is_no_partition_is_refused(world: World, partition: str):
    with pytest.raises(ConfigurationError, match="is no partition"):
        quality_gate("orders", partition)


def test_no_partition_is_refused(world: World):
    """Great Expectations would check the newest one instead."""
    with pytest.raises(ConfigurationError, match="needs a partition"):
        quality_gate("orders", "")


def test_a_table_that_is_not_declared_is_refused(world: World):
    with pytest.raises(ConfigurationError, match="'payments' is not declared"):
        quality_gate("payments", DAY)


@pytest.mark.parametrize("kind", ["short", "bad rows", "odd"])
async def test_no_sensitive_value_is_kept_outside_of_the_warehouse(world: World, kind: str):
    """Not in the server's database with its logs, artifacts and parameters, nor in any result or journal."""
    canary = f"canary{uuid4().hex}"
    rows = orders(canary=canary)
    broken = {
        "short": rows[:20],
        "bad rows": [{**row, "amount": -1} if row["id"] == 7 else row for row in rows],
        "odd": [{**row, "email": None} if row["id"] < 20 else row for row in rows],
    }[kind]
    world.sends(rows if kind == "short" else broken)
    world.holds(broken)

    result = in_a_flow()

    assert result.incident_id is not None
    home = Path(os.environ["PREFECT_HOME"])
    holding = [path for path in home.rglob("*") if path.is_file() and canary.encode() in path.read_bytes()]
    assert holding == []
    assert any(result.incident_id.encode() in path.read_bytes() for path in home.rglob("*.json"))
