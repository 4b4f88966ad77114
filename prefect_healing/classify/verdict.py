"""Choose the failure that explains, and say what it is."""
# ruff: noqa: E501 a pattern reads best on one line

import re
from collections.abc import Sequence
from typing import NamedTuple

from prefect_healing.classify.failures import Failure, Raised, Tier, essence, exception_name, failures_in
from prefect_healing.classify.lines import lines_of
from prefect_healing.classify.signature import Effort, Match, Signature
from prefect_healing.classify.signatures import table
from prefect_healing.domain.classification import Classification

SPECIFIC = 0.6
"""A row of less confidence names a kind of exception that programs also use in the ordinary course of things."""

ROWS_TRIED_MAX = 400
"""Rows tried on one text: a typical failure needs ten, a log of 200 lines that says nothing some tens."""

_FROM_BEFORE = 0.7
_FROM_ASIDE = 0.5
_UNKNOWN_CONFIDENCE = 0.1


class Verdict(NamedTuple):
    """A row, the line it was found in, and how much of the row's confidence is left."""

    signature: Signature | None
    line: str
    share: float = 1.0


def classify(text: str) -> Classification:
    """Return the cause that a failure text tells, from its decisive line; `unknown` rather than a guess.

    Any text goes: a log, a traceback, an error message. Pure, and linear in the text up to 16 million characters;
    of longer texts the first 4 and the last 12 million are read.
    """
    verdict = _Search().verdict(failures_in(lines_of(text)))
    if verdict is None:
        return _classification(None, None, 1.0)
    return _classification(verdict.signature, _as_text(verdict.line), verdict.share)


def _classification(signature: Signature | None, line: str | None, share: float) -> Classification:
    if signature is None:
        return Classification(
            cause="unknown", transience="unknown", confidence=_UNKNOWN_CONFIDENCE, decisive_line=line, rerun_helps=None
        )
    return Classification(
        cause=signature.cause,
        transience=signature.transience,
        confidence=round(signature.confidence * share, 3),
        decisive_line=line,
        rerun_helps=signature.rerun_helps,
        signature=signature.id,
    )


class _Search:
    """A walk through the failures of one text, which looks at no line twice and at no more rows than its effort."""

    def __init__(self) -> None:
        self.effort = Effort(ROWS_TRIED_MAX)
        self.judged: dict[str, Verdict] = {}

    def verdict(self, failures: Sequence[Failure]) -> Verdict | None:
        standing = [failure for failure in failures if not failure.recovered]
        loud = [failure for failure in standing if failure.tier is Tier.FAILURE]
        if loud:
            return self._last_that_explains(loud, standing)
        plain = self._last_match(standing, Tier.PLAIN, 1.0)
        return plain or self._last_match(standing, Tier.ASIDE, _FROM_ASIDE)

    def _last_that_explains(self, loud: Sequence[Failure], standing: Sequence[Failure]) -> Verdict:
        """Walk back from the last failure, past what only says that something failed."""
        last = self._judge(loud[-1])
        if last.signature is not None:
            return last
        for failure in reversed(loud):
            verdict = self._judge(failure)
            if verdict.signature is not None:
                return verdict._replace(share=_FROM_BEFORE)
            last = _better_candidate(last, verdict, failure)
            if self.effort.is_spent or (failure.is_traceback and not _points_elsewhere(failure)):
                return last
        return self._last_match(standing, Tier.PLAIN, _FROM_BEFORE) or last

    def _last_match(self, failures: Sequence[Failure], tier: Tier, share: float) -> Verdict | None:
        for failure in reversed(failures):
            if self.effort.is_spent:
                return None
            verdict = self._judge(failure) if failure.tier is tier else _SILENT
            if verdict.signature is not None:
                return verdict._replace(share=share)
        return None

    def _judge(self, failure: Failure) -> Verdict:
        if failure.is_traceback:
            return _judge(failure, self.effort)
        if failure.body not in self.judged:
            self.judged[failure.body] = _judge(failure, self.effort)
        return self.judged[failure.body]


def _better_candidate(last: Verdict, verdict: Verdict, failure: Failure) -> Verdict:
    return verdict if failure.is_traceback and not exception_name(last.line) else last


def _points_elsewhere(failure: Failure) -> bool:
    """Tell whether every exception of a chain only reports that something else failed."""
    return all(_POINTER.search(raised.message) for raised in failure.chain)


def _judge(failure: Failure, effort: Effort) -> Verdict:
    """Fold a chain from its root outwards, keeping what explains."""
    best: Match | None = None
    best_raised = failure.chain[0]
    for raised in failure.chain:
        match = _match(raised, effort)
        if _prefers(match, best, raised):
            best, best_raised = match, raised
    if best is None:
        return Verdict(None, _best_unmatched(failure).text)
    return Verdict(best.signature, _line_at(best_raised, best.start))


def _match(raised: Raised, effort: Effort) -> Match | None:
    """Match what Prefect reports, and only where that says nothing the words it reports it with."""
    matter = _matter(raised)
    inner = essence(matter)
    match = table().best_match(inner, raised.frames, effort)
    if inner == matter:
        return match
    if match is None:
        return table().best_match(matter, raised.frames, effort)
    return match._replace(start=match.start + len(matter) - len(inner))


def _prefers(outer: Match | None, inner: Match | None, raised: Raised) -> bool:
    """Tell whether an exception explains more than the best of those inside it.

    What `raise ... from` wraps is the better reason, unless it is an everyday exception and its wrapper says more.
    What an `except` block raises on its own is the better reason when it says something specific.
    """
    if outer is None or inner is None:
        return inner is None
    mine, theirs = outer.signature, inner.signature
    if mine.aftermath or theirs.aftermath:
        return theirs.aftermath
    if mine.cause == theirs.cause:
        return mine.confidence >= theirs.confidence
    if raised.link == "cause":
        return mine.confidence >= SPECIFIC > theirs.confidence
    return mine.confidence >= SPECIFIC and not (mine.cause == "code_bug" and theirs.confidence >= SPECIFIC)


def _best_unmatched(failure: Failure) -> Raised:
    """Return the last exception whose type says something, else the last."""
    telling = (raised for raised in reversed(failure.chain) if not _GENERIC.match(raised.line))
    return next(telling, failure.chain[-1])


def _matter(raised: Raised) -> str:
    """Return the message without the statement and the parameters that drivers append: they are not what failed."""
    return "\n".join([raised.line, *(line for line in raised.details if not _APPENDED.match(line))])


def _line_at(raised: Raised, start: int) -> str:
    """Return the exception's own line, unless that is generic and what matched stands below it."""
    matter = _matter(raised)
    if start <= len(raised.line) or not _GENERIC.match(raised.line):
        return raised.text
    return matter[matter.rfind("\n", 0, start) + 1 :].split("\n", 1)[0]


def _as_text(line: str) -> str | None:
    """Return a line as valid Unicode: what was no character in the log is none in a report."""
    return line.strip().encode("utf-8", "replace").decode() or None


_SILENT = Verdict(None, "")
_GENERIC = re.compile(
    r"(?:\w{1,80}\.){0,12}(?:RuntimeError|Exception|ValueError|BaseException|FailedRun|CrashedRun|(?:Base)?ExceptionGroup|RetryError)\b"
)
_POINTER = re.compile(
    r"CalledProcessError|FailedRun|CrashedRun|UpstreamTaskError|ExceptionGroup|non-zero exit status|\b\d+(?: of |/)\d+ (?:\w+ )?(?:states?|tasks?|runs?|jobs?|steps?) (?:\w+ )?failed"
    r"|\b(?:tasks?|steps?|jobs?|subflows?|runs?) (?:\S+ )?failed\b|exited with|exit code|see (?:the )?logs?\b|RetryError\["
)
_APPENDED = re.compile(r"\s*(?:\[SQL: |\[parameters: |\(Background on this error at: |For more information check: )")
