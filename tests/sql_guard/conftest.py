"""Two warehouses full of canaries, and a hand that asks them through the tool."""

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa
from prefect.filesystems import LocalFileSystem

from prefect_healing.domain.alert import FlowRunAlert, incident_id
from prefect_healing.domain.catalog import Catalog, Column, Table
from prefect_healing.domain.classification import Classification
from prefect_healing.domain.incident import Incident, Subject
from prefect_healing.domain.options import HealingOptions
from prefect_healing.errors import ToolError
from prefect_healing.journal import Journal
from prefect_healing.settings import Settings
from prefect_healing.tools.tool import ToolContext
from prefect_healing.tools.warehouse_query import QueryRows, query_warehouse

CANARY = "canary"
"""In every value that may not leave, as text; no statement of these tests holds it."""
NUMBER_CANARY = 62342815
"""The same as a number: of a sensitive column, and of a table that is not declared."""
ROW_CANARY = 48151623
"""The delay of flight 7, whose table shares no rows; only an aggregate over others too may be it."""

CATALOG = Catalog(
    tables=(
        Table(
            name="flights",
            layer="staging",
            key=("id",),
            partition="flight_date",
            columns={"email": Column(sensitive=True), "salary": Column(sensitive=True)},
        ),
        Table(name="planes", layer="staging", key=("tail",)),
        Table(
            name="airports",
            layer="staging",
            key=("code",),
            share_rows=True,
            columns={"contact": Column(sensitive=True)},
        ),
        Table(name="numbers", layer="staging", key=("n",), share_rows=True),
    )
)
_SCHEMA = (
    (
        "CREATE TABLE flights (id integer PRIMARY KEY, flight_date date, departed timestamp, delay integer, "
        "carrier varchar(40), note text, tail varchar(40), email text, salary integer)"
    ),
    "CREATE TABLE planes (tail varchar(40) PRIMARY KEY, seats integer, maker text)",
    "CREATE TABLE airports (code varchar(3) PRIMARY KEY, name text, altitude integer, opened date, contact text)",
    "CREATE TABLE numbers (n integer PRIMARY KEY, word text)",
    "CREATE TABLE vault (id integer PRIMARY KEY, secret text, pin integer)",
    "CREATE TABLE healing_kept (id integer PRIMARY KEY, secret text)",
    "CREATE VIEW keyhole AS SELECT id, secret, pin FROM vault",
)
_POSTGRES_SCHEMA = (
    "CREATE SCHEMA hidden",
    "CREATE TABLE hidden.flights AS SELECT * FROM vault",
    "CREATE SEQUENCE counter",
    "CREATE FUNCTION wipe() RETURNS integer LANGUAGE sql AS 'DELETE FROM flights; SELECT 1'",
    "CREATE FUNCTION peek() RETURNS text LANGUAGE sql AS 'SELECT max(secret) FROM vault'",
    "CREATE FUNCTION peeks() RETURNS SETOF vault LANGUAGE sql AS 'SELECT * FROM vault'",
)


@dataclass(frozen=True)
class Warehouse:
    """A database that holds the tables of the catalog, others, and canaries; `dialect` is sqlite or postgresql."""

    dialect: str
    url: str
    context: ToolContext

    def ask(self, sql: str) -> QueryRows:
        """Ask through the tool, as a model does."""
        return asyncio.run(query_warehouse(self.context, sql))

    def said(self, sql: str) -> str:
        """Return all that a model would be told: the answer, or why there is none."""
        try:
            return self.ask(sql).model_dump_json()
        except ToolError as error:
            return f"{error!r} {error} {error.__cause__}"

    def dump(self) -> str:
        """Return a checksum of all tables, the declared and the others, and of what tables there are."""
        engine = sa.create_engine(self.url, poolclass=sa.NullPool)
        with engine.connect() as connection:
            tables = sorted(sa.inspect(connection).get_table_names())
            content = [
                (name, sorted(map(repr, connection.exec_driver_sql(f"SELECT * FROM {name}")))) for name in tables
            ]
        engine.dispose()
        return hashlib.sha256(repr(content).encode()).hexdigest()


Make = Callable[[str, str], Warehouse]


@pytest.fixture(scope="module")
def make_warehouse(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    """Make a full warehouse of a kind, with other hidden values where they are given; drop it at the end."""
    made: list[Warehouse] = []

    def make(dialect: str, other: str) -> Warehouse:
        folder = tmp_path_factory.mktemp("warehouse")
        server = request.getfixturevalue("postgres_server") if dialect == "postgresql" else None
        url = f"sqlite:///{folder / 'warehouse.db'}" if server is None else server.create_database()
        fill(url, other)
        made.append(Warehouse(dialect, url, context_of(url, CATALOG, folder)))
        return made[-1]

    yield make
    for each in made:
        if each.dialect == "postgresql":
            request.getfixturevalue("postgres_server").drop_database(each.url)


@pytest.fixture(scope="module", params=("sqlite", "postgresql"))
def warehouse(request: pytest.FixtureRequest, make_warehouse: Make) -> Warehouse:
    """Return a full warehouse of each kind; it is the same for all tests of a file, for none can change it."""
    return make_warehouse(request.param, "")


def context_of(url: str, catalog: Catalog, folder: Path) -> ToolContext:
    """Return what code injects into a tool, for an incident that these tables bear on."""
    alert = FlowRunAlert(flow_run_id=uuid4(), flow_name="a flow", fingerprint=uuid4().hex)
    now = datetime.now(UTC)
    incident = Incident(
        id=incident_id(alert),
        alert=alert,
        options=HealingOptions(),
        subject=Subject(flow_run_id=alert.flow_run_id, flow_run_name="", flow_name="a flow", state_name="Failed"),
        classification=Classification(
            cause="unknown", transience="unknown", confidence=0, decisive_line=None, rerun_helps=None
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
    return ToolContext(incident=incident, journal=journal, settings=Settings(warehouse=url))


def fill(url: str, other: str = "") -> None:
    """Make 60 flights on three days; in flight 7 the delay is a canary, in ten of them there is no tail.

    With `other`, what is sensitive or not declared has other values; they are as many, as different, and as often null.
    """
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        for statement in (*_SCHEMA, *(_POSTGRES_SCHEMA if engine.dialect.name == "postgresql" else ())):
            connection.exec_driver_sql(statement)
        insert = _inserter(connection)
        for number in range(60):
            insert("flights", _flight(number, other))
        for number in range(20):
            insert("planes", {"tail": f"{CANARY}-N{number:03}", "seats": 100 + number, "maker": f"{CANARY} maker"})
            insert("numbers", {"n": number, "word": f"word {number}"})
        insert("numbers", {"n": ROW_CANARY + 1, "word": "more than a row tells"})
        for code, name, altitude in (("JFK", "Kennedy", 13), ("LGA", "La Guardia", 22), ("EWR", "Newark", 18)):
            opened = date(1948, 7, altitude)
            contact = f"{CANARY}@{other}{code[::-1] if other else code}"
            row = {"code": code, "name": name, "altitude": altitude, "opened": opened, "contact": contact}
            insert("airports", row)
        for number in range(len(other) + 1):
            insert(
                "vault", {"id": number, "secret": f"{CANARY}{other} of the vault", "pin": NUMBER_CANARY + len(other)}
            )
            insert("healing_kept", {"id": number, "secret": f"{CANARY}{other} of the library"})
    engine.dispose()


def _flight(number: int, other: str) -> dict[str, object]:
    day = date(2013, 1, 1) + timedelta(days=number % 3)
    return {
        "id": number,
        "flight_date": day,
        "departed": datetime(day.year, day.month, day.day, number % 24, 30),  # noqa: DTZ001 - the warehouse keeps no zone
        "delay": ROW_CANARY if number == 7 else number - 5,
        "carrier": f"{CANARY}-{'AB'[number % 2]}",
        "note": f"{CANARY} note {number}",
        "tail": None if number % 6 == 0 else f"{CANARY}-N{number % 25:03}",
        "email": None if number % 10 == 0 else f"{CANARY}{other}{-number if other else number}@example.org",
        "salary": NUMBER_CANARY - len(other),
    }


def _inserter(connection: sa.Connection) -> Callable[[str, dict[str, object]], None]:
    def insert(table: str, row: dict[str, object]) -> None:
        columns = {name: sa.column(name, _TYPES.get(type(value))) for name, value in row.items()}
        connection.execute(sa.insert(sa.table(table, *columns.values())).values(row))

    return insert


_TYPES = {date: sa.Date(), datetime: sa.DateTime(), int: sa.Integer(), str: sa.String()}
