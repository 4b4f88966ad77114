"""When to try again: what the other side asked for, else exponential back-off; jitter in both."""

from datetime import datetime, timedelta
from random import Random

FIRST_SECONDS = 10.0
LONGEST_SECONDS = 600.0
_JITTER = 0.1
_DOUBLINGS_MAX = 16  # More than enough to reach the longest wait from any first one.


def seconds_to_wait(retry_after_seconds: float | None, attempt: int, seed: str) -> float:
    """Return the seconds to wait before attempt number `attempt` (0 is the first re-try).

    What the other side asked for is never undercut: up to 10 % is added, so that callers do not return at once.
    Without it the wait doubles with each attempt from 10 seconds to 10 minutes, between half of it and all of it.
    The same arguments give the same answer: a replay decides alike.
    """
    chance = Random(f"{seed}:{attempt}").random()  # noqa: S311  Jitter keeps no secret.
    if retry_after_seconds is not None:
        return max(0.0, retry_after_seconds) * (1 + _JITTER * chance)
    longest = min(LONGEST_SECONDS, FIRST_SECONDS * 2 ** min(max(attempt, 0), _DOUBLINGS_MAX))
    return longest * (0.5 + 0.5 * chance)


def when_to_retry(now: datetime, retry_after_seconds: float | None, attempt: int, seed: str) -> datetime:
    """Return the moment for the next attempt, whole seconds, not before what was asked for."""
    moment = now + timedelta(seconds=seconds_to_wait(retry_after_seconds, attempt, seed))
    return moment.replace(microsecond=0) + timedelta(seconds=1) if moment.microsecond else moment
