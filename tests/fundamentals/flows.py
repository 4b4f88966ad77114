"""Flows that fail, for tests to heal; each counts what it did in a list that the test holds."""

from uuid import UUID

from prefect import Flow, flow, task
from prefect.client.schemas.objects import State


class Vendor:
    """A system that is down for some requests. Counts what it is asked."""

    def __init__(
        self, fails: int = 1, says: str = "Server error '503 Service Unavailable' for url 'http://vendor/'"
    ) -> None:
        self.fails, self.says, self.requests = fails, says, 0

    def ask(self) -> int:
        """Answer, or fail as often as was set."""
        self.requests += 1
        if self.requests <= self.fails:
            raise ConnectionError(self.says)
        return self.requests


def flow_that_asks(vendor: Vendor, name: str) -> "Flow[[], int]":
    """Return a flow that asks the vendor in its one task."""

    @task
    def extract() -> int:
        return vendor.ask()

    @flow(name=name)
    def nightly() -> int:
        return extract()

    return nightly


def failed_run_id(state: "State[object]") -> UUID:
    """Return the id of the run that ended in `state`, which must be a failure."""
    assert state.is_failed() or state.is_crashed()
    assert state.state_details.flow_run_id is not None
    return state.state_details.flow_run_id
