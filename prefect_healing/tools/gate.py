"""What the agent may ask of the gate that raised the incident."""

from prefect_healing.checkpoints.run import run_checkpoint
from prefect_healing.domain.alert import GateAlert
from prefect_healing.domain.record import Record
from prefect_healing.domain.violation import Violation
from prefect_healing.errors import ToolFailed
from prefect_healing.tools.tool import ToolContext, tool
from prefect_healing.warehouse.partition import as_day, declared


class GateNow(Record):
    """What the incident's checkpoint finds at this moment. `rows` is None where they could not be counted."""

    table: str
    partition: str
    passed: bool
    rows: int | None
    violations: tuple[Violation, ...]


@tool(effect="read")
async def run_gate_again(ctx: ToolContext) -> GateNow:
    """Run the checkpoint that raised this incident again, over the same partition, and see what it finds now.

    The data may have changed since: a late load has arrived, somebody has repaired it. Status `errored` means that
    nothing is known of the data, `missing` that there is none. The ids of these violations are of this run: to move
    rows, name the violations of the alert.
    """
    alert = ctx.incident.alert
    if not isinstance(alert, GateAlert):
        raise ToolFailed("No quality gate raised this incident, so there is no checkpoint to run again.")
    table = declared(ctx.incident.catalog, alert.table)
    found = await run_checkpoint(alert.gate, table, as_day(alert.partition), ctx.settings)
    return GateNow(
        table=table.name,
        partition=alert.partition,
        passed=found.passed,
        rows=found.rows,
        violations=found.violations,
    )
