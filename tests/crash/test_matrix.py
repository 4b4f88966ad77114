"""Whatever the boundary at which a healing process is killed, the one that comes after it ends as if nothing was.

Every file that is written has two rows: the process dies when half of it is written, and when all of it is. (To die
before the first byte leaves the same behind as half a file, which reads as absent.) Every model call and every body of
a tool has two rows as well: before it and after it.
"""

import pytest

from tests.crash.boundaries import BOUNDARIES, ROWS, SAMPLED, UNKNOWN_AFTERWARDS
from tests.crash.matrix import boundaries, more_than_once

pytestmark = pytest.mark.crash


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_killed_heal_ends_as_if_it_had_not_been_killed(row, rows, came_through):
    """Same outcome; each effect once, as its target counts; no persisted reply is asked for again."""
    expected = came_through(row.scenario)

    ended = rows[row].result()

    assert ended.deaths == (-9, 0), ended.log
    assert ended.report is not None, ended.log
    assert ended.asked_again == []
    assert more_than_once(ended.asked) == ([ended.asked[ended.asked_before - 1]] if _lost_a_reply(row) else [])
    assert len(ended.asked) - len(expected.asked) == _lost_a_reply(row)
    if row in UNKNOWN_AFTERWARDS:
        assert ended.report.outcome == "escalated"
        assert ended.statuses == [[("send_letter", "unknown")]]
        assert ended.counted["send_letter"].done <= 1
    else:
        assert ended.report.outcome == expected.report.outcome
        assert ended.statuses == expected.statuses
        assert ended.effects == expected.effects


def _lost_a_reply(row):
    """Say whether the process died between a reply and its being stored: only then is a call sent twice."""
    return (row.boundary.startswith("model") and row.phase == "after") or (
        row.boundary.startswith("result of ask") and row.phase == "torn"
    )


def test_every_boundary_has_its_rows(came_through):
    """What an uninterrupted process passes is what the matrix kills at; a new boundary needs a new row."""
    known = set[str]()
    for scenario, listed in BOUNDARIES.items():
        passed = {boundary for boundary, _ in boundaries(came_through(scenario).plan)}
        if scenario in SAMPLED:
            assert set(listed) <= passed
        else:
            assert set(listed) == passed - known, f"in scenario {scenario}"
        known |= passed


def test_the_scenarios_come_through(came_through):
    """What the rows are compared with is what each scenario is for."""
    outcomes = {
        name: came_through(name).report.outcome for name in ("healed", "undone", "second_round", "letter", "asked")
    }

    assert outcomes == {
        "healed": "healed",
        "undone": "rolled_back",
        "second_round": "healed",
        "letter": "healed",
        "asked": "healed",
    }
    assert came_through("undone").effects == {"book": (1, 1), "restore": (1, 1), "send_letter": (0, 0)}
    assert came_through("second_round").effects == {"book": (2, 1), "restore": (2, 1), "send_letter": (0, 0)}
