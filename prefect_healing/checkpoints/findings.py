"""What does not hold: how many rows break it, and which."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from prefect_healing.checkpoints.part import Expected, Figures, Outcome, Part
from prefect_healing.domain.catalog import Table

KEYS_MAX = 10_000
"""As many keys of rows are kept of one violation; more are no work for a quarantine."""

SAMPLES = 10
_ROWS_IN_SQL = "unexpected_rows_expectation"
_NO_FIGURES: Figures = {}

Key = tuple[object, ...]


@dataclass(frozen=True)
class Finding:
    """An expectation that does not hold (`error` None), or that could not be computed.

    `figures` also has a few values. `keys` are those of all rows that break it, each in the order of the table's key;
    `refusal` says why there are none.
    """

    expected: Expected
    error: str | None = None
    figures: Figures = field(default_factory=lambda: _NO_FIGURES)
    keys: tuple[Key, ...] = ()
    refusal: str | None = None

    @property
    def unexpected(self) -> int | None:
        """Return how many rows break it, None where it is not about rows."""
        return unexpected_in(self.expected, self.figures)


def unexpected_in(expected: Expected, figures: Figures) -> int | None:
    """Return how many rows break an expectation by these figures; one in SQL observes just them."""
    count = figures.get("observed_value" if expected.type == _ROWS_IN_SQL else "unexpected_count")
    return None if count is None else int(cast("int", count))


def look_closer(part: Part, outcomes: Mapping[str, Outcome], table: Table, *, keys: bool) -> list[Finding]:
    """Return what does not hold, in the order of the suite: counted, and with `keys` also which rows break it.

    What holds is not looked at again, so that a passing gate costs one look.
    """
    found = {each.id: _finding(each, outcomes.get(each.id)) for each in part.expected}
    wrong = {id_: each for id_, each in found.items() if each is not None}
    broken = [each for each in wrong.values() if each.error is None]
    if not broken:
        return list(wrong.values())
    broken = _counted(part, broken, samples=SAMPLES if table.share_rows else 0)
    if keys:
        broken = _with_keys(part, broken, table)
    return list((wrong | {each.expected.id: each for each in broken}).values())


def _finding(expected: Expected, outcome: Outcome | None) -> Finding | None:
    if outcome is None:
        return Finding(expected, error="Great Expectations returned no result for it")
    if outcome.error is not None:
        return Finding(expected, error=outcome.error)
    return None if outcome.holds else Finding(expected)


def _counted(part: Part, broken: Sequence[Finding], samples: int) -> list[Finding]:
    wish: dict[str, object] = {"result_format": "BASIC", "partial_unexpected_count": samples}
    outcomes = part.outcomes([each.expected for each in broken], wish)
    return [replace(each, figures=_figures(outcomes, each)) for each in broken]


def _with_keys(part: Part, broken: Sequence[Finding], table: Table) -> list[Finding]:
    refused = [replace(each, refusal=_refusal(part, each, table)) for each in broken]
    wanted = [each.expected for each in refused if each.refusal is None]
    if not wanted:
        return refused
    wish: dict[str, object] = {
        "result_format": "COMPLETE",
        "unexpected_index_column_names": list(table.key),
        "partial_unexpected_count": KEYS_MAX + 1,  # Otherwise SQL returns 20 of them, and says nothing of the rest.
    }
    outcomes = part.outcomes(wanted, wish)
    return [_keyed(each, _figures(outcomes, each), table.key) if each.refusal is None else each for each in refused]


def _figures(outcomes: Mapping[str, Outcome], finding: Finding) -> Figures:
    outcome = outcomes.get(finding.expected.id)
    return _NO_FIGURES if outcome is None else outcome.figures


def _refusal(part: Part, finding: Finding, table: Table) -> str | None:
    if part.refusal is not None:
        return part.refusal
    if not table.key:
        return f"Table {table.name} declares no key, so single rows of it cannot be named."
    if finding.unexpected is None:
        return "It is about the partition as a whole, not about single rows."
    if finding.unexpected > KEYS_MAX:
        return f"{finding.unexpected} rows break it, more than the {KEYS_MAX} whose keys are kept."
    return None


def _keyed(finding: Finding, figures: Figures, key: Sequence[str]) -> Finding:
    rows, count = _rows(figures), unexpected_in(finding.expected, figures)
    if not rows or len(rows) != count or count != finding.unexpected:
        return replace(finding, refusal=f"The keys of only {len(rows)} of {count} rows that break it could be read.")
    if not all(set(key) <= set(each) for each in rows):
        return replace(finding, refusal="The rows that break it came without their whole key.")
    keys = tuple(tuple(_plain(each[name]) for name in key) for each in rows)
    if any(value is None for each in keys for value in each):
        return replace(finding, refusal="Some rows that break it have no value in a column of their key.")
    return replace(finding, keys=keys)


def _rows(figures: Figures) -> list[Mapping[str, object]]:
    details = figures.get("details")
    in_sql = cast("Figures", details).get("unexpected_rows") if isinstance(details, Mapping) else None
    listed = figures.get("unexpected_index_list") or in_sql
    return cast("list[Mapping[str, object]]", listed) if isinstance(listed, list) else []


def _plain(value: object) -> object:
    """Return Python's own value for one of numpy or pandas, None for a missing one."""
    item = getattr(value, "item", None)
    plain = item() if callable(item) else value
    return None if plain != plain else plain  # noqa: PLR0124 - only what is not a number differs from itself
