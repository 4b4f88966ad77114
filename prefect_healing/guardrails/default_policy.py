"""The policy that is shipped; `deployments/policies/default.yaml` says the same."""

from prefect_healing.guardrails.conditions import at_most, empty, equals, in_incident
from prefect_healing.guardrails.limits import Limits
from prefect_healing.guardrails.policy import Policy
from prefect_healing.guardrails.rules import allow, ask, deny

DEFAULT_POLICY = Policy(
    deny("*", effect="destroy"),
    allow("*", effect="read"),
    allow("*", effect="notify"),
    allow("retry_flow_run", effect="write", where={"flow_run_id": in_incident(), "scope.repeats": empty()}, times=2),
    allow(
        "retry_flow_run",
        effect="write",
        where={"flow_run_id": in_incident(), "options.rerun": equals("safe")},
        times=2,
    ),
    ask("retry_flow_run", effect="write", where={"flow_run_id": in_incident()}),
    ask("run_deployment", effect="write"),
    ask("pause_deployment", effect="write"),
    allow("resume_deployment", effect="write", undoes="pause_deployment"),
    ask("resume_deployment", effect="write"),
    allow("reload_partition", effect="write", where={"scope.asks": empty()}),
    allow("backfill_partitions", effect="write", where={"scope.asks": empty()}),
    allow("run_dbt", effect="write", where={"scope.asks": empty()}),
    allow(
        "quarantine_rows",
        effect="write",
        where={"scope.asks": empty(), "scope.rows_written": at_most(1_000), "scope.share": at_most(0.05)},
    ),
    ask("reload_partition", effect="write"),
    ask("backfill_partitions", effect="write"),
    ask("run_dbt", effect="write"),
    ask("quarantine_rows", effect="write"),
    allow("return_quarantined_rows", effect="write", undoes="quarantine_rows"),
    ask("return_quarantined_rows", effect="write"),
    ask("restore_partition", effect="write"),
    name="default",
    limits=Limits(tables=5, days=7, rows_written=1_000, rows_deleted=0, runs=10),
    mode="propose",
)
