"""What an alert on data tells at once: the fault in counts, and what the catalog declares of the table."""

from collections.abc import Collection

from prefect_healing.clock import now
from prefect_healing.domain.alert import FreshnessAlert, GateAlert
from prefect_healing.domain.catalog import Catalog, Table
from prefect_healing.domain.cause import Cause
from prefect_healing.domain.classification import Classification
from prefect_healing.domain.evidence import Evidence
from prefect_healing.domain.violation import Violation
from prefect_healing.guardrails.redaction import redact


def data_facts(
    alert: GateAlert | FreshnessAlert, catalog: Catalog, secrets: Collection[str]
) -> tuple[str, tuple[Evidence, ...]]:
    """Return what is wrong in a sentence, and the first evidence."""
    table = catalog.table(alert.table)
    if alert.kind == "gate":
        source, text = "quality gate", "\n".join(_violation(each) for each in alert.violations)
        message = f"The gate of {alert.table}, partition {alert.partition}, did not pass."
    else:
        source, text = "freshness watch", _staleness(alert)
        message = text
    found = [Evidence(id="E1", source=source, at=now(), text=redact(text, secrets))]
    if table is not None:
        found.append(Evidence(id="E2", source="catalog", at=now(), text=_entry(table)))
    return message, tuple(found)


def classification_of(alert: GateAlert | FreshnessAlert) -> Classification:
    """Return what the alert says by itself: checks that could not be computed say nothing of the data."""
    if alert.kind == "freshness":
        return _classified("missing_upstream_data", _staleness(alert), "stale table")
    stopping = [each for each in alert.violations if each.severity == "critical"] or list(alert.violations)
    statuses = {each.status for each in stopping}
    line = _violation(stopping[0]) if stopping else None
    if "missing" in statuses:
        return _classified("missing_upstream_data", line, "gate: no rows")
    if statuses == {"errored"}:
        return _classified("unknown", line, "gate: checks not computed")
    return _classified("data_quality", line, "gate: violated")


def _classified(cause: Cause, line: str | None, signature: str) -> Classification:
    return Classification(
        cause=cause, transience="unknown", confidence=0.5, decisive_line=line, rerun_helps=None, signature=signature
    )


def _violation(found: Violation) -> str:
    of = f" on {found.column}" if found.column else ""
    keys = f"; {found.rows_kept} rows can be moved" if found.rows_kept else ""
    refusal = f"; none can be moved: {found.refusal}" if found.refusal else ""
    detail = found.detail.rstrip(".")
    return f"{found.id} {found.severity}, {found.status}: {found.expectation}{of}: {detail}{keys}{refusal}"


def _staleness(alert: FreshnessAlert) -> str:
    last = f"last updated {alert.last_update:%Y-%m-%d %H:%M} UTC" if alert.last_update else "never updated"
    return f"Table {alert.table} was {last}; the catalog allows {alert.max_age_hours:g} hours."


def _entry(table: Table) -> str:
    loader = f"loaded by {table.loader.name}" if table.loader else "no declared loader"
    made_from = f"made from {', '.join(table.upstreams)}" if table.upstreams else "made from nothing declared"
    person = f" {table.needs_person}." if table.needs_person else ""
    owner = f", owned by {table.owner}" if table.owner else ""
    key = f"key {', '.join(table.key) or 'none'}"
    return f"Table {table.name}: {table.layer}{owner}, {loader}, {made_from}, {key}.{person}"
