"""The repair: exactly the mandated actions, each once, in order; and taking them back. The world counts."""

from datetime import UTC, datetime, timedelta

import pytest
from prefect.settings import PREFECT_LOGGING_TO_API_ENABLED, temporary_settings

from prefect_healing.domain.incident import Attempt
from prefect_healing.domain.mandate import Mandate
from prefect_healing.errors import ToolFailed, ToolUnavailable
from prefect_healing.guardrails.policy import Policy
from prefect_healing.guardrails.rules import allow
from prefect_healing.stages.carry_out import carry_out
from prefect_healing.stages.open_incident import open_workbench
from prefect_healing.stages.roll_back import roll_back
from prefect_healing.testing import healing
from tests.stages.world import EVERYTHING, World, action, granted, opened

pytestmark = pytest.mark.usefixtures("prefect_server")


class Case:
    """An opened incident with the tools of a world, and its stages called as `heal` calls them."""

    def __init__(self, world: World, bench) -> None:
        self.world, self.bench = world, bench

    async def repaired(self, *actions):
        """Write the mandate, as `heal` does, and carry it out."""
        mandate = granted(*actions)
        await self.bench.journal.write(f"round-{self.bench.incident.round}/mandate", mandate)
        return await carry_out(self.bench, mandate)

    def action(self, name: str, number: int = 1, **arguments: str):
        return action(self.bench, name, number, **arguments)


@pytest.fixture
async def case(world: World):
    """Return a function that opens an incident under a policy."""
    tools = [
        world.tool("fill", takes_key=True, undo="empty"),
        world.tool("empty", takes_key=True),
        world.tool("send"),
        world.tool("ring", takes_key=True, retries=1, undo="no_such_tool"),
    ]
    with healing(tools=tools), temporary_settings({PREFECT_LOGGING_TO_API_ENABLED: False}):  # Undone outside a flow.

        async def open_case(policy: Policy = EVERYTHING, **changes: object) -> Case:
            return Case(world, await opened(policy, **changes))

        yield open_case


async def test_the_actions_are_carried_out_in_their_order(case, world):
    it = await case()

    repair = await it.repaired(it.action("fill"), it.action("send", 2))

    assert world.done == ["fill", "send"]
    assert [each.status for each in repair.receipts] == ["done", "done"]
    assert [each.action_id for each in repair.receipts] == ["A1", "A2"]


async def test_without_a_mandate_nothing_is_done(case, world):
    it = await case()

    assert (await carry_out(it.bench, Mandate())).receipts == ()
    assert world.tried == []


async def test_after_the_first_failure_nothing_more_is_done(case, world):
    """Later actions rely on earlier ones."""
    it = await case()
    world.before["fill"].append(ToolFailed("The disk is full."))

    repair = await it.repaired(it.action("fill"), it.action("send", 2))

    assert world.tried == ["fill"]
    assert [each.status for each in repair.receipts] == ["failed"]


async def test_a_world_that_changed_since_the_preview_is_left_alone(case, world):
    """What the person and the policy saw is not what would be touched now."""
    it = await case()
    world.basis = "somebody was here"

    repair = await it.repaired(it.action("fill"))

    assert world.tried == []
    assert repair.receipts[0].status == "refused"
    assert "has changed since" in repair.receipts[0].detail


@pytest.mark.parametrize("error", [ToolFailed("no such day"), KeyError("day")], ids=repr)
async def test_what_cannot_be_previewed_any_more_is_not_done(case, world, error):
    it = await case()
    world.previewing.append(error)

    repair = await it.repaired(it.action("fill"))

    assert world.tried == []
    assert repair.receipts[0].status == "refused"


async def test_a_preview_that_does_not_answer_at_the_door_is_asked_again(case, world):
    it = await case()
    world.previewing.append(ToolUnavailable("away"))

    repair = await it.repaired(it.action("ring"))

    assert repair.receipts[0].status == "done"
    assert world.done == ["ring"]


async def test_policy_is_asked_again_at_the_door(case, world):
    """A mandate that policy would not give now is not carried out: here the limit was used up meanwhile."""
    it = await case(Policy(allow("fill", times=1), name="once", mode="heal"))

    repair = await it.repaired(it.action("fill"), it.action("fill", 2, item="y"))

    assert [each.status for each in repair.receipts] == ["done", "refused"]
    assert world.done == ["fill"]


async def test_a_mandate_of_another_round_is_refused_at_the_door(case, world):
    """Its tokens are those of that round's previews."""
    it = await case()
    await it.bench.journal.write("round-1/attempt", Attempt(round=1, summary="tried"))
    it.bench, old = await open_workbench(it.bench.incident.id, 2), it.action("fill")

    repair = await it.repaired(old)

    assert repair.receipts[0].status == "refused"
    assert "token" in repair.receipts[0].detail
    assert world.tried == []


async def test_after_the_deadline_nothing_is_begun(case, world):
    """Brought back hours later, an incident is a person's: its mandate is old."""
    late = datetime.now(UTC) - timedelta(hours=5)
    it = await case(opened_at=late, deadline_at=late + timedelta(minutes=30))

    repair = await it.repaired(it.action("fill"))

    assert world.tried == []
    assert "deadline" in repair.receipts[0].detail


async def test_the_same_action_twice_in_one_plan_is_one_effect(case, world):
    it = await case()

    repair = await it.repaired(it.action("send"), it.action("send", 2))

    assert world.tried == ["send"]
    assert repair.receipts[0] == repair.receipts[1]


async def test_the_same_action_again_in_round_two_is_another_effect(case, world):
    """A round only follows when the one before did not help."""
    it = await case()
    first = await it.repaired(it.action("send"))
    await it.bench.journal.write("round-1/attempt", Attempt(round=1, summary="tried"))
    it.bench = await open_workbench(it.bench.incident.id, 2)

    second = await it.repaired(it.action("send"))

    assert world.done == ["send", "send"]
    assert first.receipts[0].effect_id != second.receipts[0].effect_id


async def test_limits_count_what_earlier_rounds_began(case, world):
    it = await case(Policy(allow("send", times=1), name="once", mode="heal"))
    repair = await it.repaired(it.action("send"))
    await it.bench.journal.write("round-1/repair", repair)
    await it.bench.journal.write("round-1/attempt", Attempt(round=1, summary="tried"))
    it.bench = await open_workbench(it.bench.incident.id, 2)

    second = await it.repaired(it.action("send", item="y"))

    assert second.receipts[0].status == "refused"
    assert world.done == ["send"]


async def test_entered_again_the_repair_does_nothing_twice(case, world):
    it = await case()
    actions = (it.action("fill"), it.action("send", 2))

    first, again = await it.repaired(*actions), await it.repaired(*actions)

    assert first == again
    assert world.tried == ["fill", "send"]


async def test_a_target_that_never_answers_leaves_it_unknown(case, world):
    """After the last try nobody knows; nothing after it is begun, and a restart does not try again."""
    it = await case()
    world.after["ring"] += [ToolUnavailable("cut off"), ToolUnavailable("cut off")]

    repair = await it.repaired(it.action("ring"), it.action("send", 2))
    again = await it.repaired(it.action("ring"), it.action("send", 2))

    assert [each.status for each in repair.receipts] == ["unknown"]
    assert again == repair
    assert world.tried == ["ring", "ring"]
    assert world.done == ["ring"]


# Rolling back


async def test_what_was_done_is_undone_last_first(case, world):
    it = await case()
    repair = await it.repaired(it.action("fill", item="a"), it.action("fill", 2, item="b"))

    undone = await roll_back(it.bench, repair)

    assert world.done == ["fill", "fill", "empty", "empty"]
    assert [each.arguments["item"] for each in undone.receipts] == ["b", "a"]
    assert undone.failed == ()


async def test_with_nothing_to_undo_nothing_is_done(case, world):
    """What has no undo stays as it is."""
    it = await case()
    repair = await it.repaired(it.action("send"))

    undone = await roll_back(it.bench, repair)

    assert (undone.receipts, undone.failed) == ((), ())
    assert world.tried == ["send"]


async def test_an_undo_that_fails_is_named_and_the_others_go_on(case, world):
    it = await case()
    repair = await it.repaired(it.action("fill", item="a"), it.action("fill", 2, item="b"))
    world.before["empty"].append(ToolFailed("It is locked."))

    undone = await roll_back(it.bench, repair)

    assert undone.failed == ("undo A2",)
    assert [each.status for each in undone.receipts] == ["failed", "done"]


async def test_an_undo_that_nobody_can_carry_out_is_named(case, world):
    it = await case()
    repair = await it.repaired(it.action("ring"))

    assert (await roll_back(it.bench, repair)).failed == ("undo A1",)


async def test_what_failed_is_not_undone(case, world):
    it = await case()
    world.before["fill"].append(ToolFailed("no"))
    repair = await it.repaired(it.action("fill"))

    assert (await roll_back(it.bench, repair)).receipts == ()


async def test_one_effect_is_undone_once(case, world):
    """Asked for twice in the plan, or rolled back again after a kill: it was one effect, and one undo takes it back."""
    it = await case()
    repair = await it.repaired(it.action("fill"), it.action("fill", 2))

    await roll_back(it.bench, repair)
    await roll_back(it.bench, repair)

    assert world.tried == ["fill", "empty"]
