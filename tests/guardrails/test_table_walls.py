"""Only declared tables that bear on the incident are written, and their loaders are its own."""

from uuid import UUID

import pytest

from prefect_healing.clock import now
from prefect_healing.domain.alert import FreshnessAlert
from prefect_healing.domain.call import Call
from prefect_healing.domain.catalog import Catalog, Loader, Table
from prefect_healing.domain.classification import Classification
from prefect_healing.domain.incident import Incident, Subject
from prefect_healing.domain.options import HealingOptions
from prefect_healing.domain.plan import Scope
from prefect_healing.guardrails.default_policy import DEFAULT_POLICY
from prefect_healing.guardrails.policy import Policy
from prefect_healing.guardrails.rules import allow

RUN = UUID("6b1f6c5e-0000-4000-8000-000000000001")
ORDERS = Table(
    name="orders", layer="staging", partition="day", key=("id",), loader=Loader(deployment="load-orders/prod")
)
EVERYTHING = Policy(allow("*"), mode="heal")


def incident(*tables: Table) -> Incident:
    return Incident(
        id="7F3KQ2XA",
        alert=FreshnessAlert(
            flow_run_id=RUN, flow_name="watch", fingerprint="f", table="orders", last_update=None, max_age_hours=1
        ),
        options=HealingOptions(),
        subject=Subject(flow_run_id=RUN, flow_run_name="run", flow_name="watch", state_name="Running", table="orders"),
        classification=Classification(
            cause="unknown", transience="unknown", confidence=0, decisive_line=None, rerun_helps=None
        ),
        evidence=(),
        catalog=Catalog(tables=tables),
        mode="heal",
        policy_name="default",
        policy_version="1",
        opened_at=now(),
        deadline_at=now(),
    )


def decided(policy: Policy, tool: str, scope: Scope, *tables: Table) -> tuple[str, str]:
    call = Call(tool=tool, effect="write", arguments={"table": "orders"}, scope=scope)
    decision = policy.decide(call, incident(*tables), (), now())
    return decision.verdict, decision.reason


def test_a_table_that_bears_nothing_on_the_incident_is_never_written():
    """Whatever the rules say."""
    verdict, reason = decided(EVERYTHING, "reload_partition", Scope(summary="x", tables=("orders", "payroll")), ORDERS)

    assert verdict == "deny"
    assert "payroll does not bear on this incident; it may write orders only" in reason


def test_a_declared_loader_may_be_run():
    scope = Scope(summary="x", tables=("orders",), deployments=("load-orders/prod",))

    assert decided(DEFAULT_POLICY, "reload_partition", scope, ORDERS)[0] == "allow"


def test_a_loader_of_another_table_is_never_run():
    scope = Scope(summary="x", tables=("orders",), deployments=("load-payroll/prod",))

    assert decided(EVERYTHING, "reload_partition", scope, ORDERS)[0] == "deny"


@pytest.mark.parametrize("tool", ["reload_partition", "backfill_partitions", "quarantine_rows", "run_dbt"])
def test_what_the_catalog_wants_a_person_for_is_asked(tool: str):
    """And the reason says why."""
    scope = Scope(summary="x", tables=("orders",), asks=("orders is a gold table",))

    verdict, reason = decided(DEFAULT_POLICY, tool, scope, ORDERS)

    assert verdict == "ask"
    assert "orders is a gold table." in reason


@pytest.mark.parametrize(
    ("rows", "share", "verdict"), [(1_000, 0.05, "allow"), (1_000, 0.051, "ask"), (1_001, 0.01, "deny")]
)
def test_only_a_few_rows_are_moved_without_a_person(rows: int, share: float, verdict: str):
    """At most 1,000 of an incident, a limit that nobody lifts by approving, and 5 % of a partition."""
    scope = Scope(summary="x", tables=("orders",), rows_written=rows, share=share)

    assert decided(DEFAULT_POLICY, "quarantine_rows", scope, ORDERS)[0] == verdict


def test_a_week_is_loaded_again_and_not_a_day_more():
    days = tuple(f"2013-01-{number:02}" for number in range(1, 9))

    assert decided(DEFAULT_POLICY, "backfill_partitions", Scope(summary="x", days=days[:7]), ORDERS)[0] == "allow"
    assert decided(DEFAULT_POLICY, "backfill_partitions", Scope(summary="x", days=days), ORDERS)[0] == "deny"


def test_copies_are_put_back_by_people_only():
    """But for the undo of what was just done, which its mandate covers."""
    assert decided(DEFAULT_POLICY, "restore_partition", Scope(summary="x", tables=("orders",)), ORDERS)[0] == "ask"
