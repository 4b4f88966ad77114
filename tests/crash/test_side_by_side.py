"""One writer for one incident."""

import pytest

from tests.crash.child import heal_beside
from tests.crash.matrix import boundaries

pytestmark = pytest.mark.crash


@pytest.mark.parametrize("meet_at", ["token-key", "round-1/mandate", "body of book"])
def test_of_two_heal_runs_of_one_incident_one_waits_and_nothing_is_done_twice(meet_at, ground, came_through):
    """Both end; the second finds what the first persisted: no effect, no question to the model, no report again."""
    expected = came_through("healed")
    plan = ground.plan("healed", meet_at=meet_at)

    both = [ground.start(plan, heal_beside, f"beside-{plan.row}", plan.row) for _ in range(2)]
    codes = [ground.finish(each, plan) for each in both]

    ended = ground.ended(plan)
    passed = [boundary for boundary, phase in boundaries(plan) if phase == "after"]
    assert codes == [0, 0], ended.log
    assert ended.report is not None, ended.log
    assert ended.report.outcome == "healed"
    assert passed.count(meet_at) == 1
    assert ended.effects == expected.effects
    assert len(ended.asked) == len(expected.asked)
    assert passed.count("lock of incident") == 2
    assert passed.count("report-1-0") == 1


def test_two_people_who_heal_one_run_at_once_get_one_heal(ground, came_through):
    """Whoever dispatches second joins the heal run of the first, and both get its report."""
    expected = came_through("healed")
    plan = ground.plan("healed")

    both = [ground.start(plan) for _ in range(2)]
    codes = [ground.finish(each, plan) for each in both]

    ended = ground.ended(plan)
    assert codes == [0, 0], ended.log
    assert ended.report is not None, ended.log
    assert ended.effects == expected.effects
    assert len(ended.asked) == len(expected.asked)
