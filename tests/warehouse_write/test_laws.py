"""Laws of every write, over random partitions and faults."""

import asyncio
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prefect.filesystems import LocalFileSystem
from sqlalchemy import event

from prefect_healing.errors import ToolFailed
from prefect_healing.journal import Journal
from prefect_healing.warehouse.connection import reading, writing
from prefect_healing.warehouse.copies import copy_of, restore, take_copy
from prefect_healing.warehouse.fingerprint import partition_fingerprint
from prefect_healing.warehouse.violation_keys import keep_keys
from tests.warehouse_write.conftest import TOOLS
from tests.warehouse_write.loaders import load
from tests.warehouse_write.shop import (
    DAY,
    GATE_ID,
    NEXT_DAY,
    ORDERS,
    Healer,
    catalog_of,
    connected,
    content,
    fill,
    incident_of,
    order,
    refill,
    violation,
)

MOVE = {"table": "orders", "partition": DAY.isoformat(), "violation": "v1"}
quick = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

texts = st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
numbers = st.none() | st.integers(0, 6)


@st.composite
def orders(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Draw orders of two days, with NULLs, duplicates and odd texts."""
    drawn = draw(
        st.lists(
            st.tuples(
                numbers,
                st.sampled_from([DAY, DAY, NEXT_DAY]),
                texts,
                st.none() | st.decimals(-1000, 1000, places=2).map(float),
                st.none() | st.floats(allow_nan=False, allow_infinity=False, width=32),
                st.none() | st.booleans(),
            ),
            max_size=14,
        )
    )
    names = ("amount", "weight", "paid")
    return [
        order(number, day, **{"Customer %": customer}, **dict(zip(names, rest, strict=True)))
        for number, day, customer, *rest in drawn
    ]


def _healer(url: str, folder: str, kept: int) -> Healer:
    incident = incident_of(catalog_of(), (violation(kept),) if kept else ())
    return Healer(url, incident, Journal(LocalFileSystem(basepath=folder), incident.id), TOOLS)


def _outside(found: dict[str, Any]) -> dict[str, Any]:
    """Return what no write of this day may change."""
    orders = {row: times for row, times in found["orders"].items() if _is_of(NEXT_DAY, row)}
    return {"orders": orders, "other": found["other"]}


def _is_of(day: date, row: str) -> bool:
    return day.isoformat() in row or repr(day) in row


@quick
@given(rows=orders(), data=st.data())
def test_quarantine_then_undo_is_the_identity_and_touches_nothing_else(
    database_url: str, rows: list[dict[str, Any]], data: st.DataObject
):
    """For any rows of which any are bad: the bad ones move or a no is said, and then everything is as before."""
    refill(database_url, rows)
    today = [each for each in rows if each["day"] == DAY]
    bad = data.draw(st.lists(st.sampled_from(today), max_size=8, unique_by=id)) if today else []
    before = content(database_url)

    async def there_and_back() -> None:
        with TemporaryDirectory() as folder:
            healer = _healer(database_url, folder, len(bad))
            keys = [(each["id"], each["Customer %"]) for each in bad]
            table = healer.incident.catalog.tables[0]
            await writing(healer.settings, lambda inside: keep_keys(inside, GATE_ID, "v1", table, keys))
            try:
                receipt = await healer.carry_out("quarantine_rows", **MOVE)
            except ToolFailed:
                shared = any(keys.count(key) != _times(today, key) for key in keys)
                assert shared or not bad
                assert content(database_url) == before
                return
            moved = content(database_url)
            assert sum(moved["orders"].values()) == len(rows) - len(bad)
            assert _outside(moved) == _outside(before)
            assert (await healer.undo(receipt)).status == "done"
            assert content(database_url) == before

    asyncio.run(there_and_back())


def _times(rows: list[dict[str, Any]], key: tuple[Any, Any]) -> int:
    return sum((each["id"], each["Customer %"]) == key for each in rows)


@quick
@given(rows=orders(), size=st.integers(0, 8))
def test_a_reload_is_idempotent_and_its_copy_brings_back_what_was_there(
    database_url: str, monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, Any]], size: int
):
    """Loaded twice is loaded once; restored, every row of every table of the loader is as before."""
    monkeypatch.setenv("SHOP_URL", database_url)
    monkeypatch.setenv("SHOP_ROWS", str(size))
    refill(database_url, rows)
    before = content(database_url)

    async def reload() -> None:
        with TemporaryDirectory() as folder:
            healer = _healer(database_url, folder, 0)
            catalog = healer.incident.catalog
            parts = [(table, DAY) for table in catalog.tables[:2]]
            await writing(healer.settings, lambda inside: take_copy(inside, "copy-1", "I", parts))
            load(DAY)
            loaded = content(database_url)
            load(DAY)
            assert content(database_url) == loaded
            assert _outside(loaded) == _outside(before)
            await writing(healer.settings, lambda inside: restore(inside, catalog, copy_of(inside, "copy-1")))
            assert content(database_url) == before

    asyncio.run(reload())


@quick
@given(rows=orders(), seed=st.randoms())
def test_the_fingerprint_sees_any_change_and_no_order(database_url: str, rows: list[dict[str, Any]], seed: Any):
    """It is that of the rows, in whatever order they are there; take one away, double it, change it: another."""
    today = [each | {"day": DAY} for each in rows]

    def fingerprint(those: list[dict[str, Any]]) -> object:
        refill(database_url, those)
        table = catalog_of().tables[0]
        settings = _healer(database_url, "/nowhere", 0).settings
        return asyncio.run(reading(settings, lambda inside: partition_fingerprint(inside, table, DAY)))

    first = fingerprint(today)
    shuffled = seed.sample(today, len(today))
    assert fingerprint(shuffled) == first
    if today:
        assert fingerprint(today[1:]) != first
        assert fingerprint([*today, today[0]]) != first
        assert fingerprint([today[0] | {"weight": 0.7254}, *today[1:]]) != first


class _Broken(Exception):
    """The disk is full."""


@pytest.fixture
def breaks_at() -> Iterator[list[int]]:
    """Break a statement: the list holds after how many."""
    left: list[int] = []

    def broken(*_: Any) -> None:
        if left:
            left[0] -= 1
            if left[0] < 0:
                left.clear()
                raise _Broken

    event.listen(sa.Engine, "after_cursor_execute", broken)
    yield left
    event.remove(sa.Engine, "after_cursor_execute", broken)


async def test_a_write_that_breaks_at_any_statement_changed_nothing(
    database_url: str, tmp_path: Path, breaks_at: list[int]
):
    """And done again it succeeds: no half of it is in the way."""
    fill(database_url, [order(n) for n in range(4)] + [order(1, NEXT_DAY)])
    before = content(database_url)
    broken = 0
    while True:
        healer = _healer(database_url, str(tmp_path / str(broken)), 1)
        table = healer.incident.catalog.tables[0]
        await writing(healer.settings, lambda inside: keep_keys(inside, GATE_ID, "v1", table, [(1, "c1")]))  # noqa: B023
        scope = await healer.preview("quarantine_rows", **MOVE)
        breaks_at.append(broken)
        receipt = await healer.carry_out("quarantine_rows", scope=scope, **MOVE)
        came_through = bool(breaks_at)
        breaks_at.clear()
        if came_through:
            break
        assert receipt.status == "unknown", receipt
        assert content(database_url) == before
        broken += 1
    assert broken > 10
    assert (await healer.undo(receipt)).status == "done"
    with connected(database_url) as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(ORDERS)).scalar_one() == 5
