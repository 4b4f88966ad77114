"""A small warehouse: orders by day in columns of every kind, figures made from them, and a table of somebody else."""

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from prefect_healing.domain.alert import GateAlert, incident_id
from prefect_healing.domain.catalog import Catalog, Gate, Loader, Table
from prefect_healing.domain.classification import Classification
from prefect_healing.domain.incident import Incident, Subject
from prefect_healing.domain.options import HealingOptions
from prefect_healing.domain.plan import Action, Scope
from prefect_healing.domain.record import JsonObject
from prefect_healing.domain.repair import Receipt
from prefect_healing.domain.violation import Violation
from prefect_healing.effects import apply_once, effect_id
from prefect_healing.guardrails.policy import Policy
from prefect_healing.guardrails.rules import allow
from prefect_healing.journal import Journal
from prefect_healing.settings import Settings
from prefect_healing.tools.tool import AnyTool, ToolContext
from prefect_healing.tools.toolset import Toolset
from prefect_healing.workbench import Workbench

DAY, NEXT_DAY = date(2013, 1, 5), date(2013, 1, 6)
SEEN_AT = datetime.fromisoformat("2013-01-05T07:30:01.000005")
GATE_ID = "gate-1"
PRECISE = sa.Numeric(12, 2).with_variant(sa.REAL(), "sqlite")
EXTRAS = postgresql.ARRAY(sa.Integer).with_variant(sa.JSON(), "sqlite")

metadata = sa.MetaData()
ORDERS = sa.Table(
    "orders",
    metadata,
    sa.Column("id", sa.Integer),
    sa.Column("day", sa.Date, nullable=False, index=True),
    sa.Column("Customer %", sa.String(40)),
    sa.Column("amount", PRECISE),
    sa.Column("weight", sa.Float),
    sa.Column("paid", sa.Boolean),
    sa.Column("seen_at", sa.DateTime),
    sa.Column("extras", EXTRAS),
)
DAILY = sa.Table("daily", metadata, sa.Column("day", sa.Date), sa.Column("orders", sa.Integer))
OTHER = sa.Table("other", metadata, sa.Column("day", sa.Date), sa.Column("text", sa.Text))

LOADER = Loader(deployment="load-orders/prod")


def catalog_of(**changes: Any) -> Catalog:
    """Return the declared tables; `changes` are of the orders."""
    orders = {"name": "orders", "layer": "staging", "key": ("id", "Customer %"), "partition": "day", "loader": LOADER}
    return Catalog(
        tables=(
            Table.model_validate(orders | changes),
            Table(
                name="daily", layer="intermediate", partition="day", key=("day",), loader=changes.get("loader", LOADER)
            ),
            Table(name="other", layer="staging", partition="day"),
        )
    )


def order(number: int | None, day: date = DAY, **changes: Any) -> dict[str, Any]:
    """Return an order."""
    made = {
        "id": number,
        "day": day,
        "Customer %": f"c{number}",
        "amount": 12.5,
        "weight": 0.1,
        "paid": True,
        "seen_at": SEEN_AT,
        "extras": [1, 2],
    }
    return made | changes


@contextmanager
def connected(url: str):
    """Yield a connection in a transaction, as somebody else's program has it."""
    with _engine(url).begin() as connection:
        yield connection


@cache
def _engine(url: str) -> sa.Engine:
    return sa.create_engine(url, poolclass=sa.NullPool)


def fill(url: str, orders: Iterable[Mapping[str, Any]]) -> None:
    """Make the tables, and fill them."""
    with connected(url) as connection:
        metadata.create_all(connection)
        if records := [dict(each) for each in orders]:
            connection.execute(sa.insert(ORDERS), records)
        connection.execute(sa.insert(DAILY), [{"day": DAY, "orders": 3}, {"day": NEXT_DAY, "orders": 1}])
        connection.execute(sa.insert(OTHER), [{"day": DAY, "text": "not yours"}])


def refill(url: str, orders: Iterable[Mapping[str, Any]]) -> None:
    """Fill the tables anew; healing's own are emptied."""
    with connected(url) as connection:
        for name in sa.inspect(connection).get_table_names():
            connection.exec_driver_sql(f"DELETE FROM {name}")
    fill(url, orders)


def empty(url: str) -> None:
    """Drop everything, healing's own tables too."""
    with connected(url) as connection:
        found = sa.MetaData()
        for name in sa.inspect(connection).get_table_names():
            sa.Table(name, found)
        found.drop_all(connection)


def content(url: str, *tables: str) -> dict[str, Counter[str]]:
    """Return the rows of tables, of all that are not healing's own by default, as the database stores them."""
    with connected(url) as connection:
        names = tables or [each for each in sa.inspect(connection).get_table_names() if not each.startswith("healing_")]
        return {name: Counter(map(repr, connection.exec_driver_sql(f"SELECT * FROM {name}"))) for name in names}


def count(url: str, table: str) -> int:
    """Return how many rows a table has."""
    return sum(content(url, table)[table].values())


def incident_of(catalog: Catalog, violations: tuple[Violation, ...] = (), fingerprint: str = "") -> Incident:
    """Return an incident that a gate of the orders raised."""
    run_id, now = UUID(int=7), datetime.now(UTC)
    alert = GateAlert(
        flow_run_id=run_id,
        flow_name="nightly",
        fingerprint=fingerprint or uuid4().hex,
        table="orders",
        partition=DAY.isoformat(),
        gate=Gate(suite="shop:suite"),
        gate_id=GATE_ID,
        violations=violations,
    )
    return Incident(
        id=incident_id(alert),
        alert=alert,
        options=HealingOptions(),
        subject=Subject(flow_run_id=run_id, flow_run_name="nightly-1", flow_name="nightly", state_name="Failed"),
        classification=Classification(
            cause="data_quality", transience="permanent", confidence=1, decisive_line=None, rerun_helps=None
        ),
        evidence=(),
        catalog=catalog,
        mode="heal",
        policy_name="test",
        policy_version="1",
        opened_at=now,
        deadline_at=now + timedelta(minutes=30),
    )


def violation(rows_kept: int, name: str = "v1") -> Violation:
    """Return what a gate says of rows that break an expectation."""
    return Violation(id=name, expectation="expect_amount", column="amount", detail="too low", rows_kept=rows_kept)


class Healer:
    """Carries out actions as a repair does: previewed, journalled, under a key of their own."""

    def __init__(
        self, url: str, incident: Incident, journal: Journal, tools: Iterable[AnyTool], **settings: Any
    ) -> None:
        self.settings = Settings(warehouse=url, **settings)
        self.incident, self.journal = incident, journal
        self.tools = {each.name: each for each in tools}
        self.bench = Workbench(
            incident=incident,
            journal=journal,
            settings=self.settings,
            policy=Policy(allow("*"), mode="heal", name="test"),
            toolset=Toolset(self.tools.values()),
            token_key=b"test",
        )

    @property
    def context(self) -> ToolContext:
        """Return what tools are given while they are previewed."""
        return self.bench.context()

    async def preview(self, tool: str, **arguments: Any) -> Scope:
        """Return what a call would touch."""
        return await self.tools[tool].run_preview(self.context, arguments)

    async def carry_out(self, tool: str, what: str = "apply", scope: Scope | None = None, **arguments: Any) -> Receipt:
        """Preview a call, unless its scope is given, and carry it out once."""
        scope = scope or await self.preview(tool, **arguments)
        return await self._apply(tool, arguments, scope, what)

    async def undo(self, receipt: Receipt) -> Receipt:
        """Take back what a receipt says was done."""
        assert receipt.undo is not None
        scope = Scope(summary="undo", tables=receipt.undo.tables)
        return await self._apply(receipt.undo.tool, receipt.undo.arguments, scope, f"undo {receipt.effect_id}")

    async def check(self, receipt: Receipt) -> str:
        """Return how the check of an action ends."""
        return (await self.tools[receipt.tool].verify(self.context, receipt)).status

    async def _apply(self, tool: str, arguments: JsonObject, scope: Scope, what: str) -> Receipt:
        canonical = self.tools[tool].canonical_arguments(arguments)
        identity = effect_id(self.incident.id, tool, canonical, 1, what)
        action = Action(id="A1", tool=tool, arguments=canonical, scope=scope, token="", reason="test")
        return await apply_once(self.bench, self.tools[tool], action, identity)
