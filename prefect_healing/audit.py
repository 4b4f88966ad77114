"""The audit record: one row an incident, one row a call."""

from typing import TYPE_CHECKING

from pydantic import AwareDatetime

from prefect_healing.domain.mandate import Authorized
from prefect_healing.domain.record import Record, canonical
from prefect_healing.domain.repair import Receipt
from prefect_healing.domain.report import CallRecord, Report, Round
from prefect_healing.errors import ConfigurationError
from prefect_healing.guardrails.redaction import redact

if TYPE_CHECKING:
    import sqlalchemy as sa


class RunRow(Record):
    """One incident: who was asked, what came out, and what it cost."""

    incident_id: str
    flow_name: str
    flow_run_id: str
    mode: str
    policy: str
    policy_version: str
    model: str
    cause: str
    outcome: str
    reason: str
    rounds: int
    model_calls: int
    tool_calls: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cost_usd: float
    opened_at: AwareDatetime
    closed_at: AwareDatetime


class Audit(Record):
    """The rows of many incidents."""

    runs: tuple[RunRow, ...]
    calls: tuple[CallRecord, ...]


def rows_of(reports: list[Report]) -> Audit:
    """Return the audit rows of reports: what models asked, and what repairs did."""
    return Audit(
        runs=tuple(_run_row(report) for report in reports),
        calls=tuple(call for report in reports for each in report.rounds for call in _calls(report, each)),
    )


def write_sql(rows: Audit, url: str) -> None:
    """Write the rows into the tables healing_runs and healing_calls, in place of those of the same incidents.

    Raises ConfigurationError where the database cannot be reached or written.
    """
    import sqlalchemy as sa
    from sqlalchemy.exc import SQLAlchemyError

    metadata = sa.MetaData()
    tables = {
        "healing_runs": (_table(metadata, "healing_runs", RunRow), rows.runs),
        "healing_calls": (_table(metadata, "healing_calls", CallRecord), rows.calls),
    }
    incidents = {row.incident_id for row in rows.runs}
    try:
        engine = sa.create_engine(url)
        metadata.create_all(engine)
        with engine.begin() as connection:
            for table, found in tables.values():
                connection.execute(sa.delete(table).where(table.c.incident_id.in_(incidents)))
                if found:
                    connection.execute(sa.insert(table), [_plain(row) for row in found])
        engine.dispose()
    except (SQLAlchemyError, ImportError, ValueError) as error:  # A missing driver is an ImportError.
        reason = redact(str(error).partition("\n")[0]).rstrip(".")
        raise ConfigurationError(
            f"The audit could not be written: {reason}. Check the URL, its driver and its rights."
        ) from error


def _run_row(report: Report) -> RunRow:
    incident, usage = report.incident, report.usage
    return RunRow(
        incident_id=incident.id,
        flow_name=incident.subject.flow_name,
        flow_run_id=str(incident.subject.flow_run_id),
        mode=incident.mode,
        policy=incident.policy_name,
        policy_version=incident.policy_version,
        model=report.rounds[-1].triage.model if report.rounds else "",
        cause=report.diagnosis.cause if report.diagnosis else "unknown",
        outcome=report.outcome,
        reason=report.reason,
        rounds=len(report.rounds),
        model_calls=sum(each.triage.model_calls for each in report.rounds),
        tool_calls=sum(len(each.triage.calls) for each in report.rounds),
        opened_at=incident.opened_at,
        closed_at=report.closed_at,
        **usage.model_dump(),
    )


def _calls(report: Report, done: Round) -> list[CallRecord]:
    decided = {each.action.id: each for each in (done.mandate.decisions if done.mandate else ())}
    calls = list(done.triage.calls)
    for receipt in done.repair.receipts if done.repair else ():
        calls.append(_repair_call(report, done, receipt, decided.get(receipt.action_id), len(calls)))
    for receipt in done.roll_back.receipts if done.roll_back else ():
        calls.append(_repair_call(report, done, receipt, None, len(calls)))
    return calls


def _repair_call(report: Report, done: Round, receipt: Receipt, decided: Authorized | None, index: int) -> CallRecord:
    return CallRecord(
        incident_id=report.incident.id,
        round=done.number,
        index=index,
        model=done.triage.model,
        tool=receipt.tool,
        arguments=receipt.arguments,
        verdict=decided.decision.verdict if decided else "allow",
        rule=decided.decision.rule if decided else "undo of an allowed action",
        outcome=receipt.status,
        detail=receipt.detail,
        started_at=receipt.at,
        seconds=0.0,
    )


def _table(metadata: "sa.MetaData", name: str, kind: type[Record]) -> "sa.Table":
    import sqlalchemy as sa

    def column(field: str, annotation: object) -> "sa.Column[object]":
        if annotation is int:
            return sa.Column(field, sa.Integer())
        if annotation is float:
            return sa.Column(field, sa.Float())
        return sa.Column(field, sa.DateTime(timezone=True) if field.endswith("_at") else sa.Text())

    return sa.Table(name, metadata, *(column(field, info.annotation) for field, info in kind.model_fields.items()))


def _plain(row: Record) -> dict[str, object]:
    values: dict[str, object] = {name: getattr(row, name) for name in type(row).model_fields}
    if isinstance(row, CallRecord):
        values["arguments"] = canonical(row.arguments)
    return values
