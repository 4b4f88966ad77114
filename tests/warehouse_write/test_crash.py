"""kill -9 at every boundary of a write: the table is as before or after, and the outcome is the same on resume."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa
from prefect.filesystems import LocalFileSystem

from prefect_healing.domain.catalog import Loader
from prefect_healing.domain.incident import Incident
from prefect_healing.domain.plan import Scope
from prefect_healing.domain.repair import Receipt
from prefect_healing.journal import Journal
from prefect_healing.warehouse.connection import writing
from prefect_healing.warehouse.copies import take_copy
from prefect_healing.warehouse.violation_keys import keep_keys
from tests.warehouse_write import loaders
from tests.warehouse_write.child import KILLED, Plan, run
from tests.warehouse_write.conftest import TOOLS, Heals
from tests.warehouse_write.shop import (
    DAY,
    GATE_ID,
    NEXT_DAY,
    ORDERS,
    Healer,
    catalog_of,
    connected,
    content,
    empty,
    fill,
    order,
    violation,
)

pytestmark = [pytest.mark.crash, pytest.mark.timeout(900)]

PARTITION = {"table": "orders", "partition": DAY.isoformat()}
HERE = Loader(flow="tests/warehouse_write/loaders.py:load_orders")
Prepare = Callable[[Healer], Awaitable[tuple[str, dict[str, str], Scope]]]


async def _quarantine(healer: Healer) -> tuple[str, dict[str, str], Scope]:
    orders = healer.incident.catalog.tables[0]
    keys = [(n, f"c{n}") for n in range(4)]
    await writing(healer.settings, lambda inside: keep_keys(inside, GATE_ID, "v1", orders, keys))
    arguments = PARTITION | {"violation": "v1"}
    return "quarantine_rows", arguments, await healer.preview("quarantine_rows", **arguments)


async def _undo(healer: Healer) -> tuple[str, dict[str, str], Scope]:
    tool, arguments, scope = await _quarantine(healer)
    receipt = await healer.carry_out(tool, scope=scope, **arguments)
    assert receipt.undo is not None
    return receipt.undo.tool, dict(receipt.undo.arguments), Scope(summary="undo", tables=receipt.undo.tables)


async def _restore(healer: Healer) -> tuple[str, dict[str, str], Scope]:
    orders, daily, _ = healer.incident.catalog.tables
    parts = [(orders, DAY), (daily, DAY)]
    await writing(healer.settings, lambda inside: take_copy(inside, "copy-1", healer.incident.id, parts))
    with connected(healer.settings.warehouse) as connection:
        connection.execute(ORDERS.delete().where(ORDERS.c.id < 6))
        connection.execute(ORDERS.insert(), [order(77), order(78)])
    arguments = PARTITION | {"copy_id": "copy-1"}
    return "restore_partition", arguments, await healer.preview("restore_partition", **arguments)


def _rows(url: str) -> dict[str, object]:
    """Return all rows, healing's own tables included, but for ids and times."""
    own = ("healing_quarantine_orders", "healing_copy_orders")
    rows = {name: sorted(each) for name, each in content(url).items()}
    with connected(url) as connection:
        there = [name for name in own if sa.inspect(connection).has_table(name)]
        kept = {name: connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar_one() for name in there}
    return {**rows, **{name: count for name, count in kept.items() if count}}


def _plan(healer: Healer, folder: Path, call: tuple[str, dict[str, str], Scope], **changes: object) -> Plan:
    tool, arguments, scope = call
    place = folder / uuid4().hex
    place.mkdir()
    url = healer.settings.warehouse
    return Plan(
        url=url, folder=str(place), incident=healer.incident, tool=tool, arguments=arguments, scope=scope, **changes
    )


def _shown(receipt: Receipt | None) -> tuple[str, str]:
    assert receipt is not None
    return receipt.status.removeprefix("already_"), receipt.detail


async def _begin(
    url: str, folder: Path, incident: Incident, prepare: Prepare
) -> tuple[Healer, tuple[str, dict[str, str], Scope]]:
    empty(url)
    fill(url, [order(n) for n in range(10)] + [order(n, NEXT_DAY) for n in range(10)])
    journal = Journal(LocalFileSystem(basepath=str(folder / uuid4().hex)), incident.id)
    healer = Healer(url, incident, journal, TOOLS)
    return healer, await prepare(healer)


@pytest.mark.parametrize("prepare", [_quarantine, _undo, _restore], ids=lambda each: each.__name__[1:])
async def test_a_write_that_is_killed_anywhere_is_done_once(
    database_url: str, tmp_path: Path, heals: Heals, prepare: Prepare
):
    """Killed at each statement, commit and return of a connection; then gone on with as a resumed repair does."""
    incident = heals(database_url, violation(4)).incident
    healer, call = await _begin(database_url, tmp_path, incident, prepare)
    before = _rows(database_url)
    whole = _plan(healer, tmp_path, call)
    assert await asyncio.to_thread(run, whole) == 0
    after, outcome = _rows(database_url), _shown(whole.receipt)
    assert outcome[0] == "done", outcome
    assert after != before
    seen = set[str]()

    for dies_at in range(whole.boundaries, 0, -1 if prepare is _quarantine else -2):
        healer, call = await _begin(database_url, tmp_path, incident, prepare)
        plan = _plan(healer, tmp_path, call, dies_at=dies_at)
        assert await asyncio.to_thread(run, plan) == KILLED
        found = _rows(database_url)
        assert found in (before, after), f"killed at boundary {dies_at}"
        seen.add("before" if found == before else "after")

        resumed = plan.model_copy(update={"dies_at": 0})
        assert await asyncio.to_thread(run, resumed) == 0
        assert (_rows(database_url), _shown(resumed.receipt)) == (after, outcome), f"killed at boundary {dies_at}"
    assert seen == {"before", "after"}


@pytest.mark.parametrize("fails", [False, True], ids=["loads", "fails"])
async def test_a_reload_that_is_killed_anywhere_ends_as_one_that_is_not(
    database_url: str, tmp_path: Path, heals: Heals, prefect_server: str, fails: bool
):
    """Killed in the copy, in the load, in the putting back: on resume all of the day is loaded, or nothing is."""
    settings = {loaders.URL: database_url, loaders.ROWS: "8", "PREFECT_API_URL": prefect_server}
    environment = settings | ({loaders.FAILS_AFTER: "6"} if fails else {})
    given = {name: each for name, each in os.environ.items() if name.startswith("PREFECT_")} | environment

    async def reload(healer: Healer) -> tuple[str, dict[str, str], Scope]:
        return "reload_partition", PARTITION, await healer.preview("reload_partition", **PARTITION)

    async def begin() -> Plan:
        incident = heals(database_url, catalog=catalog_of(loader=HERE)).incident
        healer, call = await _begin(database_url, tmp_path, incident, reload)
        return _plan(healer, tmp_path, call, environment=given)

    whole = await begin()
    before = content(database_url)
    assert await asyncio.to_thread(run, whole) == 0
    after = content(database_url)
    assert whole.receipt is not None
    assert (whole.receipt.status, after == before) == (("failed", True) if fails else ("done", False))

    for dies_at in range(3, whole.boundaries + 1, 6 if fails else 4):
        plan = (await begin()).model_copy(update={"dies_at": dies_at})
        assert await asyncio.to_thread(run, plan) == KILLED
        resumed = plan.model_copy(update={"dies_at": 0})
        assert await asyncio.to_thread(run, resumed) == 0
        assert resumed.receipt is not None
        status = resumed.receipt.status.removeprefix("already_")
        assert (status, content(database_url)) == (whole.receipt.status, after), f"killed at boundary {dies_at}"
