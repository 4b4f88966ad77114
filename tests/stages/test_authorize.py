"""Rule by rule, what of the plan may be carried out: all of it or nothing."""

from dataclasses import replace

import pytest

from prefect_healing.domain.plan import Plan
from prefect_healing.guardrails.limits import Limits
from prefect_healing.guardrails.policy import Policy
from prefect_healing.guardrails.rules import allow, ask
from prefect_healing.stages.authorize import authorize
from tests.stages.world import EVERYTHING, World, action, workbench


def bench_with(tmp_path, policy=EVERYTHING, **changes):
    world = World()
    return workbench(tmp_path, world.tool("fill"), world.tool("empty"), policy=policy, **changes)


async def verdicts(bench, *actions) -> list[str]:
    mandate = await authorize(bench, Plan(actions=actions))
    return [each.decision.verdict for each in mandate.decisions]


async def test_a_plan_that_is_allowed_whole_is_granted(tmp_path):
    bench = bench_with(tmp_path)
    plan = Plan(actions=(action(bench, "fill"), action(bench, "empty", 2)))

    mandate = await authorize(bench, plan)

    assert mandate.granted
    assert mandate.actions == plan.actions


@pytest.mark.parametrize("policy", [Policy(allow("fill")), Policy(ask("empty"), allow("*"))], ids=["deny", "ask"])
async def test_one_action_that_may_not_run_stops_all(tmp_path, policy):
    """Later actions rely on earlier ones: a plan is granted whole or not at all."""
    bench = bench_with(tmp_path, policy)

    mandate = await authorize(bench, Plan(actions=(action(bench, "fill"), action(bench, "empty", 2))))

    assert [each.decision.allowed for each in mandate.decisions] == [True, False]
    assert not mandate.granted
    assert mandate.actions == ()


async def test_each_action_counts_the_ones_before_it(tmp_path):
    """A limit holds over the plan, not for each action alone."""
    bench = bench_with(tmp_path, Policy(allow("fill", times=2)))

    said = await verdicts(bench, *(action(bench, "fill", number, item=str(number)) for number in (1, 2, 3)))

    assert said == ["allow", "allow", "deny"]


async def test_blast_radius_adds_up_over_the_plan(tmp_path):
    policy = Policy(allow("*"), limits=Limits(days=1))
    bench = bench_with(tmp_path, policy)
    far = action(bench, "fill")
    scope = far.scope.model_copy(update={"days": ("2013-01-02",)})
    further = far.model_copy(update={"scope": scope, "token": bench.token(1, "fill", far.arguments, scope)})

    assert await verdicts(bench, far, further) == ["allow", "deny"]


@pytest.mark.parametrize(
    "change",
    [
        {"arguments": {"item": "y"}},
        {"tool": "empty"},
        {"token": "0" * 32},
        {"token": ""},
    ],
    ids=str,
)
async def test_a_token_is_good_for_exactly_what_was_previewed(tmp_path, change):
    bench = bench_with(tmp_path)

    assert await verdicts(bench, action(bench, "fill").model_copy(update=change)) == ["deny"]


@pytest.mark.parametrize("change", [{"policy_version": "2"}, {"id": "AAAAAAAA"}], ids=str)
async def test_a_token_is_good_for_its_incident_and_policy_only(tmp_path, change):
    bench = bench_with(tmp_path)
    other = replace(bench, incident=bench.incident.model_copy(update=change))

    assert await verdicts(other, action(bench, "fill")) == ["deny"]


async def test_a_tool_that_is_not_there_is_denied(tmp_path):
    bench = bench_with(tmp_path)

    assert await verdicts(bench, action(bench, "drop")) == ["deny"]


@pytest.mark.parametrize(("mode", "verdict"), [("heal", "allow"), ("propose", "ask"), ("observe", "deny")])
async def test_outside_of_mode_heal_nothing_is_granted(tmp_path, mode, verdict):
    bench = bench_with(tmp_path, mode=mode)

    assert await verdicts(bench, action(bench, "fill")) == [verdict]
