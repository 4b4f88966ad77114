"""Did the world recover? Code looks, and what it cannot see counts as no."""

import pytest

from prefect_healing.clock import now
from prefect_healing.domain.repair import Receipt, Repair
from prefect_healing.errors import ToolFailed, ToolUnavailable
from prefect_healing.stages.verify import verify
from tests.stages.world import workbench


def repair_of(*statuses: str, tool: str = "fill") -> Repair:
    return Repair(
        receipts=tuple(
            Receipt(effect_id="e", action_id="A1", tool=tool, arguments={}, status=each, detail="said so", at=now())
            for each in statuses
        )
    )


@pytest.mark.parametrize("status", ["passed", "failed", "inconclusive"])
async def test_only_a_check_that_passed_is_a_recovery(tmp_path, world, status):
    world.status = status

    seen = await verify(workbench(tmp_path, world.tool("fill")), repair_of("done"))

    assert seen.passed is (status == "passed")


@pytest.mark.parametrize("error", [ToolUnavailable("away"), ToolFailed("gone"), KeyError("rows")], ids=repr)
async def test_a_check_that_cannot_be_made_is_inconclusive(tmp_path, world, error):
    """Also where the check itself is defective: the incident goes on to a person, not to a crash."""
    world.checking.append(error)

    seen = await verify(workbench(tmp_path, world.tool("fill")), repair_of("done"))

    assert [check.status for check in seen.checks] == ["inconclusive"]
    assert not seen.passed


@pytest.mark.parametrize("status", ["failed", "unknown", "refused"])
async def test_an_action_that_did_not_take_effect_is_no_recovery(tmp_path, world, status):
    seen = await verify(workbench(tmp_path, world.tool("fill")), repair_of("done", status))

    assert [check.status for check in seen.checks] == ["passed", "failed"]
    assert "said so" in seen.checks[1].detail
    assert not seen.passed


async def test_without_any_action_nothing_is_proved(tmp_path, world):
    assert not (await verify(workbench(tmp_path), repair_of())).passed


async def test_a_tool_that_is_gone_cannot_be_verified(tmp_path):
    assert not (await verify(workbench(tmp_path), repair_of("done"))).passed
