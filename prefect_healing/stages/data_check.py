"""The look that opened an incident on data, taken again: only that tells whether the data is right."""

from prefect_healing.domain.alert import FreshnessAlert, GateAlert
from prefect_healing.domain.verification import Check
from prefect_healing.workbench import Workbench


async def data_check(bench: Workbench) -> Check:
    """Hold the partition against the same checkpoint, or the table against its allowed age."""
    alert = bench.incident.alert
    if isinstance(alert, GateAlert):
        return await _gate_again(bench, alert)
    if isinstance(alert, FreshnessAlert):
        return await _age_again(bench, alert)
    return Check(name="data", status="inconclusive", detail="The incident is not about data.")


async def _gate_again(bench: Workbench, alert: GateAlert) -> Check:
    from prefect_healing.checkpoints.run import run_checkpoint
    from prefect_healing.warehouse.partition import as_day, declared

    table = declared(bench.incident.catalog, alert.table)
    found = await run_checkpoint(alert.gate, table, as_day(alert.partition), bench.settings)
    stopping = "; ".join(each.detail for each in found.stopping)
    return Check(
        name="gate",
        status="passed" if found.passed else "failed",
        detail=(
            f"The gate of {alert.table}, partition {alert.partition}, "
            + (f"passes now, on {found.rows} rows." if found.passed else f"still fails: {stopping}")
        ),
    )


async def _age_again(bench: Workbench, alert: FreshnessAlert) -> Check:
    from prefect_healing.tools.freshness import check_freshness

    found = await check_freshness(bench.context(), alert.table)
    age = "has no row" if found.age_hours is None else f"is {found.age_hours:.1f} hours old"
    return Check(
        name="freshness",
        status="failed" if found.stale else "passed",
        detail=f"Table {alert.table} {age}; the catalog allows {alert.max_age_hours:g}.",
    )
