"""A table that is stale is made fresh at the root: the first broken load again, then what lies between, in order."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from prefect_healing.api import report_of
from prefect_healing.testing import healing
from prefect_healing.watch_freshness import watch_freshness

TABLES = ("raw", "clean", "board")
BEFORE, DAY = "2013-01-04", "2013-01-05"

LOADERS = '''
"""Each replaces one day of its table from the one before it."""
import sqlalchemy as sa
from prefect import flow

WAREHOUSE = {warehouse!r}


def replace(table: str, source: str, day: str) -> None:
    engine = sa.create_engine(WAREHOUSE)
    with engine.begin() as connection:
        connection.execute(sa.text(f"DELETE FROM {{table}} WHERE day = :day"), {{"day": day}})
        connection.execute(
            sa.text(f"INSERT INTO {{table}} SELECT day, id, CURRENT_TIMESTAMP FROM {{source}} WHERE day = :day"),
            {{"day": day}},
        )
        connection.execute(sa.text("INSERT INTO loads (name) VALUES (:name)"), {{"name": table}})
    engine.dispose()


@flow(name="load-raw")
def raw(day: str) -> None:
    replace("raw", "shop", day)


@flow(name="load-clean")
def clean(day: str) -> None:
    replace("clean", "raw", day)


@flow(name="load-board")
def board(day: str) -> None:
    replace("board", "clean", day)
'''

CATALOG = """
tables:
  shop: {{layer: staging, key: [id], partition: day}}
  raw:
    layer: staging
    key: [id]
    partition: day
    loader: {{flow: "{loaders}:raw"}}
    upstreams: [shop]
    freshness: {{column: loaded_at, max_age_hours: 24}}
  clean:
    layer: intermediate
    key: [id]
    partition: day
    loader: {{flow: "{loaders}:clean"}}
    upstreams: [raw]
    freshness: {{column: loaded_at, max_age_hours: 24}}
  board:
    layer: gold
    rebuild: {rebuild}
    key: [id]
    partition: day
    loader: {{flow: "{loaders}:board"}}
    upstreams: [clean]
    freshness: {{column: loaded_at, max_age_hours: 24}}
"""


@pytest.fixture
def rebuild() -> str:
    return "allow"


@pytest.fixture
def warehouse(prefect_server: str, database_url: str, tmp_path: Path, rebuild: str) -> Iterator[sa.Engine]:
    """Return a warehouse in which the last day came to the shop and no further."""
    loaders = tmp_path / "chain_loaders.py"
    loaders.write_text(LOADERS.format(warehouse=database_url))
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text(CATALOG.format(loaders=loaders, rebuild=rebuild))
    long_ago = datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=40)
    with ExitStack() as stack:
        engine = sa.create_engine(database_url)
        stack.callback(engine.dispose)
        with engine.begin() as connection:
            connection.execute(sa.text("CREATE TABLE loads (name VARCHAR(10))"))
            for table in ("shop", *TABLES):
                connection.execute(sa.text(f"CREATE TABLE {table} (day DATE, id INTEGER, loaded_at TIMESTAMP)"))
                for day in (BEFORE, DAY) if table == "shop" else (BEFORE,):
                    row = {"day": day, "at": long_ago}
                    connection.execute(sa.text(f"INSERT INTO {table} VALUES (:day, 1, :at)"), row)
        stack.enter_context(healing(mode="heal", catalog=str(catalog), warehouse=database_url))
        yield engine


def loads(engine: sa.Engine) -> list[str]:
    with engine.connect() as connection:
        return [name for (name,) in connection.execute(sa.text("SELECT name FROM loads"))]


def newest(engine: sa.Engine, table: str) -> str:
    with engine.connect() as connection:
        return str(connection.execute(sa.text(f"SELECT max(day) FROM {table}")).scalar_one())


async def test_the_root_is_loaded_and_then_what_lies_between(warehouse: sa.Engine):
    """Three stale tables of one chain are one incident."""
    watched = await watch_freshness()

    (settled,) = watched.settled
    assert settled.report is not None
    assert settled.report.outcome == "healed"
    assert loads(warehouse) == ["raw", "clean", "board"]
    assert [newest(warehouse, table) for table in TABLES] == [DAY] * 3
    assert "Table board is 0.0 hours old" in settled.report.reason


@pytest.mark.parametrize("rebuild", ["ask"])
async def test_a_gold_table_at_the_end_of_the_chain_waits_for_a_person(warehouse: sa.Engine, rebuild: str):
    """A plan is granted whole or not at all: what the mart needs is not loaded for nothing."""
    watched = await watch_freshness()

    (settled,) = watched.settled
    assert settled.incident_id is not None
    report = await report_of(settled.incident_id)
    assert report is not None
    assert report.outcome == "escalated"
    assert "gold" in report.reason
    assert loads(warehouse) == []
