"""When to try again."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_healing.tools.backoff import LONGEST_SECONDS, seconds_to_wait, when_to_retry

_NOW = datetime(2026, 1, 1, tzinfo=UTC)


@given(asked=st.floats(0, 86_400), attempt=st.integers(0, 50), seed=st.text())
def test_what_was_asked_for_is_never_undercut(asked: float, attempt: int, seed: str):
    assert asked <= seconds_to_wait(asked, attempt, seed) <= asked * 1.1


@given(attempt=st.integers(0, 10_000), seed=st.text())
def test_without_it_the_wait_grows_to_a_limit(attempt: int, seed: str):
    longest = min(LONGEST_SECONDS, 10 * 2 ** min(attempt, 20))

    assert longest / 2 <= seconds_to_wait(None, attempt, seed) <= longest


@given(asked=st.none() | st.floats(0, 3_600), attempt=st.integers(0, 9), seed=st.text())
def test_a_replay_decides_alike(asked: float | None, attempt: int, seed: str):
    assert when_to_retry(_NOW, asked, attempt, seed) == when_to_retry(_NOW, asked, attempt, seed)


def test_two_incidents_do_not_come_back_at_the_same_moment():
    assert len({seconds_to_wait(60, 0, seed) for seed in "abcdefgh"}) == 8


@pytest.mark.parametrize("asked", [0, 0.4, 30, 31.7])
def test_moments_are_whole_seconds_and_not_too_early(asked: float):
    moment = when_to_retry(_NOW, asked, 0, "seed")

    assert moment.microsecond == 0
    assert (moment - _NOW).total_seconds() >= asked
