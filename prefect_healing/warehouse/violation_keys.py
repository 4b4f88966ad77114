"""Which rows broke an expectation: their keys, which never leave the warehouse."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime, time
from itertools import islice
from typing import TYPE_CHECKING

from prefect_healing.domain.catalog import Table
from prefect_healing.domain.record import Record
from prefect_healing.errors import ToolFailed
from prefect_healing.warehouse.own_tables import ensure, is_there, moment
from prefect_healing.warehouse.partition import in_partition, reflect
from prefect_healing.warehouse.shape import shape_of

if TYPE_CHECKING:
    import sqlalchemy as sa
    from sqlalchemy.types import TypeEngine

    Encode = Callable[[object], "JsonScalar"]

JsonScalar = str | int | float | bool | None

KEYS = "healing_violation_keys"
_COLUMNS = """gate_id VARCHAR(200) NOT NULL, violation VARCHAR(200) NOT NULL, number INTEGER NOT NULL,
table_name VARCHAR(130) NOT NULL, row_key TEXT NOT NULL, kept_at VARCHAR(40) NOT NULL,
PRIMARY KEY (gate_id, violation, number)"""
_BATCH = 1_000
_NUMPY_SCALAR = "item"


class Matched(Record):
    """What the kept keys of a violation find: `kept` rows broke it, `found` rows of the partition have such a key.

    `shared` counts keys that more rows have now than broke it, `gone` rows that broke it and are not there any more.
    """

    kept: int
    found: int
    shared: int
    gone: int


def keep_keys(
    connection: "sa.Connection", gate_id: str, violation: str, table: Table, keys: Iterable[tuple[object, ...]]
) -> int:
    """Keep the keys of the rows that broke an expectation, one for each such row; return how many.

    A key has the values of `table.key`, in that order; two rows with one key are two keys. What was kept under the
    same ids before is replaced. At most 1,000 keys are held in memory. Raises ToolFailed where the table declares no
    key, or a key has no text that finds the row again.
    """
    import sqlalchemy as sa

    if not table.key:
        raise ToolFailed(f"Table {table.name} declares no key in the catalog, so its rows cannot be told apart.")
    ensure(connection, KEYS, _COLUMNS)
    ids = {"gate": gate_id, "violation": violation}
    connection.execute(sa.text(f"DELETE FROM {KEYS} WHERE gate_id = :gate AND violation = :violation"), ids)  # noqa: S608
    statement = sa.text(
        f"INSERT INTO {KEYS} (gate_id, violation, number, table_name, row_key, kept_at) "  # noqa: S608 - our own name
        "VALUES (:gate, :violation, :number, :table, :key, :at)"
    )
    count, same = 0, {**ids, "table": table.name, "at": moment()}
    texts = _texts(keys, _encoders(connection, table), table)
    while batch := list(islice(texts, _BATCH)):
        connection.execute(statement, [{**same, "number": count + at, "key": key} for at, key in enumerate(batch)])
        count += len(batch)
    return count


def rows_of_keys(
    connection: "sa.Connection", table: Table, columns: "sa.FromClause", gate_id: str, violation: str
) -> "sa.ColumnElement[bool]":
    """Return the predicate of the rows, of `columns`, that have a kept key. It says nothing of partitions."""
    import sqlalchemy as sa

    kept = _kept(connection, table, gate_id, violation)
    return key_of(connection, table, columns).in_(sa.select(kept.c.row))


def matched(connection: "sa.Connection", table: Table, day: date, gate_id: str, violation: str) -> Matched:
    """Hold the kept keys of a violation against the rows of the partition, key by key, inside the database."""
    import sqlalchemy as sa

    if not is_there(connection, KEYS):
        return Matched(kept=0, found=0, shared=0, gone=0)
    reflected = reflect(connection, table)
    kept = _kept(connection, table, gate_id, violation)
    key = key_of(connection, table, reflected)
    there = (
        sa.select(key.label("row"), sa.func.count().label("times"))
        .where(in_partition(table, reflected, day), key.in_(sa.select(kept.c.row)))
        .group_by(key)
        .subquery()
    )
    both = sa.select(
        sa.func.coalesce(sa.func.sum(there.c.times), 0),
        sa.func.coalesce(sa.func.sum(sa.case((there.c.times > kept.c.times, 1), else_=0)), 0),
        sa.func.coalesce(sa.func.sum(sa.case((there.c.times < kept.c.times, there.c.times), else_=kept.c.times)), 0),
    ).select_from(sa.join(there, kept, there.c.row == kept.c.row))
    total = connection.execute(sa.select(sa.func.coalesce(sa.func.sum(kept.c.times), 0))).scalar_one()
    found, shared, still = connection.execute(both).one()
    return Matched(kept=int(total), found=int(found), shared=int(shared), gone=int(total) - int(still))


def join_by_hash(connection: "sa.Connection") -> None:
    """Keep PostgreSQL from comparing every row with every key, as it may where nobody has analyzed the tables yet."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL enable_nestloop = off")


def forget_keys(connection: "sa.Connection", before: datetime) -> int:
    """Delete the keys that were kept before a moment; return how many."""
    import sqlalchemy as sa

    if not is_there(connection, KEYS):
        return 0
    statement = sa.text(f"DELETE FROM {KEYS} WHERE kept_at < :before")  # noqa: S608 - our own name
    return connection.execute(statement, {"before": before.isoformat(timespec="seconds")}).rowcount


def _kept(connection: "sa.Connection", table: Table, gate_id: str, violation: str) -> "sa.CTE":
    """Return the kept keys (`row`) and how many rows broke it with each (`times`)."""
    import sqlalchemy as sa

    join_by_hash(connection)
    kept = sa.table(KEYS, sa.column("gate_id"), sa.column("violation"))
    types = shape_of(connection, table.name)
    row = _as_one(connection, [_value_at(connection, at, types[name]) for at, name in enumerate(table.key)])
    return (
        sa.select(row.label("row"), sa.func.count().label("times"))
        .where(kept.c.gate_id == gate_id, kept.c.violation == violation)
        .group_by(row)
        .cte("healing_kept")
    )


def key_of(connection: "sa.Connection", table: Table, columns: "sa.FromClause") -> "sa.ColumnElement[object]":
    """Return the key of a row of `columns` as one value."""
    return _as_one(connection, [columns.c[name] for name in table.key])


def _value_at(connection: "sa.Connection", at: int, kind: str) -> "sa.ColumnElement[object]":
    """Return a value of a kept key as its column has it."""
    import sqlalchemy as sa

    match connection.dialect.name:
        case "postgresql":
            return sa.literal_column(f"CAST((CAST(row_key AS jsonb) ->> {at}) AS {kind})")
        case "sqlite":  # A cast to the declared type would make the year of a date; what was kept is as it is stored.
            return sa.literal_column(f"json_extract(row_key, '$[{at}]')")
        case _:
            return sa.literal_column(f"CAST(json_extract_string(row_key, '$[{at}]') AS {kind})")


def _as_one(connection: "sa.Connection", values: "Sequence[sa.ColumnElement[object]]") -> "sa.ColumnElement[object]":
    """Return a key as one value that equals itself where a part of it is NULL, and that databases can hash."""
    import sqlalchemy as sa

    match connection.dialect.name:
        case "postgresql":
            return sa.func.jsonb_build_array(*values, type_=sa.types.NullType())
        case "sqlite":
            return sa.func.json_array(*values, type_=sa.types.NullType())
        case _:
            return sa.cast(sa.func.row(*values), sa.Text)


def _texts(keys: Iterable[tuple[object, ...]], encoders: "Sequence[Encode]", table: Table) -> Iterator[str]:
    for key in keys:
        if len(key) != len(encoders):
            raise ToolFailed(f"A key of {table.name} has {len(encoders)} values, and {len(key)} were given.")
        yield json.dumps([encode(value) for encode, value in zip(encoders, key, strict=True)])


def _encoders(connection: "sa.Connection", table: Table) -> "list[Encode]":
    reflected = reflect(connection, table)
    return [_encoder(connection.dialect, name, reflected.c[name].type) for name in table.key]


def _encoder(dialect: "sa.Dialect", name: str, kind: "TypeEngine[object]") -> "Encode":
    """Return what turns a value of a column into JSON that finds it again in the database."""
    import sqlalchemy as sa

    # SQLite has no dates of its own: they are found as the text that SQLAlchemy writes for them.
    as_stored = kind.dialect_impl(dialect).bind_processor(dialect) if dialect.name == "sqlite" else None

    def encode(value: object) -> JsonScalar:
        value = _plain(value)
        if value is None:
            return None
        if isinstance(kind, sa.Integer) and isinstance(value, float) and value.is_integer():
            return int(value)  # pandas makes floats of integers where any is missing.
        if isinstance(kind, sa.Date | sa.DateTime) and isinstance(value, str) and "T" in value:
            value = datetime.fromisoformat(value)
        if as_stored is not None and not isinstance(value, str):
            value = as_stored(_of_kind(kind, value))
        return _scalar(name, value)

    return encode


def _plain(value: object) -> object:
    """Return a value of numpy or pandas as Python's own; what they write for a missing value is None."""
    item = getattr(value, _NUMPY_SCALAR, None)
    plain: object = item() if callable(item) else value
    missing = plain != plain  # noqa: PLR0124 - not a number, not a time
    return None if missing else plain


def _of_kind(kind: "TypeEngine[object]", value: object) -> object:
    import sqlalchemy as sa

    if isinstance(kind, sa.DateTime) and isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, time())
    if isinstance(kind, sa.Date) and isinstance(value, datetime):
        return value.date()
    return value


def _scalar(name: str, value: object) -> "JsonScalar":
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        raise ToolFailed(f"Column {name} of the key holds bytes, of which no key can be kept.")
    return str(value)
