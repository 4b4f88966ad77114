"""A warehouse with one table, the source it is loaded from, and its loader: small enough to be seen whole."""

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa

from prefect_healing.testing import healing

DAY = "2013-01-05"
ROWS = 40

LOADER = '''
"""Replaces one day of orders from the source."""
import json
from pathlib import Path

import sqlalchemy as sa
from prefect import flow

SOURCE, WAREHOUSE = Path({source!r}), {warehouse!r}


@flow(name="load-orders")
def load_orders(day: str) -> int:
    rows = json.loads(SOURCE.read_text()).get(day, [])
    orders = sa.table("orders", *map(sa.column, ("day", "id", "amount", "email")))
    engine = sa.create_engine(WAREHOUSE)
    with engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM orders WHERE day = :day"), {{"day": day}})
        if rows:
            connection.execute(sa.insert(orders), [{{"day": day, **row}} for row in rows])
        connection.execute(sa.text("INSERT INTO loads (day) VALUES (:day)"), {{"day": day}})
    engine.dispose()
    return len(rows)
'''

CATALOG = """
tables:
  orders:
    layer: {layer}
    owner: sales
    key: [id]
    partition: day
    loader: {{flow: "{loader}:load_orders", parameter: day}}
    upstreams: [shop]
    columns: {{email: {{sensitive: true}}}}
    gate:
      expectations:
        - {{type: expect_table_row_count_to_be_between, kwargs: {{min_value: 30, max_value: 60}}}}
        - {{type: expect_column_values_to_be_unique, kwargs: {{column: id}}}}
        - {{type: expect_column_values_to_not_be_null, kwargs: {{column: email, mostly: 0.9}}}}
        - {{type: expect_column_values_to_be_between, kwargs: {{column: amount, min_value: 0}}}}
        - {{type: expect_column_mean_to_be_between, kwargs: {{column: amount, max_value: 25}}, severity: warning}}
sources:
  shop:
    manifest: "{url}/manifest?day={{partition}}"
"""

Row = dict[str, object]


@dataclass
class World:
    """The warehouse, what its source has, and how often the loader ran."""

    engine: sa.Engine
    source: Path

    def sends(self, rows: list[Row], day: str = DAY) -> None:
        """Let the source have these rows of a day."""
        self.source.write_text(json.dumps({**json.loads(self.source.read_text()), day: rows}))

    def holds(self, rows: list[Row], day: str = DAY) -> None:
        """Let the table have these rows of a day."""
        orders = sa.table("orders", *map(sa.column, ("day", "id", "amount", "email")))
        with self.engine.begin() as connection:
            connection.execute(sa.text("DELETE FROM orders WHERE day = :day"), {"day": day})
            if rows:
                connection.execute(sa.insert(orders), [{"day": day, **row} for row in rows])

    def count(self, table: str = "orders", where: str = "1 = 1") -> int:
        """Count rows, in the warehouse itself."""
        with self.engine.connect() as connection:
            return connection.execute(sa.text(f"SELECT count(*) FROM {table} WHERE {where}")).scalar_one()


def orders(count: int = ROWS, canary: str = "person") -> list[Row]:
    """Return good rows."""
    return [{"id": number, "amount": number % 20, "email": f"{canary}{number}@example.org"} for number in range(count)]


class _Manifest(BaseHTTPRequestHandler):
    source: Path

    def do_GET(self) -> None:
        day = parse_qs(urlsplit(self.path).query)["day"][0]
        held = json.loads(self.source.read_text())
        rows = held.get(day)
        said: dict[str, object] = {"last_data": max(held, default=None)}
        if rows is not None:
            nulls = {name: sum(row[name] is None for row in rows) for name in ("id", "amount", "email")}
            said |= {"rows": len(rows), "nulls": nulls}
        body = json.dumps(said).encode()
        self.send_response(200 if rows is not None else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def source(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """Return the file that the source reads, and the source's address."""
    held = tmp_path / "source.json"
    held.write_text("{}")
    handler = type("Manifest", (_Manifest,), {"source": held})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield held, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def layer() -> str:
    """Return the layer of the table; a test may say otherwise."""
    return "staging"


@pytest.fixture
def world(
    prefect_server: str, database_url: str, source: tuple[Path, str], tmp_path: Path, layer: str
) -> Iterator[World]:
    """Return a world in which table and source are whole, and healing may repair."""
    held, url = source
    loader = tmp_path / "orders_loader.py"
    loader.write_text(LOADER.format(source=str(held), warehouse=database_url))
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text(CATALOG.format(loader=loader, url=url, layer=layer))
    with ExitStack() as stack:
        engine = sa.create_engine(database_url)
        stack.callback(engine.dispose)
        with engine.begin() as connection:
            connection.execute(sa.text("CREATE TABLE orders (day DATE, id INTEGER, amount INTEGER, email VARCHAR(80))"))
            connection.execute(sa.text("CREATE TABLE loads (day DATE)"))
        made = World(engine, held)
        made.sends(orders())
        made.holds(orders())
        stack.enter_context(healing(mode="heal", catalog=str(catalog), warehouse=database_url))
        yield made
