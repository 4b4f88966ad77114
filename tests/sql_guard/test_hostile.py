"""None of these statements reads what it may not, and none writes; each is told what is refused, and why."""

from collections.abc import Sequence

import pytest
import sqlalchemy as sa

from prefect_healing.errors import ToolFailed
from tests.sql_guard.conftest import CANARY, NUMBER_CANARY, ROW_CANARY, Warehouse
from tests.sql_guard.hostile import EITHER, POSTGRES, SQLITE


def test_there_are_enough_of_them() -> None:
    """Two hundred on each database, none twice."""
    both = [sql for group in EITHER.values() for sql in group]

    assert len(set(both)) == len(both)
    assert len({*both, *SQLITE}) >= 200
    assert len({*both, *POSTGRES}) >= 200


def test_the_canaries_are_there_to_be_found(warehouse: Warehouse) -> None:
    """Else nothing below could fail."""
    engine = sa.create_engine(warehouse.url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        for column, table in (("secret", "vault"), ("contact", "airports"), ("email", "flights"), ("note", "flights")):
            assert CANARY in str(connection.exec_driver_sql(f"SELECT max({column}) FROM {table}").scalar())
        assert connection.exec_driver_sql("SELECT delay FROM flights WHERE id = 7").scalar() == ROW_CANARY
    engine.dispose()


@pytest.mark.parametrize("group", EITHER)
def test_it_is_refused_on_both(warehouse: Warehouse, group: str) -> None:
    _all_refused(warehouse, EITHER[group])


@pytest.mark.parametrize("warehouse", ["sqlite"], indirect=True)
def test_it_is_refused_on_sqlite(warehouse: Warehouse) -> None:
    _all_refused(warehouse, SQLITE)


@pytest.mark.parametrize("warehouse", ["postgresql"], indirect=True)
def test_it_is_refused_on_postgresql(warehouse: Warehouse) -> None:
    _all_refused(warehouse, POSTGRES)


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT 1; DELETE FROM flights", "more than one statement"),
        ("DELETE FROM flights", "begins with SELECT"),
        ("WITH d AS (DELETE FROM flights RETURNING id) SELECT count(*) FROM d", "Delete"),
        ("SELECT * FROM vault", "there are flights, planes, airports, numbers"),
        ("SELECT nothing FROM numbers", "numbers has n, word"),
        ("SELECT * FROM airports", "Name the columns you want: code, name, altitude, opened"),
        ("SELECT max(email) FROM flights", "COUNT(DISTINCT email)"),
        ("SELECT carrier FROM flights", "Ask for aggregates"),
        ("SELECT lag(n) OVER (ORDER BY n) FROM numbers", "GROUP BY"),
        ("SELECT my_function(n) FROM numbers", "my_function"),
        ("WITH RECURSIVE r AS (SELECT 1 AS x UNION ALL SELECT x FROM r) SELECT x FROM r", "without end"),
        ("SELECT n FROM numbers WHERE n = :n", "Write the value itself"),
    ],
)
def test_a_refusal_says_what_to_write_instead(warehouse: Warehouse, sql: str, words: str) -> None:
    with pytest.raises(ToolFailed) as refusal:
        warehouse.ask(sql)

    assert words in str(refusal.value)


def _all_refused(warehouse: Warehouse, statements: Sequence[str]) -> None:
    before = warehouse.dump()

    wrong = [f"{sql[:200]!r}: {what}" for sql in statements if (what := _wrong_with(warehouse, sql)) is not None]

    assert wrong == []
    assert warehouse.dump() == before


def _wrong_with(warehouse: Warehouse, sql: str) -> str | None:
    try:
        answer = warehouse.ask(sql)
    except ToolFailed as refusal:
        said = str(refusal)
    else:
        return f"it was answered: {answer}"
    if any(str(canary) in said for canary in (CANARY, NUMBER_CANARY, ROW_CANARY)):
        return f"the refusal tells a value: {said}"
    if "The warehouse refused" in said or len(said) < 40:  # The guard is to refuse, in words, and not the database.
        return f"the refusal does not explain: {said}"
    return None
