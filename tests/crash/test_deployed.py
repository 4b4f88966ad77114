"""The same where healing is deployed: the runner's child is killed, and dispatch brings the same heal run back."""

import pytest

from tests.crash.boundaries import UNKNOWN_AFTERWARDS
from tests.crash.matrix import Row, more_than_once
from tests.crash.trap import write_atomically

pytestmark = pytest.mark.crash

ROWS = (
    Row("healed", "incident", "after"),
    Row("healed", "model", "after"),
    Row("healed", "result of ask, time 2", "torn"),
    Row("healed", "round-1/triage-0", "torn"),
    Row("healed", "round-1/mandate", "after"),
    Row("healed", "intention of book", "after"),
    Row("healed", "body of restore", "after"),
    Row("healed", "round-1/repair", "torn"),
    Row("healed", "report-1-0", "after"),
    Row("second_round", "receipt of remove", "after"),
    Row("letter", "body of send_letter", "after"),
)
"""Each stage, a model call, between intention and receipt, half a roll-back, and what nobody can look at."""


@pytest.mark.parametrize("deployed", ROWS, ids=str)
def test_a_killed_deployed_heal_ends_as_if_it_had_not_been_killed(deployed, ground, served, came_through):
    """Same outcome; each effect once, as its target counts; no persisted reply is asked for again."""
    expected = came_through(deployed.scenario)
    plan = ground.plan(deployed.scenario, deployed.boundary, deployed.phase, deployment="heal/crash")
    write_atomically(served, plan.model_dump_json())

    ended = ground.run_twice(plan)

    assert plan.sprung.exists(), ended.log
    assert ended.report is not None, ended.log
    assert ended.asked_again == []
    assert len(more_than_once(ended.asked)) <= 1
    if deployed in UNKNOWN_AFTERWARDS:
        assert ended.report.outcome == "escalated"
        assert ended.counted["send_letter"].done == 1
    else:
        assert ended.report.outcome == expected.report.outcome
        assert ended.statuses == expected.statuses
        assert ended.effects == expected.effects
