"""A table's columns as its database declares them, and tables of our own that are made after them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from prefect_healing.domain.catalog import OWN_PREFIX
from prefect_healing.domain.record import digest
from prefect_healing.errors import ToolFailed
from prefect_healing.warehouse.own_tables import ensure
from prefect_healing.warehouse.partition import schema_and_name

if TYPE_CHECKING:
    import sqlalchemy as sa

Shape = Mapping[str, str]
"""Columns that can be written, in order, with the types that they are declared with; none where there is no table."""

ROWS_ID = "healing_id"
"""The first column of every table that rows are kept in: which copy or quarantine a row belongs to."""

_NAME_CHARS_MAX = 63  # PostgreSQL cuts longer names.
_KEEPERS_MAX = 100
_COLUMNS_OF = {
    "postgresql": """SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
        WHERE attrelid = to_regclass(:quoted) AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
        ORDER BY attnum""",
    "sqlite": "SELECT name, type FROM pragma_table_xinfo(:name, coalesce(:schema, 'main')) WHERE hidden = 0",
    "duckdb": """SELECT column_name, data_type FROM information_schema.columns
        WHERE table_name = :name AND table_schema = coalesce(:schema, current_schema()) ORDER BY ordinal_position""",
}


def shape_of(connection: "sa.Connection", name: str) -> Shape:
    """Return the columns of the table `name`, which may be `schema.table`."""
    import sqlalchemy as sa

    dialect = connection.dialect.name
    if dialect not in _COLUMNS_OF:
        raise ToolFailed(f"Rows cannot be kept in a {dialect} warehouse; PostgreSQL, SQLite and DuckDB are known.")
    schema, table = schema_and_name(name)
    where = {"schema": schema, "name": table, "quoted": quoted(connection, name)}
    statement = sa.text(_COLUMNS_OF[dialect])
    wanted = {each: where[each] for each in statement.compile().params}
    return {str(column): str(kind) for column, kind in connection.execute(statement, wanted)}


def clause(connection: "sa.Connection", name: str) -> "sa.TableClause":
    """Return a table with all its columns, untyped: for statements that move rows inside the database."""
    return clause_with(name, tuple(shape_of(connection, name)))


def clause_with(name: str, columns: tuple[str, ...]) -> "sa.TableClause":
    """Return a table with these columns, untyped."""
    import sqlalchemy as sa

    schema, table = schema_and_name(name)
    untyped: list[sa.ColumnClause[Any]] = [sa.column(each) for each in columns]
    return sa.table(table, *untyped, schema=schema)


def quoted(connection: "sa.Connection", name: str) -> str:
    """Return the name of a table as SQL text."""
    return ".".join(quoted_column(connection, each) for each in schema_and_name(name) if each)


def quoted_column(connection: "sa.Connection", name: str) -> str:
    """Return a name as SQL text."""
    return connection.dialect.identifier_preparer.quote_identifier(name)


def keeper(connection: "sa.Connection", prefix: str, table: str, shape: Shape, notes: tuple[str, ...] = ()) -> str:
    """Return the name of the table that keeps rows of `table` in its present shape; it is made where there is none.

    Its columns are `healing_id`, `notes` (text) and those of the table, with the same types. A table whose columns
    changed gets a new keeper; the older one stays as it is.
    """
    if taken := [each for each in shape if each.casefold().startswith(OWN_PREFIX)]:
        raise ToolFailed(f"Rows of {table} cannot be kept: its column {taken[0]} is named as healing's own are.")
    for number in range(1, _KEEPERS_MAX):
        name = _keeper_name(prefix, table, number)
        found = shape_of(connection, name)
        if found and {each: kind for each, kind in found.items() if each not in (ROWS_ID, *notes)} != shape:
            continue
        if not found:
            _make(connection, name, shape, notes)
        return name
    raise ToolFailed(f"Rows of {table} cannot be kept: {_KEEPERS_MAX} tables {prefix}... of other shapes are there.")


def refuse_drift(connection: "sa.Connection", table: str, kept_in: str, notes: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the columns that `table` and the table its rows are kept in have in common, which must be all.

    Raises ToolFailed where columns or types changed since: rows would come back as something else.
    """
    now, then = shape_of(connection, table), shape_of(connection, kept_in)
    then = {each: kind for each, kind in then.items() if each not in (ROWS_ID, *notes)}
    if not now or not then:
        raise ToolFailed(f"Rows of {table} cannot come back: {table if not now else kept_in} is not there any more.")
    changed = sorted(name for name in {*now, *then} if now.get(name) != then.get(name))
    if changed:
        raise ToolFailed(
            f"Rows of {table} cannot come back as they were: its columns changed since ({', '.join(changed[:10])}). "
            f"They stay in {kept_in}; a person has to decide."
        )
    return tuple(now)


def put_back(connection: "sa.Connection", table: str, columns: tuple[str, ...], query: "sa.Select[Any]") -> None:
    """Insert what `query` selects into `table`, column by column, also where it numbers its rows by itself."""
    import sqlalchemy as sa

    target = clause_with(table, columns)
    if connection.dialect.name != "postgresql":
        connection.execute(sa.insert(target).from_select(list(columns), query))
        return
    into = ", ".join(connection.dialect.identifier_preparer.quote(each) for each in columns)
    name = connection.dialect.identifier_preparer.format_table(target)
    selected = query.compile(dialect=connection.dialect)
    connection.exec_driver_sql(
        f"INSERT INTO {name} ({into}) OVERRIDING SYSTEM VALUE {selected}",
        dict(selected.params),
    )


def hold(connection: "sa.Connection", names: tuple[str, ...]) -> None:
    """Keep everybody else from writing these tables until the transaction ends; readers are not held up."""
    if connection.dialect.name == "postgresql":
        for name in sorted(names):  # All in one order, so that two never wait for each other.
            connection.exec_driver_sql(f"LOCK TABLE {quoted(connection, name)} IN SHARE ROW EXCLUSIVE MODE")


def _keeper_name(prefix: str, table: str, number: int) -> str:
    schema, own = schema_and_name(table)
    name = f"{prefix}{own}" + (f"_{number}" if number > 1 else "")
    if len(name.encode()) > _NAME_CHARS_MAX:
        name = f"{name[:45]}_{digest(name)[:12]}"
    return f"{schema}.{name}" if schema else name


def _make(connection: "sa.Connection", name: str, shape: Shape, notes: tuple[str, ...]) -> None:
    own = [f"{ROWS_ID} VARCHAR(100) NOT NULL", *(f"{each} TEXT" for each in notes)]
    theirs = [f"{quoted_column(connection, column)} {kind}" for column, kind in shape.items()]
    ensure(connection, quoted(connection, name), ", ".join([*own, *theirs]))
    index = quoted_column(connection, f"{digest(name)[:20]}_{ROWS_ID}")
    connection.exec_driver_sql(f"CREATE INDEX IF NOT EXISTS {index} ON {quoted(connection, name)} ({ROWS_ID})")
