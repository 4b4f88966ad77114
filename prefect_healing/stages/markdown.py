"""The report as people read it in the Prefect UI."""

from prefect_healing.domain.report import Report


def as_markdown(report: Report) -> str:
    """Return the report as Markdown: first what a person must know, then evidence, proof and cost."""
    incident, diagnosis = report.incident, report.diagnosis
    lines = [f"# Incident {incident.id}: {report.outcome.replace('_', ' ')}", "", report.reason, ""]
    if diagnosis:
        lines += [f"**Cause** ({diagnosis.cause}): {diagnosis.summary}", ""]
        if diagnosis.decisive_line:
            lines += ["```", diagnosis.decisive_line, "```", ""]
    return "\n".join(lines)
