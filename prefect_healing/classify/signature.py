"""One row of the table: how a failure text looks, and what it means."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from prefect_healing.domain.cause import Cause, Transience


class Outlook(NamedTuple):
    """Whether it passes by itself, and whether an unchanged re-run is likely to help; None: the text does not tell."""

    transience: Transience
    rerun_helps: bool | None


PASSES = Outlook("transient", rerun_helps=True)
COMES_AND_GOES = Outlook("intermittent", rerun_helps=True)
MAY_RETURN = Outlook("intermittent", rerun_helps=None)
STAYS = Outlook("permanent", rerun_helps=False)
OPEN = Outlook("unknown", rerun_helps=None)


@dataclass(frozen=True)
class Signature:
    """A failure text that is documented somewhere.

    `words` are lower-case words, one of which every matching text contains: rows are found by them, so that the cost
    of a text does not grow with the table. `frames`, where given, must be found in the last lines of the traceback.
    An `aftermath` says that something failed before it, and never explains a chain by itself.
    """

    id: str
    cause: Cause
    outlook: Outlook
    confidence: float
    pattern: str
    words: str
    source: str
    example: str
    frames: str = ""
    aftermath: bool = False

    @property
    def transience(self) -> Transience:
        """Whether it passes by itself."""
        return self.outlook.transience

    @property
    def rerun_helps(self) -> bool | None:
        """Whether an unchanged re-run is likely to help."""
        return self.outlook.rerun_helps

    @cached_property
    def regex(self) -> re.Pattern[str]:
        """Return the compiled pattern; compiled at first use, because most rows are never needed."""
        return re.compile(self.pattern)

    @cached_property
    def frames_regex(self) -> re.Pattern[str]:
        """Return the compiled pattern of the frames."""
        return re.compile(self.frames)


class Match(NamedTuple):
    """A row that matched, and where in the text it did."""

    signature: Signature
    start: int


class Effort:
    """How many rows may still be tried on a text, so that no text is expensive."""

    def __init__(self, rows_max: int) -> None:
        self.rows_left = rows_max

    @property
    def is_spent(self) -> bool:
        """Whether no row may be tried any more."""
        return self.rows_left <= 0

    def spend(self, rows: int) -> None:
        """Count rows that are being tried, and one for looking them up."""
        self.rows_left -= rows + 1


class Table:
    """The rows, found by the words of a text."""

    def __init__(self, rows: Sequence[Signature]) -> None:
        self.rows = tuple(rows)
        self._rows_by_word: dict[str, list[int]] = {}
        for number, row in enumerate(self.rows):
            for word in row.words.split():
                self._rows_by_word.setdefault(word, []).append(number)

    def best_match(self, text: str, frames: str = "", effort: "Effort | None" = None) -> Match | None:
        """Return the most confident row that matches; of equals the one that stands first in the text."""
        best: Match | None = None
        numbers = self._numbers(text)
        if effort is not None:
            effort.spend(len(numbers))
        for number in numbers:
            found = _match(self.rows[number], text, frames)
            if found is not None and (best is None or _merit(found) > _merit(best)):
                best = found
        return best

    def _numbers(self, text: str) -> list[int]:
        words = self._rows_by_word.keys() & set(_WORD.findall(text.lower()))
        return sorted({number for word in words for number in self._rows_by_word[word]})


_WORD = re.compile(r"[a-z0-9_]+")


def _match(row: Signature, text: str, frames: str) -> Match | None:
    found = row.regex.search(text)
    if found is None or (row.frames and not row.frames_regex.search(frames)):
        return None
    return Match(row, found.start())


def _merit(match: Match) -> tuple[float, int]:
    return (match.signature.confidence, -match.start)


def named(*names: str) -> str:
    """Return a pattern for the name of an exception, with or without its module, as raised or as `repr` shows it."""
    return rf"(?<![\w'\"/-])(?:{'|'.join(names)})(?![\w'\"./-])"


def words_of(*names: str) -> str:
    """Return the index words of exception names."""
    return " ".join(name.lower() for name in names)
