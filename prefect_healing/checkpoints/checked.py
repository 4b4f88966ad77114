"""What came of a checkpoint."""

from prefect_healing.domain.record import Record
from prefect_healing.domain.violation import Violation


class Checked(Record):
    """What a checkpoint found in one partition; `rows` is None where they could not be counted."""

    rows: int | None
    violations: tuple[Violation, ...] = ()

    @property
    def passed(self) -> bool:
        """Say whether the data may be used: nothing critical is wrong, and every check could be computed."""
        return not self.stopping and not self.errored

    @property
    def stopping(self) -> tuple[Violation, ...]:
        """Return the critical violations. Warnings and infos only report."""
        return tuple(each for each in self.violations if each.severity == "critical" and each.status != "errored")

    @property
    def errored(self) -> tuple[Violation, ...]:
        """Return the checks that could not be computed, of whatever severity: nothing is known of what they check."""
        return tuple(each for each in self.violations if each.status == "errored")
