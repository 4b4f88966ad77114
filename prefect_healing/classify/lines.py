"""The lines of a failure text: bounded, without colours, and without what the logger put in front."""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

Level = Literal["error", "warning", "info"]

TEXT_CHARS_MAX = 16_000_000
"""Longer texts are read at their beginning and their end: what fails last is said last."""

_HEAD_CHARS = 4_000_000
_LINE_CHARS = 4_096
_LINE_TAIL_CHARS = 1_024


class Line(NamedTuple):
    """A line as it stands in the text, and its `body` without the logger's prefix; `subject` is Prefect's run."""

    text: str
    body: str
    level: Level | None
    subject: str | None
    prefixed: bool


def lines_of(text: str) -> Iterator[Line]:
    """Yield the lines that are not empty; of a line of more than 5,120 characters its beginning and its end."""
    for part in _bounded(text):
        for found in _LINE.finditer(part):
            start, end = found.span()
            if end - start <= _LINE_CHARS + _LINE_TAIL_CHARS:
                yield read_line(part[start:end])
            else:
                yield read_line(part[start : start + _LINE_CHARS])
                yield read_line(part[end - _LINE_TAIL_CHARS : end])


def read_line(text: str) -> Line:
    """Return a line with its level and body; an indented line is never taken for a logger's."""
    if "\x1b" in text:
        text = _COLOUR.sub("", text)
    if not text or text[0] in " \t|+":
        return Line(text, text, None, None, prefixed=False)
    stamp = _STAMP.match(text)
    after = stamp.end() if stamp else 0
    level = _LEVEL_AFTER_STAMP.match(text, after) if stamp else _LEVEL_AT_START.match(text)
    if level is None:
        level = _LEVEL_FIELD.search(text, 0, 300) if text[0] == "{" or "level=" in text[:200] else None
        body = text[after:]
    else:
        body = text[level.end() :]
    return _line(text, body, level.group(1) if level else None, prefixed=stamp is not None or level is not None)


def _line(text: str, body: str, level: str | None, *, prefixed: bool) -> Line:
    about = _SUBJECT.match(body)
    if about is None:
        return Line(text, body, _level(level), None, prefixed)
    return Line(text, body[about.end() :], _level(level), about.group(1), prefixed=True)


def _level(word: str | None) -> Level | None:
    return None if word is None else _LEVELS[word.upper()]


def _bounded(text: str) -> tuple[str, ...]:
    if len(text) <= TEXT_CHARS_MAX:
        return (text,)
    return (text[:_HEAD_CHARS], text[_HEAD_CHARS - TEXT_CHARS_MAX :])


_LEVELS: dict[str, Level] = {
    "TRACE": "info",
    "DEBUG": "info",
    "INFO": "info",
    "NOTICE": "info",
    "LOG": "info",
    "WARN": "warning",
    "WARNING": "warning",
    "ERROR": "error",
    "CRITICAL": "error",
    "FATAL": "error",
    "SEVERE": "error",
    "PANIC": "error",
}
_NAMES = "TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|CRITICAL|FATAL|SEVERE"
_LINE = re.compile(r"[^\r\n\x0b\x0c\x85\u2028\u2029]+")
_COLOUR = re.compile(r"\x1b(?:\[[0-9;?]{0,20}[A-Za-z]|\][^\x07\x1b]{0,200}(?:\x07|\x1b\\)?|.)?")
_STAMP = re.compile(
    r"\[?(?:\d{4}-\d\d-\d\d[T ])?\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: ?(?:Z|UTC|[+-]\d\d:?\d\d))?\]? ?"
    r"|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d [\w.-]{1,80} [\w./-]{1,80}(?:\[\d+\])?: "
)
_LEVEL_AFTER_STAMP = re.compile(
    rf"[^\n]{{0,80}}?(?<![A-Za-z])({_NAMES}|error|warning|info)(?![A-Za-z'(=.])[\]\s|:>-]{{0,12}}"
)
_LEVEL_AT_START = re.compile(
    rf"[\[<(]?({_NAMES}|PANIC|LOG)(?:[\])>:|]|\s+[|:-]\s|\s\[|\s{{2,}})(?:[\w.]{{1,80}}:(?=\S))?[\s|:-]{{0,12}}"
    r"|(?:[\w./-]{1,40}: )?(?i:(error|fatal)): +"
)
_LEVEL_FIELD = re.compile(rf"\"?(?:level|levelname|severity|log_level)\"?[=:]\s?\"?(?i:({_NAMES}))\b")
_SUBJECT = re.compile(r"((?:Task|Flow) run '[^']{1,200}') - ")
