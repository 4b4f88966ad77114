"""`quality_gate`: stop bad data, have it healed, and let the same checkpoint decide again."""

import asyncio
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from prefect import flow

from prefect_healing.catalog import catalog_of
from prefect_healing.checkpoints.checked import Checked
from prefect_healing.checkpoints.given import gate_of
from prefect_healing.checkpoints.run import run_checkpoint
from prefect_healing.checkpoints.suite import resolve
from prefect_healing.data_alerts import Settled, settle
from prefect_healing.domain.alert import GateAlert
from prefect_healing.domain.catalog import Gate, Table
from prefect_healing.domain.record import Record, digest
from prefect_healing.domain.violation import Violation
from prefect_healing.errors import ConfigurationError, HealingError, ToolFailed
from prefect_healing.own_thread import in_own_thread
from prefect_healing.registry import options_of_flow
from prefect_healing.settings import settings
from prefect_healing.warehouse.partition import as_day

if TYPE_CHECKING:
    from prefect_healing.checkpoints.given import Given

_CHECK_SECONDS = 3600.0


class GateResult(Record):
    """What a gate decided. `violations` are those first found; `actions` what was done about them.

    `gate_passed` is the last word of the checkpoint: it held at once, or again after healing (`healed`). A violation
    of severity warning or info never stops a gate.
    """

    gate_passed: bool
    healed: bool = False
    violations: tuple[Violation, ...] = ()
    actions: tuple[str, ...] = ()
    incident_id: str | None = None
    reason: str = ""


class GateFailed(HealingError):
    """A quality gate did not pass, and healing did not change that."""

    def __init__(self, message: str, result: GateResult | None = None) -> None:
        super().__init__(message)
        self.result = result

    def __reduce__(self) -> tuple[type["GateFailed"], tuple[str, GateResult | None]]:
        return type(self), (str(self), self.result)


def quality_gate(table: str, partition: date | str, *, gate: "Given | None" = None, raises: bool = False) -> GateResult:
    """Hold one partition of a table against its checkpoint; where it fails, have it healed and hold it again.

    `table` is declared in the catalog, `partition` an ISO day. `gate` is the checkpoint: None for the table's own in
    the catalog, expectations or a suite of Great Expectations, or a `Gate` that names a checkpoint of a project.
    Called in a flow it is part of that run; elsewhere it becomes a run of the flow `quality-gate`. A critical
    violation stops, and so does a check that could not be computed.

    Raises ConfigurationError where table, partition or checkpoint do not exist, and, with `raises`, GateFailed where
    the gate does not pass in the end.
    """
    declared = _declared(table)
    day = partition if isinstance(partition, date) else _day_of(partition)
    wanted = gate_of(gate) if gate is not None else declared.gate
    if wanted is None:
        raise ConfigurationError(f"Table {table} has no gate in the catalog; declare one, or pass gate=.")
    run = _current_run()
    if run is None:
        result = GateResult.model_validate_json(gate_flow(table, day.isoformat(), wanted, raises=False))
    else:
        result = _gate_in(run, declared, day, wanted)
    return _raised(result, table, day, raises=raises)


async def aquality_gate(
    table: str, partition: date | str, *, gate: "Given | None" = None, raises: bool = False
) -> GateResult:
    """Do as `quality_gate` does, without holding up the caller's event loop."""
    return await asyncio.to_thread(quality_gate, table, partition, gate=gate, raises=raises)


@flow(name="quality-gate", flow_run_name="gate {table} {partition}", persist_result=False)
def gate_flow(table: str, partition: str, gate: Gate | None = None, raises: bool = True) -> str:  # noqa: FBT001, FBT002 - a flow's parameters
    """Hold one partition against its checkpoint, heal, and return the JSON text of the GateResult."""
    return quality_gate(table, partition, gate=gate, raises=raises).model_dump_json()


def _declared(table: str) -> Table:
    found = catalog_of(settings()).table(table)
    if found is None:
        if (path := settings().catalog) is None:
            raise ConfigurationError(
                f"Table {table!r} is not declared: there is no catalog here. Set PREFECT_HEALING_CATALOG to its path."
            )
        raise ConfigurationError(f"Table {table!r} is not declared in {path}; add it there, or correct the name.")
    return found


def _day_of(partition: str) -> date:
    # Without a partition Great Expectations would check the newest one, whatever is meant.
    if not partition:
        raise ConfigurationError("A quality gate needs a partition, an ISO day; none was given.")
    try:
        return as_day(partition)
    except ToolFailed as error:
        raise ConfigurationError(str(error)) from None


class _Run(Record):
    """The flow run that a gate is part of."""

    flow_run_id: UUID
    flow_name: str
    deployment_id: UUID | None


def _current_run() -> _Run | None:
    from prefect.runtime import deployment, flow_run

    if (own := flow_run.id) is None:  # pyright: ignore[reportAttributeAccessIssue]
        return None
    return _Run(flow_run_id=UUID(str(own)), flow_name=str(flow_run.flow_name), deployment_id=deployment.id)  # pyright: ignore[reportAttributeAccessIssue]


def _gate_in(run: _Run, table: Table, day: date, wanted: Gate) -> GateResult:
    gate_id = f"gate-{uuid4().hex}"
    gate = resolve(wanted, Path.cwd())
    found = in_own_thread(lambda: run_checkpoint(gate, table, day, settings(), gate_id), _CHECK_SECONDS)
    if found.passed:
        return GateResult(gate_passed=True, violations=found.violations)
    return _healed(found, settle(_alert(run, table, day, gate, gate_id, found), options_of_flow(run.flow_name)))


def _alert(run: _Run, table: Table, day: date, gate: Gate, gate_id: str, found: Checked) -> GateAlert:
    return GateAlert(
        **run.model_dump(),
        fingerprint=digest("gate", table.name, day.isoformat(), gate)[:16],
        table=table.name,
        partition=day.isoformat(),
        gate=gate,
        gate_id=gate_id,
        violations=found.violations,
    )


def _healed(found: Checked, settled: Settled) -> GateResult:
    report = settled.report
    healed = report is not None and report.outcome == "healed"
    receipts = [each for one in report.rounds if one.repair for each in one.repair.applied] if report else []
    return GateResult(
        gate_passed=healed,
        healed=healed,
        violations=found.violations,
        actions=tuple(f"{each.tool}: {each.detail}" for each in receipts),
        incident_id=settled.incident_id,
        reason=report.reason if report else settled.reason,
    )


def _raised(result: GateResult, table: str, day: date, *, raises: bool) -> GateResult:
    if result.gate_passed or not raises:
        return result
    stopping = "; ".join(each.detail for each in result.violations if each.severity == "critical")[:600]
    incident = f"incident {result.incident_id}: {result.reason}" if result.incident_id else result.reason
    raise GateFailed(f"The gate of {table}, partition {day}, did not pass: {stopping} ({incident})", result)
