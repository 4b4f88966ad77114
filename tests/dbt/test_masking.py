"""What dbt and databases write of a node says what is wrong, and quotes no value of the data."""

import pytest

from prefect_healing.dbt.masking import masked_message, masked_sql

_WORDS = frozenset(
    ("orders", "email", "amount", "status", "select", "from", "where", "cast", "as", "integer", "paid", "and")
)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Got 238 results, configured to fail if != 0", "Got 238 results, configured to fail if != 0"),
        ('invalid input syntax for type integer: "Smith"', 'invalid input syntax for type integer: "[redacted:value]"'),
        ('column "amount" does not exist', 'column "amount" does not exist'),
        (
            "DETAIL:  Key (email)=(a@b.example) already exists.",
            "DETAIL:  Key (email)=([redacted:value]) already exists.",
        ),
        ("DETAIL:  Failing row contains (1, Smith (x), null).", "DETAIL:  Failing row contains ([redacted:value])."),
        ("Could not convert string 'O'Brien' to INT32", "Could not convert string '[redacted:value]' to INT32"),
        ("Could not convert string 'two\nlines' to INT32", "Could not convert string '[redacted:value]' to INT32"),
        (
            "Type INT64 with value 123456789 can't be cast",
            "Type INT64 with value [redacted:value] ca not be cast",
        ),
        ('Duplicate key "email: a@b.example" violates', 'Duplicate key "[redacted:value]" violates'),
    ],
)
def test_what_nobody_wrote_is_masked_in_a_message(message: str, expected: str):
    assert masked_message(message, _WORDS) == expected


def test_a_quote_that_never_ends_hides_the_rest():
    assert masked_message("near 'Smith and whatever follows", _WORDS) == "near '[redacted:value]'"


def test_sql_keeps_what_authors_wrote_and_loses_what_a_macro_read_from_the_data():
    """A pivot writes values of a column into names and literals."""
    sql = "select cast(status as integer), 'Smith' as smith_orders from orders where status = 'paid' and 7 < 12345"

    assert masked_sql(sql, _WORDS) == (
        "select cast(status as integer), '[redacted:value]' as [redacted:value] from orders where status = 'paid' "
        "and 7 < [redacted:value]"
    )
