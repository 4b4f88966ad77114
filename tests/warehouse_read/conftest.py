"""Tables with known faults, in a fresh database of each kind, and a source with a manifest beside them."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from prefect.filesystems import LocalFileSystem

from prefect_healing.domain.alert import FlowRunAlert, incident_id
from prefect_healing.domain.catalog import Catalog, Table, Upstream
from prefect_healing.domain.classification import Classification
from prefect_healing.domain.incident import Incident, Subject
from prefect_healing.domain.options import HealingOptions
from prefect_healing.journal import Journal
from prefect_healing.settings import Settings
from prefect_healing.tools.tool import ToolContext
from prefect_healing.warehouse.connection import connected

DAY = "2013-01-05"
FLIGHTS = Table(
    name="flights",
    layer="staging",
    key=("flight_id",),
    partition="flight_date",
    upstreams=("vendor",),
    columns={"email": {"sensitive": True}, "passport": {"sensitive": True}},  # type: ignore[dict-item]
)

Execute = Callable[..., None]
In = Callable[..., Any]
About = Callable[..., ToolContext]


class ManifestServer:
    """A loopback source; `says` holds its answer by day: a status, and JSON or bytes. Requests are kept."""

    def __init__(self) -> None:
        self.says: dict[str, tuple[int, Any]] = {}
        self.asked: list[str] = []
        self.over = Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.path)
                day = self.path.rpartition("/")[2]
                status, said = server.says.get(day, server.says.get("*", (404, {})))
                if status == 0:
                    server.over.wait(30)
                    return
                body = said if isinstance(said, bytes) else json.dumps(said).encode()
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "/elsewhere/2013-01-01")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def source(self, **changes: Any) -> Upstream:
        address = f"http://127.0.0.1:{self.server.server_port}/manifest/{{partition}}"
        return Upstream(**{"name": "vendor", "manifest": address, **changes})

    def close(self) -> None:
        self.over.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def vendor() -> Iterator[ManifestServer]:
    server = ManifestServer()
    yield server
    server.close()


@pytest.fixture
def run_in(database_url: str) -> In:
    """Run work in one writing transaction of the database."""

    def run(work: Callable[[sa.Connection], Any]) -> Any:
        with connected(database_url, writes=True) as engine, engine.begin() as connection:
            return work(connection)

    return run


@pytest.fixture
def execute(run_in: In) -> Execute:
    """Execute statements, each with the rows that it is given."""

    def run(statement: str, rows: list[dict[str, Any]] | None = None) -> None:
        run_in(lambda connection: connection.execute(sa.text(statement), rows))

    return run


@pytest.fixture
def about(database_url: str, tmp_path: Path) -> About:
    """Make what code injects into a tool, for an incident that these tables and sources bear on."""

    def make(*tables: Table, sources: tuple[Upstream, ...] = (), **options: Any) -> ToolContext:
        catalog = Catalog(tables=tables or (FLIGHTS,), sources=sources)
        incident = _incident(catalog, HealingOptions(**options))
        journal = Journal(LocalFileSystem(basepath=str(tmp_path / "journal")), incident.id)
        return ToolContext(incident=incident, journal=journal, settings=Settings(warehouse=database_url))

    return make


def _incident(catalog: Catalog, options: HealingOptions) -> Incident:
    alert = FlowRunAlert(flow_run_id=uuid4(), flow_name="a flow", fingerprint=uuid4().hex)
    now = datetime.now(UTC)
    return Incident(
        id=incident_id(alert),
        alert=alert,
        options=options,
        subject=Subject(
            flow_run_id=alert.flow_run_id, flow_run_name="", flow_name=alert.flow_name, state_name="Failed"
        ),
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
