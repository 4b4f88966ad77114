"""Where data stopped, judged from what was seen."""

from datetime import UTC, date, datetime
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_healing.domain.lineage import Graph
from prefect_healing.domain.staleness import LastRun, Seen, judge

CHAIN = Graph(edges=(("vendor", "stage"), ("stage", "clean"), ("clean", "mart")))
FIRST, LAST = date(2013, 2, 4), date(2013, 2, 8)
AT = datetime(2013, 2, 8, 6, tzinfo=UTC)


def seen(**changes: dict) -> dict[str, Seen]:
    """Return a chain in which everything is as it should be, but for the changes."""
    nodes = [Seen(name="vendor", kind="source", up=True, newest=LAST)]
    nodes += [Seen(name=name, kind="table", newest=LAST, first=FIRST) for name in ("stage", "clean", "mart")]
    return {each.name: each.model_copy(update=changes.get(each.name, {})) for each in nodes}


def run(state: str = "COMPLETED", name: str = "Completed") -> LastRun:
    return LastRun(id=uuid4(), name="swift-owl", state_type=state, state_name=name, ended_at=AT)


def statuses(verdict) -> dict[str, str]:
    return {name: each.status for name, each in verdict.nodes.items()}


def test_nothing_is_broken_where_all_is_in_step():
    """Then there is nothing to rebuild."""
    verdict = judge(CHAIN, seen(), "mart")

    assert set(statuses(verdict).values()) == {"fresh"}
    assert (verdict.first_broken, verdict.rebuild_order) == (None, ())


def test_a_load_that_failed_quietly_three_hops_up_is_the_first_broken():
    """Its run is Completed, and the days it should have brought are not there; all below lacks them too."""
    behind = {"newest": FIRST}
    facts = seen(stage={**behind, "last_run": run()}, clean=behind, mart={**behind, "aged": True})

    verdict = judge(CHAIN, facts, "mart")

    assert statuses(verdict) == {"vendor": "fresh", "stage": "stale", "clean": "stale", "mart": "stale"}
    assert verdict.first_broken == "stage"
    assert verdict.rebuild_order == ("stage", "clean", "mart")
    assert "failed quietly" in verdict.nodes["stage"].detail


def test_a_load_that_broke_is_failed():
    """Its run says so."""
    facts = seen(clean={"newest": FIRST, "last_run": run("CRASHED", "Crashed")}, mart={"newest": FIRST})

    verdict = judge(CHAIN, facts, "mart")

    assert statuses(verdict)["clean"] == "failed"
    assert verdict.rebuild_order == ("clean", "mart")


def test_an_old_failure_of_a_table_that_has_all_days_is_none():
    """Somebody has loaded it since."""
    assert judge(CHAIN, seen(clean={"last_run": run("FAILED", "Failed")}), "mart").first_broken is None


def test_a_freshness_entry_decides_over_partitions():
    """A table that may lag is fresh, and what is built from it is held against the source all the same."""
    facts = seen(stage={"newest": FIRST, "aged": False}, clean={"newest": FIRST}, mart={"newest": FIRST})

    assert statuses(judge(CHAIN, facts, "mart")) == {
        "vendor": "fresh",
        "stage": "fresh",
        "clean": "stale",
        "mart": "stale",
    }


def test_an_empty_table_lacks_everything():
    """A load that was never done."""
    assert judge(CHAIN, seen(stage={"newest": None}), "mart").first_broken == "stage"


def test_a_late_source_is_the_first_broken():
    """All have what it had, and that is too old for the mart."""
    facts = seen(mart={"aged": True, "late_after": date(2013, 2, 9)})

    verdict = judge(CHAIN, facts, "mart")

    assert verdict.first_broken == "vendor"
    assert verdict.rebuild_order == ("stage", "clean", "mart")
    assert "nothing newer than 2013-02-08" in verdict.nodes["vendor"].detail


def test_a_source_with_recent_data_is_not_late():
    """Then only the mart was not built again."""
    verdict = judge(CHAIN, seen(mart={"aged": True, "late_after": date(2013, 2, 7)}), "mart")

    assert (verdict.first_broken, verdict.rebuild_order) == ("mart", ("mart",))


def test_a_source_without_the_incidents_partition_is_stale():
    """It says so itself."""
    wanted = date(2013, 2, 9)

    assert judge(CHAIN, seen(vendor={"lacks": wanted}), "stage").first_broken == "vendor"
    assert judge(CHAIN, seen(vendor={"lacks": LAST}), "stage").first_broken is None  # The table has it already.


@pytest.mark.parametrize(("stage", "first"), [({}, "clean"), ({"aged": True}, "vendor")])
def test_a_source_that_is_down_counts_where_something_waits_for_it(stage: dict, first: str):
    """A vendor at rest is not why a later hop stopped."""
    down = {"up": False, "newest": None}

    verdict = judge(CHAIN, seen(vendor=down, stage=stage | {"newest": LAST}, clean={"newest": FIRST}), "mart")

    assert (verdict.first_broken if stage else first) == first
    assert verdict.nodes["vendor"].status == "failed"


def test_what_cannot_be_seen_is_unknown():
    """A table that is not there, and one that nothing is declared of."""
    facts = seen(stage={"problem": "none of that name"}, clean={"partitioned": False, "newest": None})

    found = statuses(judge(CHAIN, facts, "mart"))

    assert (found["stage"], found["clean"]) == ("unknown", "unknown")


def test_a_mart_of_two_sources_waits_for_the_slower_one():
    """It cannot have a day that one of them does not have."""
    graph = CHAIN.merged([("rates", "mart")])
    facts = seen() | {"rates": Seen(name="rates", kind="source", up=True, newest=date(2013, 2, 20))}

    assert judge(graph, facts, "mart").first_broken is None


def test_two_branches_that_stopped_are_both_rebuilt():
    """Each from its own root."""
    graph = CHAIN.merged([("people", "mart")])
    facts = {"people": Seen(name="people", kind="table", aged=True)} | seen(stage={"newest": FIRST})

    verdict = judge(graph, facts, "mart")

    assert set(verdict.roots) == {"people", "stage"}
    assert verdict.first_broken == "stage"
    assert set(verdict.rebuild_order) == {"people", "stage", "clean", "mart"}


def test_a_cycle_ends():
    """Catalog, Prefect and dbt may contradict each other."""
    graph = CHAIN.merged([("mart", "stage")])

    verdict = judge(graph, seen(stage={"newest": FIRST}, mart={"aged": True}), "mart")

    assert verdict.first_broken in ("stage", "mart")
    assert set(verdict.rebuild_order) >= {"mart"}


days = st.none() | st.dates(FIRST, LAST)
names = st.sampled_from(["vendor", "stage", "clean", "mart"])
facts = st.fixed_dictionaries(
    {
        name: st.fixed_dictionaries({"newest": days, "aged": st.none() | st.booleans()})
        for name in ("stage", "clean", "mart")
    }
)


@given(st.lists(st.tuples(names, names), max_size=8), facts, days)
def test_the_first_broken_is_broken_and_what_is_rebuilt_lies_below_it(
    more: list[tuple[str, str]], changes: dict, newest: date | None
):
    """Whatever the graph and the facts."""
    graph = CHAIN.merged(more)

    verdict = judge(graph, seen(vendor={"newest": newest}, **changes), "mart")

    broken = {name for name, each in verdict.nodes.items() if each.broken}
    assert (verdict.first_broken is None) == (not verdict.roots)
    assert set(verdict.roots) <= broken
    assert all(set(verdict.roots) & graph.upwards(name).keys() for name in broken - {"vendor"})
    assert not verdict.roots or verdict.rebuild_order[-1:] == ("mart",) or "mart" in verdict.rebuild_order
