"""A scenario is right when cause, outcome and the number of requests are what they should be."""

from prefect_healing.demo.result import DemoResult, Found, ScenarioResult, Timings
from prefect_healing.demo.scenarios import NO_INCIDENT, chosen

TIMINGS = Timings(server=1, serve=2, scenarios=3, total=6.04)


def ended(name: str, outcome: Found, requests: int) -> ScenarioResult:
    (scenario,) = chosen([name])
    return ScenarioResult.of(
        scenario, None, outcome=outcome, requests=requests, seconds=1.26, incident_id=None, url=None
    )


def test_a_healthy_run_is_right_without_an_incident():
    assert ended("healthy", NO_INCIDENT, 1).right
    assert not ended("healthy", "healed", 1).right


def test_a_scenario_without_a_report_is_wrong():
    """Without a report there is no cause, and the right outcome alone proves nothing."""
    assert not ended("vendor_outage", "healed", 3).right
    assert not ended("bad_credentials", "unfinished", 1).right


def test_asking_the_vendor_again_where_nothing_can_help_is_wrong():
    assert not ended("healthy", NO_INCIDENT, 2).right


def test_the_demo_is_right_when_all_of_it_is():
    good, bad = ended("healthy", NO_INCIDENT, 1), ended("healthy", "unfinished", 1)

    assert DemoResult(scenarios=(good,), timings=TIMINGS).right
    assert not DemoResult(scenarios=(good, bad), timings=TIMINGS).right


def test_the_json_has_what_a_machine_compares():
    shown = DemoResult(scenarios=(ended("healthy", NO_INCIDENT, 1),), timings=TIMINGS).as_json()

    assert shown["timings"] == {"server": 1.0, "serve": 2.0, "scenarios": 3.0, "total": 6.0}
    (row,) = shown["scenarios"]
    compared = ("scenario", "expected_cause", "cause", "expected_outcome", "outcome", "right", "seconds", "incident_id")
    assert [row[key] for key in compared] == ["healthy", None, None, "no incident", "no incident", True, 1.3, None]
