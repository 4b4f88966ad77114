"""What PostgreSQL, SQLite and SQLAlchemy really say of rows that do not fit holds no value once it is redacted."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from prefect_healing.classify import classify
from prefect_healing.guardrails.redaction import redact

CANARY = "c4nary"
FAULTS = [
    "INSERT INTO people VALUES (1, 'c4nary@x.org', 1, 'ok')",
    "INSERT INTO people VALUES (2, NULL, 1, 'c4nary')",
    "INSERT INTO people VALUES (3, 'c4nary (a), b', -1, 'no')",
    "INSERT INTO people VALUES (4, 'x', 77, 'c4nary')",
    "INSERT INTO people VALUES (5, 'x', 'c4nary \"a\", b', 'y')",
    "INSERT INTO people VALUES (6, 'x', 1, 'c4nary that is far too long for it')",
    "SELECT CAST('c4nary' AS DATE), CAST('c4nary' AS INTEGER) FROM nowhere",
    "SELECT 'c4nary'::json",
    "SELECT 'c4nary'::timestamptz",
    "SELECT '{c4nary'::int[]",
    "DELETE FROM teams WHERE id = 1 AND 'c4nary' <> ''",
]


@pytest.fixture
def say(database_url: str) -> Callable[..., str]:
    """Execute a statement that fails; return all that is said of it, parameters and statement included."""
    engine = sa.create_engine(database_url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE teams (id INTEGER PRIMARY KEY)")
        connection.exec_driver_sql(
            "CREATE TABLE people (id INTEGER PRIMARY KEY, email TEXT NOT NULL UNIQUE, team INTEGER REFERENCES teams, "
            "note VARCHAR(12), CHECK (team > 0))"
        )
        connection.exec_driver_sql("INSERT INTO teams VALUES (1)")
        connection.exec_driver_sql("INSERT INTO people VALUES (1, 'c4nary@x.org', 1, 'ok')")

    def fail(statement: str, parameters: dict[str, object] | None = None) -> str | None:
        try:
            with engine.begin() as connection:
                connection.execute(sa.text(statement), parameters)
        except sa.exc.DBAPIError as error:
            return str(error)
        return None  # SQLite takes nearly everything.

    return fail


def test_no_fault_of_a_row_tells_its_values(say: Callable[..., str | None]):
    said = [text for statement in FAULTS if (text := say(statement.replace("::", r"\:\:"))) is not None]

    assert len(said) >= 4
    assert all(CANARY in text for text in said)
    assert not [text for text in map(redact, said) if CANARY in text]
    assert [classify(redact(text)).cause for text in said] == [classify(text).cause for text in said]


def test_no_parameter_is_told(say: Callable[..., str | None]):
    parameters = {"id": 1, "email": CANARY, "note": "it's [c4nary]"}

    said = say("INSERT INTO people VALUES (:id, :email, 1, :note)", parameters)

    assert said is not None
    assert CANARY in said
    assert CANARY not in redact(said)
    assert "INSERT INTO people VALUES" in redact(said)
