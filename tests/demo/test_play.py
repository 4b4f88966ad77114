"""Scenarios go on side by side, not too many at once, and each starts its runs one after the other."""

from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.states import Completed, Failed, Running, State

from prefect_healing.demo.course import Course
from prefect_healing.demo.play import AT_ONCE, _due
from prefect_healing.demo.scenarios import NO_INCIDENT, SCENARIOS, chosen

INCIDENT = "0TP0CFNP"


def run_of(run_id: UUID, state: State, *tags: str, day: str | None = None) -> FlowRun:
    return FlowRun(
        id=run_id,
        flow_id=uuid4(),
        name="run",
        state=state,
        state_type=state.type,
        tags=list(tags),
        parameters={"day": day} if day else {},
    )


def begun(name: str, runs: int = 1) -> Course:
    (scenario,) = chosen([name])
    course = Course(scenario)
    for _ in range(runs):
        course.begun_run(uuid4())
    return course


def shown(course: Course, state: State, *tags: str, others: Sequence[FlowRun] = ()) -> Course:
    """Let the course see the server's answer: its own newest run in this state, and other runs."""
    own = course.run_ids[-1]
    assert own is not None
    course.see([run_of(own, state, *tags), *others])
    return course


def test_no_more_go_on_at_once_than_there_are_places_for():
    courses = [Course(each) for each in SCENARIOS]

    first = _due(courses)
    for course in first:
        course.begun_run(uuid4())

    assert [each.scenario for each in first] == list(SCENARIOS[:AT_ONCE])
    assert _due(courses) == []


def test_when_one_has_ended_the_next_begins():
    courses = [Course(each) for each in SCENARIOS]
    for course in _due(courses):
        course.begun_run(uuid4())
    ended = next(each for each in courses if each.run_ids and not each.scenario.before)

    shown(ended, Completed())

    assert ended.outcome == NO_INCIDENT
    assert _due(courses) == [courses[AT_ONCE]]


def test_what_comes_before_has_to_complete_before_the_next_run_starts():
    course = begun("double_load")

    assert not shown(course, Running()).next_may_start
    assert shown(course, Completed()).next_may_start
    assert course.outcome is None


def test_a_scenario_whose_first_run_breaks_off_is_unfinished():
    assert shown(begun("double_load"), Failed()).outcome == "unfinished"


def test_a_failed_run_is_no_end_before_its_incident_is_closed():
    course = begun("bad_credentials")

    assert shown(course, Failed()).outcome is None
    assert shown(course, Failed(), f"incident:{INCIDENT}").outcome is None


@pytest.mark.parametrize("mark", ["incident", "raised"])
def test_the_heal_run_of_its_incident_says_how_it_ended(mark: str):
    """A run that failed belongs to the incident; one that found bad data raised it."""
    theirs = run_of(uuid4(), Completed(name="Escalated"), "healing", "incident:ANOTHER1")
    ours = run_of(uuid4(), Completed(name="Healed"), "healing", f"incident:{INCIDENT}")

    course = shown(begun("bad_rows"), Running(), f"{mark}:{INCIDENT}", others=[ours, theirs])

    assert course.outcome == "healed"
    assert course.sight.incident_id == INCIDENT


def test_a_scripts_own_run_is_known_by_its_day():
    (inline,) = chosen(["cut_connection_inline"])
    course = Course(inline)
    course.begun_run(None)
    heal = run_of(uuid4(), Running(), "healing", day=inline.day.isoformat())

    course.see([heal, run_of(uuid4(), Completed(), day=inline.day.isoformat())])

    assert course.outcome == NO_INCIDENT


def test_what_was_begun_too_long_ago_is_unfinished():
    course, waiting = begun("healthy"), Course(SCENARIOS[0])

    for each in (course, waiting):
        each.give_up_after(3600)
        assert each.outcome is None
        each.give_up_after(0)

    assert course.outcome == "unfinished"
    assert waiting.outcome is None
