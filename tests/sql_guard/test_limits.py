"""A query that passes the guard still ends, stays small, cannot write, and says nothing of rows when it fails."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from prefect_healing.domain.catalog import Catalog, Table
from prefect_healing.errors import ToolFailed
from prefect_healing.warehouse import query
from prefect_healing.warehouse._sqlite_wall import walled
from prefect_healing.warehouse.connection import reading
from prefect_healing.warehouse.query import BYTES_MAX, CELL_CHARS_MAX
from tests.sql_guard.conftest import CANARY, CATALOG, Make, Warehouse, context_of

BOMB = "SELECT count(*) FROM numbers a, numbers b, numbers c, numbers d, numbers e, numbers f, numbers g, numbers h"


def test_a_cross_join_without_end_ends(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "QUERY_SECONDS", 0.2)

    with pytest.raises(ToolFailed, match="did not end within"):
        warehouse.ask(BOMB)


def test_at_most_two_hundred_rows_are_shown(warehouse: Warehouse) -> None:
    answer = warehouse.ask("SELECT a.n, b.n FROM numbers a CROSS JOIN numbers b")

    assert len(answer.rows) == 200
    assert "first 200 rows" in answer.note


def test_a_limit_of_ones_own_is_kept(warehouse: Warehouse) -> None:
    answer = warehouse.ask("SELECT a.n FROM numbers a CROSS JOIN numbers b LIMIT 3")

    assert (len(answer.rows), answer.note) == (3, "")


def test_a_greater_limit_is_not(warehouse: Warehouse) -> None:
    assert len(warehouse.ask("SELECT a.n FROM numbers a, numbers b LIMIT 100000").rows) == 200


def test_at_most_so_many_bytes_are_shown(make_warehouse: Make) -> None:
    """Long values are cut, and rows left out, each with a note."""
    warehouse = make_warehouse("sqlite", "")
    _execute(warehouse, f"UPDATE numbers SET word = '{'x' * 5_000}'")

    answer = warehouse.ask("SELECT a.word AS one, b.word AS other FROM numbers a, numbers b")

    assert len(answer.model_dump_json()) < BYTES_MAX * 1.1
    assert len(str(answer.rows[0][0])) < CELL_CHARS_MAX + 50
    assert "bytes" in answer.note


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM flights WHERE CAST(note AS integer) > 1",
        "SELECT sum(CAST(carrier AS numeric)) FROM flights",
        "SELECT count(*) FROM flights WHERE 1 / (delay - delay) > 1",
        "SELECT count(*) FROM flights WHERE note = 7",
    ],
)
def test_an_error_of_the_database_tells_no_value(warehouse: Warehouse, sql: str) -> None:
    """PostgreSQL quotes the value that it could not cast."""
    assert CANARY not in warehouse.said(sql)


@pytest.mark.parametrize("make_dialect", ["sqlite", "postgresql"])
def test_what_a_number_column_holds_that_is_none_does_not_leave(make_warehouse: Make, make_dialect: str) -> None:
    """SQLite keeps texts in columns of any type, and for it a text is more than any number."""
    warehouse = make_warehouse(make_dialect, "")
    if make_dialect == "sqlite":
        _execute(warehouse, f"UPDATE flights SET delay = '{CANARY}', departed = '{CANARY}' WHERE id > 50")

    said = warehouse.said("SELECT max(delay), min(delay), max(departed), sum(delay), avg(delay) FROM flights")

    assert said.startswith("{")
    assert CANARY not in said


def test_a_declared_view_can_be_read(make_warehouse: Make, tmp_path: Path) -> None:
    """What it is made from cannot, except through it."""
    warehouse = make_warehouse("sqlite", "")
    tables = (*CATALOG.tables, Table(name="flights_view", layer="staging", share_rows=True))
    _execute(warehouse, "CREATE VIEW flights_view AS SELECT upper(hex(word)) AS w, n FROM numbers")
    context = context_of(warehouse.url, Catalog(tables=tables[-1:]), tmp_path)
    seen = Warehouse("sqlite", warehouse.url, context)

    assert seen.ask("SELECT n FROM flights_view WHERE n < 2 ORDER BY n").rows == ((0,), (1,))
    assert seen.ask("SELECT count(*) FROM flights_view").rows == ((21,),)
    with pytest.raises(ToolFailed):
        seen.ask("SELECT n FROM numbers")


@pytest.mark.parametrize("sql", ["SELECT secret FROM vault", "SELECT hex(word) FROM numbers", "PRAGMA table_list"])
@pytest.mark.parametrize("warehouse", ["sqlite"], indirect=True)
async def test_sqlite_itself_refuses_what_the_guard_would_have_missed(warehouse: Warehouse, sql: str) -> None:
    def work(connection: sa.Connection) -> object:
        with walled(connection, frozenset(("numbers",)), 5):
            return connection.exec_driver_sql(sql).fetchall()

    with pytest.raises(ToolFailed, match=r"not authorized|prohibited"):
        await reading(warehouse.context.settings, work)


async def test_the_transaction_itself_cannot_write(warehouse: Warehouse) -> None:
    with pytest.raises(ToolFailed, match=r"read-?only"):
        await reading(warehouse.context.settings, lambda connection: connection.exec_driver_sql("DELETE FROM flights"))


def test_a_declared_table_that_is_not_there_is_said_to_be_missing(make_warehouse: Make, tmp_path: Path) -> None:
    warehouse = make_warehouse("sqlite", "")
    catalog = Catalog(tables=(Table(name="nowhere", layer="staging"),))
    asked = Warehouse("sqlite", warehouse.url, context_of(warehouse.url, catalog, tmp_path))

    with pytest.raises(ToolFailed, match="nowhere"):
        asked.ask("SELECT count(*) FROM nowhere")


def _execute(warehouse: Warehouse, statement: str) -> None:
    engine = sa.create_engine(warehouse.url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()
