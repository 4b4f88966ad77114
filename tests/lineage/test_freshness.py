"""How old a table is, whatever its times are stored as, on both databases."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from prefect_healing.domain.catalog import Column, Freshness, Table
from prefect_healing.errors import ToolFailed
from prefect_healing.settings import Settings
from prefect_healing.warehouse.connection import reading
from prefect_healing.warehouse.freshness import Age, age_of, days_of

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
EAST = "2026-11-22T11:00:00+02:00"


def naive(*parts: int) -> datetime:
    """Return a time as a column without zone holds it."""
    return datetime(*parts, tzinfo=UTC).replace(tzinfo=None)


def make(url: str, kind: sa.types.TypeEngine[Any], *values: object) -> Table:
    """Create a table with one time column, and return its catalog entry with six hours allowed."""
    table = sa.Table("stage", sa.MetaData(), sa.Column("at", kind), sa.Column("day", sa.Date))
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        table.create(connection)
        for index, value in enumerate(values):
            connection.execute(table.insert().values(at=value, day=date(2026, 11, 1 + index)))
    engine.dispose()
    return entry()


def entry(column: str = "at", **more: Any) -> Table:
    freshness = Freshness(column=column, max_age_hours=6)
    return Table(name="stage", layer="staging", partition="day", freshness=freshness, **more)


async def age(url: str, table: Table) -> Age:
    return await reading(Settings(warehouse=url), lambda connection: age_of(connection, table, AT))


STORED = {
    "naive times are UTC": (sa.DateTime(), [naive(2026, 11, 22, 3), naive(2026, 11, 22, 9)], 3),
    "zoned times": (sa.DateTime(timezone=True), [datetime(2026, 11, 22, 9, tzinfo=UTC)], 3),
    "text in another zone": (sa.Text(), [EAST], 3),
    "text with a space": (sa.Text(), ["2026-11-22 09:00:00"], 3),
    "text of UTC": (sa.String(40), ["2026-11-22T09:00:00Z", "2026-11-21T09:00:00Z"], 3),
    "days count from their begin": (sa.Date(), [date(2026, 11, 21), date(2026, 11, 22)], 12),
    "a day as text": (sa.Text(), ["2026-11-22"], 12),
    "nulls are no update": (sa.DateTime(), [naive(2026, 11, 22, 9), None], 3),
    "the future is no update": (sa.DateTime(), [naive(2026, 11, 22, 9), naive(2099, 1, 1)], 3),
    "a day in the future": (sa.Date(), [date(2026, 11, 22), date(2099, 1, 1)], 12),
}


@pytest.mark.parametrize("name", STORED)
async def test_ages_are_in_utc(name: str, database_url: str):
    """However they are stored; SQLite keeps no zones, and takes text where a time is declared."""
    kind, values, hours = STORED[name]
    table = make(database_url, kind, *values)

    found = await age(database_url, table)

    assert found.hours(AT) == pytest.approx(hours)
    assert found.last_update.tzinfo is not None
    assert found.breaches(table, AT) is (hours > 6)
    assert found.ahead == ("future" in name)


async def test_an_empty_table_was_never_updated(database_url: str):
    """That is a breach; and it has no partitions."""
    table = make(database_url, sa.DateTime())

    found = await age(database_url, table)

    assert found == Age()
    assert found.breaches(table, AT) is True
    assert found.breaches(table.model_copy(update={"freshness": None}), AT) is None


async def test_only_future_times_are_no_update(database_url: str):
    """Nothing is known of when it was written last."""
    table = make(database_url, sa.DateTime(), AT.replace(tzinfo=None) + timedelta(hours=1))

    assert (await age(database_url, table)).breaches(table, AT) is True


async def test_a_column_that_is_not_there_is_named(database_url: str):
    """Never taken for a stale table."""
    make(database_url, sa.DateTime())

    with pytest.raises(ToolFailed, match="column loaded_at, which it does not have"):
        await age(database_url, entry("loaded_at"))


async def test_a_table_that_is_not_there_is_named(database_url: str):
    """The catalog and the warehouse disagree: a person corrects one of them."""
    with pytest.raises(ToolFailed, match="declares table stage, and the warehouse has none"):
        await age(database_url, entry())


@pytest.mark.parametrize(("kind", "value"), [(sa.Integer(), 1_700_000_000), (sa.Text(), "canary-4711")])
async def test_what_is_no_time_is_refused_without_its_value(kind: Any, value: object, database_url: str):
    """The value may be anything, so it is not quoted."""
    table = make(database_url, kind, value)

    with pytest.raises(ToolFailed, match=r"at of stage|column of stage") as caught:
        await age(database_url, table)

    assert str(value) not in str(caught.value)


@pytest.mark.parametrize("kind", [sa.Date(), sa.DateTime(), sa.DateTime(timezone=True), sa.Text()], ids=str)
async def test_days_are_listed_whatever_the_partition_column_is(kind: Any, database_url: str):
    """Each once, oldest first, the newest where there are too many."""
    stored = {
        "DATE": date,
        "DATETIME": lambda *day: naive(*day, 23, 30),
        "TEXT": lambda *day: date(*day).isoformat(),
    }[str(kind).partition(" ")[0]]
    rows = [stored(2026, 11, day) for day in (3, 1, 2, 2, 5)]
    make(database_url, kind, *rows)
    table = Table(name="stage", layer="staging", partition="at", columns={"day": Column()})

    def days(since: date | None, limit: int):
        return reading(Settings(warehouse=database_url), lambda connection: days_of(connection, table, since, limit))

    assert [each.day for each in await days(None, 100)] == [1, 2, 3, 5]
    assert [each.day for each in await days(None, 2)] == [3, 5]
    assert [each.day for each in await days(date(2026, 11, 3), 100)] == [3, 5]
    found = await age(database_url, table)
    assert (found.first, found.newest) == (date(2026, 11, 1), date(2026, 11, 5))
