"""A checkpoint run by Great Expectations, from its batches to what does not hold in them."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from prefect_healing.checkpoints.batches import expected_of, in_memory, in_the_database
from prefect_healing.checkpoints.findings import Finding, look_closer
from prefect_healing.checkpoints.part import Part
from prefect_healing.checkpoints.partition_query import Partition
from prefect_healing.checkpoints.project import run_theirs
from prefect_healing.checkpoints.quietly import quietly
from prefect_healing.checkpoints.reasons import name_of
from prefect_healing.checkpoints.suite import resolve
from prefect_healing.domain.catalog import Gate, Table
from prefect_healing.errors import HealingError, ToolUnavailable


@dataclass(frozen=True)
class Nothing:
    """Nothing could be checked: why, or, with `missing`, because the checkpoint's own source has no such batch."""

    detail: str
    missing: bool = False


@dataclass(frozen=True)
class Examination:
    """A gate, and the partition that it is about; `rows`, a data frame, where they must be handed over.

    `is_the_gate` says that rows which break it are named and that a project's actions run.
    """

    gate: Gate
    table: Table
    day: date
    partition: Partition
    url: str
    rows: object
    is_the_gate: bool

    def findings(self) -> list[Finding] | Nothing:
        """Return what does not hold, in the order of the suite. Blocks for as long as the checks take."""
        gate = resolve(self.gate, Path.cwd())
        with quietly():
            try:
                return self._in_project(gate) if gate.project is not None else self._of_suite(gate)
            except HealingError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever is raised here may quote rows, so its text ends here
                return _nothing(error)

    def _of_suite(self, gate: Gate) -> list[Finding]:
        expected = expected_of(gate.expectations, self.partition)
        if self.rows is None:
            batches = in_the_database(self.url, self.table, self.partition, expected)
        else:
            batches = in_memory(self.rows, expected)
        with batches as parts:
            found = [each for part in parts for each in self._look(part)]
        order = [each.id for each in expected]
        return sorted(found, key=lambda each: order.index(each.expected.id))

    def _look(self, part: Part) -> list[Finding]:
        outcomes = part.outcomes(part.expected, "BOOLEAN_ONLY")
        return look_closer(part, outcomes, self.table, keys=self.is_the_gate)

    def _in_project(self, gate: Gate) -> list[Finding]:
        with run_theirs(gate, self.table, self.day, with_actions=self.is_the_gate) as (outcomes, parts):
            return [
                finding for part in parts for finding in look_closer(part, outcomes, self.table, keys=self.is_the_gate)
            ]


def _nothing(error: Exception) -> Nothing:
    import sqlalchemy.exc as sa_exc
    from great_expectations.datasource.fluent.interfaces import TestConnectionError
    from great_expectations.exceptions.exceptions import NoAvailableBatchesError

    if isinstance(error, NoAvailableBatchesError):
        return Nothing("The checkpoint's own data source has no batch of that day.", missing=True)
    if isinstance(error, TestConnectionError | sa_exc.OperationalError | sa_exc.InterfaceError):
        raise ToolUnavailable(f"The database of the checkpoint cannot answer now: {name_of(error)}.") from None
    return Nothing(
        f"Great Expectations could not run the checkpoint: {name_of(error)}, whose text may quote rows and is not "
        "repeated."
    )
