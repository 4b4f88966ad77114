"""Rows that break an expectation leave their partition whole, and come back as they were."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from prefect_healing.domain.violation import Violation
from prefect_healing.errors import ToolFailed
from prefect_healing.warehouse.connection import writing
from prefect_healing.warehouse.violation_keys import keep_keys
from tests.warehouse_write.conftest import Heals
from tests.warehouse_write.shop import (
    DAY,
    GATE_ID,
    NEXT_DAY,
    ORDERS,
    SEEN_AT,
    Healer,
    catalog_of,
    connected,
    content,
    count,
    fill,
    order,
    violation,
)

FAR = datetime.fromisoformat("2999-01-01T00:00:00")
MOVE = {"table": "orders", "partition": DAY.isoformat(), "violation": "v1"}


async def kept(healer: Healer, *keys: tuple[Any, ...], name: str = "v1") -> int:
    table = healer.incident.catalog.tables[0]
    return await writing(healer.settings, lambda inside: keep_keys(inside, GATE_ID, name, table, keys))


async def test_the_rows_that_broke_it_move_and_come_back_identical(database_url: str, heals: Heals):
    """The preview says how many and which share; the undo gives back the same rows, the same types."""
    fill(database_url, [order(n) for n in range(10)] + [order(n, NEXT_DAY) for n in range(10)])
    healer, before = heals(database_url, violation(2)), content(database_url)
    await kept(healer, (3, "c3"), (4, "c4"))

    scope = await healer.preview("quarantine_rows", **MOVE)
    receipt = await healer.carry_out("quarantine_rows", scope=scope, **MOVE)

    assert (scope.rows_written, scope.share, scope.tables, scope.days) == (2, 0.2, ("orders",), ("2013-01-05",))
    assert scope.asks == ()
    assert (receipt.status, await healer.check(receipt)) == ("done", "passed")
    assert count(database_url, "orders") == 18
    with connected(database_url) as connection:
        notes = connection.exec_driver_sql("SELECT id, healing_reason, healing_incident FROM healing_quarantine_orders")
        assert sorted(map(tuple, notes)) == [(n, "expect_amount of amount", healer.incident.id) for n in (3, 4)]
    back = await healer.undo(receipt)
    assert (back.status, await healer.check(back)) == ("done", "passed")
    assert content(database_url) == before
    assert count(database_url, "healing_quarantine_orders") == 0


async def test_a_return_can_be_undone_too(database_url: str, heals: Heals):
    fill(database_url, [order(n) for n in range(4)])
    healer = heals(database_url, violation(1))
    await kept(healer, (3, "c3"))
    moved = await healer.carry_out("quarantine_rows", **MOVE)
    after = content(database_url)

    again = await healer.undo(await healer.undo(moved))

    assert again.status == "done"
    assert content(database_url) == after


async def test_a_key_is_found_again_whatever_its_parts_are(database_url: str, heals: Heals):
    """NULL, empty text, quotes, dates, decimals, floats that were integers: each finds its own row and no other."""
    when = datetime.fromisoformat("2013-01-05T07:30:00")
    odd = {"Customer %": 'O\'Neill "x" \\ ü 😀'}
    fill(
        database_url,
        [
            order(None, **{"Customer %": None}),
            order(None, **{"Customer %": ""}),
            order(1, **odd),
            order(2, amount=1.1, seen_at=when),
            order(3, weight=1e22, paid=False),
            order(4, weight=0.1 + 0.2),
        ],
    )
    names = ("id", "Customer %", "day", "amount", "weight", "paid", "seen_at")
    healer = heals(database_url, violation(4), catalog=catalog_of(key=names))
    await kept(
        healer,
        (None, None, DAY, Decimal("12.50"), 0.1, True, SEEN_AT),
        (1.0, odd["Customer %"], "2013-01-05", Decimal("12.5"), 0.1, True, SEEN_AT),
        (2, "c2", DAY, Decimal("1.10"), 0.1, True, when.isoformat()),
        (3, "c3", datetime.fromisoformat("2013-01-05T00:00:00"), Decimal("12.50"), 1e22, False, SEEN_AT),
    )
    receipt = await healer.carry_out("quarantine_rows", **MOVE)

    assert receipt.status == "done", receipt.detail
    with connected(database_url) as connection:
        left = connection.execute(sa.select(ORDERS.c.id, ORDERS.c["Customer %"])).all()
    assert sorted(left, key=str) == [(4, "c4"), (None, "")]


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ([(1, "c1")], "those of other rows too"),
        ([(2, "c2"), (9, "c9")], "1 of 2 rows of orders of 2013-01-05 that broke it are not there"),
        ([(3, "c3")], "1 of 1 rows of orders of 2013-01-05 that broke it are not there"),
        ([], "0 keys"),
    ],
)
async def test_keys_that_do_not_single_out_the_rows_move_nothing(
    database_url: str, heals: Heals, keys: list[tuple[Any, ...]], says: str
):
    """Duplicates of which one is good, rows that are gone, rows of another day."""
    fill(database_url, [order(1), order(1, amount=-1), order(2), order(3, NEXT_DAY)])
    healer, before = heals(database_url, violation(max(1, len(keys)))), content(database_url)
    await kept(healer, *keys)

    with pytest.raises(ToolFailed, match=says):
        await healer.preview("quarantine_rows", **MOVE)

    assert content(database_url) == before


async def test_duplicates_that_are_all_bad_move_all(database_url: str, heals: Heals):
    """A gate keeps one key for each row, so two rows with one key are two keys."""
    fill(database_url, [order(1), order(1, amount=-1), order(2)])
    healer = heals(database_url, violation(2))
    await kept(healer, (1, "c1"), (1, "c1"))

    receipt = await healer.carry_out("quarantine_rows", **MOVE)

    assert (receipt.data["rows"], count(database_url, "orders")) == (2, 1)


async def test_rows_that_break_two_expectations_move_once_and_count_together(database_url: str, heals: Heals):
    """The second quarantine's preview still holds after the first, and the share is that of both."""
    fill(database_url, [order(n) for n in range(10)])
    healer, before = heals(database_url, violation(2), violation(2, "v2")), content(database_url)
    await kept(healer, (1, "c1"), (2, "c2"))
    await kept(healer, (2, "c2"), (3, "c3"), name="v2")
    second = MOVE | {"violation": "v2"}
    foreseen = await healer.preview("quarantine_rows", **second)

    first = await healer.carry_out("quarantine_rows", **MOVE)
    seen_after = await healer.preview("quarantine_rows", **second)
    last = await healer.carry_out("quarantine_rows", scope=foreseen, **second)

    assert seen_after.basis == foreseen.basis
    assert (seen_after.rows_written, seen_after.share) == (1, 0.3)
    assert (first.data["rows"], last.data["rows"]) == (2, 1)
    assert [(await healer.undo(each)).status for each in (last, first)] == ["done", "done"]
    assert content(database_url) == before


async def test_a_partition_that_changed_voids_the_preview(database_url: str, heals: Heals):
    fill(database_url, [order(n) for n in range(3)])
    healer = heals(database_url, violation(1))
    await kept(healer, (1, "c1"))
    scope = await healer.preview("quarantine_rows", **MOVE)

    with connected(database_url) as connection:
        connection.execute(sa.update(ORDERS).where(ORDERS.c.id == 2).values(amount=99))

    assert (await healer.preview("quarantine_rows", **MOVE)).basis != scope.basis


async def test_rows_that_were_loaded_again_meanwhile_are_not_doubled(database_url: str, heals: Heals):
    fill(database_url, [order(1), order(2)])
    healer = heals(database_url, violation(1))
    await kept(healer, (1, "c1"))
    receipt = await healer.carry_out("quarantine_rows", **MOVE)
    with connected(database_url) as connection:
        connection.execute(sa.insert(ORDERS), [order(1)])

    back = await healer.undo(receipt)

    assert (back.status, count(database_url, "orders")) == ("failed", 2)
    assert "they would be there twice" in back.detail


async def test_columns_that_changed_meanwhile_are_never_put_in_each_others_place(database_url: str, heals: Heals):
    """What is in quarantine stays there with a clear no; the next quarantine gets a table of its own."""
    fill(database_url, [order(1), order(2), order(3)])
    healer = heals(database_url, violation(1), violation(1, "v2"))
    await kept(healer, (1, "c1"))
    await kept(healer, (2, "c2"), name="v2")
    first = await healer.carry_out("quarantine_rows", **MOVE)
    with connected(database_url) as connection:
        connection.exec_driver_sql("ALTER TABLE orders ADD COLUMN extra VARCHAR(10)")
    other = heals(database_url, violation(1, "v2"))

    back = await healer.undo(first)
    second = await other.carry_out("quarantine_rows", **MOVE | {"violation": "v2"})

    assert (back.status, second.status) == ("failed", "done")
    assert "its columns changed since (extra)" in back.detail
    assert second.data["kept_in"] == "healing_quarantine_orders_2"
    assert count(database_url, "healing_quarantine_orders") == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"table": "daily"}, "only rows of that can be moved"),
        ({"table": "secrets"}, "No table 'secrets' bears on this incident"),
        ({"partition": "2013-01-06"}, "only rows of that can be moved"),
        ({"partition": "2013-02-30"}, "is no partition"),
        ({"partition": "'; drop table orders"}, "is no partition"),
        ({"violation": "v9"}, "it found v1, whole"),
        ({"violation": "whole"}, "a row count is not about single rows"),
    ],
)
async def test_what_the_gate_did_not_find_is_not_moved(
    database_url: str, heals: Heals, arguments: dict[str, str], says: str
):
    fill(database_url, [order(1)])
    whole = Violation(id="whole", expectation="rows", detail="few", refusal="a row count is not about single rows")
    healer = heals(database_url, violation(1), whole)

    with pytest.raises(ToolFailed, match=says):
        await healer.preview("quarantine_rows", **MOVE | arguments)


async def test_gold_rows_are_moved_by_a_person_only(database_url: str, heals: Heals):
    fill(database_url, [order(1), order(2)])
    healer = heals(database_url, violation(1), catalog=catalog_of(layer="gold"))
    await kept(healer, (1, "c1"))

    scope = await healer.preview("quarantine_rows", **MOVE)

    assert scope.asks == ("orders is a gold table, and its catalog entry does not say `rebuild: allow`",)


async def test_a_database_that_numbers_rows_by_itself_gets_their_own_numbers_back(database_url: str, heals: Heals):
    """GENERATED ALWAYS, generated columns and arrays of PostgreSQL; rowids and columns without a type of SQLite."""
    postgres = database_url.startswith("postgresql")
    with connected(database_url) as connection:
        connection.exec_driver_sql(
            "CREATE TABLE orders (no INTEGER GENERATED ALWAYS AS IDENTITY, id INTEGER, day DATE, cents NUMERIC(9, 2),"
            " double INTEGER GENERATED ALWAYS AS (id * 2) STORED, tags TEXT[])"
            if postgres
            else "CREATE TABLE orders (no INTEGER PRIMARY KEY AUTOINCREMENT, id INTEGER, day DATE, cents,"
            " double INTEGER GENERATED ALWAYS AS (id * 2) STORED, tags BLOB)"
        )
        tags = "'{a,b}'" if postgres else "x'00ff'"
        for number in (1, 2):
            connection.exec_driver_sql(
                f"INSERT INTO orders (id, day, cents, tags) VALUES ({number}, '2013-01-05', 1.50, {tags})"
            )
    healer = heals(database_url, violation(1), catalog=catalog_of(key=("id",)))
    before = content(database_url)
    await kept(healer, (2,))

    receipt = await healer.carry_out("quarantine_rows", **MOVE)
    assert count(database_url, "orders") == 1
    back = await healer.undo(receipt)

    assert back.status == "done", back.detail
    assert content(database_url) == before


async def test_keys_are_kept_once_and_forgotten_when_old(database_url: str, heals: Heals):
    """A gate that runs again keeps its keys anew; old ones go when told so."""
    from prefect_healing.warehouse.violation_keys import forget_keys

    fill(database_url, [order(1)])
    healer = heals(database_url, violation(1))

    assert await kept(healer, *((n, "x") for n in range(2_500))) == 2_500
    assert await kept(healer, (1, "c1")) == 1
    assert count(database_url, "healing_violation_keys") == 1
    assert await writing(healer.settings, lambda inside: forget_keys(inside, FAR)) == 1
    assert await writing(healer.settings, lambda inside: forget_keys(inside, FAR)) == 0


async def test_a_table_without_a_key_keeps_none(database_url: str, heals: Heals):
    fill(database_url, [order(1)])
    healer = heals(database_url, catalog=catalog_of(key=()))

    with pytest.raises(ToolFailed, match="declares no key"):
        await kept(healer, (1, "c1"))
