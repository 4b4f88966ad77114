"""Finished tasks repeat on a re-run unless their results were persisted; the policy decides on that."""

from uuid import uuid4

import pytest
from prefect import Flow, flow, task

from prefect_healing import self_healing
from prefect_healing.api import report_of_run
from prefect_healing.domain.report import Report
from prefect_healing.testing import healing
from tests.fundamentals.flows import Vendor, failed_run_id

pytestmark = pytest.mark.usefixtures("prefect_server")


class Warehouse:
    """What a flow loads into. Counts the loads, as the warehouse sees them."""

    def __init__(self) -> None:
        self.loads = 0

    def load(self) -> int:
        """Load once more."""
        self.loads += 1
        return self.loads


def loading_flow(warehouse: Warehouse, vendor: Vendor, *, persisted: bool) -> "Flow[[], int]":
    """Return a flow that loads, which works, and then asks a vendor, which fails at first."""
    key = f"load-{uuid4()}"
    load = task(name="load", persist_result=persisted, cache_key_fn=lambda *_: key if persisted else None)(
        warehouse.load
    )
    confirm = task(name="confirm")(vendor.ask)

    @flow(name=f"loading-{uuid4()}")
    def nightly() -> int:
        load()
        return confirm()

    return nightly


async def healed(nightly: "Flow[[], int]") -> Report:
    """Let the flow fail under healing and return the report."""
    with healing():
        state = nightly(return_state=True)
    report = await report_of_run(failed_run_id(state))
    assert report is not None
    return report


async def test_a_rerun_that_would_repeat_an_effect_is_left_to_a_person():
    """The preview names the finished task whose result was not persisted; nothing is loaded twice."""
    warehouse = Warehouse()

    report = await healed(self_healing(loading_flow(warehouse, Vendor(fails=1), persisted=False)))

    assert report.outcome == "escalated"
    assert "load" in " ".join(report.diagnosis.plan.actions[0].scope.repeats)
    assert warehouse.loads == 1


async def test_an_author_may_say_that_repeating_does_no_harm():
    """With rerun="safe" the run is repeated, and so is the effect of the task that was not persisted."""
    warehouse = Warehouse()

    report = await healed(self_healing(rerun="safe")(loading_flow(warehouse, Vendor(fails=1), persisted=False)))

    assert report.outcome == "healed"
    assert warehouse.loads == 2


async def test_a_persisted_result_is_replayed_and_not_repeated():
    """With its result persisted under a key of its own, the finished task is not run again."""
    warehouse = Warehouse()

    report = await healed(self_healing(loading_flow(warehouse, Vendor(fails=1), persisted=True)))

    assert report.outcome == "healed"
    assert warehouse.loads == 1
