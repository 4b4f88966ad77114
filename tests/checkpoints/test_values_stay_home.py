"""Values of rows leave the warehouse only where the catalog lets them."""

import logging

import pytest

from prefect_healing.checkpoints.reasons import why_errored
from prefect_healing.domain.record import JsonObject
from tests.checkpoints.conftest import Check
from tests.checkpoints.tables import CANARY, KNOWN_CARRIER, expects, gate

FARE = "7731"
"""How each fare begins."""


async def test_samples_are_off_by_default(check: Check):
    [found] = (await check(gate(KNOWN_CARRIER))).violations

    assert found.sample == ()


async def test_a_table_that_shares_its_rows_shows_a_few_values(check: Check):
    """At most ten, each cut short."""
    [found] = (await check(gate(KNOWN_CARRIER), share_rows=True)).violations

    assert found.sample == ("??",) * 10


async def test_a_sensitive_column_shows_nothing_even_then(check: Check):
    """Its maximum is a value of some row; how many distinct ones it has is not."""
    found = await check(
        gate(
            expects("expect_column_values_to_be_in_set", column="email", value_set=[f"{CANARY}-1"]),
            expects("expect_column_max_to_be_between", column="fare", max_value=1),
            expects("expect_column_unique_value_count_to_be_between", column="fare", max_value=1),
        ),
        share_rows=True,
    )

    email, fare, distinct = found.violations
    assert (email.sample, email.expected, email.unexpected) == ((), "value_set (1 values)", 400)
    assert (fare.observed, distinct.observed) == (None, 400)


async def test_no_value_of_a_sensitive_table_gets_out(
    check: Check, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
):
    """Not in violations, not in errors that quote what they choke on, not in logs, not on the terminal."""
    caplog.set_level(logging.INFO)
    found = await check(gate(*_chatty()), gate_id="g1")

    assert len(found.violations) == len(_chatty())
    printed = capfd.readouterr()
    for text in (found.model_dump_json(), caplog.text, printed.out, printed.err):
        assert CANARY not in text
        assert FARE not in text


def _chatty() -> list[JsonObject]:
    """Expectations that fail on every column, some with errors whose text quotes a row."""
    in_sql = "unexpected_rows_expectation"
    return [
        expects("expect_column_values_to_be_in_set", column="email", value_set=["nobody"]),
        expects("expect_column_values_to_be_null", column="fare"),
        expects("expect_column_values_to_be_unique", column="carrier"),
        expects("expect_column_max_to_be_between", column="email", max_value="2013-01-01"),
        expects("expect_column_max_to_be_between", column="fare", max_value=1),
        expects("expect_column_mean_to_be_between", column="fare", max_value=1),
        expects("expect_column_distinct_values_to_be_in_set", column="email", value_set=["nobody"]),
        expects("expect_column_most_common_value_to_be_in_set", column="fare", value_set=[1]),
        expects("expect_column_mean_to_be_between", column="email", max_value=-1),
        expects("expect_column_pair_values_to_be_equal", column_A="email", column_B="carrier"),
        expects("expect_compound_columns_to_be_unique", column_list=["carrier", "booked_on"]),
        expects(in_sql, unexpected_rows_query="SELECT * FROM {batch}"),
        expects(in_sql, unexpected_rows_query="SELECT json_extract(email, '$.x') FROM {batch}"),
        expects(in_sql, unexpected_rows_query="SELECT CAST(email AS date) FROM {batch} WHERE email > CAST(0 AS text)"),
    ]


@pytest.mark.parametrize(
    ("message", "last_line", "told"),
    [
        ('Error: The column "x" in BatchData does not exist.', "MetricResolutionError: ...", 'The column "x" in'),
        ("(sqlite3.OperationalError) no such column: x\n[SQL: ...]", "", "no such column: x"),
        ('(psycopg.errors.UndefinedColumn) column "x" does not exist\nLINE 1', "", 'column "x" does not exist'),
        (f'(psycopg.errors.InvalidDatetimeFormat) "{CANARY}"', f"sqlalchemy.exc.DataError: {CANARY}", "sqlalchemy.exc"),
        (f"could not convert string to float: '{CANARY}'", f"ValueError: '{CANARY}'", "ValueError, whose text"),
        (f"(sqlite3.OperationalError) Could not decode column with text '{CANARY}'", "", "an error, whose text"),
        (f"{CANARY}", f"{CANARY}Error: {CANARY}", "an error, whose text"),
    ],
)
@pytest.mark.parametrize("nested", [False, True])
def test_why_a_check_errored_is_told_without_its_values(message: str, last_line: str, told: str, nested: bool):
    """Great Expectations tells it in two shapes; a check that could be computed has no reason in either."""
    flat = {"raised_exception": True, "exception_message": message, "exception_traceback": f"Traceback\n{last_line}\n"}
    quiet = {"raised_exception": False, "exception_message": None, "exception_traceback": None}

    why = why_errored({"MetricConfigurationID(...)": flat} if nested else flat)

    assert why is not None
    assert told in why
    assert CANARY not in why
    assert why_errored({"MetricConfigurationID(...)": quiet} if nested else quiet) is None
    assert why_errored({}) is None
