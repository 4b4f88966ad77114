"""YAML and Python say the same, and what is wrong in YAML is told with its line."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_healing.domain.call import Effect
from prefect_healing.errors import ConfigurationError
from prefect_healing.guardrails.conditions import Condition, at_most, equals, in_incident, matches, one_of
from prefect_healing.guardrails.default_policy import DEFAULT_POLICY
from prefect_healing.guardrails.freeze import Freeze
from prefect_healing.guardrails.limits import Limits
from prefect_healing.guardrails.policy import Heals, Policy
from prefect_healing.guardrails.rules import Rule, allow, ask, deny
from prefect_healing.guardrails.yaml_policy import load_policy, policy_to_yaml

SHIPPED = Path(__file__).parents[2] / "deployments" / "policies" / "default.yaml"
TOOLS = {"retry_flow_run": ["flow_run_id", "not_before"], "pause_deployment": ["deployment"]}


def test_the_shipped_file_is_the_built_in_policy():
    """Operators read in the file what the code does."""
    assert load_policy(SHIPPED) == DEFAULT_POLICY
    assert load_policy(SHIPPED).version == DEFAULT_POLICY.version


def test_default_names_the_built_in_policy():
    """No file is needed for it."""
    assert load_policy("default") is DEFAULT_POLICY


def test_yaml_says_what_python_says():
    """Word for word."""
    text = """
name: careful
mode: off
limits: {runs: 3}
rules:
- deny: '*'
  effect: write
  during: {start: Fri 16:00, end: Mon 08:00, timezone: Europe/Berlin}
- allow: retry_flow_run
  where:
    flow_run_id: in_incident
    scope.days: {at_most: 3}
    mode: {equals: off}
    when: {one_of: [1, no, '2', 16:00, 2013-01-01]}
  times: 2
- ask: pause_deployment
  where: {deployment: {matches: 'orders/*'}}
  undoes: retry_flow_run
heals:
- {deployment: nightly/*}
- {tag: gold, flow: x}
"""
    conditions = {
        "flow_run_id": in_incident(),
        "scope.days": at_most(3),
        "mode": equals("off"),
        "when": one_of(1, "no", "2", "16:00", "2013-01-01"),
    }

    assert load_policy(text) == Policy(
        deny("*", effect="write", during=Freeze("Fri 16:00", "Mon 08:00", "Europe/Berlin")),
        allow("retry_flow_run", where=conditions, times=2),
        ask("pause_deployment", where={"deployment": matches("orders/*")}, undoes="retry_flow_run"),
        name="careful",
        mode="off",
        limits=Limits(runs=3),
        heals=(Heals(deployment="nightly/*"), Heals(tag="gold", flow="x")),
    )


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
)
conditions = st.one_of(
    st.sampled_from(["in_incident", "empty"]).map(lambda word: Condition(word=word)),
    st.tuples(st.sampled_from(["at_most", "at_least"]), st.integers() | st.floats(-1e9, 1e9)).map(
        lambda pair: Condition(word=pair[0], value=pair[1])
    ),
    scalars.map(lambda value: Condition(word="equals", value=value)),
    st.lists(scalars, min_size=1, max_size=3).map(lambda values: Condition(word="one_of", value=values)),
    st.text(min_size=1, max_size=8).map(lambda glob: Condition(word="matches", value=glob)),
)
fields = st.sampled_from(
    ["x", "arguments.y", "scope.days", "options.rerun", "incident.cause", "off", "1", "a b", "null"]
)
rules = st.builds(
    Rule,
    verdict=st.sampled_from(["allow", "ask", "deny"]),
    tool=st.sampled_from(["*", "a", "off", "1", "null", "~"]) | st.text(min_size=1, max_size=8),
    effect=st.none() | st.sampled_from(Effect.__args__),
    where=st.dictionaries(fields, conditions, max_size=3),
    times=st.none() | st.integers(1, 99),
    during=st.none() | st.just(Freeze("Fri 16:00", "Mon 08:00")),
    undoes=st.none() | st.just("a"),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(rules, max_size=4), st.sampled_from(["off", "heal"]), st.text(max_size=8))
def test_every_policy_comes_back_from_yaml(ordered: list[Rule], mode: str, name: str):
    """Writing and reading changes nothing, its version included."""
    policy = Policy(*ordered, mode=mode, name=name, limits=Limits(tables=1))

    again = load_policy(policy_to_yaml(policy))

    assert again == policy
    assert again.version == policy.version


WRONG = {
    "name: x\nmode: off\nrulez: []\n": (3, "rulez", "Did you mean rules?"),
    "rules:\n- allow: x\n  wher: {}\n": (3, "wher", "Did you mean where?"),
    "rules:\n- allow: retry_flow_rum\n": (2, "retry_flow_rum", "Did you mean retry_flow_run?"),
    "rules:\n- allow: '*'\n  undoes: nothing\n": (3, "nothing", "pause_deployment, retry_flow_run"),
    "rules:\n- allow: retry_flow_run\n  where:\n    flow_id: in_incident\n": (4, "flow_id", "flow_run_id"),
    "rules:\n- allow: '*'\n  where:\n    scope.tabels: empty\n": (4, "scope.tabels", "tables"),
    "rules:\n- allow: '*'\n  where: {a: {at_mots: 3}}\n": (3, "at_mots", "Did you mean at_most?"),
    "rules:\n- allow: '*'\n  where: {a: {at_most: many}}\n": (3, "at_most", "number"),
    "rules:\n- allow: '*'\n  where: {a: in_incident, a: empty}\n": (3, "'a'", "twice"),
    "rules:\n- allow: '*'\n  times: two\n": (3, "times", "integer"),
    "rules:\n- allow: '*'\n  effect: wirte\n": (3, "effect", "write"),
    "rules:\n- allow: '*'\n  deny: '*'\n": (2, "rule 1", "exactly one of allow, ask, deny"),
    "rules:\n- effect: read\n": (2, "rule 1", "exactly one of allow, ask, deny"),
    "rules:\n- just text\n": (2, "rule 1", "mapping"),
    "rules: 3\nname: x\n": (1, "rules", "list"),
    "rules:\n- deny: '*'\n  during: {start: Fri 16:00, end: Mon 8}\n": (3, "Mon 8", "Fri 16:00"),
    "rules:\n- deny: '*'\n  during: {start: Fri 16:00}\n": (3, "during", "start and end"),
    "rules:\n- deny: '*'\n  during: {start: Fri 16:00, end: Mon 08:00, timezone: Mars/X}\n": (3, "Mars/X", "IANA"),
    "limits:\n  tables: -1\n": (2, "tables", "0"),
    "limits:\n  tabels: 1\n": (2, "tabels", "Did you mean tables?"),
    "mode: maybe\nname: x\n": (1, "mode", "propose"),
    "name: x\nname: y\n": (2, "'name'", "twice"),
    "heals:\n- {}\n": (2, "heals", "tag"),
    "heals:\n- name: x\n": (2, "name", "deployment"),
    "- a\n- b\n": (1, "a policy", "mapping"),
    "\n": (1, "empty", "rules"),
    "a: [\n": (2, "not YAML", ""),
    "name: &x y\nmode: *x\n": (2, "aliases", "write the value out"),
    "x: !!python/object:os.system y\n": (1, "not YAML", ""),
    "x: " + "[" * 5_000 + "\n": (1, "", ""),
    "? [a]\n: 3\n": (1, "", ""),
    "name: \x00\n": (1, "", ""),
}


@pytest.mark.parametrize("text", WRONG, ids=lambda text: repr(text[:40]))
def test_what_is_wrong_is_told_with_line_name_and_remedy(text: str):
    """Never a traceback, never a guess."""
    line, name, remedy = WRONG[text]

    with pytest.raises(ConfigurationError) as caught:
        load_policy(text, known_tools=TOOLS)

    message = str(caught.value)
    assert f"line {line}:" in message or line == 1
    assert name in message.replace("\n", " ")
    assert remedy in message


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60).map(lambda text: text + "\n"))
def test_any_text_is_a_policy_or_a_clear_error(text: str):
    """Whatever an operator saves."""
    with contextlib.suppress(ConfigurationError):
        assert isinstance(load_policy(text), Policy)


def test_a_file_that_cannot_be_read_is_told_with_the_setting(tmp_path: Path):
    """Missing files, folders and binary ones."""
    binary = tmp_path / "x.yaml"
    binary.write_bytes(b"\xff\xfe\x00")

    for path in (tmp_path / "none.yaml", tmp_path, binary, "\0"):
        with pytest.raises(ConfigurationError, match="policy file"):
            load_policy(path)


def test_python_errors_name_the_rule():
    """The same care for those who write policies in Python."""
    with pytest.raises(ConfigurationError, match=r"The rule allow\('x'\) is wrong at times"):
        allow("x", times=0)
