"""The whole way, on one page: a flow under @self_healing fails, and what was wrong is put right."""

from uuid import uuid4

import pytest

from prefect_healing import self_healing
from prefect_healing.api import report_of_run
from prefect_healing.testing import healing
from tests.fundamentals.flows import Vendor, failed_run_id, flow_that_asks

pytestmark = pytest.mark.usefixtures("prefect_server")


async def test_a_flow_that_fails_for_a_moment_is_run_again_and_verified():
    """A cause that passes by itself is healed by a re-run; the failed run itself stays failed."""
    vendor = Vendor(fails=1)
    nightly = self_healing(rerun="safe")(flow_that_asks(vendor, f"nightly-{uuid4()}"))

    with healing():
        state = nightly(return_state=True)
    report = await report_of_run(failed_run_id(state))

    assert report is not None
    assert report.outcome == "healed"
    assert report.diagnosis.cause == "upstream_unavailable"
    assert "503 Service Unavailable" in report.diagnosis.decisive_line
    assert vendor.requests == 2


async def test_a_flow_with_a_bug_is_handed_to_a_person_and_not_run_again():
    """What fails the same way each time is escalated at once, with the decisive line and no retry."""
    vendor = Vendor(fails=99, says="")

    def broken() -> int:
        vendor.requests += 1
        return {}["dep_delay_total"]

    vendor.ask = broken
    nightly = self_healing(rerun="safe")(flow_that_asks(vendor, f"nightly-{uuid4()}"))

    with healing():
        state = nightly(return_state=True)
    report = await report_of_run(failed_run_id(state))

    assert report is not None
    assert report.outcome == "escalated"
    assert report.diagnosis.decisive_line == "KeyError: 'dep_delay_total'"
    assert report.left_for_person
    assert vendor.requests == 1


def test_a_flow_that_succeeds_raises_nothing():
    """A healthy run has no incident."""
    vendor = Vendor(fails=0)
    nightly = self_healing(flow_that_asks(vendor, f"nightly-{uuid4()}"))

    with healing():
        result = nightly()

    assert result == 1
