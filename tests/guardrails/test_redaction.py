"""Secrets are removed before anything is stored, shown or sent, and nothing else is."""

import base64
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_healing.guardrails.redaction import redact, redact_json
from tests.guardrails.secret_samples import JWT, MIXED, ORDINARY, SECRETS, WORD, Sample


def survives(sample: Sample, text: str) -> bool:
    return any(secret in text for secret in sample.secrets)


def test_every_known_format_is_redacted():
    """Recall on the formats that logs really show is one."""
    missed = [f"{each.name}: {redact(each.text)}" for each in SECRETS if survives(each, redact(each.text))]

    assert len(SECRETS) >= 60
    assert not missed, f"recall {1 - len(missed) / len(SECRETS):.3f}\n" + "\n".join(missed)


def test_every_known_format_is_redacted_within_json():
    """A log line inside JSON inside JSON is still a log line."""
    missed = list[str]()
    for sample in SECRETS:
        parts = tuple(json.dumps(part)[1:-1] for part in sample.secrets)
        redacted = redact(json.dumps({"message": sample.text, "level": 40}))
        if survives(Sample(sample.name, "", parts), redacted):
            missed.append(f"{sample.name}: {redacted}")

    assert not missed, f"recall {1 - len(missed) / len(SECRETS):.3f}\n" + "\n".join(missed)


def test_ordinary_text_is_left_alone():
    """Ids, hashes, dates, paths, numbers, code and prose about tokens stay as they are."""
    changed = [f"{each}  ->  {redact(each)}" for each in ORDINARY if redact(each) != each]

    assert len(ORDINARY) >= 40
    assert not changed, f"{len(changed)} of {len(ORDINARY)} changed\n" + "\n".join(changed)


def test_what_stands_around_a_secret_stays():
    """A reader still sees which system, user and setting it was about."""
    line = f"postgresql://etl:{WORD}@db.acme.io:5432/flights refused"

    assert redact(line) == "postgresql://etl:[redacted:password]@db.acme.io:5432/flights refused"


@pytest.mark.parametrize("sample", SECRETS, ids=lambda sample: sample.name)
def test_redacting_twice_changes_nothing(sample: Sample):
    """What was redacted is stable."""
    once = redact(sample.text)

    assert redact(once) == once


fragments = st.sampled_from(
    [sample.text for sample in SECRETS]
    + [
        "password",
        "token",
        "[redacted:password]",
        "[redacted:",
        "]",
        "=",
        ": ",
        '"',
        "'",
        "\\",
        "\\n",
        "\n",
        "://",
        "@",
    ]
    + [
        " ",
        "Bearer ",
        "Authorization: ",
        "cookie: a=",
        "--token ",
        "value: ",
        "{",
        "}",
        "eyJ",
        "-----BEGIN PRIVATE KEY-----",
    ]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(fragments | st.text(max_size=12), max_size=8).map("".join), st.sets(st.text(max_size=12), max_size=3))
def test_redaction_is_idempotent_on_any_text(text: str, secrets: set[str]):
    """Whatever stands beside whatever, a second pass finds nothing."""
    once = redact(text, secrets)

    assert redact(once, secrets) == once


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(ORDINARY), st.sampled_from(SECRETS), st.sampled_from(ORDINARY))
def test_a_secret_is_found_between_other_lines(before: str, sample: Sample, after: str):
    """Neighbouring lines neither hide a secret nor lose anything by it."""
    redacted = redact(f"{before}\n{sample.text}\n{after}")

    assert not survives(sample, redacted)
    assert redacted.startswith(before + "\n")
    assert redacted.endswith("\n" + after)


@pytest.mark.parametrize(
    "written",
    [
        "value {} used",
        "glued{}glued",
        "https://x/?q=",
    ],
)
def test_a_known_value_is_removed_wherever_it_stands(written: str):
    """A Prefect Secret's value is removed whatever stands around it."""
    value = "correct horse/battery"

    assert value not in redact(written.format(value) + value, [value])


@pytest.mark.parametrize("offset", range(6))
def test_a_known_value_is_removed_from_base64(offset: int):
    """Encoding a known value, alone or within something longer, does not hide it."""
    value = "Correct-Horse-42-Battery"
    encoded = base64.b64encode(b"x" * offset + value.encode() + b"y" * (7 - offset)).decode()

    redacted = redact(f"payload {encoded} sent", [value])

    assert "[redacted:secret]" in redacted
    assert value[4:-4].encode() not in base64.b64decode(
        "".join(c for c in redacted[8:] if c.isalnum()) + "====", validate=False
    )


def test_known_values_that_are_words_are_not_looked_for():
    """A secret named `admin` or `1` must not blank out a whole log."""
    line = "admin logged in to localhost at 1"

    assert redact(line, ["admin", "1", "localhost", "", "in"]) == line


def test_a_longer_known_value_is_not_cut_by_a_shorter_one():
    """Where one secret contains another, none of the longer survives."""
    assert redact("key abcdef123456 ok", ["abcdef", "abcdef123456"]) == "key [redacted:secret] ok"


def test_values_under_secret_names_are_removed_from_json():
    """In a flow run's parameters the name says what the value is."""
    value = {
        "user": "etl",
        "password": "x",
        "nested": [{"api_key": "short", "day": "2013-01-01"}],
        "pin_password": 1234,
    }

    assert redact_json(value) == {
        "user": "etl",
        "password": "[redacted:password]",
        "nested": [{"api_key": "[redacted:key]", "day": "2013-01-01"}],
        "pin_password": "[redacted:password]",
    }


@settings(max_examples=50, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.text(max_size=20), lambda below: st.dictionaries(fragments, below, max_size=3)
    )
)
def test_redacting_json_twice_changes_nothing(value: object):
    """What was redacted in JSON is stable."""
    once = redact_json(value)

    assert redact_json(once) == once


ADVERSARIES = {
    "plain": "flight UA1545 departed EWR at 05:15 for IAH; ",
    "one run": "a",
    "digits": "7",
    "jwt starts": "eyJ",
    "dotted jwt": "eyJa.",
    "key starts": "sk-",
    "names": "password",
    "names and colons": "password:",
    "open quotes": 'token="',
    "mixed quotes": "token=\"secret='",
    "escaped quotes": '\\"password\\": \\"',
    "urls": "://",
    "urls with ports": "://a:b/",
    "at signs": "://a@",
    "pem starts": "-----BEGIN PRIVATE KEY-----",
    "dashes": "-",
    "options": "--token ",
    "cookies": "cookie: ",
    "bearers": "Bearer ",
    "authorizations": "authorization: ",
    "base64": "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo ",
    "white space": " ",
    "names and space": "password \t",
    "lines": "password\n",
    "tags": "<password>",
    "placeholders": "[redacted:password]",
    "percent": "%3A%2F%2F",
    "curl": "curl -u ",
    "mysql": "mysql ",
    "logins": "login x ",
    "backslashes": "\\",
    "surrogates": "\udcff",
    "jdbc": "jdbc:oracle:thin:",
    "pgpass": "x:5432:",
}


@pytest.mark.parametrize("name", ADVERSARIES)
def test_time_grows_with_length_only(name: str):
    """Four times the text takes about four times as long, whatever the text: a 50 MB line is bounded."""

    def seconds(chars: int) -> float:
        text = ADVERSARIES[name] * (chars // len(ADVERSARIES[name]))
        start = time.process_time()
        redact(text)
        return time.process_time() - start

    small = seconds(50_000)

    assert seconds(200_000) < 12 * small + 0.05


def test_a_jwt_among_words_is_found_by_its_shape_alone():
    """No name is needed where the shape is plain."""
    assert redact(f"got {JWT} back") == "got [redacted:jwt] back"
    assert MIXED[:43] not in redact(JWT)
