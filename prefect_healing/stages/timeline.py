"""When what happened, as a table with clock times."""

from datetime import datetime

from prefect_healing.domain.report import Report, Round
from prefect_healing.stages.markup import code, prose, table

_ROWS_MAX = 80

Moment = tuple[datetime, str]


def timeline(report: Report) -> str:
    """Return the moments of an incident in order, with UTC clock times and the seconds since it was opened."""
    opened = report.incident.opened_at
    moments: list[Moment] = [(opened, f"Incident opened; {len(report.incident.evidence)} facts gathered")]
    if failed_at := report.incident.subject.failed_at:
        moments.append((failed_at, f"Flow run {prose(report.incident.subject.flow_run_name, 80)} failed"))
    for done in report.rounds:
        moments += _moments(done)
    moments.append((report.closed_at, f"Incident closed: {report.outcome.replace('_', ' ')}"))
    moments.sort(key=lambda moment: moment[0])
    rows = [(f"{at:%H:%M:%S}", f"{(at - opened).total_seconds():+.1f}", what) for at, what in moments]
    if len(rows) > _ROWS_MAX:
        rows = [*rows[: _ROWS_MAX - 1], ("", "", f"{len(rows) - _ROWS_MAX} more moments"), rows[-1]]
    return table(("UTC", "Seconds", "What happened"), rows)


def _moments(done: Round) -> list[Moment]:
    applied = done.repair.receipts if done.repair else ()
    undone = done.roll_back.receipts if done.roll_back else ()
    return [
        *((call.started_at, f"{code(call.tool)}: {prose(call.outcome, 40)}") for call in done.triage.calls),
        *((each.at, f"{code(each.tool)}: {each.status.replace('_', ' ')}") for each in applied),
        *((each.at, f"undo by {code(each.tool)}: {each.status.replace('_', ' ')}") for each in undone),
    ]
