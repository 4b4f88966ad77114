"""The rules for data at fault: what the source says, then what the counts say; rows are moved last and few."""

import re
from dataclasses import dataclass
from functools import cached_property

from pydantic import JsonValue

from prefect_healing.domain.cause import Cause, Transience
from prefect_healing.domain.plan import Disposition
from prefect_healing.domain.record import JsonObject
from prefect_healing.models.conversation import Seen, answered, as_list, failed_rounds, texts
from prefect_healing.models.model import Request
from prefect_healing.tools.tool import PREVIEW_PREFIX

FEW = 0.05
"""The largest part of a partition that may be a few bad rows; more is a matter of the whole partition."""

WAIT_MINUTES = 10
RELOAD, BACKFILL, QUARANTINE = (
    PREVIEW_PREFIX + name for name in ("reload_partition", "backfill_partitions", "quarantine_rows")
)
_GATE = re.compile(r"^The quality gate of table (\S+), partition (\S+), did not pass\.$", re.MULTILINE)
_STALE = re.compile(r"^Table (\S+) is stale\.$", re.MULTILINE)
_VIOLATION = re.compile(
    r"^(?P<line>(?P<id>V\d+) (?P<severity>\w+), (?P<status>\w+): (?P<expectation>\S+?)(?: on (?P<column>\S+?))?: .*)$",
    re.MULTILINE,
)
_MOVABLE = re.compile(r"; (\d+) rows can be moved$")
_STALE_LINE = re.compile(r"^Table \S+ was .*; the catalog allows .* hours\.$", re.MULTILINE)

Calls = list[tuple[str, JsonObject]]


@dataclass(frozen=True)
class Finding:
    """What the rules conclude, and what they would do about it: previews to ask for, in order; none is a hand-over."""

    cause: Cause
    summary: str
    proposal: str
    previews: tuple[tuple[str, JsonObject], ...] = ()
    nothing_wrong: bool = False
    transience: Transience = "unknown"
    confidence: float = 0.9
    why: str = "The counts of table and source decide."


def data_calls(request: Request) -> Calls | None:
    """Return the next calls where the incident is about data, None where it is about a failed run."""
    opening = texts(request.messages[0])
    offered = frozenset(str(tool["name"]) for tool in request.tools)
    seen = answered(request.messages)
    if found := _GATE.search(opening):
        return GateCase(opening, offered, seen, found.group(1), found.group(2)).next_calls()
    if found := _STALE.search(opening):
        return StaleCase(opening, offered, seen, found.group(1)).next_calls()
    return None


class DataCase:
    """What is common to both kinds: look, preview what would help, conclude."""

    look: tuple[tuple[str, JsonObject], ...]

    def __init__(self, opening: str, offered: frozenset[str], seen: list[Seen]) -> None:
        self.opening, self.offered, self.seen = opening, offered, seen

    def next_calls(self) -> Calls:
        """Look at everything at once; preview each action of the remedy; conclude."""
        if not self.seen:
            looks = [call for call in self.look if call[0] in self.offered]
            if looks:
                return looks
        previews = [call for call in self.finding.previews if call[0] in self.offered]
        if previews and not self._previewed():
            return previews
        return [("conclude", self._conclusion())]

    @cached_property
    def finding(self) -> Finding:
        """Return what follows from what was seen."""
        raise NotImplementedError

    def decisive_line(self) -> str | None:
        """Return the line of the opening that tells what is wrong."""
        raise NotImplementedError

    def answer(self, name: str) -> JsonObject:
        """Return what a tool answered, empty where it did not."""
        found = next((each for each in reversed(self.seen) if each.name == name and each.ok), None)
        return found.data if found else {}

    @property
    def tried(self) -> bool:
        """Say whether an earlier round did not help."""
        return failed_rounds(self.opening) > 0

    def _previewed(self) -> list[Seen]:
        return [each for each in self.seen if each.name.startswith(PREVIEW_PREFIX)]

    def _conclusion(self) -> JsonObject:
        found, previewed = self.finding, self._previewed()
        tokens = [each.token for each in previewed]
        repairs = bool(tokens) and all(tokens)
        refused = next((each.text.partition("\n")[2] or each.text for each in previewed if not each.ok), None)
        looked = [each.evidence_id for each in self.seen if each.ok and each.evidence_id]
        disposition: Disposition = "repair" if repairs else "nothing_wrong" if found.nothing_wrong else "hand_over"
        said: JsonObject = {
            "cause": found.cause,
            "summary": found.summary[:600],
            "disposition": disposition,
            "transience": found.transience,
            "confidence": found.confidence,
            "confidence_reason": found.why,
            "evidence_status": "insufficient" if found.cause == "unknown" else "confirmed",
            "cites": ["E1", *looked[:8]],
        }
        if (line := self.decisive_line()) and not any(each.name == "conclude" for each in self.seen):
            said["decisive_line"] = line
        if repairs:
            said["actions"] = [_action(each, found.summary) for each in previewed]
        else:
            why = f"{found.proposal} It could not be prepared: {refused}" if refused else found.proposal
            said["proposal"] = why[:1000]
        return said


@dataclass(frozen=True)
class Violated:
    """One line of what the gate found."""

    id: str
    severity: str
    status: str
    column: str | None
    movable: int
    line: str


class GateCase(DataCase):
    """A partition that a quality gate stopped."""

    def __init__(self, opening: str, offered: frozenset[str], seen: list[Seen], table: str, partition: str) -> None:
        super().__init__(opening, offered, seen)
        self.table, self.partition = table, partition
        self.at: JsonObject = {"table": table, "partition": partition}
        reads = ("compare_row_counts", "diff_schema", "find_duplicates", "table_statistics")
        self.look = (*((name, self.at) for name in reads), ("read_etl_job", {"table": table}))
        self.counts, self.schema = self.answer("compare_row_counts"), self.answer("diff_schema")

    @cached_property
    def finding(self) -> Finding:
        """Settle it by the schema, the source, the row counts, the duplicates and the values, in this order."""
        steps = (self._not_computed, self._late, self._incomplete, self._doubled, self._values, self._made_here)
        return next((found for step in steps if (found := step()) is not None), self._unexplained())

    def decisive_line(self) -> str | None:
        """Return the first violation that stops."""
        stopping = [each.line for each in self.violations if each.severity == "critical"]
        return next(iter(stopping or [each.line for each in self.violations]), None)

    @cached_property
    def violations(self) -> list[Violated]:
        """Return what the gate found, as the opening tells it."""
        return [
            Violated(
                id=each["id"],
                severity=each["severity"],
                status=each["status"],
                column=each["column"],
                movable=int(found.group(1)) if (found := _MOVABLE.search(each["line"])) else 0,
                line=each["line"],
            )
            for each in _VIOLATION.finditer(self.opening)
        ]

    def _not_computed(self) -> Finding | None:
        if not any(each.status == "errored" for each in self.violations):
            return None
        drift = self._drift()
        cause: Cause = "schema_drift" if drift else "config_error"
        summary = (
            f"Checks of {self.table} could not be computed. {drift or 'Its columns are those of the last good load.'}"
        )
        return Finding(cause, summary, "Correct the check, or settle with the owner of the source which columns count.")

    def _drift(self) -> str:
        changes = [str(each.get("column")) for each in as_list(self.schema.get("changed")) if isinstance(each, dict)]
        parts = [
            f"{word}: {', '.join(map(str, names))}"
            for word, names in (
                ("new columns", as_list(self.schema.get("added"))),
                ("missing columns", as_list(self.schema.get("removed"))),
                ("changed types", changes),
            )
            if names
        ]
        return f"Since the last good load, {'; '.join(parts)}." if parts else ""

    def _late(self) -> Finding | None:
        if self.counts.get("source_has_partition") is not False:
            return None
        last = self.counts.get("source_last_data")
        summary = f"Source {self.counts.get('source')} has no data of {self.partition} yet" + (
            f"; the newest it has is of {last}." if last else "."
        )
        previews = () if self.tried else ((RELOAD, {**self.at, "wait_minutes": WAIT_MINUTES}),)
        proposal = "Ask the owner of the source when the data will come, and load the partition then."
        return Finding("missing_upstream_data", summary, proposal, previews, transience="transient")

    def _incomplete(self) -> Finding | None:
        ours, theirs = _number(self.counts.get("target_rows")), _number(self.counts.get("source_rows"))
        if ours is None or theirs is None or ours >= theirs:
            return None
        summary = f"{self.table} has {ours:,.0f} rows of {self.partition}; its source has {theirs:,.0f}."
        return self._reload("data_quality" if ours else "missing_upstream_data", summary)

    def _doubled(self) -> Finding | None:
        duplicates = self.answer("find_duplicates")
        surplus = _number(duplicates.get("surplus_rows")) or 0
        ours, theirs = _number(self.counts.get("target_rows")), _number(self.counts.get("source_rows"))
        if not surplus or (theirs is not None and ours is not None and ours <= theirs):
            return None
        summary = f"{self.table} holds {surplus:,.0f} rows of {self.partition} more than once."
        return self._reload("data_quality", summary)

    def _values(self) -> Finding | None:
        broken = [each for each in self.violations if each.severity == "critical" and each.status == "violated"]
        if not broken or self.counts.get("source") is None:
            return None
        if any(self._source_has_less(each.column) for each in broken):
            return self._reload("data_quality", f"{self.table} lacks values of {self.partition} that its source has.")
        rows = _number(self.counts.get("target_rows")) or 0
        movable = [each for each in broken if each.movable]
        few = sum(each.movable for each in movable) <= FEW * rows
        if few and len(movable) == len(broken) and not self.tried:
            summary = f"A few rows of {self.table}, partition {self.partition}, break its contract, at the source too."
            moves = tuple((QUARANTINE, {**self.at, "violation": each.id}) for each in movable)
            return Finding("data_quality", summary, "Correct the rows at their source, then load again.", moves)
        if all(self._source_agrees(each.column) for each in broken):
            summary = (
                f"The source has the same: {self.table} holds all {rows:,.0f} rows of {self.partition} as it sent "
                "them, so the day itself was unusual."
            )
            proposal = f"Where such days should pass, change what {broken[0].id} expects or its severity."
            return Finding("data_quality", summary, proposal, nothing_wrong=True)
        return None

    def _source_has_less(self, column: str | None) -> bool:
        theirs, ours = self._nulls("source_nulls", column), self._nulls("target_nulls", column)
        return theirs is not None and ours is not None and theirs < ours

    def _source_agrees(self, column: str | None) -> bool:
        theirs, ours = self._nulls("source_nulls", column), self._nulls("target_nulls", column)
        same_rows = self.counts.get("target_rows") == self.counts.get("source_rows")
        return same_rows and theirs is not None and theirs == ours

    def _nulls(self, key: str, column: str | None) -> float | None:
        nulls = self.counts.get(key)
        return _number(nulls.get(column)) if isinstance(nulls, dict) and column else None

    def _made_here(self) -> Finding | None:
        if self.counts.get("source") is not None or not self.counts:
            return None
        summary = (
            f"{self.table}, partition {self.partition}, is made from other tables and does not hold what it should."
        )
        return self._reload("data_quality", summary)

    def _reload(self, cause: Cause, summary: str) -> Finding:
        if self.tried:
            again = " Loading it again did not change that."
            return Finding(
                cause, summary + again, "Ask the owner of the source; load the partition again when it is whole."
            )
        return Finding(cause, summary, f"Load {self.partition} of {self.table} again.", ((RELOAD, self.at),))

    def _unexplained(self) -> Finding:
        return Finding(
            "data_quality",
            f"The gate of {self.table}, partition {self.partition}, fails, and neither source nor history tells why.",
            "Look at the violations, and correct the rows at their source.",
            confidence=0.5,
            why="No rule explains it.",
        )


class StaleCase(DataCase):
    """A table that is older than its catalog entry allows."""

    def __init__(self, opening: str, offered: frozenset[str], seen: list[Seen], table: str) -> None:
        super().__init__(opening, offered, seen)
        self.table = table
        self.look = (("check_freshness", {"table": table}), ("walk_lineage", {"table": table}))
        self.walked = self.answer("walk_lineage")

    def decisive_line(self) -> str | None:
        """Return the line that says how old the table is."""
        found = _STALE_LINE.search(self.opening)
        return found.group(0) if found else None

    @cached_property
    def finding(self) -> Finding:
        """Fix the first broken node, then rebuild what lies between, in order."""
        root, days = self.walked.get("first_broken"), [str(each) for each in as_list(self.walked.get("missing_days"))]
        order = [str(each) for each in as_list(self.walked.get("rebuild_order"))]
        if not isinstance(root, str):
            return self._unexplained()
        summary = f"{self.table} is stale because {root}, {max(0, len(order) - 1)} hops up, {self._why(root)}."
        if self.tried or not days or root not in order:
            return Finding("missing_upstream_data", summary, f"See why {root} has no new data.", confidence=0.8)
        span: JsonObject = {"first": min(days), "last": max(days)}
        previews = tuple((BACKFILL, {"table": name, **span}) for name in order)
        return Finding("missing_upstream_data", summary, f"Load {', '.join(order)} again, in this order.", previews)

    def _why(self, root: str) -> str:
        nodes = (each for each in as_list(self.walked.get("nodes")) if isinstance(each, dict))
        status = next((each.get("status") for each in nodes if each.get("name") == root), None)
        return "was not loaded: its last load failed" if status == "failed" else "has not got its newest data"

    def _unexplained(self) -> Finding:
        return Finding(
            "unknown",
            f"{self.table} is stale, and nothing that it is made from is.",
            f"See whether what loads {self.table} ran.",
            confidence=0.5,
            why="No rule explains it.",
        )


def _action(previewed: Seen, reason: str) -> JsonValue:
    tool = previewed.name.removeprefix(PREVIEW_PREFIX)
    return {"tool": tool, "confirmation_token": previewed.token, "reason": reason[:500]}


def _number(value: JsonValue) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
