"""What was done to the warehouse, written in the transaction that did it: killed anywhere, it is done once."""

from typing import TYPE_CHECKING, Literal

from prefect_healing.domain.record import Record
from prefect_healing.warehouse.own_tables import ensure, is_there, moment

if TYPE_CHECKING:
    import sqlalchemy as sa

EFFECTS = "healing_effects"
_COLUMNS = """effect_id VARCHAR(200) NOT NULL PRIMARY KEY, tool VARCHAR(100) NOT NULL, outcome VARCHAR(10) NOT NULL,
at VARCHAR(40) NOT NULL, data TEXT NOT NULL"""


class Recorded(Record):
    """How an effect ended. `data` is the JSON text of what it returned, or, where it failed, the reason in words."""

    outcome: Literal["done", "failed"]
    data: str


def hold_effect(connection: "sa.Connection", effect_id: str) -> None:
    """Let nobody else begin this effect until the transaction ends: a lease that lapsed leaves two at work."""
    import sqlalchemy as sa

    if connection.dialect.name == "postgresql":
        statement = sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:effect_id, 0))")
        connection.execute(statement, {"effect_id": effect_id})


def recorded(connection: "sa.Connection", effect_id: str) -> Recorded | None:
    """Return how an effect ended, None where it did not end yet."""
    import sqlalchemy as sa

    if not is_there(connection, EFFECTS):
        return None
    query = sa.text(f"SELECT outcome, data FROM {EFFECTS} WHERE effect_id = :effect_id")  # noqa: S608 - our own name
    row = connection.execute(query, {"effect_id": effect_id}).one_or_none()
    return None if row is None else Recorded(outcome=row[0], data=row[1])


def record(connection: "sa.Connection", effect_id: str, tool: str, ended: Recorded) -> None:
    """Write how an effect ended, in the caller's transaction. A second end of one effect is refused."""
    import sqlalchemy as sa

    ensure(connection, EFFECTS, _COLUMNS)
    statement = f"INSERT INTO {EFFECTS} (effect_id, tool, outcome, at, data) VALUES (:id, :tool, :outcome, :at, :data)"  # noqa: S608
    values = {"id": effect_id, "tool": tool, "outcome": ended.outcome, "at": moment(), "data": ended.data}
    connection.execute(sa.text(statement), values)
