"""Rows that break an expectation, moved out of their partition and back, inside the database."""

from datetime import date
from typing import TYPE_CHECKING

from prefect_healing.domain.catalog import Table
from prefect_healing.domain.record import Record
from prefect_healing.errors import ToolFailed
from prefect_healing.warehouse.fingerprint import Fingerprint, fingerprint_of
from prefect_healing.warehouse.own_tables import ensure, is_there, moment
from prefect_healing.warehouse.partition import count_rows, in_partition, reflect
from prefect_healing.warehouse.shape import ROWS_ID, clause_with, hold, keeper, put_back, refuse_drift, shape_of
from prefect_healing.warehouse.violation_keys import join_by_hash, key_of, matched, rows_of_keys

if TYPE_CHECKING:
    import sqlalchemy as sa

QUARANTINES = "healing_quarantines"
KEPT_IN = "healing_quarantine_"
NOTES = ("healing_reason", "healing_incident", "healing_moved_at")
_COLUMNS = """quarantine_id VARCHAR(100) NOT NULL PRIMARY KEY, table_name VARCHAR(130) NOT NULL,
partition_day VARCHAR(10) NOT NULL, row_count BIGINT NOT NULL, kept_in VARCHAR(130) NOT NULL,
incident VARCHAR(20) NOT NULL, gate_id VARCHAR(200) NOT NULL, violation VARCHAR(200) NOT NULL,
moved_at VARCHAR(40) NOT NULL, returned_at VARCHAR(40)"""


class Rows(Record):
    """Which rows are meant: of one partition, those whose keys were kept for a violation, in one incident.

    `kept` is how many keys that were.
    """

    table: Table
    day: date
    gate_id: str
    violation: str
    incident: str
    kept: int


class Movable(Record):
    """What a quarantine would move: `rows`, out of `present`; the incident moved `moved` of the partition before.

    `shared_with_moved` of the rows that broke the expectation are among those.
    """

    rows: int
    present: int
    moved: int
    shared_with_moved: int

    @property
    def share(self) -> float:
        """Return the part of the partition that this incident would have moved, from 0 to 1."""
        whole = self.present + self.moved
        return (self.rows + self.moved) / whole if whole else 0.0


class Quarantine(Record):
    """Rows that were moved together."""

    id: str
    table: str
    day: date
    rows: int
    kept_in: str
    violation: str
    incident: str
    returned: bool


def movable(connection: "sa.Connection", rows: Rows) -> Movable:
    """Return what a quarantine would move.

    Raises ToolFailed where the kept keys do not single out the rows that broke the expectation: no keys were kept,
    other rows share them, or some of those rows are not there any more.
    """
    found = matched(connection, rows.table, rows.day, rows.gate_id, rows.violation)
    name = f"{rows.table.name} of {rows.day}"
    if not found.kept or found.kept != rows.kept:
        raise ToolFailed(
            f"{found.kept} keys of {name} are kept for violation {rows.violation!r}, and {rows.kept} rows broke it; "
            "run the gate again, or load the partition again instead."
        )
    if found.shared:
        raise ToolFailed(
            f"{found.shared} keys of rows of {name} that break it are those of other rows too, which quarantine would "
            "take with them. Load the partition again instead, or leave it to a person."
        )
    before = _moved_in_this_incident(connection, rows)
    shared = sum(_count_with_keys(connection, rows, each) for each in before)
    if found.gone != shared:
        raise ToolFailed(
            f"{found.gone - shared} of {found.kept} rows of {name} that broke it are not there any more; "
            "run_gate_again sees the partition as it is now."
        )
    return Movable(
        rows=found.found,
        present=count_rows(connection, rows.table, rows.day),
        moved=sum(each.rows for each in before),
        shared_with_moved=shared,
    )


def seen(connection: "sa.Connection", rows: Rows) -> Fingerprint:
    """Return the fingerprint of what the partition and the incident's quarantines of it hold together.

    Moving rows from one to the other does not change it.
    """
    import sqlalchemy as sa

    before = _moved_in_this_incident(connection, rows)
    columns = tuple(shape_of(connection, rows.table.name))
    reflected = reflect(connection, rows.table)
    parts = [sa.select(*(reflected.c[name] for name in columns)).where(in_partition(rows.table, reflected, rows.day))]
    for each in before:
        refuse_drift(connection, rows.table.name, each.kept_in, NOTES)
        kept = clause_with(each.kept_in, (ROWS_ID, *columns))
        parts.append(sa.select(*(kept.c[name] for name in columns)).where(kept.c[ROWS_ID] == each.id))
    return fingerprint_of(connection, sa.union_all(*parts))


def quarantine(
    connection: "sa.Connection", rows: Rows, quarantine_id: str, reason: str, expected: int | None
) -> Quarantine:
    """Move the rows into `healing_quarantine_<table>`, in the caller's transaction.

    `expected` is how many rows the preview was of, None where there was none; other quarantines of this incident may
    have moved some of them since. Raises ToolFailed, with nothing moved, where it is not those.
    """
    kept_in = keeper(connection, KEPT_IN, rows.table.name, shape_of(connection, rows.table.name), NOTES)
    ensure(connection, QUARANTINES, _COLUMNS)
    hold(connection, (rows.table.name,))
    plan = movable(connection, rows)
    if expected is not None and not plan.rows <= expected <= plan.rows + plan.shared_with_moved:
        raise ToolFailed(
            f"The preview was of {expected} rows of {rows.table.name}, and {plan.rows} would move now; preview again."
        )
    moved = _move_out(connection, rows, kept_in, quarantine_id, reason)
    if moved != plan.rows:
        raise ToolFailed(f"{moved} rows of {rows.table.name} moved instead of {plan.rows}; nothing was changed.")
    _note(connection, rows, quarantine_id, kept_in, moved)
    return _known(connection, quarantine_id)


def give_back(connection: "sa.Connection", table: Table, found: Quarantine) -> int:
    """Move the rows of a quarantine back as they were, in the caller's transaction; return how many.

    Raises ToolFailed where they were returned before, the table's columns changed, or rows with their keys are in the
    partition again: it was loaded since, and they would be there twice.
    """
    import sqlalchemy as sa

    if found.returned:
        raise ToolFailed(f"The rows of quarantine {found.id} were returned to {table.name} before.")
    hold(connection, (table.name,))
    columns = refuse_drift(connection, table.name, found.kept_in, NOTES)
    kept = clause_with(found.kept_in, (ROWS_ID, *columns))
    own = kept.c[ROWS_ID] == found.id
    _refuse_doubles(connection, table, found, kept)
    before = count_rows(connection, table, found.day)
    put_back(connection, table.name, columns, sa.select(*(kept.c[name] for name in columns)).where(own))
    connection.execute(sa.delete(kept).where(own))
    returned = count_rows(connection, table, found.day) - before
    if returned != found.rows:
        raise ToolFailed(f"{returned} of {found.rows} rows came back to {table.name}; nothing was changed.")
    statement = sa.text(f"UPDATE {QUARANTINES} SET returned_at = :at WHERE quarantine_id = :id")  # noqa: S608
    connection.execute(statement, {"at": moment(), "id": found.id})
    return returned


def quarantine_of(connection: "sa.Connection", quarantine_id: str) -> Quarantine | None:
    """Return a quarantine, None where there is none of that id."""
    found = _read(connection, "quarantine_id = :id", {"id": quarantine_id})
    return found[0] if found else None


def _known(connection: "sa.Connection", quarantine_id: str) -> Quarantine:
    return _read(connection, "quarantine_id = :id", {"id": quarantine_id})[0]


def _read(connection: "sa.Connection", where: str, values: dict[str, str]) -> tuple[Quarantine, ...]:
    import sqlalchemy as sa

    if not is_there(connection, QUARANTINES):
        return ()
    query = sa.text(
        "SELECT quarantine_id, table_name, partition_day, row_count, kept_in, violation, incident, returned_at "  # noqa: S608
        f"FROM {QUARANTINES} WHERE {where} ORDER BY moved_at, quarantine_id"
    )
    return tuple(
        Quarantine(
            id=own,
            table=table,
            day=date.fromisoformat(day),
            rows=rows,
            kept_in=kept_in,
            violation=violation,
            incident=incident,
            returned=returned is not None,
        )
        for own, table, day, rows, kept_in, violation, incident, returned in connection.execute(query, values)
    )


def _moved_in_this_incident(connection: "sa.Connection", rows: Rows) -> tuple[Quarantine, ...]:
    where = "table_name = :table AND partition_day = :day AND incident = :incident AND returned_at IS NULL"
    values = {"table": rows.table.name, "day": rows.day.isoformat(), "incident": rows.incident}
    return _read(connection, where, values)


def _count_with_keys(connection: "sa.Connection", rows: Rows, found: Quarantine) -> int:
    import sqlalchemy as sa

    kept = clause_with(found.kept_in, (ROWS_ID, *rows.table.key))
    has_key = rows_of_keys(connection, rows.table, kept, rows.gate_id, rows.violation)
    query = sa.select(sa.func.count()).select_from(kept).where(kept.c[ROWS_ID] == found.id, has_key)
    return connection.execute(query).scalar_one()


def _move_out(connection: "sa.Connection", rows: Rows, kept_in: str, quarantine_id: str, reason: str) -> int:
    import sqlalchemy as sa

    columns = tuple(shape_of(connection, rows.table.name))
    reflected = reflect(connection, rows.table)
    those = sa.and_(
        in_partition(rows.table, reflected, rows.day),
        rows_of_keys(connection, rows.table, reflected, rows.gate_id, rows.violation),
    )
    notes = [sa.literal(each) for each in (quarantine_id, reason, rows.incident, moment())]
    kept = clause_with(kept_in, (ROWS_ID, *NOTES, *columns))
    chosen = sa.select(*notes, *(reflected.c[name] for name in columns)).where(those)
    connection.execute(sa.insert(kept).from_select([ROWS_ID, *NOTES, *columns], chosen))
    before = count_rows(connection, rows.table, rows.day)
    connection.execute(sa.delete(reflected).where(those))
    gone = before - count_rows(connection, rows.table, rows.day)
    arrived = sa.select(sa.func.count()).select_from(kept).where(kept.c[ROWS_ID] == quarantine_id)
    if (there := connection.execute(arrived).scalar_one()) != gone:
        raise ToolFailed(f"{gone} rows would leave {rows.table.name} and {there} arrive; nothing was changed.")
    return gone


def _refuse_doubles(connection: "sa.Connection", table: Table, found: Quarantine, kept: "sa.TableClause") -> None:
    import sqlalchemy as sa

    join_by_hash(connection)
    reflected = reflect(connection, table)
    keys = sa.select(key_of(connection, table, kept)).where(kept.c[ROWS_ID] == found.id)
    query = sa.select(sa.func.count()).select_from(reflected)
    query = query.where(in_partition(table, reflected, found.day), key_of(connection, table, reflected).in_(keys))
    if there := connection.execute(query).scalar_one():
        raise ToolFailed(
            f"{there} rows of {table.name} of {found.day} have keys of rows in quarantine {found.id}: the partition "
            "was loaded since, and they would be there twice. They stay in quarantine."
        )


def _note(connection: "sa.Connection", rows: Rows, quarantine_id: str, kept_in: str, moved: int) -> None:
    import sqlalchemy as sa

    statement = sa.text(
        f"INSERT INTO {QUARANTINES} (quarantine_id, table_name, partition_day, row_count, kept_in, incident, gate_id, "  # noqa: S608
        "violation, moved_at) VALUES (:id, :table, :day, :rows, :kept_in, :incident, :gate, :violation, :at)"
    )
    values = {
        "id": quarantine_id,
        "table": rows.table.name,
        "day": rows.day.isoformat(),
        "rows": moved,
        "kept_in": kept_in,
        "incident": rows.incident,
        "gate": rows.gate_id,
        "violation": rows.violation,
        "at": moment(),
    }
    connection.execute(statement, values)
