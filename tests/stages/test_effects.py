"""An effect happens once: intention before, receipt after, a look before acting again. The world counts."""

import pytest

from prefect_healing.domain.repair import Receipt
from prefect_healing.effects import Intention, apply_once, effect_id, was_begun
from prefect_healing.errors import ToolFailed, ToolUnavailable
from prefect_healing.tools.tool import Applied, ToolContext, tool
from tests.stages.world import Killed, action, workbench


async def applied(bench, made, name="fill") -> Receipt:
    wanted = action(bench, name)
    return await apply_once(bench, made, wanted, identity_of(bench, wanted))


def identity_of(bench, wanted) -> str:
    return effect_id(bench.incident.id, wanted.tool, wanted.arguments, bench.incident.round)


async def test_the_intention_is_written_before_and_the_receipt_after(tmp_path):
    seen = []

    @tool(effect="write")
    async def fill(ctx: ToolContext, item: str = "x") -> Applied:
        """Fill."""
        for what, kind in (("intention", Intention), ("receipt", Receipt)):
            seen.append(await ctx.journal.read(f"effects/{ctx.effect_key}/{what}", kind))
        return Applied(detail="filled")

    bench = workbench(tmp_path, fill)

    receipt = await applied(bench, fill)

    assert seen[0].arguments == {"item": "x"}
    assert seen[1] is None
    assert await bench.journal.read(f"effects/{receipt.effect_id}/receipt", Receipt) == receipt


async def test_asked_again_the_first_receipt_is_the_answer(tmp_path, world):
    made = world.tool("fill")
    bench = workbench(tmp_path, made)

    assert await applied(bench, made) == await applied(bench, made)
    assert world.done == ["fill"]


@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize("bears", [{"takes_key": True}, {"looks": True}, {"takes_key": True, "looks": True}], ids=str)
async def test_killed_around_the_effect_it_happens_once(tmp_path, world, bears, where):
    """With a key the target tells; with a look, we do. The second process ends as if there had been no first."""
    made = world.tool("fill", **bears)
    bench = workbench(tmp_path, made)
    getattr(world, where)["fill"].append(Killed())
    with pytest.raises(Killed):
        await applied(bench, made)

    receipt = await applied(bench, made)

    assert receipt.status in ("done", "already_done")
    assert world.done == ["fill"]
    assert await applied(bench, made) == receipt


async def test_where_one_can_look_one_looks_before_the_key_is_presented_again(tmp_path, world):
    """A target may refuse what it has already done; the look knows better than the refusal."""
    made = world.tool("fill", takes_key=True, looks=True)
    bench = workbench(tmp_path, made)
    world.after["fill"].append(Killed())
    with pytest.raises(Killed):
        await applied(bench, made)
    world.before["fill"].append(ToolFailed("It is done already."))

    assert (await applied(bench, made)).status == "already_done"


@pytest.mark.parametrize("where", ["before", "after"])
async def test_with_neither_key_nor_look_it_happens_at_most_once_and_is_unknown(tmp_path, world, where):
    made = world.tool("fill")
    bench = workbench(tmp_path, made)
    getattr(world, where)["fill"].append(Killed())
    with pytest.raises(Killed):
        await applied(bench, made)

    receipt = await applied(bench, made)

    assert receipt.status == "unknown"
    assert world.tried == ["fill"]


async def test_a_look_that_fails_leaves_it_unknown(tmp_path, world):
    """It was begun; that it cannot be looked at does not mean that nothing changed."""
    made = world.tool("fill", looks=True)
    bench = workbench(tmp_path, made)
    world.after["fill"].append(Killed())
    with pytest.raises(Killed):
        await applied(bench, made)
    world.looking.append(ToolFailed("The table is gone."))

    receipt = await applied(bench, made)

    assert receipt.status == "unknown"
    assert "The table is gone." in receipt.detail


async def test_a_no_of_the_target_is_a_failure_and_stays_one(tmp_path, world):
    made = world.tool("fill", looks=True)
    bench = workbench(tmp_path, made)
    world.before["fill"].append(ToolFailed("The disk is full."))

    first, again = await applied(bench, made), await applied(bench, made)

    assert first.status == "failed"
    assert first == again
    assert world.tried == ["fill"]


async def test_a_tool_that_breaks_half_way_leaves_it_unknown(tmp_path, world):
    """A defect is no answer of the target: how far it came nobody knows, and it is not tried again."""
    made = world.tool("fill")
    bench = workbench(tmp_path, made)
    world.after["fill"].append(KeyError("rows"))

    receipt = await applied(bench, made)

    assert receipt.status == "unknown"
    assert "KeyError" in receipt.detail


@pytest.mark.parametrize("bears", [{"takes_key": True}, {"looks": True}], ids=str)
async def test_a_target_that_does_not_answer_is_asked_again_where_that_is_safe(tmp_path, world, bears):
    """No receipt is written, so the next try goes on; it counts once, though the first had got through."""
    made = world.tool("fill", **bears)
    bench = workbench(tmp_path, made)
    world.after["fill"].append(ToolUnavailable("cut off"))

    with pytest.raises(ToolUnavailable):
        await applied(bench, made)
    receipt = await applied(bench, made)

    assert receipt.status in ("done", "already_done")
    assert world.done == ["fill"]


async def test_a_target_that_does_not_answer_is_not_asked_again_where_that_is_not_safe(tmp_path, world):
    made = world.tool("fill")
    bench = workbench(tmp_path, made)
    world.after["fill"].append(ToolUnavailable("cut off"))

    assert (await applied(bench, made)).status == "unknown"
    assert (await applied(bench, made)).status == "unknown"
    assert world.tried == ["fill"]


async def test_a_secret_in_what_the_target_said_is_in_no_receipt(tmp_path, world):
    from dataclasses import replace

    made = world.tool("fill")
    bench = replace(workbench(tmp_path, made), secrets=["correct-horse-battery"])
    world.before["fill"].append(ToolFailed("wrong password correct-horse-battery"))

    assert "correct-horse" not in (await applied(bench, made)).detail


async def test_only_what_was_begun_says_so(tmp_path, world):
    made = world.tool("fill")
    bench = workbench(tmp_path, made)
    identity = identity_of(bench, action(bench, "fill"))

    assert not await was_begun(bench, identity)
    await applied(bench, made)
    assert await was_begun(bench, identity)


def test_an_effect_is_incident_tool_arguments_and_round():
    """The order of the arguments is no difference; each of the four is one, and undoing is another effect."""
    first = effect_id("7F3K", "fill", {"a": 1, "b": 2}, 1)

    assert first == effect_id("7F3K", "fill", {"b": 2, "a": 1}, 1)
    others = {
        effect_id("8F3K", "fill", {"a": 1, "b": 2}, 1),
        effect_id("7F3K", "empty", {"a": 1, "b": 2}, 1),
        effect_id("7F3K", "fill", {"a": 1, "b": 3}, 1),
        effect_id("7F3K", "fill", {"a": 1, "b": 2}, 2),
        effect_id("7F3K", "fill", {"a": 1, "b": 2}, 1, "undo"),
    }
    assert len(others | {first}) == 6
