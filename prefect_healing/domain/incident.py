"""One thing to heal."""

from uuid import UUID

from pydantic import AwareDatetime

from prefect_healing.domain.alert import Alert, Mode
from prefect_healing.domain.catalog import Catalog
from prefect_healing.domain.classification import Classification
from prefect_healing.domain.evidence import Evidence
from prefect_healing.domain.options import HealingOptions
from prefect_healing.domain.record import Record


class Subject(Record):
    """The failed flow run as it was when the incident was opened, or the run that found the fault in the data.

    `table` and `partition` (an ISO day) are what is wrong where it is data.
    """

    flow_run_id: UUID
    flow_run_name: str
    flow_name: str
    deployment_id: UUID | None = None
    deployment_name: str | None = None
    state_name: str
    state_id: UUID | None = None
    message: str = ""
    url: str | None = None
    table: str | None = None
    partition: str | None = None
    failed_at: AwareDatetime | None = None


class Attempt(Record):
    """What an earlier round tried, in words, for the next round's triage."""

    round: int
    summary: str


class Incident(Record):
    """One thing to heal, with what was known when it was opened. Its policy version stays to the end.

    `catalog` is what was declared of the tables that bear on it: the one at fault, all that it is made from, and what
    the failed flow loads.
    """

    id: str
    alert: Alert
    options: HealingOptions
    subject: Subject
    classification: Classification
    evidence: tuple[Evidence, ...]
    catalog: Catalog = Catalog()
    mode: Mode
    policy_name: str
    policy_version: str
    opened_at: AwareDatetime
    deadline_at: AwareDatetime
    still_failed: bool = True
    attempts: tuple[Attempt, ...] = ()

    @property
    def round(self) -> int:
        """Return the number of the coming round, from 1."""
        return len(self.attempts) + 1

    def after(self, attempt: Attempt) -> "Incident":
        """Return the incident as the next round sees it."""
        return self.model_copy(update={"attempts": (*self.attempts, attempt)})
