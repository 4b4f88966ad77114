"""What a checkpoint finds in a partition, and what decides."""

import warnings
from pathlib import Path
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa

from prefect_healing.domain.record import JsonObject
from prefect_healing.errors import ConfigurationError, ToolUnavailable
from prefect_healing.settings import Settings
from prefect_healing.warehouse.connection import reading
from prefect_healing.warehouse.good_partitions import rows_when_good
from tests.checkpoints.conftest import Check
from tests.checkpoints.tables import (
    GOOD,
    KNOWN_CARRIER,
    NEVER,
    NO_NULL_SEATS,
    ROWS,
    WITHOUT_SEATS,
    bookings,
    create_bookings,
    expects,
    gate,
)

T = TypeVar("T")


def query(url: str, statement: str) -> list[sa.Row[Any]]:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        return list(connection.execute(sa.text(statement)).all())


async def test_a_partition_that_holds_passes_and_is_remembered(check: Check, warehouse: Settings):
    """What is usual is learned from what passed."""
    found = await check(gate(KNOWN_CARRIER, expects("expect_table_row_count_to_be_between", min_value=ROWS)), day=GOOD)

    assert found.passed
    assert (found.rows, found.violations) == (ROWS, ())
    assert await reading(warehouse, lambda connection: rows_when_good(connection, bookings(), GOOD)) == ROWS


async def test_only_the_partition_is_checked(check: Check):
    """The other day has as many rows that break it; none of them counts."""
    [found] = (await check(gate(NO_NULL_SEATS))).violations

    assert (found.checked, found.unexpected) == (ROWS, WITHOUT_SEATS)
    assert found.detail == f"{WITHOUT_SEATS} of {ROWS} rows break expect_column_values_to_not_be_null of seats."


async def test_violations_come_in_the_order_of_the_suite(check: Check):
    """Great Expectations returns what it could not compute first."""
    found = await check(
        gate(
            expects("expect_table_row_count_to_be_between", min_value=ROWS + 1),
            expects("expect_column_values_to_be_unique", column="booking_id"),
            expects("expect_column_values_to_not_be_null", "info", column="nowhere"),
            expects("expect_column_values_to_be_of_type", column="carrier", type_="NONSENSE"),
            expects("expect_column_max_to_be_between", "warning", column="seats", max_value=1),
            expects("expect_column_values_to_be_in_set", column="booked_on", value_set=[GOOD.isoformat()]),
        )
    )

    assert [(each.id, each.column, each.severity, each.status) for each in found.violations] == [
        ("V1", None, "critical", "violated"),
        ("V2", "nowhere", "info", "errored"),
        ("V3", "carrier", "critical", "violated"),
        ("V4", "seats", "warning", "violated"),
        ("V5", "booked_on", "critical", "violated"),
    ]
    rows, errored, _, seats, days = found.violations
    assert (rows.observed, rows.expected, rows.unexpected) == (ROWS, f"min_value {ROWS + 1}", None)
    assert (seats.observed, seats.expected) == (2, "max_value 1")
    assert (days.checked, days.unexpected) == (ROWS, ROWS)
    assert 'The column "nowhere" in BatchData does not exist' in errored.detail


@pytest.mark.parametrize("severity", ["warning", "info"])
async def test_severity_decides_whether_a_violation_stops(check: Check, severity: Any):
    """Great Expectations says that such a checkpoint failed; the gate passes and reports."""
    found = await check(gate({**NO_NULL_SEATS, "severity": severity}))

    assert found.passed
    assert [each.severity for each in found.violations] == [severity]
    assert found.stopping == ()


@pytest.mark.parametrize(
    ("expectation", "why"),
    [
        (expects("expect_column_values_to_not_be_null", "warning", column="nowhere"), "does not exist"),
        (
            expects("unexpected_rows_expectation", "info", unexpected_rows_query="SELECT nowhere FROM {batch}"),
            "nowhere",
        ),
    ],
)
async def test_a_check_that_cannot_be_computed_is_errored_and_does_not_pass(
    check: Check, expectation: JsonObject, why: str
):
    """It says nothing of the data, whatever its severity."""
    found = await check(gate(expectation))

    assert not found.passed
    assert found.stopping == ()
    [errored] = found.errored
    assert (errored.status, errored.unexpected) == ("errored", None)
    assert why in errored.detail


async def test_a_partition_without_rows_is_a_violation_of_its_own(check: Check):
    """Great Expectations raises for it, or checks another partition."""
    found = await check(gate(NO_NULL_SEATS), day=NEVER)

    assert not found.passed
    assert (found.rows, [each.status for each in found.stopping]) == (0, ["missing"])


@pytest.mark.parametrize("wrong", [{"name": "nowhere"}, {"partition": "nowhere"}, {"key": ("nowhere",)}])
async def test_a_table_that_is_not_as_declared_is_errored(check: Check, wrong: dict[str, Any]):
    found = await check(gate(NO_NULL_SEATS), **wrong)

    assert not found.passed
    assert found.rows is None
    assert "nowhere" in found.errored[0].detail


@pytest.mark.parametrize(
    "wrong",
    [
        expects("expect_miracles", column="seats"),
        expects("expect_column_values_to_not_be_null", columns="seats"),
        {"expectation_type": "expect_column_values_to_not_be_null", "kwargs": {"column": "seats"}},
    ],
)
async def test_an_expectation_that_does_not_exist_is_refused(check: Check, wrong: JsonObject):
    """Whoever declared the gate must act; it says nothing of the data."""
    with pytest.raises(ConfigurationError, match="Expectation 2 of the gate"):
        await check(gate(NO_NULL_SEATS, wrong))


async def test_a_check_cannot_write(check: Check, database_url: str):
    """SQL in an expectation is somebody's code; it runs where nothing can be changed."""
    found = await check(
        gate(
            expects("unexpected_rows_expectation", unexpected_rows_query="DELETE FROM bookings -- {batch}"),
            expects("unexpected_rows_expectation", unexpected_rows_query="DELETE FROM bookings RETURNING 1 -- {batch}"),
        )
    )

    assert len(found.errored) == 2
    assert query(database_url, "SELECT count(*) FROM bookings")[0][0] == 2 * ROWS


async def test_a_dollar_sign_in_the_url_is_itself(database_url: str, tmp_path: Path):
    """Great Expectations takes $HOME in a connection string for a variable."""
    if database_url.startswith("sqlite"):
        url = f"sqlite:///{tmp_path}/$HOME.db"
    else:
        url = sa.engine.make_url(database_url).set(password="pa$HOME${x}").render_as_string(hide_password=False)
    create_bookings(url)

    from prefect_healing.checkpoints.run import run_checkpoint

    found = await run_checkpoint(gate(KNOWN_CARRIER), bookings(), GOOD, Settings(warehouse=url))

    assert found.passed


async def test_a_warehouse_that_does_not_answer_is_no_verdict(postgres_server: Any):
    """Asking again may help, so it is not an errored check."""
    from prefect_healing.checkpoints.run import run_checkpoint

    url = postgres_server.url("postgres").replace(f":{postgres_server.port}/", ":9/")
    with pytest.raises(ToolUnavailable):
        await run_checkpoint(gate(KNOWN_CARRIER), bookings(), GOOD, Settings(warehouse=url))


async def test_who_else_uses_great_expectations_here_keeps_their_context(check: Check):
    """It has one current context for a whole process."""
    with warnings.catch_warnings(action="ignore"):
        import great_expectations as gx

        theirs = gx.get_context(mode="ephemeral")
    await check(gate(KNOWN_CARRIER), day=GOOD)

    from great_expectations.data_context.data_context.context_factory import project_manager

    assert project_manager.get_current_project() is theirs
