"""What the agent may ask of the gate."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa
from prefect.filesystems import LocalFileSystem

from prefect_healing.domain.alert import Alert, FreshnessAlert, GateAlert, incident_id
from prefect_healing.domain.catalog import Catalog
from prefect_healing.domain.classification import Classification
from prefect_healing.domain.incident import Incident, Subject
from prefect_healing.domain.options import HealingOptions
from prefect_healing.errors import ToolFailed
from prefect_healing.journal import Journal
from prefect_healing.settings import Settings
from prefect_healing.tools.gate import run_gate_again
from prefect_healing.tools.tool import ToolContext
from tests.checkpoints.tables import BAD, KNOWN_CARRIER, bookings, gate

RAISED = {"flow_run_id": uuid4(), "flow_name": "a flow", "fingerprint": "f"}


def context(alert: Alert, settings: Settings, folder: Path, catalog: Catalog) -> ToolContext:
    now = datetime.now(UTC)
    incident = Incident(
        id=incident_id(alert),
        alert=alert,
        options=HealingOptions(),
        subject=Subject(flow_run_id=alert.flow_run_id, flow_run_name="", flow_name="a flow", state_name="Completed"),
        classification=Classification(
            cause="data_quality", transience="unknown", confidence=0, decisive_line=None, rerun_helps=None
        ),
        evidence=(),
        catalog=catalog,
        mode="heal",
        policy_name="default",
        policy_version="1",
        opened_at=now,
        deadline_at=now + timedelta(minutes=30),
    )
    journal = Journal(LocalFileSystem(basepath=str(folder / "journal")), incident.id)
    return ToolContext(incident=incident, journal=journal, settings=settings)


@pytest.fixture
def raised() -> GateAlert:
    """Return the alert of a gate on the bad day."""
    return GateAlert(
        **RAISED, table="bookings", partition=BAD.isoformat(), gate=gate(KNOWN_CARRIER), gate_id="g1", violations=()
    )


async def test_the_gate_is_run_again_over_what_is_there_now(
    raised: GateAlert, warehouse: Settings, tmp_path: Path, database_url: str
):
    """It looks at the world, not at the alert; and it writes no keys."""
    ctx = context(raised, warehouse, tmp_path, Catalog(tables=(bookings(),)))
    before = await run_gate_again(ctx)
    engine = sa.create_engine(database_url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE bookings SET carrier = 'UA'"))

    after = await run_gate_again(ctx)

    assert (before.passed, [each.unexpected for each in before.violations]) == (False, [134])
    assert (after.passed, after.violations) == (True, ())
    assert "healing_violation_keys" not in sa.inspect(engine).get_table_names()


async def test_a_gate_on_a_table_that_the_incident_does_not_have_is_refused(
    raised: GateAlert, warehouse: Settings, tmp_path: Path
):
    with pytest.raises(ToolFailed, match="No table 'bookings'"):
        await run_gate_again(context(raised, warehouse, tmp_path, Catalog()))


async def test_other_incidents_have_no_gate(tmp_path: Path):
    stale = FreshnessAlert(**RAISED, table="bookings", last_update=None, max_age_hours=1)

    with pytest.raises(ToolFailed, match="No quality gate"):
        await run_gate_again(context(stale, Settings(), tmp_path, Catalog(tables=(bookings(),))))
