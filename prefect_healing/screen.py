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
    table = _table("incident", "status", "about", "began (UTC)", "next")
    for line in lines:
        began = f"{line.began:%Y-%m-%d %H:%M:%S}" if line.began else ""
        verb = "heal" if line.status == "dead" else "show"
        table.add_row(line.incident_id, line.status, line.about, began, f"prefect-healing {verb} {line.incident_id}")
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


def findings_text(findings: "list[Finding]") -> str:
    """Return what doctor found, a line each, and below it what to do."""
    lines: list[str] = []
    for each in findings:
        lines.append(f"{each.status:7} {each.check}: {each.detail}")
        if each.remedy:
            lines.append(f"{'':7} -> {each.remedy}")
    return "\n".join(lines)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        # What is copied from here stays in one piece, whatever else is long.
        table.add_column(column, overflow="fold", no_wrap=column in ("incident", "next"))
    return table
