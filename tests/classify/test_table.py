"""The table explains itself: every row has a source and an example that it wins."""

import re

import pytest

from prefect_healing.classify import classify
from prefect_healing.classify.signature import Signature
from prefect_healing.classify.signatures import table


@pytest.mark.parametrize("row", table().rows, ids=lambda row: row.id)
def test_every_row_wins_its_own_example(row: Signature):
    verdict = classify(row.example)

    assert verdict.signature == row.id
    assert verdict.cause == row.cause
    assert verdict.rerun_helps is row.rerun_helps
    assert verdict.decisive_line is not None
    assert verdict.decisive_line in row.example


def test_every_row_is_named_once_and_has_a_source():
    names = [row.id for row in table().rows]

    assert len(set(names)) == len(names)
    assert all(row.source and row.words and 0 < row.confidence < 1 for row in table().rows)


def test_what_is_permanent_is_never_run_again_and_what_passes_always_is():
    for row in table().rows:
        assert (row.transience == "permanent") == (row.rerun_helps is False), row.id
        assert row.transience != "transient" or row.rerun_helps is True, row.id


def test_index_words_are_lower_case_words():
    assert all(re.fullmatch(r"[a-z0-9_ ]+", row.words) for row in table().rows)
