"""A warehouse of three tables, the vendor above it, and deployments that load them, on the session's Prefect server."""

import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from prefect import flow, get_client
from prefect.exceptions import ObjectNotFound
from prefect.filesystems import LocalFileSystem
from prefect.states import Completed, Failed

from prefect_healing.domain.alert import FreshnessAlert, incident_id
from prefect_healing.domain.catalog import Catalog, Freshness, Loader, Table, Upstream
from prefect_healing.domain.classification import Classification
from prefect_healing.domain.incident import Incident, Subject
from prefect_healing.domain.options import HealingOptions
from prefect_healing.journal import Journal
from prefect_healing.settings import Settings
from prefect_healing.tools.tool import ToolContext

FIRST = date(2013, 2, 1)
HOUR = timedelta(hours=1)


def day(number: int) -> date:
    """Return a day of February 2013."""
    return FIRST + timedelta(days=number - 1)


class Vendor:
    """A source whose manifest knows days; `days` is what it has, `broken` makes it fail."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.days = [day(each) for each in range(1, 9)]
        self.broken = False

    def answer(self, path: str) -> tuple[int, dict[str, Any]]:
        """Return status and body for a path."""
        if self.broken:
            return 503, {}
        asked = parse_qs(urlsplit(path).query).get("day", [""])[0]
        newest = {"last_data": max(self.days).isoformat()}
        with suppress(ValueError):
            if date.fromisoformat(asked) in self.days:
                return 200, {"rows": 1, **newest}
        return 404, newest


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    """Serve a vendor on a port of its own."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = known.answer(self.path)
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    known = Vendor(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield known
    server.shutdown()
    thread.join()
    server.server_close()


class World:
    """Tables stage, clean and mart, each made from the one before; each has one row a day and when it was loaded."""

    def __init__(self, url: str, vendor: Vendor, mark: str) -> None:
        self.url = url
        self.mark = mark
        self.vendor = vendor
        self.catalog = Catalog(
            sources=(Upstream(name="vendor", manifest=f"{vendor.url}/manifest?day={{partition}}"),),
            tables=(
                self._table("stage", "staging", "vendor"),
                self._table("clean", "intermediate", "stage"),
                self._table("mart", "gold", "clean", freshness=Freshness(column="loaded_at", max_age_hours=6)),
            ),
        )

    def _table(self, name: str, layer: Any, upstream: str, **more: Any) -> Table:
        loader = Loader(deployment=f"load-{name}-{self.mark}/production")
        return Table(name=name, layer=layer, partition="day", loader=loader, upstreams=(upstream,), **more)

    def create(self) -> None:
        """Create the tables, empty."""
        self._execute(*(sa.schema.CreateTable(_table(each.name)) for each in self.catalog.tables))

    def load(self, name: str, *days: date, at: datetime) -> None:
        """Replace days of a table."""
        table = _table(name)
        for each in days:
            row = {"day": each, "loaded_at": at.astimezone(UTC).replace(tzinfo=None)}
            self._execute(table.delete().where(table.c.day == each), table.insert().values(row))

    def _execute(self, *statements: Any) -> None:
        engine = sa.create_engine(self.url)
        with engine.begin() as connection:
            for each in statements:
                connection.execute(each)
        engine.dispose()

    def deployment(self, name: str) -> str:
        """Return the name of the deployment that loads a table."""
        return self.catalog.table(name).loader.deployment


def _table(name: str) -> sa.Table:
    return sa.Table(name, sa.MetaData(), sa.Column("day", sa.Date), sa.Column("loaded_at", sa.DateTime))


@pytest.fixture
def world(database_url: str, vendor: Vendor) -> World:
    """Make the warehouse, with the same eight days in every table, loaded an hour ago."""
    made = World(database_url, vendor, uuid4().hex[:8])
    made.create()
    for each in made.catalog.tables:
        made.load(each.name, *vendor.days, at=datetime.now(UTC) - HOUR)
    return made


Ran = Callable[..., Awaitable[UUID]]


@pytest.fixture
def ran(prefect_server: str) -> Ran:
    """Record a run of a deployment, which is made where it is not there yet."""

    async def record(name: str, *, failed: bool = False) -> UUID:
        flow_name, _, deployment_name = name.partition("/")
        async with get_client() as client:
            try:
                deployment_id = (await client.read_deployment_by_name(name)).id
            except ObjectNotFound:
                flow_id = await client.create_flow(flow(name=flow_name)(_nothing))
                deployment_id = await client.create_deployment(flow_id, deployment_name)
            run = await client.create_flow_run_from_deployment(deployment_id)
            state = Failed(message="boom") if failed else Completed()
            await client.set_flow_run_state(run.id, state, force=True)
            return run.id

    return record


def _nothing() -> None:
    pass


@pytest.fixture
def context(tmp_path: Path, world: World) -> Callable[..., ToolContext]:
    """Make what code injects into a tool, for an incident about a table that is too old."""

    def make(partition: str | None = None, catalog: Catalog | None = None, **settings: Any) -> ToolContext:
        incident = _incident(catalog or world.catalog, partition)
        journal = Journal(LocalFileSystem(basepath=str(tmp_path / "journal")), incident.id)
        return ToolContext(incident=incident, journal=journal, settings=Settings(warehouse=world.url, **settings))

    return make


def _incident(catalog: Catalog, partition: str | None) -> Incident:
    run_id, at = uuid4(), datetime.now(UTC)
    alert = FreshnessAlert(
        flow_run_id=run_id,
        flow_name="watch-freshness",
        fingerprint=uuid4().hex,
        table="mart",
        last_update=None,
        max_age_hours=6,
    )
    subject = Subject(
        flow_run_id=run_id,
        flow_run_name="watching",
        flow_name="watch-freshness",
        state_name="Running",
        table="mart",
        partition=partition,
    )
    classification = Classification(
        cause="missing_upstream_data",
        transience="unknown",
        confidence=0.5,
        decisive_line=None,
        rerun_helps=None,
    )
    return Incident(
        id=incident_id(alert),
        alert=alert,
        options=HealingOptions(),
        subject=subject,
        classification=classification,
        evidence=(),
        catalog=catalog,
        mode="heal",
        policy_name="default",
        policy_version="1",
        opened_at=at,
        deadline_at=at + HOUR,
    )
