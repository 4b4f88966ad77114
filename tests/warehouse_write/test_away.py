"""A warehouse that goes away in the middle, and two repairs for one table."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from prefect_healing.errors import ToolUnavailable
from prefect_healing.warehouse.connection import writing
from prefect_healing.warehouse.violation_keys import keep_keys
from tests.databases import PostgresServer, running_postgres
from tests.warehouse_write.conftest import Heals
from tests.warehouse_write.shop import DAY, GATE_ID, Healer, connected, content, count, fill, order, violation

MOVE = {"table": "orders", "partition": DAY.isoformat(), "violation": "v1"}


async def kept(healer: Healer) -> None:
    orders = healer.incident.catalog.tables[0]
    await writing(healer.settings, lambda inside: keep_keys(inside, GATE_ID, "v1", orders, [(1, "c1")]))


@pytest.fixture
def in_the_middle() -> Iterator[list[Any]]:
    """Do once what the list holds, when a row is about to be deleted."""
    wanted: list[Any] = []

    def look(connection: sa.Connection, cursor: Any, statement: str, *_: Any) -> None:
        if wanted and "DELETE FROM orders" in statement:
            wanted.pop()(connection)

    event.listen(sa.Engine, "before_cursor_execute", look)
    yield wanted
    event.remove(sa.Engine, "before_cursor_execute", look)


async def test_a_connection_that_is_cut_in_the_middle_may_be_tried_again(
    postgres_server: PostgresServer, heals: Heals, in_the_middle: list[Any]
):
    """Nothing has happened then, and the second try does it once."""
    url = postgres_server.create_database()
    fill(url, [order(n) for n in range(4)])
    healer, before = heals(url, violation(1)), content(url)
    await kept(healer)
    scope = await healer.preview("quarantine_rows", **MOVE)

    def cut(connection: sa.Connection) -> None:
        pid = connection.connection.dbapi_connection.info.backend_pid
        with connected(url) as other:
            other.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})

    in_the_middle.append(cut)
    with pytest.raises(ToolUnavailable, match="The warehouse cannot answer now"):
        await healer.carry_out("quarantine_rows", scope=scope, **MOVE)
    assert content(url) == before

    receipt = await healer.carry_out("quarantine_rows", scope=scope, **MOVE)

    assert (receipt.status, count(url, "orders")) == ("done", 3)
    postgres_server.drop_database(url)


@pytest.mark.postgres
async def test_a_server_that_stops_in_the_middle_leaves_the_table_as_it_was(
    heals: Heals, in_the_middle: list[Any], tmp_path: Path
):
    with running_postgres() as server:
        url = server.create_database()
        fill(url, [order(n) for n in range(4)])
        healer = heals(url, violation(1))
        await kept(healer)
        scope = await healer.preview("quarantine_rows", **MOVE)
        in_the_middle.append(lambda _: _end(server.pid))

        with pytest.raises(ToolUnavailable):
            await healer.carry_out("quarantine_rows", scope=scope, **MOVE)
        with pytest.raises(ToolUnavailable):
            await healer.carry_out("quarantine_rows", scope=scope, **MOVE)


def _end(pid: int) -> None:
    import os
    import signal
    import time

    os.kill(pid, signal.SIGINT)
    for _ in range(200):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.05)


async def test_two_repairs_for_one_table_move_its_rows_once(database_url: str, heals: Heals):
    """The second finds the rows gone and says so, or finds that it is the same effect; nothing is moved twice."""
    fill(database_url, [order(n) for n in range(4)])
    first, second = heals(database_url, violation(1)), heals(database_url, violation(1))
    await kept(first)
    scope = await first.preview("quarantine_rows", **MOVE)

    receipts = await asyncio.gather(
        *(each.carry_out("quarantine_rows", scope=scope, **MOVE) for each in (first, second, first))
    )

    once, other, again = (each.status for each in receipts)
    assert {once, other} == {"done", "failed"}, [each.detail for each in receipts]
    assert again == once
    assert (count(database_url, "orders"), count(database_url, "healing_quarantine_orders")) == (3, 1)


async def test_a_writer_of_somebody_else_waits_until_the_move_is_whole(
    postgres_server: PostgresServer, heals: Heals, in_the_middle: list[Any]
):
    """Else a row could come between what was counted and what was moved."""
    url = postgres_server.create_database()
    fill(url, [order(n) for n in range(4)])
    healer = heals(url, violation(1))
    await kept(healer)
    wrote = threading.Event()

    def write() -> None:
        with connected(url) as other:
            other.exec_driver_sql("INSERT INTO orders (id, day) VALUES (1, '2013-01-05')")
        wrote.set()

    writer = threading.Thread(target=write)

    def begin(_: sa.Connection) -> None:
        writer.start()
        assert not wrote.wait(0.3)

    in_the_middle.append(begin)
    receipt = await healer.carry_out("quarantine_rows", **MOVE)
    await asyncio.to_thread(writer.join)

    assert (receipt.status, receipt.data["rows"], count(url, "orders")) == ("done", 1, 4)
    postgres_server.drop_database(url)
