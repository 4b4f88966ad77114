"""The failures that a text speaks of: chains of tracebacks and single lines, in their order."""
# ruff: noqa: E501 a pattern reads best on one line

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

from prefect_healing.classify.lines import Line

Link = Literal["cause", "context"]

MESSAGE_LINES_MAX = 16
FAILURES_KEPT = 1_000
_FRAME_LINES = 16


class Tier(IntEnum):
    """How loud something was said."""

    ASIDE = 0
    """A warning, or an attempt that was to be repeated: counts only where nothing else went wrong."""
    PLAIN = 1
    """A line of no level: counts where no traceback and no error line explains."""
    FAILURE = 2
    """A traceback, an error line, or the word of the orchestrator or the kernel on how it ended."""


@dataclass
class Raised:
    """One exception of a chain: its line, bare and in the text, what follows it, and the last lines of its frames."""

    line: str
    text: str
    link: Link | None = None
    details: list[str] = field(default_factory=list[str])
    frames: str = ""

    @property
    def message(self) -> str:
        """Return the exception's line and its details, as signatures read them."""
        return "\n".join([self.line, *self.details])


@dataclass
class Failure:
    """A chain, oldest exception first, or a single line; `echo` says again what was said before."""

    chain: list[Raised]
    tier: Tier
    subject: str | None = None
    is_traceback: bool = False
    recovered: bool = False

    @property
    def body(self) -> str:
        """Return what was said last."""
        return self.chain[-1].line


def failures_in(lines: Iterable[Line]) -> list[Failure]:
    """Return the failures of a text, in order, those that were overcome marked as recovered."""
    reader = _Reader()
    for line in lines:
        reader.read(line)
    return reader.finished()


def essence(body: str) -> str:
    """Return what a Prefect line says failed, without Prefect's words around it."""
    for _ in range(4):
        found = _WRAPPING.match(body)
        if found is None or found.end() == len(body):
            return body
        body = body[found.end() :]
    return body


def exception_name(body: str) -> str:
    """Return the short name of the exception that a line begins with, or an empty string."""
    found = _TYPED.match(essence(body))
    return found.group(1) if found else ""


class _Phrase:
    """A pattern that is only tried where one of its `keys` occurs: most lines of a log say none of them."""

    def __init__(self, keys: str, pattern: str) -> None:
        self.keys = tuple(keys.split())
        self.pattern = re.compile(pattern)

    def found_in(self, body: str) -> bool:
        low = body.lower()
        return any(key in low for key in self.keys) and self.pattern.search(body) is not None


class _Reader:
    """Reads lines one by one: outside, in the frames of a traceback, or in the message of an exception."""

    def __init__(self) -> None:
        self.failures: list[Failure] = []
        self.frames: deque[str] | None = None
        self.message: Raised | None = None
        self.link: Link | None = None
        self.header: Line | None = None
        self.ignored = False

    def read(self, line: Line) -> None:
        bare = _margin_removed(line.body)
        if bare.startswith(_TRACEBACK) or _EXCEPTION_GROUP.match(bare) or (self.frames is None and _FRAME.match(bare)):
            self._begin_traceback(bare)
        elif (link := _LINKS.get(bare.strip())) is not None:
            self.link, self.message = link, None
        elif self.frames is not None and self._read_in_frames(line, bare, self.frames):
            return
        elif self.message is not None and self._continues_message(line, bare):
            self.message.details.append(bare)
        else:
            self.message, self.link = None, None
            self._read_outside(line)

    def finished(self) -> list[Failure]:
        return self.failures

    def _begin_traceback(self, bare: str) -> None:
        self.frames = deque(maxlen=_FRAME_LINES)
        self.message = None
        if _FRAME.match(bare):
            self.frames.append(bare)

    def _read_in_frames(self, line: Line, bare: str, frames: deque[str]) -> bool:
        if bare[:1] in (" ", "\t") or bare.startswith(("...", "[Previous line")):
            frames.append(bare)
            return True
        if line.level is not None and not _TYPED.match(bare):
            self._read_outside(line)
            return True
        self._end_traceback(line, bare)
        return True

    def _end_traceback(self, line: Line, bare: str) -> None:
        raised = Raised(bare, line.text, self.link, frames="\n".join(self.frames or ()))
        if self.link is not None and self.failures and self.failures[-1].is_traceback:
            self.failures[-1].chain.append(raised)
        else:
            self._add_traceback(raised)
        self.frames, self.message, self.link = None, raised, None

    def _add_traceback(self, raised: Raised) -> None:
        header = self.header
        tier = Tier.ASIDE if self.ignored or _announces_aside(header, raised) else Tier.FAILURE
        subject = header.subject if header else None
        if header is not None and self.failures and self.failures[-1].chain[0].text == header.text:
            self.failures.pop()
        self.failures.append(Failure([raised], tier, subject, is_traceback=True))
        self.header, self.ignored = None, False

    def _continues_message(self, line: Line, bare: str) -> bool:
        message = self.message
        if message is None or line.prefixed or _TYPED.match(bare) or _ENDING.found_in(bare) or _NOT_RAISED.match(bare):
            return False
        return len(message.details) < MESSAGE_LINES_MAX or bare[:1] in (" ", "\t")

    def _read_outside(self, line: Line) -> None:
        self.ignored = bool(_NOT_RAISED.match(line.body))
        self.header = line if line.prefixed else None
        if _OVERCOME.found_in(line.body):
            self._overcome(line.subject)
        elif not self.ignored and (tier := _tier(line)) is not None and not self._is_echo(line):
            self.message = self._add_line(line, tier)

    def _add_line(self, line: Line, tier: Tier) -> Raised | None:
        raised = Raised(line.body, line.text)
        if len(self.failures) >= 2 * FAILURES_KEPT:
            self._forget_the_oldest()
        self.failures.append(Failure([raised], tier, line.subject))
        return raised if _TYPED.match(essence(line.body)) else None

    def _forget_the_oldest(self) -> None:
        """Keep the newest of each kind: no search goes farther back, and millions of lines must fit in memory."""
        older, newer = self.failures[:-FAILURES_KEPT], self.failures[-FAILURES_KEPT:]
        loud = [failure for failure in older if failure.tier is Tier.FAILURE]
        self.failures = loud[-FAILURES_KEPT // 2 :] + newer

    def _overcome(self, subject: str | None) -> None:
        for failure in reversed(self.failures):
            if subject is None or failure.subject == subject:
                if failure.recovered:
                    return
                failure.recovered = True

    def _is_echo(self, line: Line) -> bool:
        content = essence(line.body)
        if content == line.body and not line.body.startswith("Finished in state"):
            return False
        name = exception_name(content)
        said = content.rstrip("')")[:80]
        return any(_says(failure, name, said) for failure in self.failures[-60:] if failure.tier is Tier.FAILURE)


def _says(failure: Failure, name: str, said: str) -> bool:
    if name:
        return exception_name(failure.body) == name
    return bool(said) and said in failure.body


def _announces_aside(header: Line | None, raised: Raised) -> bool:
    """Tell whether the log line above a traceback says that it was only a warning or will be tried again."""
    if header is None or _tier(header) is not Tier.ASIDE:
        return False
    name = exception_name(raised.line)
    return header.level != "warning" or bool(_ABOUT_FAILURE.search(header.body)) or (bool(name) and name in header.body)


def _tier(line: Line) -> Tier | None:
    body = line.body
    if line.level == "warning" or _WARNING.found_in(body):
        return Tier.ASIDE
    if _AGAIN.found_in(body) and not _GAVE_UP.search(body):
        return Tier.ASIDE
    if _ENDING.found_in(body):
        return Tier.FAILURE
    if line.level == "info":
        return None
    if _HANDLED.found_in(body):
        return Tier.ASIDE
    if line.level == "error":
        return Tier.PLAIN if _CLEANING.found_in(body) else Tier.FAILURE
    return Tier.FAILURE if _TYPED.match(body) else Tier.PLAIN


def _margin_removed(body: str) -> str:
    """Return a line of an exception group without the bars in its margin."""
    margin = body[:40] if body[:1] in " |+" else ""
    return _MARGIN.sub("", body, count=1) if "|" in margin or "+-" in margin else body


_TRACEBACK = "Traceback (most recent call last):"
_LINKS: dict[str, Link] = {
    "During handling of the above exception, another exception occurred:": "context",
    "The above exception was the direct cause of the following exception:": "cause",
}
_EXCEPTION_GROUP = re.compile(r"Exception Group Traceback \(most recent call last\):")
_FRAME = re.compile(r"\s+File \"[^\"\n]{1,1000}\", line \d+")
_MARGIN = re.compile(r"(?: {2,}| )?(?:\+-\+-+[^\n]*|[+|] ?)+(?=.|$)")
_TYPED = re.compile(
    r"(?:[A-Za-z_]\w{0,80}\.){0,12}([A-Z_]\w{0,100}(?:Error|Exception|Timeout|Interrupt|Exit|Warning|Failure|Failed|NotFound|Refused|Denied|Violation|Exceeded)"
    r"|[A-Z][a-z]\w{1,100}(?=: |\(['\"]))(?=[:(]|$)"
)
_WRAPPING = re.compile(
    r"(?:Finished in state \w+\(['\"]|(?:Flow|Task) run encountered an exception:? |Encountered (?:an )?exception during execution: "
    r"|Task run failed with (?:exception|state): |Validation of flow parameters failed with error: |Crash detected! "
    r"|Execution was interrupted by an unexpected exception: |Flow run failed due to timeout: |Task run failed due to timeout: )\s*"
)
_ENDING = _Phrase(
    "kill termina segm sig fatal exit crash finished exceeded exhausted memory",
    r"^Killed$|^Terminated$|OOMKilled|[Ss]egmentation fault|\bSIG(?:KILL|TERM|SEGV|ABRT|BUS)\b|Fatal Python error|Out of memory: Kill"
    r"|(?i:exit(?:ed)?(?: with)?(?: non-zero)?(?: exit)?(?: status)?(?: code)?)[\s:=(]{1,3}-?[1-9]\d{0,2}\b"
    r"|Crash detected!|Finished in state (?:Failed|Crashed|TimedOut)|run exceeded timeout|Retries are exhausted",
)
_NOT_RAISED = re.compile(
    r"Exception ignored in|--- Logging error ---|Task exception was never retrieved|Future exception was never retrieved"
    r"|Unclosed (?:client session|connector)|Task was destroyed but it is pending"
)
_ABOUT_FAILURE = re.compile(r"(?i)fail|error|exception|retry|attempt")
_WARNING = _Phrase("warning", r"\b\w*Warning: ")
_AGAIN = _Phrase(
    "retr again attempt reconnect backing",
    r"(?i)\bretrying\b|\bwill retry\b|\bretry (?:in|\d+/\d+ will|after|#?\d+)\b|\bbacking off\b|\btrying again\b|\btry again in\b|\bnext attempt\b"
    r"|\battempt (?:#?\d+ ?(?:/|of) ?\d+|#?\d+) (?:failed|errored|raised|did not)|\breconnecting\b|\bup_for_retry\b|\bAwaitingRetry\b",
)
_GAVE_UP = re.compile(
    r"(?i)\bexhausted\b|\bgiv(?:ing|en) up\b|\bgave up\b|\bno (?:more )?retries\b|\bmax(?:imum)? (?:number of )?retries\b|\bnot retrying\b|\bretries failed\b|\bfinal attempt\b|\blast attempt\b"
)
_HANDLED = _Phrase(
    "ignor skip fatal handled continu fall cached suppress expected",
    r"(?i)\b(?:ignor(?:ed|ing)|skipp(?:ed|ing)|non-?fatal|handled|continuing|continue anyway|fall(?:ing|s)? back|using (?:the )?cached|suppressed|expected error)\b",
)
_CLEANING = _Phrase(
    "clos clean shut tear roll dispos flush noti send post emit releas",
    r"(?i)\b(?:failed to|could not|cannot|can't|unable to|error (?:while|when|on|during)|while|during) (?:\w+ ){0,2}?"
    r"(?:clos(?:e|ing)|clean(?:ing)?(?: ?up)?|shut(?:ting)? ?down|tear(?:ing)? ?down|roll(?:ing)? ?back|dispos(?:e|ing)|flush(?:ing)?|notif(?:y|ying)|"
    r"send(?:ing)? (?:\w+ ){0,2}(?:metrics?|notification|alert|telemetry|events?|heartbeats?)|post(?:ing)? to slack|emit(?:ting)?|release|releasing)\b",
)
_OVERCOME = _Phrase(
    "succe recover restor establish reconnect worked ok finished",
    r"(?i)\b(?:attempt|retry|try)\b[^.\n]{0,40}\b(?:succeeded|successful|ok|worked)\b|\b(?:succeeded|recovered|successful|ok)\b[^.\n]{0,20}\b(?:after|on|at) (?:\w+ ){0,2}(?:retr(?:y|ies)|attempts?|tr(?:y|ies))\b"
    r"|\b(?:connection|session) (?:was )?(?:re-?established|restored|recovered)\b|\breconnected\b|Finished in state (?:Completed|Cached)\(",
)
