"""No text is expensive, and none breaks it."""

import pytest

from prefect_healing.classify import classify, fingerprint
from prefect_healing.classify.lines import lines_of
from prefect_healing.classify.signature import Effort
from prefect_healing.classify.signatures import table
from prefect_healing.classify.verdict import ROWS_TRIED_MAX

NASTY = [
    "error exit 503 column timeout 137 does not exist server",
    "a" * 4000,
    "('" * 2000,
    "a." * 2000,
    " " * 4000,
    "| + " * 900,
    "\x1b[" * 900,
    "failed to " * 400,
    "missing columns " * 200,
    "attempt " * 500,
]


@pytest.mark.parametrize("line", NASTY, ids=range(len(NASTY)))
def test_rows_tried_do_not_grow_with_the_text(line: str, monkeypatch: pytest.MonkeyPatch):
    """Counted, not timed: ten times the text costs at most as many rows as the bound allows."""
    spent: list[int] = []
    spend = Effort.spend
    monkeypatch.setattr(Effort, "spend", lambda self, rows: (spent.append(rows + 1), spend(self, rows)))

    classify("\n".join(f"{number} {line}" for number in range(200)))

    assert sum(spent) <= ROWS_TRIED_MAX + len(table().rows) * 2


@pytest.mark.parametrize("size", [100_000, 50_000_000])
def test_one_line_of_any_length_is_read_at_its_ends(size: int):
    text = "KeyError: " + "x" * size + " no space left on device"

    assert sum(len(line.text) for line in lines_of(text)) < 20_000
    assert classify(text).cause in ("code_bug", "resource_exhausted")


def test_of_a_huge_text_the_end_is_read():
    text = (
        "nothing to see on this long and quiet line " * 400_000
        + "\n"
        + "sqlite3.OperationalError: database is locked\n"
    )

    assert classify(text).cause == "concurrency_conflict"


def test_a_decisive_line_is_valid_unicode_whatever_the_log_held():
    verdict = classify("ERROR: \ud800 database is locked \udfff")

    assert verdict.cause == "concurrency_conflict"
    assert verdict.model_dump_json()
    assert len(fingerprint("nightly", verdict, "\ud800")) == 16
