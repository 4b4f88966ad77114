"""A checkpoint over one partition: count, check, look closer at what fails, remember what passes."""

import asyncio
import logging
from collections.abc import Sequence
from contextvars import copy_context
from datetime import date
from typing import TYPE_CHECKING

from prefect_healing.checkpoints.batches import needs_memory
from prefect_healing.checkpoints.checked import Checked
from prefect_healing.checkpoints.examine import Examination, Nothing
from prefect_healing.checkpoints.findings import Finding
from prefect_healing.checkpoints.partition_query import Partition, look
from prefect_healing.checkpoints.told import violation_of
from prefect_healing.domain.catalog import Gate, Table
from prefect_healing.domain.violation import Violation
from prefect_healing.errors import ToolError, ToolFailed
from prefect_healing.settings import Settings
from prefect_healing.warehouse.connection import reading, warehouse_url, writing
from prefect_healing.warehouse.good_partitions import remember_good
from prefect_healing.warehouse.violation_keys import keep_keys

if TYPE_CHECKING:
    import sqlalchemy as sa

_logger = logging.getLogger(__name__)


async def run_checkpoint(
    gate: Gate, table: Table, day: date, settings: Settings, gate_id: str | None = None
) -> Checked:
    """Run a gate's checkpoint over one partition and return what breaks it, in the order of the suite.

    With `gate_id` it is the gate itself: keys of the rows that break it are kept in the warehouse under that id, and
    the actions of a project's checkpoint run. Without, it only looks: nothing is kept, no action runs. Raises
    ConfigurationError where gate or warehouse is declared wrongly, ToolUnavailable where the warehouse does not answer.
    """
    try:
        partition = await reading(settings, lambda connection: look(connection, table, day))
    except ToolFailed as refused:
        return Checked(rows=None, violations=(_errored(str(refused)),))
    if partition.rows == 0:
        return Checked(rows=0, violations=(_missing(table, day),))
    url = await warehouse_url(settings)
    rows = await _fetched(partition, gate, settings)
    examination = Examination(gate, table, day, partition, url, rows, is_the_gate=gate_id is not None)
    found = await asyncio.to_thread(copy_context().run, examination.findings)
    if isinstance(found, Nothing):
        nothing = _missing(table, day, found.detail) if found.missing else _errored(found.detail)
        return Checked(rows=partition.rows, violations=(nothing,))
    violations = await _told(found, table, settings, gate_id)
    checked = Checked(rows=partition.rows, violations=violations)
    if checked.passed:
        await _remember(table, day, partition.rows, settings)
    return checked


async def _fetched(partition: Partition, gate: Gate, settings: Settings) -> object:
    """Return the partition's rows, a data frame, where Great Expectations cannot ask the database itself, else None."""
    if gate.project is not None or not needs_memory(partition):
        return None

    def read(connection: "sa.Connection") -> object:
        import pandas as pd  # pyright: ignore[reportMissingTypeStubs]
        import sqlalchemy as sa

        return pd.read_sql(sa.text(partition.query), connection)  # pyright: ignore[reportUnknownMemberType]

    return await reading(settings, read)


async def _told(
    findings: Sequence[Finding], table: Table, settings: Settings, gate_id: str | None
) -> tuple[Violation, ...]:
    told: list[Violation] = []
    for number, finding in enumerate(findings, start=1):
        violation = violation_of(finding, table, f"V{number}")
        told.append(violation if gate_id is None else await _kept(finding, violation, table, settings, gate_id))
    return tuple(told)


async def _kept(finding: Finding, violation: Violation, table: Table, settings: Settings, gate_id: str) -> Violation:
    if not finding.keys:
        return violation
    try:
        kept = await writing(
            settings, lambda connection: keep_keys(connection, gate_id, violation.id, table, finding.keys)
        )
    except ToolFailed as refused:
        return violation.model_copy(update={"refusal": str(refused)})
    return violation.model_copy(update={"rows_kept": kept})


async def _remember(table: Table, day: date, rows: int, settings: Settings) -> None:
    try:
        await writing(settings, lambda connection: remember_good(connection, table, day, rows))
    except ToolError as error:  # The data is good, whatever can be noted of it.
        _logger.warning("That %s passed for %s could not be noted: %s", table.name, day, error)


def _missing(table: Table, day: date, why: str = "") -> Violation:
    return Violation(
        id="V1",
        expectation="partition_is_there",
        status="missing",
        detail=why or f"Partition {day.isoformat()} of {table.name} has no rows to check.",
        refusal="There are no rows.",
    )


def _errored(detail: str) -> Violation:
    return Violation(id="V1", expectation="checkpoint_runs", status="errored", detail=detail)
