"""What is forbidden is forbidden wherever it stands, and random queries tell nothing of what is hidden."""

from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prefect_healing.domain.catalog import Table
from prefect_healing.errors import ToolFailed
from prefect_healing.warehouse.sql_guard import Dialect, guarded
from tests.sql_guard.conftest import CANARY, CATALOG, NUMBER_CANARY, Make, Warehouse
from tests.sql_guard.hostile import EITHER, POSTGRES, SQLITE

COLUMNS = {
    "flights": {
        "id": "number",
        "flight_date": "date",
        "departed": "date",
        "delay": "number",
        "carrier": "text",
        "note": "text",
        "tail": "text",
        "email": "text",
        "salary": "number",
    },
    "planes": {"tail": "text", "seats": "number", "maker": "text"},
    "airports": {"code": "text", "name": "text", "altitude": "number", "opened": "date", "contact": "text"},
    "numbers": {"n": "number", "word": "text"},
}
DIALECTS: tuple[Dialect, ...] = ("sqlite", "postgres", "duckdb")

SENSITIVE = (
    *("contact", "a.contact", '"contact"', "CONTACT", "lower(contact)", "CAST(contact AS text)", "(contact)"),
    *("coalesce(contact, name)", "CASE WHEN 1 = 1 THEN contact END", "contact || name", "-contact", "contact = 'x'"),
    *("(SELECT contact)", "(SELECT b.contact FROM airports b WHERE b.code = a.code)", "max(contact)", "min(contact)"),
)
VALUE_PLACES = (
    "SELECT {} FROM airports a",
    "SELECT name, {} AS x FROM airports a",
    "SELECT DISTINCT {} FROM airports a",
    "SELECT name FROM airports a WHERE {} IS NOT TRUE",
    "SELECT name FROM airports a WHERE {} > 'm'",
    "SELECT name FROM airports a WHERE 'm' IN ({})",
    "SELECT name FROM airports a WHERE name BETWEEN {} AND 'z'",
    "SELECT name FROM airports a ORDER BY {}",
    "SELECT count(*) FROM airports a GROUP BY {}",
    "SELECT name FROM airports a GROUP BY name HAVING max({}) > 'm'",
    "SELECT count(*) FROM airports a JOIN numbers n ON n.word = {}",
    "SELECT count(*) FILTER (WHERE {} > 'm') FROM airports a",
    "SELECT sum(CASE WHEN {} > 'm' THEN 1 ELSE 0 END) FROM airports a",
    "SELECT x FROM (SELECT {} AS x FROM airports a) AS d",
    "WITH d AS (SELECT {} AS x FROM airports a) SELECT count(x) FROM d",
    "SELECT name FROM airports UNION SELECT {} FROM airports a",
    "SELECT n FROM numbers WHERE EXISTS (SELECT 1 FROM airports a WHERE {} > 'm')",
    "SELECT n FROM numbers WHERE word IN (SELECT {} FROM airports a)",
    "SELECT (SELECT {} FROM airports a LIMIT 1)",
)
FUNCTIONS = (
    *("pg_read_file", "pg_read_binary_file", "pg_ls_dir", "pg_stat_file", "lo_get", "lo_import", "lo_export"),
    *("dblink", "dblink_exec", "pg_sleep", "pg_sleep_for", "set_config", "current_setting", "nextval", "currval"),
    *("setval", "txid_current", "pg_notify", "pg_cancel_backend", "pg_terminate_backend", "pg_reload_conf", "wipe"),
    *("peek", "peeks", "query_to_xml", "query_to_json", "table_to_xml", "schema_to_xml", "database_to_xml"),
    *("cursor_to_xml", "xpath", "to_regclass", "pg_relation_filepath", "pg_get_viewdef", "obj_description"),
    *("load_extension", "readfile", "writefile", "edit", "fts3_tokenizer", "randomblob", "zeroblob", "printf"),
    *("sqlite_compileoption_get", "changes", "read_csv", "read_csv_auto", "read_parquet", "read_text", "glob"),
    *("read_json", "getenv", "sniff_csv", "query", "query_table", "duckdb_tables", "pragma_table_info"),
    *("json_agg", "jsonb_agg", "json_object_agg", "array_agg", "string_agg", "group_concat", "listagg", "xmlagg"),
    *(
        "list",
        "histogram",
        "mode",
        "percentile_cont",
        "percentile_disc",
        "quantile_cont",
        "arg_max",
        "first",
        "any_value",
    ),
    *("row_to_json", "to_json", "hex", "unicode", "ascii", "instr", "strpos", "replace", "repeat", "lpad", "md5"),
    *("random", "gen_random_uuid", "version", "current_user", "generate_series", "unnest", "json_each", "translate"),
)
FUNCTION_PLACES = (
    "SELECT {}",
    "SELECT {} FROM numbers",
    "SELECT n FROM numbers WHERE {} IS NOT NULL",
    "SELECT n FROM numbers ORDER BY {}",
    "SELECT count({}) FROM numbers",
    "SELECT * FROM {} AS x",
    "SELECT n FROM numbers, {} AS x",
    "WITH x AS (SELECT {} AS y FROM numbers) SELECT y FROM x",
)
TABLES = (
    *("vault", '"vault"', "VAULT", "keyhole", "healing_kept", "public.vault", "main.vault", "hidden.flights"),
    *("pg_class", "pg_catalog.pg_class", "pg_stats", "information_schema.tables", "sqlite_master", "sqlite_schema"),
    *("main.sqlite_master", "pragma_table_list", "duckdb_tables", "public.flights", "'/etc/passwd'", '"data.csv"'),
)
TABLE_PLACES = (
    "SELECT * FROM {}",
    "SELECT count(*) FROM {}",
    "SELECT n FROM numbers, {} AS x",
    "SELECT n FROM numbers LEFT JOIN {} AS x ON 1 = 1",
    "SELECT n FROM numbers WHERE EXISTS (SELECT 1 FROM {})",
    "SELECT n FROM numbers WHERE n IN (SELECT id FROM {})",
    "SELECT (SELECT count(*) FROM {})",
    "SELECT n FROM numbers UNION ALL SELECT id FROM {}",
    "WITH x AS (SELECT * FROM {}) SELECT count(*) FROM x",
    "WITH flights AS (SELECT * FROM {}) SELECT * FROM flights",
)


def _columns_of(table: Table) -> dict[str, str]:
    return COLUMNS[table.name]


def _passing(places: tuple[str, ...], forbidden: list[str]) -> list[str]:
    passing: list[str] = []
    for dialect, place, what in product(DIALECTS, places, forbidden):
        sql = place.format(what)
        try:
            guarded(sql, CATALOG, dialect, _columns_of)
        except ToolFailed:
            continue
        passing.append(f"{dialect}: {sql}")
    return passing


def test_a_sensitive_column_is_refused_wherever_it_stands() -> None:
    assert _passing(VALUE_PLACES, list(SENSITIVE)) == []


@pytest.mark.parametrize("arguments", ["()", "(n)", "('x')", "('SELECT * FROM vault', 'x')"])
def test_a_function_that_is_not_on_the_list_is_refused_wherever_it_stands(arguments: str) -> None:
    assert _passing(FUNCTION_PLACES, [name + arguments for name in FUNCTIONS]) == []


def test_a_table_of_another_is_refused_wherever_it_stands() -> None:
    assert _passing(TABLE_PLACES, list(TABLES)) == []


def test_places_that_hold_nothing_forbidden_are_let_pass() -> None:
    """Else the laws above would be true of a guard that refuses everything."""
    assert len(_passing(VALUE_PLACES, ["name"])) >= 50
    assert len(_passing(FUNCTION_PLACES[1:5], ["abs(n)"])) == 12
    assert len(_passing(TABLE_PLACES[1:7:5], ["numbers"])) == 6


# Random queries.

_OPEN = ("f.flight_date", "a.name", "a.altitude", "a.code", "n.n", "n.word", "p.tail", "f.delay", "f.id", "p.seats")
_HIDDEN = ("f.email", "f.salary", "a.contact", "f.note", "f.carrier", "p.maker", "v.secret", "f.departed", "f.tail")
_LITERALS = ("1", "7", "'JFK'", "'2013-01-02'", "NULL", "20", f"'{CANARY[:3]}%'")
_SOURCES = ("flights f", "airports a", "numbers n", "planes p", "vault v")


@st.composite
def _values(draw: st.DrawFn, aliases: tuple[str, ...], depth: int = 2) -> str:
    columns = [each for each in _OPEN * 3 + _HIDDEN if each[0] in aliases] or ["1"]
    kind = draw(st.sampled_from(("column", "column", "literal", "count", "aggregate", "operator", "case", "null")))
    if depth == 0 or kind == "column":
        return draw(st.sampled_from(columns))
    if kind == "literal":
        return draw(st.sampled_from(_LITERALS))
    inner = draw(_values(aliases, depth - 1))
    if kind == "count":
        return draw(st.sampled_from(("count(*)", f"count({inner})", f"count(DISTINCT {inner})")))
    if kind == "aggregate":
        return f"{draw(st.sampled_from(('sum', 'avg', 'min', 'max', 'lower', 'length', 'abs')))}({inner})"
    if kind == "operator":
        operator = draw(st.sampled_from(("+", "-", "*", "=", "<", "<>", "AND", "OR", "LIKE", "||")))
        return f"({inner} {operator} {draw(_values(aliases, depth - 1))})"
    if kind == "case":
        return f"CASE WHEN {inner} IS NULL THEN 1 ELSE {draw(_values(aliases, depth - 1))} END"
    return f"({inner} IS {draw(st.sampled_from(('NULL', 'NOT NULL')))})"


@st.composite
def _conditions(draw: st.DrawFn, aliases: tuple[str, ...]) -> str:
    one, other = draw(_values(aliases, 1)), draw(_values(aliases, 1))
    return draw(
        st.sampled_from((f"{one} = {other}", f"{one} > {other}", f"{one} IS NOT NULL", f"NOT {one} IN ({other})"))
    )


@st.composite
def _selects(draw: st.DrawFn) -> str:
    chosen = draw(st.lists(st.sampled_from(_SOURCES[:4] * 6 + _SOURCES[4:]), min_size=1, max_size=2, unique=True))
    aliases = tuple(each[-1] for each in chosen)
    outputs = draw(st.lists(_values(aliases), min_size=1, max_size=3))
    sql = f"SELECT {', '.join(f'{each} AS c{at}' for at, each in enumerate(outputs))} FROM {chosen[0]}"
    if len(chosen) > 1:
        sql += f" JOIN {chosen[1]} ON {draw(_conditions(aliases))}"
    if draw(st.booleans()):
        sql += f" WHERE {draw(_conditions(aliases))}"
    if draw(st.booleans()):
        sql += f" GROUP BY {draw(st.sampled_from([each for each in _OPEN + _HIDDEN if each[0] in aliases] or ['1']))}"
    return sql


_FORMS = (
    *("{}", "{}", "{} ORDER BY 1", "{} UNION ALL SELECT 1 AS c0", "SELECT n FROM numbers WHERE n IN ({})"),
    *("SELECT c0 FROM ({}) AS d", "SELECT count(c0) FROM ({}) AS d", "SELECT ({}) AS x FROM numbers n"),
    *("WITH d AS ({}) SELECT d.c0 FROM d", "WITH d AS ({}) SELECT max(c0) FROM d"),
)


@st.composite
def _statements(draw: st.DrawFn) -> str:
    sql = draw(_selects())
    form = draw(st.sampled_from(_FORMS))
    return form.format(sql)


_POOL = [sql for group in (*EITHER.values(), SQLITE, POSTGRES) for sql in group if len(sql) < 500]
_WORDS = [word for sql in _POOL for word in sql.split()]


@st.composite
def _mutants(draw: st.DrawFn) -> str:
    """Take a statement of the list and drop, double, swap or put in words of other statements."""
    words = draw(st.sampled_from(_POOL)).split(" ")
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(words) - 1)))
        change = draw(st.sampled_from(("drop", "double", "put", "comment", "case")))
        word = words[at] if words else ""
        new = {"drop": [], "double": [word, word], "put": [word, draw(st.sampled_from(_WORDS))],
               "comment": [f"/**/{word}--\n"], "case": [word.swapcase()]}[change]  # fmt: skip
        words[at : at + 1] = new
    return " ".join(words)


_SOME = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_random_queries_tell_nothing_of_what_is_hidden(make_warehouse: Make, dialect: str) -> None:
    """Two warehouses that differ in hidden values only give the same answers: what is told does not depend on them."""
    one, other = make_warehouse(dialect, ""), make_warehouse(dialect, "other")
    before = one.dump(), other.dump()
    answered: list[str] = []

    @_SOME
    @given(st.one_of(_statements(), _statements(), _mutants()))
    def alike(sql: str) -> None:
        said = one.said(sql)
        assert CANARY not in said.replace(sql, "")
        assert str(NUMBER_CANARY) not in said
        assert other.said(sql) == said
        if said.startswith("{"):
            answered.append(sql)

    alike()

    assert answered, "no query was let pass, so nothing was tried"
    assert (one.dump(), other.dump()) == before


def test_the_two_warehouses_do_differ(make_warehouse: Make) -> None:
    """Else the law above could not fail."""
    one: Warehouse = make_warehouse("sqlite", "")
    other: Warehouse = make_warehouse("sqlite", "other")

    assert one.dump() != other.dump()
