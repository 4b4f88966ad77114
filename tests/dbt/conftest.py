"""The shop on DuckDB and on PostgreSQL, made once a session: what dbt parsed of it serves all tests."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from prefect_healing.dbt.command import DbtRun, run_nodes
from prefect_healing.domain.alert import FlowRunAlert, incident_id
from prefect_healing.domain.catalog import Catalog
from prefect_healing.domain.classification import Classification
from prefect_healing.domain.incident import Incident, Subject
from prefect_healing.domain.options import HealingOptions
from prefect_healing.journal import Journal
from prefect_healing.settings import Settings
from prefect_healing.tools.tool import ToolContext
from tests.databases import PostgresServer
from tests.dbt.shop import CREATE, INSERT, ORDERS, Shop, make_shop

About = Callable[..., ToolContext]


@pytest.fixture(scope="session")
def duckdb_shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The shop in a DuckDB file."""
    import duckdb

    folder = tmp_path_factory.mktemp("duckdb") / "shop"
    project = make_shop(folder, {"type": "duckdb", "path": "shop.duckdb"})
    with duckdb.connect(str(folder / "shop.duckdb")) as connection:
        connection.execute(CREATE)
        connection.executemany(INSERT.replace("%s", "?"), ORDERS)
    return Shop(project, f"duckdb:///{folder / 'shop.duckdb'}")


@pytest.fixture(scope="session")
def postgres_shop(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The shop in a PostgreSQL database."""
    import psycopg

    url = postgres_server.create_database()
    database = url.rpartition("/")[2]
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(CREATE.encode())
        connection.cursor().executemany(INSERT.encode(), ORDERS)
    where = {"host": "127.0.0.1", "port": postgres_server.port, "user": "healer", "password": "", "dbname": database}
    profile = {"type": "postgres", "schema": "public", **where}
    yield Shop(make_shop(tmp_path_factory.mktemp("postgres") / "shop", profile), url)
    postgres_server.drop_database(url)


@pytest.fixture(scope="session")
def builds() -> dict[str, DbtRun]:
    """Builds that were made, so that tests that read of one do not make it again."""
    return {}


@pytest.fixture(params=["duckdb", "postgres"])
def failed_build(request: pytest.FixtureRequest, builds: dict[str, DbtRun]) -> DbtRun:
    """What came of a build of the whole shop, which fails, on each database."""
    shop: Shop = request.getfixturevalue(f"{request.param}_shop")
    if request.param not in builds:
        builds[request.param] = asyncio.run(run_nodes(shop.project, "build"))
    return builds[request.param]


@pytest.fixture
def about(tmp_path: Path) -> About:
    """Make what code injects into a tool, for an incident about the shop."""

    def make(shop: Shop, catalog: Catalog, flow_run_id: UUID | None = None, **context: Any) -> ToolContext:
        incident = _incident(catalog, flow_run_id or uuid4())
        settings = Settings(dbt_project=shop.project.folder, warehouse=shop.url)
        journal = Journal(_folder(tmp_path), incident.id)
        return ToolContext(incident=incident, journal=journal, settings=settings, **context)

    return make


def _folder(path: Path) -> Any:
    from prefect.filesystems import LocalFileSystem

    return LocalFileSystem(basepath=str(path / "journal"))


def _incident(catalog: Catalog, run_id: UUID) -> Incident:
    alert = FlowRunAlert(flow_run_id=run_id, flow_name="shop", fingerprint=uuid4().hex)
    now = datetime.now(UTC)
    return Incident(
        id=incident_id(alert),
        alert=alert,
        options=HealingOptions(),
        subject=Subject(flow_run_id=run_id, flow_run_name="a run", flow_name="shop", state_name="Failed"),
        classification=Classification(
            cause="data_quality", transience="permanent", confidence=0.9, decisive_line=None, rerun_helps=False
        ),
        evidence=(),
        catalog=catalog,
        mode="heal",
        policy_name="default",
        policy_version="1",
        opened_at=now,
        deadline_at=now + timedelta(minutes=30),
    )
