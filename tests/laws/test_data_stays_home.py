"""Whatever a model asks of the warehouse, by whichever tool: no value of a row that may not leave is in the answer."""

import importlib
import inspect
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from prefect_healing.domain.catalog import Catalog, Column, Freshness, Loader, Table
from prefect_healing.errors import ToolError
from prefect_healing.tools.tool import AnyTool, Tool, ToolContext
from tests.sql_guard.conftest import context_of

MODULES = ("warehouse_read", "freshness", "lineage", "warehouse_query")
DAY = "2013-01-05"
CANARY, NUMBER_CANARY, DAY_CANARY = "canary", 62342815, "1962-07-23"

ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "table": ("people", "visitors", "elsewhere"),
    "partition": (DAY, "2013-01-06", "'; drop table people"),
    "sql": (
        "SELECT * FROM people",
        "SELECT email FROM visitors",
        "SELECT max(salary), max(born), max(name) FROM people",
        "SELECT count(*), count(email), count(DISTINCT salary), max(amount) FROM people",
        "SELECT count(*) FROM people WHERE CAST(name AS integer) > 1",
        "SELECT city FROM visitors",
    ),
}
"""What each parameter of a read tool is given, by its name. A parameter of a new name needs a line here."""


def _read_tools() -> list[AnyTool]:
    modules = [importlib.import_module(f"prefect_healing.tools.{name}") for name in MODULES]
    tools = [each for module in modules for each in vars(module).values() if isinstance(each, Tool)]
    return [each for each in tools if each.effect == "read"]


def _calls(tool: AnyTool) -> Iterator[dict[str, Any]]:
    """Yield one call for each value of each parameter, the others at their first value."""
    parameters = [name for name in inspect.signature(tool.function).parameters if name != "ctx"]
    first = {name: ARGUMENTS[name][0] for name in parameters}
    yield first
    for name in parameters:
        for value in ARGUMENTS[name][1:]:
            yield first | {name: value}


def _tables() -> tuple[Table, ...]:
    sensitive = {name: Column(sensitive=True) for name in ("email", "salary", "born")}
    common: dict[str, Any] = {"layer": "staging", "partition": "day", "columns": sensitive}
    return (
        Table(name="people", key=("badge",), freshness=Freshness(column="day", max_age_hours=24), **common),
        Table(
            name="visitors",
            key=("email",),
            share_rows=True,
            upstreams=("people",),
            loader=Loader(dbt="visitors"),
            freshness=Freshness(column="day", max_age_hours=24),
            **common,
        ),
    )


def _fill(url: str) -> None:
    """Make two tables with canaries in all that may not leave: of visitors, who are shared, the sensitive columns."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        for table, city in (("people", f"{CANARY} city"), ("visitors", "Berlin")):
            connection.exec_driver_sql(
                f"CREATE TABLE {table} (badge text, day date, name text, city text, amount integer, email text, "
                "salary integer, born date)"
            )
            for number in range(30):
                hidden = CANARY if table == "people" else "open"
                day, badge, name = date(2013, 1, 5 + number % 2), f"{hidden}-{number % 20}", f"{hidden} {number}"
                connection.exec_driver_sql(
                    f"INSERT INTO {table} VALUES ('{badge}', '{day}', '{name}', '{city}', {number}, "
                    f"'{CANARY}{number % 20}@example.org', {NUMBER_CANARY}, '{DAY_CANARY}')"
                )
        if engine.dialect.name == "sqlite":  # Here a column of numbers or days can hold a text.
            connection.exec_driver_sql(f"UPDATE people SET amount = '{CANARY}', born = '{CANARY}' WHERE amount > 27")
    engine.dispose()


@pytest.fixture
def context(database_url: str, tmp_path: Path, prefect_server: str) -> ToolContext:
    """Return what a tool is given, with a warehouse full of canaries behind it."""
    _fill(database_url)
    return context_of(database_url, Catalog(tables=_tables()), tmp_path)


async def _said(tool: AnyTool, context: ToolContext, arguments: dict[str, Any]) -> str:
    try:
        return (await tool.run(context, arguments)).model_dump_json()
    except ToolError as error:
        return f"{error!r} {error.__cause__!r}"


async def test_no_read_tool_tells_a_value_that_may_not_leave(context: ToolContext) -> None:
    told: list[str] = []
    answered: set[str] = set()
    for tool in _read_tools():
        for arguments in _calls(tool):
            said = await _said(tool, context, arguments)
            for asked in arguments.values():  # What a refusal repeats is the model's own.
                said = said.replace(repr(asked), "")
            told += [
                f"{tool.name}({arguments}) tells {canary}: {said[:2_000]}"
                for canary in (CANARY, str(NUMBER_CANARY), DAY_CANARY)
                if canary in said.casefold()
            ]
            answered |= {tool.name} if said.startswith("{") else set()

    assert told == []
    assert answered == {each.name for each in _read_tools()}, "a tool that never answers proves nothing"
