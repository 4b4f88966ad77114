"""What a quality gate found, without the values it found."""

from typing import Literal

from prefect_healing.domain.record import Record

Severity = Literal["critical", "warning", "info"]
ViolationStatus = Literal["violated", "errored", "missing"]
"""`errored`: the check could not be computed, so nothing is known of the data. `missing`: there is no data to check."""


class Violation(Record):
    """One expectation that did not hold for a partition, told in counts.

    `checked` are the rows looked at, `unexpected` those that break it; None where it is not about single rows.
    `observed` is a figure of the whole partition, such as its row count. `sample` holds values only where the catalog
    shares the table's rows and the column is not sensitive. `rows_kept` says how many rows can be moved: their keys
    are kept in the warehouse under the gate's id; where it is 0, `refusal` says why none can.
    """

    id: str
    expectation: str
    column: str | None = None
    severity: Severity = "critical"
    status: ViolationStatus = "violated"
    detail: str
    checked: int | None = None
    unexpected: int | None = None
    observed: float | None = None
    expected: str | None = None
    sample: tuple[str, ...] = ()
    rows_kept: int = 0
    refusal: str | None = None
