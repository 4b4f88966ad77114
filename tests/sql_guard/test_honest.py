"""What an honest model asks is answered, rightly, and the same on both databases."""

from typing import Any

import pytest

from tests.sql_guard.conftest import ROW_CANARY, Warehouse

DAYS = ("2013-01-01", "2013-01-02", "2013-01-03")

BOTH: list[tuple[str, list[tuple[Any, ...]]]] = [
    ("SELECT count(*) FROM flights", [(60,)]),
    ("select COUNT(*) from FLIGHTS;", [(60,)]),
    ('SELECT count(*) AS "how many" FROM "flights"', [(60,)]),
    ("SELECT count(*) FROM flights -- all of them", [(60,)]),
    ("SELECT /* how many */ count(*) FROM flights", [(60,)]),
    ("(SELECT count(*) FROM flights)", [(60,)]),
    ("SELECT count(*) FROM flights WHERE flight_date = '2013-01-02'", [(20,)]),
    (
        "SELECT flight_date, count(*) FROM flights GROUP BY flight_date ORDER BY flight_date",
        [(day, 20) for day in DAYS],
    ),
    ("SELECT f.flight_date AS d, count(*) AS n FROM flights f GROUP BY d ORDER BY d", [(day, 20) for day in DAYS]),
    ("SELECT flight_date, count(*) FROM flights GROUP BY 1 ORDER BY 1 DESC LIMIT 1", [(DAYS[2], 20)]),
    ("SELECT flight_date, count(*) FROM flights GROUP BY 1 ORDER BY 1 LIMIT 1 OFFSET 1", [(DAYS[1], 20)]),
    ("SELECT DISTINCT flight_date FROM flights ORDER BY flight_date", [(day,) for day in DAYS]),
    ("SELECT min(flight_date), max(flight_date) FROM flights", [(DAYS[0], DAYS[2])]),
    ("SELECT count(DISTINCT flight_date) FROM flights", [(3,)]),
    ("SELECT count(tail), count(*) - count(tail) FROM flights", [(50, 10)]),
    ("SELECT count(*) FROM flights WHERE tail IS NULL", [(10,)]),
    ("SELECT count(*) FROM flights WHERE tail IS NOT NULL", [(50,)]),
    ("SELECT count(email), count(DISTINCT email), count(DISTINCT salary) FROM flights", [(54, 54, 1)]),
    (
        "SELECT flight_date, count(*) FROM flights WHERE email IS NULL GROUP BY flight_date ORDER BY 1",
        [(day, 2) for day in DAYS],
    ),
    ("SELECT count(CASE WHEN email IS NULL THEN 1 END) FROM flights", [(6,)]),
    ("SELECT sum(CASE WHEN tail IS NULL THEN 1 ELSE 0 END) FROM flights", [(10,)]),
    ("SELECT count(*) FILTER (WHERE tail IS NULL), count(*) FROM flights", [(10, 60)]),
    ("SELECT min(delay), max(delay), count(delay) FROM flights WHERE id > 7", [(3, 54, 52)]),
    ("SELECT sum(delay) FROM flights WHERE id < 7", [(-14,)]),
    ("SELECT round(avg(delay), 1) FROM flights WHERE id BETWEEN 8 AND 17", [(7.5,)]),
    ("SELECT max(delay - id) FROM flights WHERE id > 7", [(-5,)]),
    ("SELECT avg(length(note)) > 5 FROM flights", None),
    ("SELECT max(departed) FROM flights WHERE id > 9", [("2013-01-03 23:30:00",)]),
    ("SELECT count(*) FROM flights WHERE delay < 0 OR delay > 1000", [(6,)]),
    ("SELECT count(*) FROM flights WHERE carrier NOT LIKE 'N%' AND id % 2 = 0", [(30,)]),
    ("SELECT count(*) FROM flights WHERE id IN (1, 2, 3) AND NOT (delay = -3)", [(2,)]),
    ("SELECT count(DISTINCT carrier) FROM flights", [(2,)]),
    ("SELECT count(*) FROM flights WHERE id > (SELECT avg(id) FROM flights)", [(30,)]),
    ("SELECT count(*) FROM (SELECT tail FROM flights GROUP BY tail HAVING count(*) > 2) AS repeated", [(7,)]),
    (
        ("SELECT count(*) FROM flights f LEFT JOIN planes p ON p.tail = f.tail WHERE f.tail IS NOT NULL AND p.tail IS "
        "NULL"),
        [(8,)],
    ),
    (
        ("SELECT f.flight_date, count(*) FROM flights f JOIN planes p ON p.tail = f.tail GROUP BY f.flight_date "
        "ORDER BY f.flight_date"),
        None,
    ),
    ("SELECT count(*) FROM flights JOIN planes USING (tail)", [(42,)]),
    ("SELECT count(*) FROM flights WHERE tail IN (SELECT tail FROM planes)", [(42,)]),
    ("SELECT count(*) FROM flights f WHERE EXISTS (SELECT * FROM planes p WHERE p.tail = f.tail)", [(42,)]),
    ("SELECT count(*) FROM (SELECT tail FROM planes EXCEPT SELECT tail FROM flights) AS missing", None),
    ("SELECT sum(p.seats) FROM planes p", [(2190,)]),
    (
        ("WITH daily AS (SELECT flight_date, count(*) AS n FROM flights GROUP BY flight_date) "
        "SELECT min(n), max(n), avg(n) FROM daily"),
        [(20, 20, 20)],
    ),
    (
        ("WITH daily AS (SELECT flight_date AS d, count(*) AS n, count(tail) AS t FROM flights GROUP BY 1), "
        "worst AS (SELECT d, n - t AS missing FROM daily) SELECT d FROM worst WHERE missing = 10 ORDER BY d"),
        [(DAYS[0],)],
    ),
    (
        ("SELECT 'flights' AS name, count(*) AS n FROM flights UNION ALL SELECT 'planes', count(*) FROM planes "
        "ORDER BY name"),
        [("flights", 60), ("planes", 20)],
    ),
    (
        "SELECT flight_date, count(*) FROM flights GROUP BY flight_date HAVING count(tail) < 20 ORDER BY flight_date",
        [(DAYS[0], 20)],
    ),
    (
        ("SELECT a.flight_date, a.n - b.n FROM (SELECT flight_date, count(*) AS n FROM flights GROUP BY 1) a "
        "CROSS JOIN (SELECT count(*) AS n FROM planes) b ORDER BY 1"),
        [(day, 0) for day in DAYS],
    ),
    ("SELECT code, name, altitude FROM airports WHERE altitude > 15 ORDER BY code", [
        ("EWR", "Newark", 18),
        ("LGA", "La Guardia", 22),
    ]),
    ("SELECT name FROM airports WHERE contact IS NOT NULL ORDER BY name DESC LIMIT 1", [("Newark",)]),
    ("SELECT lower(name), length(code), substr(name, 1, 3) FROM airports WHERE code = 'JFK'", [("kennedy", 3, "Ken")]),
    ("SELECT upper(trim(word)) FROM numbers WHERE n = 3", [("WORD 3",)]),
    ("SELECT coalesce(nullif(n, 3), -1) FROM numbers WHERE n < 5 ORDER BY n", [(0,), (1,), (2,), (-1,), (4,)]),
    ("SELECT n, CASE WHEN n > 17 THEN 'high' ELSE 'low' END AS how FROM numbers WHERE n IN (17, 18) ORDER BY n", [
        (17, "low"),
        (18, "high"),
    ]),
    ("SELECT CAST(n AS text), n * 2 + 1, -n, n / 2.0 FROM numbers WHERE n = 5", [("5", 11, -5, 2.5)]),
    ("SELECT word FROM numbers WHERE word LIKE '%_9' ORDER BY n", [("word 9",), ("word 19",)]),
    ("SELECT count(*) FROM numbers WHERE word LIKE '100!%' ESCAPE '!'", [(0,)]),
    ("SELECT count(*) FROM numbers WHERE word = 'it''s; -- DROP TABLE x /* */ 50% :name ?'", [(0,)]),
    ("SELECT * FROM numbers WHERE n < 2 ORDER BY n", [(0, "word 0"), (1, "word 1")]),
    ("SELECT x.* FROM numbers AS x WHERE x.n = 1", [(1, "word 1")]),
    ("SELECT a.n, b.n FROM numbers a JOIN numbers b ON b.n = a.n + 1 WHERE a.n < 2 ORDER BY a.n", [(0, 1), (1, 2)]),
    ("SELECT opened FROM airports WHERE code = 'JFK'", [("1948-07-13",)]),
    ("SELECT name FROM airports a WHERE altitude = (SELECT max(altitude) FROM airports)", [("La Guardia",)]),
    ("SELECT 1", [(1,)]),
    ("SELECT n FROM numbers ORDER BY word DESC NULLS LAST LIMIT 1", None),
]  # fmt: skip
SQLITE = [
    ("SELECT strftime('%Y-%m', opened), date(opened) FROM airports WHERE code = 'JFK'", [("1948-07", "1948-07-13")]),
    ("SELECT typeof(delay), count(*) FROM flights GROUP BY 1", [("integer", 60)]),
    ("SELECT ifnull(nullif(n, 1), 5), iif(n = 1, 'a', 'b') FROM numbers WHERE n = 1", [(5, "a")]),
    ("SELECT count(*) FROM flights WHERE date(departed) <> flight_date", [(0,)]),
]
POSTGRES = [
    ("SELECT date_trunc('month', opened)::date FROM airports WHERE code = 'JFK'", [("1948-07-01",)]),
    ("SELECT extract(year FROM opened) FROM airports WHERE code = 'JFK'", [(1948,)]),
    ("SELECT count(*) FROM flights WHERE flight_date >= DATE '2013-01-02' - INTERVAL '1 day'", [(60,)]),
    ("SELECT count(*) FROM flights WHERE departed::date <> flight_date", [(0,)]),
    ("SELECT round(stddev(delay)::numeric, 2) FROM flights WHERE id > 9", [(14.58,)]),
    ("SELECT to_char(opened, 'YYYY') FROM airports WHERE name ILIKE 'ken%'", [("1948",)]),
    ("SELECT count(*) FROM airports WHERE opened < now() AND opened < current_date", [(3,)]),
]


@pytest.mark.parametrize(("sql", "rows"), BOTH, ids=lambda value: value if isinstance(value, str) else "")
def test_it_is_answered_on_both(warehouse: Warehouse, sql: str, rows: list[tuple[Any, ...]] | None) -> None:
    answer = warehouse.ask(sql)

    assert rows is None or list(answer.rows) == rows
    assert len(answer.columns) == len(answer.rows[0])


@pytest.mark.parametrize("warehouse", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("sql", "rows"), SQLITE)
def test_sqlites_own_words_are_understood(warehouse: Warehouse, sql: str, rows: list[tuple[Any, ...]]) -> None:
    assert list(warehouse.ask(sql).rows) == rows


@pytest.mark.parametrize("warehouse", ["postgresql"], indirect=True)
@pytest.mark.parametrize(("sql", "rows"), POSTGRES)
def test_postgresqls_own_words_are_understood(warehouse: Warehouse, sql: str, rows: list[tuple[Any, ...]]) -> None:
    assert list(warehouse.ask(sql).rows) == rows


def test_there_are_enough_of_them() -> None:
    """So that a guard that refuses everything does not pass."""
    assert len({sql for sql, _ in BOTH}) >= 40


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT max(delay) FROM flights WHERE id = 7",
        "SELECT sum(delay) FROM flights WHERE id BETWEEN 7 AND 10",
        "SELECT avg(delay) FROM flights WHERE note LIKE '% note 7'",
        "SELECT id_max FROM (SELECT max(delay) AS id_max FROM flights GROUP BY id) AS x WHERE id_max IS NOT NULL",
        "SELECT max(f.delay) FROM flights f CROSS JOIN numbers n WHERE f.id = 7",
        "SELECT max(x.delay) FROM (SELECT f.delay FROM flights f CROSS JOIN numbers n WHERE f.id = 7) AS x",
        "SELECT max(delay) FILTER (WHERE id = 7) FROM flights",
        "SELECT max(n.n) FILTER (WHERE n.n = f.delay AND f.id = 8) FROM numbers n CROSS JOIN flights f",
    ],
)
def test_an_aggregate_over_few_rows_is_null(warehouse: Warehouse, sql: str) -> None:
    """An aggregate of one row would be that row, however often a join repeats it."""
    answer = warehouse.ask(sql)

    assert all(value is None for row in answer.rows for value in row)
    assert "fewer than 5" in answer.note


def test_an_aggregate_over_five_rows_is_told(warehouse: Warehouse) -> None:
    answer = warehouse.ask("SELECT max(delay), count(*) FROM flights WHERE id BETWEEN 4 AND 8")

    assert answer.rows == ((ROW_CANARY, 5),)
