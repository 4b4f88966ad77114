"""Values that databases, drivers and validators quote of the data are masked; names and errors stay readable."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_healing.classify import classify
from prefect_healing.guardrails.database_texts import mask_database_values
from prefect_healing.guardrails.redaction import redact
from tests.classify.test_texts import CASES

CANARY = "c4nary"

# (what was said, what a reader must still see)
SAID = [
    ("DETAIL:  Key (email)=(c4nary@x.org) already exists.", "Key (email)="),
    ("DETAIL:  Key (lower(email::text), id)=(c4nary (x), 4) already exists.", "already exists"),
    ('DETAIL:  Key (carrier)=(c4nary) is not present in table "airlines".', 'in table "airlines"'),
    ('DETAIL:  Key (id)=(c4nary) is still referenced from table "legs".', 'from table "legs"'),
    ("DETAIL:  Key (a, b)=(1, [c4nary)) conflicts with existing key (a, b)=(1, [c4nary)).", "conflicts with existing"),
    ("DETAIL:  Key (note)=(two\nlines c4nary) already exists.", "already exists"),
    ("DETAIL:  Key (note)=(cut off c4nary", "Key (note)="),
    ("DETAIL:  Failing row contains (1, c4nary (x), null).", "Failing row contains"),
    ("DETAIL:  Partition key of the failing row contains (day) = (c4nary).", "failing row contains (day)"),
    ('invalid input syntax for type integer: "c4nary"', "for type integer"),
    ('invalid input syntax for type numeric: "a" c4nary"\nLINE 1: SELECT \'c4nary\', 99001\n ^', "LINE 1"),
    ('invalid input value for enum mood: "c4nary"', "enum mood"),
    ('date/time field value out of range: "c4nary"', "out of range"),
    ('value "c4nary" is out of range for type integer', "for type integer"),
    ('malformed array literal: "{c4nary"', "malformed array literal"),
    ('DETAIL:  Token "c4nary" is invalid.\nCONTEXT:  JSON data, line 1: {"a": c4nary', "is invalid"),
    ('CONTEXT:  COPY flights, line 2, column dep_delay: "c4nary"', "column dep_delay"),
    ('CONTEXT:  COPY flights, line 2: "1,c4nary,x"', "COPY flights, line 2"),
    ('CONTEXT:  COPY flights, line 2: "\\"a\\",\\"c4nary\\",x"', "COPY flights, line 2"),
    ('invalid input syntax for type integer: "a", c4nary", retrying', "for type integer"),
    ("invalid input syntax for type integer: \"a 'b' \"c\" c4nary\"", "for type integer"),
    ("CONTEXT:  unnamed portal parameter $1 = 'c4nary'", "parameter $1"),
    ("STATEMENT:  INSERT INTO t (a) VALUES ('c4nary')", "INSERT INTO t (a)"),
    ("[SQL: INSERT INTO t (a1, b) VALUES ('it''s c4nary', 99001) RETURNING id1]\n(Background on", "(a1, b)"),
    ("[SQL: SELECT 1]\n[parameters: {'email': 'c4nary', 'ids': [1, 2]}]\n(Background on this", "[parameters: "),
    ("[parameters: [('c4nary', 1), ('c4nary', 2)  ... displaying 10 of 99 total bound parameter sets ...]]", "[param"),
    ("(1062, \"Duplicate entry 'c4nary' for key 'users.email'\")", "for key 'users.email'"),
    ("(1366, \"Incorrect integer value: 'c4nary' for column 'age' at row 1\")", "for column 'age'"),
    ("(1292, \"Truncated incorrect DOUBLE value: 'c4nary'\")", "incorrect DOUBLE value"),
    ("Cannot insert duplicate key in object 'dbo.t'. The duplicate key value is (c4nary, 2).", "dbo.t"),
    ("Conversion failed when converting the varchar value 'c4nary' to data type int.", "to data type int"),
    ("would be truncated in table 't', column 'c'. Truncated value: 'c4nary'.", "column 'c'"),
    ("ORA-03301: (ORA-00001 details) row with column values (ID:c4nary) already exists", "already exists"),
    ("100038 (22018): Numeric value 'c4nary' is not recognized", "is not recognized"),
    ("String 'c4nary' is too long and would be truncated", "too long"),
    ('Failed to cast variant value "c4nary" to FIXED', "to FIXED"),
    ("Could not parse 'c4nary' as INT64 for field age (position 3)", "for field age"),
    ("Bad int64 value: c4nary", "Bad int64 value"),
    ("Conversion Error: Could not convert string 'c4nary' to INT32", "to INT32"),
    ('Constraint Error: Duplicate key "id: c4nary" violates primary key constraint.', "primary key constraint"),
    ('invalid date field format: "c4nary", expected format is (YYYY-MM-DD)', "YYYY-MM-DD"),
    ("ValueError: could not convert string to float: 'c4nary'", "to float"),
    ("ValueError: invalid literal for int() with base 10: 'c4nary'", "base 10"),
    ("ArrowInvalid: Could not convert 'c4nary' with type str: tried to convert to int64", "to int64"),
    ('ValueError: Unable to parse string "c4nary" at position 7', "at position 7"),
    ("valid integer [type=int_parsing, input_value='c4nary', input_type=str]", "input_type=str"),
    ("Field required [type=missing, input_value={'id': 1, 'email': 'c4nary'}, input_type=dict]", "type=missing"),
    ('{"partial_unexpected_list": ["c4nary", "a]c4nary"], "unexpected_count": 2}', '"unexpected_count": 2'),
    ("'unexpected_index_list': [{'id': 'c4nary'}], 'unexpected_count': 1", "'unexpected_count': 1"),
    ("'partial_unexpected_counts': [{'value': \"it's c4nary\", 'count': 1}], 'x': 1", "'x': 1"),
]  # fmt: skip


@pytest.mark.parametrize(("said", "stays"), SAID)
def test_a_quoted_value_is_masked_and_what_is_around_it_stays(said: str, stays: str):
    masked = redact(said)

    assert CANARY not in masked
    assert "99001" not in masked
    assert stays in masked
    assert redact(masked) == masked


@pytest.mark.parametrize("said", [said for said, _ in SAID])
@pytest.mark.parametrize("depth", [1, 2])
def test_an_error_within_json_is_still_an_error(said: str, depth: int):
    text = f"psycopg.Error: {said} at 10:00"
    for _ in range(depth):
        text = json.dumps({"message": text})

    masked = redact(text)

    assert CANARY not in masked
    assert redact(masked) == masked


def test_a_value_that_was_cut_off_takes_no_more_than_its_own_text_along():
    """Answers of tools are one line of JSON; what stands beside a broken error is still read."""
    said = json.dumps([{"text": "Key (note)=(cut off c4nary"}, {"text": 'for type integer: "c4nary'}, {"next": 1}])

    assert json.loads(redact(said))[2] == {"next": 1}


@pytest.mark.parametrize(
    "said",
    [
        "sqlite3.IntegrityError: UNIQUE constraint failed: users.email",
        'duplicate key value violates unique constraint "users_email_key"',
        'null value in column "email" of relation "users" violates not-null constraint',
        'column "dep_delay" of relation "flights" does not exist\nLINE 1: SELECT dep_delay FROM flights',
        "DETAIL:  Process 123 waits for ShareLock on transaction 9; blocked by process 124.",
        "[SQL parameters hidden due to hide_parameters=True]",
        '{"success": false, "unexpected_count": 12, "observed_value": 842}',
        "value too long for type character varying(10)",
        "the key value of this design is that errors are data",
    ],
)
def test_names_and_figures_are_no_values(said: str):
    assert redact(said) == said


@pytest.mark.parametrize(("text", "cause", "_"), CASES)
def test_a_masked_failure_is_classified_as_before(text: str, cause: str, _: bool | None):
    assert classify(redact(text)).cause == classify(text).cause == cause


pieces = st.sampled_from(
    [*(said for said, _ in SAID), "\n", "\\n", '"', "'", ")", "Key (a)=(", "[SQL: ", "LINE 1: ", "["]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(pieces | st.text(max_size=8), max_size=6).map("".join))
def test_masking_again_changes_nothing(text: str):
    """Whatever errors stand beside whatever."""
    once = redact(text)

    assert redact(once) == once


HEADS = [said.partition(CANARY)[0] for said, _ in SAID] + ["[" * 9, "'unexpected_list': [", "LINE 1: '", "input_value="]


@pytest.mark.parametrize("head", HEADS)
def test_time_grows_with_length_only(head: str):
    """Errors that begin again and again, and never end, cost no more than others."""

    def seconds(chars: int) -> float:
        text = head * (chars // len(head))
        start = time.process_time()
        mask_database_values(text)
        return time.process_time() - start

    small = seconds(50_000)

    assert seconds(200_000) < 12 * small + 0.05
