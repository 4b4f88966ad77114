"""One line a law: what a policy says about a call."""

from datetime import UTC, datetime, timedelta
from typing import get_args
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_healing.domain.alert import Mode
from prefect_healing.domain.call import Call, Effect
from prefect_healing.domain.options import HealingOptions
from prefect_healing.domain.plan import Scope
from prefect_healing.errors import ConfigurationError
from prefect_healing.guardrails.conditions import (
    WORDS,
    at_least,
    at_most,
    empty,
    equals,
    in_incident,
    matches,
    one_of,
)
from prefect_healing.guardrails.default_policy import DEFAULT_POLICY
from prefect_healing.guardrails.fields import read_field
from prefect_healing.guardrails.freeze import Freeze
from prefect_healing.guardrails.limits import Limits
from prefect_healing.guardrails.policy import Policy, effective_mode
from prefect_healing.guardrails.rules import allow, ask, deny
from tests.guardrails.calls import (
    DEPLOYMENT,
    NOW,
    OTHER_RUN,
    RUN,
    decide,
    drop_table,
    incident,
    notify,
    pause,
    read_logs,
    resume,
    retry,
    rule,
    run_deployment,
    verdict,
    write,
)

ANYTHING = Policy(allow("*"), name="anything", limits=Limits(rows_written=10**9))
FRIDAY_NIGHT = datetime(2013, 1, 4, 20, 0, tzinfo=UTC)


def where(**fields: object) -> Policy:
    return Policy(allow("*", where={name.replace("__", "."): each for name, each in fields.items()}))


class TestDefault:
    def test_reading_is_free(self):
        assert verdict(DEFAULT_POLICY, read_logs()) == "allow"

    def test_the_incidents_own_people_are_told(self):
        assert verdict(DEFAULT_POLICY, notify()) == "allow"

    def test_nothing_is_lost_for_good(self):
        assert verdict(DEFAULT_POLICY, drop_table()) == "deny"

    def test_the_failed_run_is_retried_twice(self):
        assert verdict(DEFAULT_POLICY, retry()) == "allow"
        assert verdict(DEFAULT_POLICY, retry(), retry()) == "allow"

    def test_the_third_retry_is_a_persons(self):
        assert verdict(DEFAULT_POLICY, retry(), retry(), retry()) == "ask"

    def test_another_run_is_not_retried(self):
        assert verdict(DEFAULT_POLICY, retry(OTHER_RUN)) == "deny"

    def test_repeating_finished_tasks_is_asked(self):
        assert verdict(DEFAULT_POLICY, retry(repeats=("load",))) == "ask"

    def test_repeating_is_allowed_where_the_author_called_it_safe(self):
        assert verdict(DEFAULT_POLICY, retry(repeats=("load",)), options=HealingOptions(rerun="safe")) == "allow"

    def test_a_safe_rerun_is_limited_too(self):
        safe = HealingOptions(rerun="safe")

        assert verdict(DEFAULT_POLICY, retry(repeats=("load",)), retry(), retry(), options=safe) == "ask"

    @pytest.mark.parametrize("call", [run_deployment(), pause(), resume()])
    def test_deployments_are_a_persons(self, call: Call):
        assert verdict(DEFAULT_POLICY, call) == "ask"

    def test_what_the_incident_paused_it_may_resume(self):
        assert verdict(DEFAULT_POLICY, resume(), pause()) == "allow"

    def test_a_write_tool_nobody_spoke_of_is_denied(self):
        assert verdict(DEFAULT_POLICY, write("truncate_cache")) == "deny"

    def test_its_numbers_are_those_of_the_design(self):
        assert dict(DEFAULT_POLICY.limits) == {
            "tables": 5,
            "days": 7,
            "rows_written": 1_000,
            "rows_deleted": 0,
            "runs": 10,
        }
        assert DEFAULT_POLICY.mode == "propose"


class TestOrder:
    def test_the_first_match_decides(self):
        assert verdict(Policy(deny("*"), allow("*")), retry()) == "deny"
        assert verdict(Policy(allow("*"), deny("*")), retry()) == "allow"

    def test_no_match_is_a_no(self):
        assert verdict(Policy(), read_logs()) == "deny"

    def test_a_refusal_says_which_rule_nearly_matched_and_why(self):
        reason = decide(Policy(allow("run_deployment", where={"parameters.day": equals("x")})), run_deployment()).reason

        assert "rule 1 would allow it, but parameters.day is not equals" in reason

    def test_a_used_up_rule_leaves_it_to_the_next(self):
        assert verdict(Policy(allow("retry_flow_run", times=1), ask("*")), retry(), retry()) == "ask"

    def test_changing_the_arguments_does_not_renew_a_rule(self):
        policy = Policy(allow("x", where={"day": one_of(1, 2)}, times=1))

        assert verdict(policy, write("x", {"day": 2}), write("x", {"day": 1})) == "deny"

    def test_the_decision_names_its_rule(self):
        assert rule(DEFAULT_POLICY, retry()).startswith("default rule 4: allow retry_flow_run")

    @given(st.permutations([allow("a"), ask("b"), deny("c"), allow("d", effect="read")]))
    def test_rules_about_different_tools_may_stand_in_any_order(self, rules: list[object]):
        verdicts = [decide(Policy(*rules), write(tool)).verdict for tool in "abcd"]

        assert verdicts == ["allow", "ask", "deny", "deny"]

    @given(st.lists(st.sampled_from([allow("*"), ask("*"), deny("*")]), min_size=1), st.sampled_from("xyz"))
    def test_rules_after_a_match_change_nothing(self, rules: list[object], tool: str):
        assert decide(Policy(*rules), write(tool)) == decide(Policy(rules[0]), write(tool))

    @given(st.sampled_from(get_args(Effect)), st.sampled_from(get_args(Mode)))
    def test_equal_questions_get_equal_answers(self, effect: Effect, mode: Mode):
        call = Call(tool="x", effect=effect, arguments={}, scope=Scope(summary=""))

        assert decide(ANYTHING, call, mode=mode) == decide(ANYTHING, call, mode=mode)


class TestConditions:
    def test_in_incident_knows_its_run_and_deployment(self):
        for own in (str(RUN), str(DEPLOYMENT), "nightly-flights/prod"):
            assert verdict(where(x=in_incident()), write("t", {"x": own})) == "allow"

    @pytest.mark.parametrize("foreign", [str(OTHER_RUN), "prod", "", None, 1, [], [str(RUN), str(OTHER_RUN)], {}])
    def test_in_incident_knows_nothing_else(self, foreign: object):
        assert verdict(where(x=in_incident()), write("t", {"x": foreign})) == "deny"

    @pytest.mark.parametrize(
        ("value", "expected"), [(3, "allow"), (4, "deny"), ([1, 2], "allow"), ("3", "deny"), (True, "deny")]
    )
    def test_at_most_bounds_numbers_and_lengths(self, value: object, expected: str):
        assert verdict(where(x=at_most(3)), write("t", {"x": value})) == expected

    @pytest.mark.parametrize(("value", "expected"), [(3, "allow"), (2, "deny"), ([1, 2, 3], "allow"), (None, "deny")])
    def test_at_least_is_its_mirror(self, value: object, expected: str):
        assert verdict(where(x=at_least(3)), write("t", {"x": value})) == expected

    @pytest.mark.parametrize(("value", "expected"), [(1, "allow"), (1.0, "allow"), (True, "deny"), ("1", "deny")])
    def test_equals_does_not_convert(self, value: object, expected: str):
        assert verdict(where(x=equals(1)), write("t", {"x": value})) == expected

    def test_one_of_wants_all_items_to_allow(self):
        assert verdict(where(x=one_of("a", "b")), write("t", {"x": ["a", "b"]})) == "allow"
        assert verdict(where(x=one_of("a", "b")), write("t", {"x": ["a", "c"]})) == "deny"

    def test_one_item_is_enough_to_deny(self):
        policy = Policy(deny("*", where={"scope.tables": matches("gold.*")}), allow("*"))

        assert verdict(policy, write("t", tables=("silver.x", "gold.y"))) == "deny"
        assert verdict(policy, write("t", tables=("silver.x",))) == "allow"

    @pytest.mark.parametrize(("value", "expected"), [("orders/prod", "allow"), ("Orders/prod", "deny"), (None, "deny")])
    def test_matches_is_a_glob(self, value: object, expected: str):
        assert verdict(where(x=matches("orders/*")), write("t", {"x": value})) == expected

    @pytest.mark.parametrize(
        ("value", "expected"), [([], "allow"), ("", "allow"), (None, "allow"), (0, "deny"), ([0], "deny")]
    )
    def test_empty_is_without_content(self, value: object, expected: str):
        assert verdict(where(x=empty()), write("t", {"x": value})) == expected

    @pytest.mark.parametrize(
        "condition", [in_incident(), at_most(1), at_least(0), equals(None), one_of(None), empty(), matches("*")]
    )
    def test_no_condition_holds_for_what_is_absent(self, condition: object):
        assert verdict(where(x=condition), write("t")) == "deny"

    def test_the_conditions_above_are_all_there_are(self):
        assert set(WORDS) == {"in_incident", "at_most", "at_least", "equals", "one_of", "empty", "matches"}

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("x", 1),
            ("arguments.x", 1),
            ("nested.y", 2),
            ("scope.rows_written", 5),
            ("options.rerun", "ask"),
            ("incident.cause", "rate_limited"),
            ("incident.mode", "heal"),
            ("incident.round", 1),
        ],
    )
    def test_fields_are_read_where_they_stand(self, field: str, value: object):
        call = write("t", {"x": 1, "nested": {"y": 2}}, rows_written=5)

        assert read_field(field, call, incident()) == value

    @pytest.mark.parametrize("field", ["scope.tabels", "options.x", "incident.severity", "", "a..b"])
    def test_a_field_that_cannot_be_is_refused_at_once(self, field: str):
        with pytest.raises(ConfigurationError):
            allow("*", where={field: empty()})


class TestFreeze:
    policy = Policy(deny("*", effect="write", during=Freeze("Fri 16:00", "Mon 08:00")), allow("*"))

    def test_nothing_is_written_while_frozen(self):
        assert verdict(self.policy, retry(), now=FRIDAY_NIGHT) == "deny"
        assert verdict(self.policy, retry(), now=NOW) == "allow"

    def test_start_is_in_and_end_is_out(self):
        freeze = Freeze("Fri 16:00", "Mon 08:00")
        start = datetime(2013, 1, 4, 16, 0, tzinfo=UTC)

        assert freeze.covers(start)
        assert not freeze.covers(start - timedelta(minutes=1))
        assert not freeze.covers(datetime(2013, 1, 7, 8, 0, tzinfo=UTC))

    def test_its_clock_is_that_of_its_zone(self):
        assert Freeze("Wed 13:00", "Wed 14:00", "Europe/Berlin").covers(NOW)

    def test_a_time_without_zone_is_refused(self):
        with pytest.raises(ConfigurationError):
            Freeze("Fri 16:00", "Mon 08:00").covers(NOW.replace(tzinfo=None))


class TestWalls:
    def test_no_rule_lifts_destroy(self):
        assert rule(ANYTHING, drop_table()) == "wall: destroy"

    def test_nothing_is_written_without_a_preview(self):
        call = Call(tool="retry_flow_run", effect="write", arguments={"flow_run_id": str(RUN)})

        assert rule(ANYTHING, call) == "wall: unpreviewed"

    @pytest.mark.parametrize(
        "call",
        [
            retry(OTHER_RUN),
            pause("orders/prod"),
            write("x", {"flow_run_id": str(OTHER_RUN)}),
            write("x", {"deployment": "orders/prod"}),
            write("x", {"deployment_id": str(UUID(int=9))}),
            write("x", {"flow_run_ids": [str(RUN), str(OTHER_RUN)]}),
            write("x", {"deployment": {"__class__": "nightly-flights/prod"}}),
            write("x", flow_runs=(str(RUN), str(OTHER_RUN))),
        ],
    )
    def test_other_subjects_are_out_of_reach(self, call: Call):
        assert rule(ANYTHING, call) == "wall: foreign subject"

    @pytest.mark.parametrize(
        "call",
        [
            pause("heal/heal"),
            run_deployment("sweep/sweep"),
            pause("HEAL/x"),
            write("x", {"flow_name": "repair"}),
            write("x", {"tags": ["healing"]}),
        ],
    )
    def test_healing_does_not_act_on_itself(self, call: Call):
        assert rule(ANYTHING, call) == "wall: healing"

    def test_another_incident_is_not_acted_for(self):
        assert rule(ANYTHING, write("x", {"incident_id": "AAAAAAAA"})) == "wall: foreign incident"

    def test_reading_meets_no_wall(self):
        assert verdict(ANYTHING, read_logs()) == "allow"

    @pytest.mark.parametrize("tool", ["x", "retry_flow_run", "*"])
    @pytest.mark.parametrize("made", [allow, ask])
    def test_walls_stand_before_every_rule(self, tool: str, made: object):
        assert verdict(Policy(made(tool)), retry(OTHER_RUN)) == "deny"


class TestLimits:
    @pytest.mark.parametrize(
        ("scope", "taken"),
        [
            ({"tables": "abcdef"}, {}),
            ({"tables": "ef"}, {"tables": "abcd"}),
            ({"days": "45678"}, {"days": "123"}),
            ({"rows_written": 600}, {"rows_written": 500}),
            ({"rows_deleted": 1}, {}),
            ({"rows_written": 600}, {"rows_written": 900, "rows_deleted": -500}),
        ],
    )
    def test_writes_add_up_over_the_incident(self, scope: dict[str, object], taken: dict[str, object]):
        call, earlier = write("x", **_listed(scope)), write("x", **_listed(taken))

        assert rule(Policy(allow("*")), call, earlier) == "wall: blast radius"

    def test_the_same_table_counts_once(self):
        five = write("x", tables=tuple("abcde"))

        assert verdict(Policy(allow("*")), five, five) == "allow"

    def test_a_negative_count_buys_no_room(self):
        assert (
            verdict(
                Policy(allow("*")),
                write("x", rows_written=900),
                write("x", rows_written=-900),
                write("x", rows_written=900),
            )
            == "deny"
        )

    def test_every_write_counts_as_a_run(self):
        assert verdict(Policy(allow("*")), write("x"), *[write("x")] * 10) == "deny"
        assert verdict(Policy(allow("*")), write("x"), *[write("x")] * 9) == "allow"

    def test_the_numbers_are_told(self):
        reason = decide(Policy(allow("*")), write("x", rows_written=600), (write("x", rows_written=500),)).reason

        assert "rows_written would be 1100, the limit of an incident is 1000, taken so far is 500" in reason

    def test_every_field_of_a_scope_is_limited_or_has_a_reason_not_to_be(self):
        """A new field must be thought of here."""
        not_limited = {
            "summary": "words",
            "basis": "what the token is bound to",
            "deployments": "each is the incident's own or a declared loader, by a wall",
            "repeats": "a rule's business",
            "share": "a rule's business",
            "asks": "a rule's business",
            "flow_runs": "limited as runs",
        }

        assert set(Scope.model_fields) - set(Limits.model_fields) == not_limited.keys()


class TestModes:
    @pytest.mark.parametrize(
        ("mode", "expected"), [("off", "deny"), ("observe", "deny"), ("propose", "ask"), ("heal", "allow")]
    )
    def test_only_heal_lets_a_write_happen(self, mode: Mode, expected: str):
        assert verdict(ANYTHING, retry(), mode=mode) == expected

    @pytest.mark.parametrize("mode", get_args(Mode))
    def test_reading_is_free_in_every_mode(self, mode: Mode):
        assert verdict(ANYTHING, read_logs(), mode=mode) == "allow"

    @pytest.mark.parametrize("mode", get_args(Mode))
    def test_no_mode_lifts_a_denial(self, mode: Mode):
        assert verdict(Policy(deny("*")), retry(), mode=mode) == "deny"

    @pytest.mark.parametrize(
        ("policy", "options", "environment", "expected"),
        [
            ("propose", None, None, "propose"),
            ("propose", "heal", None, "heal"),
            ("heal", "propose", None, "propose"),
            ("propose", "heal", "observe", "observe"),
            ("propose", None, "heal", "heal"),
            ("off", "heal", "heal", "off"),
            ("heal", "off", "heal", "off"),
            ("heal", "heal", "off", "off"),
        ],
    )
    def test_off_wins_then_environment_then_decorator(
        self, policy: Mode, options: Mode | None, environment: Mode | None, expected: Mode
    ):
        assert effective_mode(Policy(mode=policy), options, environment) == expected


class TestVersion:
    def test_it_is_the_digest_of_what_the_policy_says(self):
        assert Policy(allow("x")).version == Policy(allow("x")).version
        assert Policy(allow("x")).version != Policy(allow("x", times=1)).version
        assert Policy(allow("x"), ask("y")).version != Policy(ask("y"), allow("x")).version
        assert Policy(mode="heal").version != Policy(mode="propose").version

    def test_it_survives_storage(self):
        stored = Policy.model_validate_json(DEFAULT_POLICY.model_dump_json())

        assert stored == DEFAULT_POLICY
        assert stored.version == DEFAULT_POLICY.version


def _listed(scope: dict[str, object]) -> dict[str, object]:
    return {name: tuple(value) if isinstance(value, str) else value for name, value in scope.items()}
