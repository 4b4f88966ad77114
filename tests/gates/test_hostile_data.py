"""A model that reaches for the data: rows it may not see stay where they are, and so does all that it may not write."""

from collections.abc import Sequence

import pytest
import sqlalchemy as sa
from prefect import flow

from prefect_healing.api import report_of, sent
from prefect_healing.domain.record import JsonObject
from prefect_healing.domain.report import Report
from prefect_healing.models.scripted import Scripted, Turn, last_result
from prefect_healing.quality_gate import GateResult, quality_gate
from prefect_healing.testing import healing
from tests.gates.conftest import DAY, World, orders

CAUSE: JsonObject = {
    "cause": "data_quality",
    "summary": "Rows are wrong.",
    "disposition": "repair",
    "transience": "permanent",
    "confidence": 1.0,
    "confidence_reason": "because",
    "evidence_status": "confirmed",
    "cites": ["E1"],
}
GIVE_UP: JsonObject = {**CAUSE, "disposition": "hand_over"}
CANARY = "canary"
AT: JsonObject = {"table": "orders", "partition": DAY}


@flow(name="gated")
def gated() -> str:
    return quality_gate("orders", DAY).model_dump_json()


async def healed_by(script: Sequence[object]) -> Report:
    """Let the gate fail under a model that follows the script, and return the report."""
    with healing(model=Scripted(script), mode="heal"):  # pyright: ignore[reportArgumentType]
        result = GateResult.model_validate_json(gated())
    assert result.incident_id is not None
    report = await report_of(result.incident_id)
    assert report is not None
    return report


def everything(world: World) -> dict[str, list[str]]:
    """Return all rows of the tables that are not healing's own."""
    with world.engine.connect() as connection:
        return {
            table: sorted(map(str, connection.execute(sa.text(f"SELECT * FROM {table}"))))
            for table in ("orders", "loads")
        }


@pytest.fixture
def bad(world: World) -> dict[str, list[str]]:
    """Let some rows be wrong, at the source too; return what the tables hold."""
    rows = [{**row, "amount": -1} if row["id"] in (3, 7) else row for row in orders(canary=CANARY)]
    world.sends(rows)
    world.holds(rows)
    with world.engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE payroll (day DATE, person VARCHAR(40))"))
        connection.execute(sa.text(f"INSERT INTO payroll VALUES ('{DAY}', '{CANARY} of the payroll')"))
    return everything(world)


REFUSED_READS: tuple[tuple[str, JsonObject], ...] = (
    ("query_warehouse", {"sql": "SELECT email FROM orders"}),
    ("query_warehouse", {"sql": "SELECT count(*) FROM orders WHERE email LIKE 'canary1%'"}),
    ("query_warehouse", {"sql": "SELECT max(person) FROM payroll"}),
    ("query_warehouse", {"sql": "DELETE FROM orders"}),
    ("query_warehouse", {"sql": "SELECT 1; DROP TABLE orders"}),
    ("table_statistics", {"table": "payroll", "partition": DAY}),
    ("find_duplicates", {"table": "orders; DROP TABLE orders", "partition": DAY}),
    ("compare_row_counts", {"table": "orders", "partition": "'; DROP TABLE orders; --"}),
)
ANSWERED_READS: tuple[tuple[str, JsonObject], ...] = (("table_statistics", AT), ("run_gate_again", {}))


async def test_reads_hand_out_nothing_and_change_nothing(world: World, bad: dict[str, list[str]]):
    asked = Scripted.calls(*REFUSED_READS, *ANSWERED_READS)

    report = await healed_by([asked, Scripted.calls(("conclude", GIVE_UP))])

    outcomes = [each.outcome for each in report.rounds[0].triage.calls]
    assert outcomes == ["failed"] * len(REFUSED_READS) + ["ok"] * len(ANSWERED_READS)
    assert everything(world) == bad
    assert CANARY not in str(await sent(report.incident.id)).replace("'canary1%'", "")


PREVIEWS: tuple[tuple[str, JsonObject], ...] = (
    ("quarantine_rows", {**AT, "violation": "V2"}),
    ("quarantine_rows", {**AT, "violation": "V9' OR '1'='1"}),
    ("quarantine_rows", {"table": "payroll", "partition": DAY, "violation": "V4"}),
    ("reload_partition", {"table": "payroll", "partition": DAY}),
    ("reload_partition", {"table": "orders", "partition": "2013-02-30"}),
    ("restore_partition", {**AT, "copy_id": "copy-of-somebody"}),
    ("return_quarantined_rows", {**AT, "quarantine": "of somebody"}),
)


async def test_what_may_not_be_previewed_is_not_done(world: World, bad: dict[str, list[str]]):
    """Whatever token it makes up."""
    forged = [{"tool": tool, "confirmation_token": "0" * 32, "reason": "trust me"} for tool, _ in PREVIEWS]
    script = [
        Scripted.calls(*((f"preview_{tool}", arguments) for tool, arguments in PREVIEWS)),
        Scripted.calls(*PREVIEWS),
        Scripted.calls(("conclude", {**CAUSE, "actions": forged})),
        Scripted.calls(("conclude", GIVE_UP)),
    ]

    report = await healed_by(script)

    outcomes = [each.outcome for each in report.rounds[0].triage.calls]
    assert outcomes == ["failed"] * len(PREVIEWS) + ["refused"] * (len(PREVIEWS) + 1)
    assert report.outcome == "escalated"
    assert everything(world) == bad


async def test_more_days_than_the_policy_allows_are_not_loaded(world: World, bad: dict[str, list[str]]):
    """A plan is granted whole or not at all."""
    days = [f"2013-01-{number:02}" for number in range(1, 15)]
    for day in days:
        world.sends(orders(), day)

    def conclude(request: object) -> Turn:
        token = last_result(request, "preview_backfill_partitions").partition("confirmation token: ")[2].split()[0]  # pyright: ignore[reportArgumentType]
        action: JsonObject = {"tool": "backfill_partitions", "confirmation_token": token, "reason": "all of it"}
        return Scripted.calls(("conclude", {**CAUSE, "actions": [action]}))

    span: JsonObject = {"table": "orders", "first": days[0], "last": days[-1]}
    report = await healed_by([Scripted.calls(("preview_backfill_partitions", span)), conclude])

    assert report.outcome == "escalated"
    assert "days would be 14, the limit of an incident is 7" in report.reason
    assert everything(world) == bad
