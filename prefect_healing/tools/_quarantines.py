"""Quarantine as the tools tell it: which rows are meant, what moving them touches, what was moved."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from prefect_healing.domain.alert import GateAlert
from prefect_healing.domain.catalog import Table
from prefect_healing.domain.plan import Scope
from prefect_healing.domain.record import JsonObject, digest
from prefect_healing.domain.repair import Receipt, Undo
from prefect_healing.domain.verification import Check
from prefect_healing.domain.violation import Violation
from prefect_healing.errors import ToolFailed
from prefect_healing.tools._reloads import effect_key
from prefect_healing.tools.tool import Applied, ToolContext
from prefect_healing.warehouse.fingerprint import partition_fingerprint
from prefect_healing.warehouse.partition import as_day, declared
from prefect_healing.warehouse.quarantine import (
    Quarantine,
    Rows,
    give_back,
    movable,
    quarantine,
    quarantine_of,
    seen,
)
from prefect_healing.warehouse.violation_keys import matched

if TYPE_CHECKING:
    import sqlalchemy as sa


def moving_scope(ctx: ToolContext, table: str, partition: str, violation: str) -> "Callable[[sa.Connection], Scope]":
    """Return the work that finds out what a quarantine would touch."""
    rows, broken = _meant(ctx, table, partition, violation)

    def work(connection: "sa.Connection") -> Scope:
        plan = movable(connection, rows)
        if not plan.rows:
            raise ToolFailed(f"All rows that broke {broken.expectation} were moved by this incident before.")
        return Scope(
            summary=(
                f"Move {plan.rows} of {plan.present} rows of {table} of {partition} into quarantine "
                f"({_reason(broken)}); {plan.share:.1%} of the partition with what this incident moved before."
            ),
            tables=(table,),
            days=(partition,),
            rows_written=plan.rows,
            share=plan.share,
            asks=_asks(rows.table),
            basis=digest("quarantine", rows.gate_id, violation, seen(connection, rows)),
        )

    return work


def moving(ctx: ToolContext, table: str, partition: str, violation: str) -> "Callable[[sa.Connection], Applied]":
    """Return the work that moves the rows."""
    rows, broken = _meant(ctx, table, partition, violation)
    own = f"quarantine-{digest(effect_key(ctx))[:24]}"
    expected = ctx.scope.rows_written if ctx.scope is not None and ctx.scope.basis else None

    def work(connection: "sa.Connection") -> Applied:
        done = quarantine(connection, rows, own, _reason(broken), expected)
        arguments: JsonObject = {"table": table, "partition": partition, "quarantine": own}
        return Applied(
            detail=f"{done.rows} rows of {table} of {partition} are in {done.kept_in} ({_reason(broken)}).",
            data={"quarantine": own, "rows": done.rows, "kept_in": done.kept_in},
            undo=Undo(tool="return_quarantined_rows", arguments=arguments, tables=(table,)),
        )

    return work


def moved(ctx: ToolContext, receipt: Receipt) -> "Callable[[sa.Connection], Check]":
    """Return the work that looks whether the rows are out of the partition."""
    rows, _ = _meant(ctx, *(str(receipt.arguments[name]) for name in ("table", "partition", "violation")))

    def work(connection: "sa.Connection") -> Check:
        found = quarantine_of(connection, str(receipt.data.get("quarantine")))
        left = matched(connection, rows.table, rows.day, rows.gate_id, rows.violation).found
        kept = 0 if found is None or found.returned else found.rows
        passed = found is not None and not found.returned and not left
        return Check(
            name="quarantine_rows",
            status="passed" if passed else "failed",
            detail=f"{left} of the rows that broke it are in the partition; {kept} are in quarantine.",
        )

    return work


def returning_scope(ctx: ToolContext, table: str, partition: str, own: str) -> "Callable[[sa.Connection], Scope]":
    """Return the work that finds out what returning rows would touch."""
    found_table, day = declared(ctx.incident.catalog, table), as_day(partition)

    def work(connection: "sa.Connection") -> Scope:
        found = _known(connection, found_table, partition, own)
        if found.returned:
            raise ToolFailed(f"The rows of quarantine {own} were returned before.")
        return Scope(
            summary=f"Move {found.rows} rows from quarantine back into {table} of {partition}.",
            tables=(table,),
            days=(partition,),
            rows_written=found.rows,
            asks=_asks(found_table),
            basis=digest("return", own, partition_fingerprint(connection, found_table, day)),
        )

    return work


def returning(ctx: ToolContext, table: str, partition: str, own: str) -> "Callable[[sa.Connection], Applied]":
    """Return the work that moves the rows back."""
    found_table = declared(ctx.incident.catalog, table)
    as_day(partition)

    def work(connection: "sa.Connection") -> Applied:
        found = _known(connection, found_table, partition, own)
        rows = give_back(connection, found_table, found)
        arguments: JsonObject = {"table": table, "partition": partition, "violation": found.violation}
        return Applied(
            detail=f"{rows} rows are back in {table} of {partition}.",
            data={"quarantine": own, "rows": rows},
            undo=Undo(tool="quarantine_rows", arguments=arguments, tables=(table,)),
        )

    return work


def returned(receipt: Receipt) -> "Callable[[sa.Connection], Check]":
    """Return the work that looks whether the rows are back."""
    own = str(receipt.arguments["quarantine"])

    def work(connection: "sa.Connection") -> Check:
        found = quarantine_of(connection, own)
        back = found is not None and found.returned
        detail = f"The rows of quarantine {own} are {'back' if back else 'not back'} in their partition."
        return Check(name="return_quarantined_rows", status="passed" if back else "failed", detail=detail)

    return work


def _meant(ctx: ToolContext, table: str, partition: str, violation: str) -> tuple[Rows, Violation]:
    """Return which rows are meant. Raises ToolFailed where no gate found them, or their keys were not kept."""
    alert = ctx.incident.alert
    found_table, day = declared(ctx.incident.catalog, table), as_day(partition)
    if not isinstance(alert, GateAlert):
        raise ToolFailed("No quality gate raised this incident, so there are no rows that are known to be bad.")
    if (table, day.isoformat()) != (alert.table, alert.partition):
        raise ToolFailed(f"The gate checked {alert.table} of {alert.partition}; only rows of that can be moved.")
    broken = next((each for each in alert.violations if each.id == violation), None)
    if broken is None:
        known = ", ".join(each.id for each in alert.violations)
        raise ToolFailed(f"The gate found no violation {violation[:80]!r}; it found {known}.")
    if not broken.rows_kept:
        raise ToolFailed(broken.refusal or f"{broken.expectation} is not about single rows, so none can be moved.")
    rows = Rows(
        table=found_table,
        day=day,
        gate_id=alert.gate_id,
        violation=violation,
        incident=ctx.incident.id,
        kept=broken.rows_kept,
    )
    return rows, broken


def _known(connection: "sa.Connection", table: Table, partition: str, own: str) -> Quarantine:
    found = quarantine_of(connection, own)
    if found is None or (found.table, found.day.isoformat()) != (table.name, partition):
        raise ToolFailed(f"There is no quarantine {own[:80]!r} of {table.name} of {partition}.")
    return found


def _asks(table: Table) -> tuple[str, ...]:
    return (table.needs_person,) if table.needs_person else ()


def _reason(broken: Violation) -> str:
    return broken.expectation + (f" of {broken.column}" if broken.column else "")
