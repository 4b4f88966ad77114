"""What the command line draws."""

from typing import TYPE_CHECKING

from rich.table import Table

from prefect_healing.domain.report import Report

if TYPE_CHECKING:
    from rich.console import RenderableType

    from prefect_healing.api import IncidentLine
    from prefect_healing.audit import Audit
    from prefect_healing.doctor import Finding


def incident_table(lines: "list[IncidentLine]") -> "RenderableType":
    """Return incidents as a table."""
    if not lines:
        return "No incidents."
    table = _table("incident", "status", "flow", "began", "heal run")
    for line in lines:
        began = f"{line.began:%Y-%m-%d %H:%M:%S}" if line.began else ""
        table.add_row(line.incident_id, line.status, line.flow_name, began, line.url or str(line.heal_flow_run_id))
    return table


def report_view(report: Report) -> "RenderableType":
    """Return a report as the Prefect UI shows it."""
    from rich.markdown import Markdown

    from prefect_healing.stages.markdown import as_markdown

    return Markdown(as_markdown(report))


def runs_table(rows: "Audit") -> "RenderableType":
    """Return the audit's incidents as a table."""
    if not rows.runs:
        return "No closed incidents in that time."
    table = _table("incident", "flow", "cause", "outcome", "model", "calls", "tokens", "cost", "closed")
    for row in rows.runs:
        tokens = row.input_tokens + row.cache_read_tokens + row.cache_write_tokens + row.output_tokens
        table.add_row(
            row.incident_id,
            row.flow_name,
            row.cause,
            row.outcome,
            row.model,
            str(row.tool_calls),
            str(tokens),
            f"${row.cost_usd:.3f}",
            f"{row.closed_at:%Y-%m-%d %H:%M:%S}",
        )
    return table


def findings_table(findings: "list[Finding]") -> "RenderableType":
    """Return what doctor found as a table."""
    table = _table("check", "status", "what was found", "what to do")
    for each in findings:
        table.add_row(each.check, each.status, each.detail, each.remedy)
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
