"""What a repair kept is let go of with its incident; rows in quarantine stay, for they are nowhere else."""

from datetime import timedelta

import pytest
from prefect import flow

from prefect_healing import prune as pruning
from prefect_healing.clock import now
from prefect_healing.quality_gate import GateResult, quality_gate
from tests.gates.conftest import DAY, World, orders


@flow(name="gated")
def gated() -> str:
    return quality_gate("orders", DAY).model_dump_json()


@pytest.fixture
def in_forty_days(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = now() + timedelta(days=40)
    monkeypatch.setattr(pruning, "now", lambda: moment)


async def pruned_after(world: World) -> tuple[GateResult, tuple[str, ...]]:
    result = GateResult.model_validate_json(gated())
    assert result.healed
    return result, await pruning.prune()


async def test_a_copy_goes_with_its_incident(world: World, in_forty_days: None):
    world.holds(orders(20))

    result, gone = await pruned_after(world)

    assert result.incident_id in gone
    assert world.count("healing_copies") == 0
    assert world.count("healing_copy_orders") == 0


async def test_a_copy_of_an_incident_of_today_stays(world: World):
    world.holds(orders(20))

    result, gone = await pruned_after(world)

    assert result.incident_id not in gone
    assert world.count("healing_copy_orders") == 20


async def test_rows_in_quarantine_stay_and_their_keys_go(world: World, in_forty_days: None):
    bad = [{**row, "amount": -1} if row["id"] == 7 else row for row in orders()]
    world.sends(bad)
    world.holds(bad)

    await pruned_after(world)

    assert world.count("healing_quarantine_orders") == 1
    assert world.count("healing_violation_keys") == 0
