"""What dbt writes of a command when it is done, as records without the values it may quote."""

import re
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from prefect_healing.dbt.manifest import Kind, Manifest, kind_of, tables_of
from prefect_healing.dbt.masking import masked_message, masked_sql
from prefect_healing.dbt.project import DbtProject
from prefect_healing.domain.record import Record
from prefect_healing.errors import ToolFailed

Outcome = Literal["passed", "warned", "failed", "errored", "skipped"]
"""`failed`: a test found rows, or a source is stale. `errored`: it could not be computed, so nothing is known."""

RESULTS, FRESHNESS = "run_results.json", "sources.json"
SQL_CHARS_MAX = 4_000
_MESSAGE_CHARS_MAX = 2_000
_OUTCOMES: dict[str, Outcome] = {
    "success": "passed",
    "pass": "passed",
    "no-op": "passed",
    "reused": "passed",
    "warn": "warned",
    "fail": "failed",
    "skipped": "skipped",
}
_WORD = re.compile(r"\w+")


class DbtResult(Record):
    """What came of one node. `status` is dbt's own word, `outcome` what it means.

    `failures` are the rows that fail a test, None where they were not counted. `tables` names the table that the node
    is, or those that it tests. `compiled_sql` is what a failed node ran; values of the data are masked in it.
    """

    unique_id: str
    kind: Kind
    status: str
    outcome: Outcome
    message: str | None = None
    failures: int | None = None
    tables: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    file: str | None = None
    compiled_sql: str | None = None
    seconds: float = 0

    @property
    def name(self) -> str:
        """Return the node's name, without package and hash."""
        return ".".join(self.unique_id.split(".")[2:3]) or self.unique_id


class SourceFreshness(Record):
    """How old the newest data of a source is, and how old it may be, in hours."""

    unique_id: str
    table: str | None
    status: str
    outcome: Outcome
    max_loaded_at: AwareDatetime | None = None
    age_hours: float | None = None
    warn_after_hours: float | None = None
    error_after_hours: float | None = None
    message: str | None = None


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _NodeResult(_Read):
    unique_id: str
    status: str
    message: str | None = None
    failures: int | None = None
    compiled_code: str | None = None
    execution_time: float = 0


class _RunResults(_Read):
    results: tuple[_NodeResult, ...]


class _Threshold(_Read):
    count: int | None = None
    period: Literal["minute", "hour", "day"] | None = None


class _Criteria(_Read):
    warn_after: _Threshold | None = None
    error_after: _Threshold | None = None


class _SourceResult(_Read):
    """A source that was looked at; where that failed, dbt writes only id, status and error."""

    unique_id: str
    status: str
    max_loaded_at: AwareDatetime | None = None
    max_loaded_at_time_ago_in_s: float | None = None
    criteria: _Criteria | None = None
    error: str | None = None


class _Sources(_Read):
    results: tuple[_SourceResult, ...]


def outcome_of(status: str, kind: Kind) -> Outcome:
    """Return what a status means. A word that is not known is an error: nothing may pass for want of a translation."""
    if kind == "source" and status == "error":
        return "failed"
    return _OUTCOMES.get(status, "errored")


def read_results(path: Path, project: DbtProject, manifest: Manifest) -> tuple[DbtResult, ...]:
    """Return what came of each node. Raises ToolFailed where dbt wrote no results that can be read."""
    try:
        found = _RunResults.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise _unreadable(path, error) from None
    words = words_of(project, manifest)
    return tuple(_result(each, manifest, words) for each in found.results)


def read_freshness(path: Path, project: DbtProject, manifest: Manifest) -> tuple[SourceFreshness, ...]:
    """Return the age of each source. Raises ToolFailed where dbt wrote none that can be read."""
    try:
        found = _Sources.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise _unreadable(path, error) from None
    words = words_of(project, manifest)
    return tuple(_freshness(each, manifest, words) for each in found.results)


def words_of(project: DbtProject, manifest: Manifest) -> frozenset[str]:
    """Return every word that the project's authors wrote."""
    try:
        configured = (Path(project.folder) / "dbt_project.yml").read_text(encoding="utf-8", errors="replace")
    except OSError:
        configured = ""
    return manifest.words.union(_WORD.findall(configured))


def _result(found: _NodeResult, manifest: Manifest, words: frozenset[str]) -> DbtResult:
    kind = kind_of(found.unique_id)
    outcome = outcome_of(found.status, kind)
    node = manifest.node(found.unique_id)
    went_wrong = outcome in ("failed", "errored", "warned")
    sql = masked_sql(found.compiled_code, words).strip() if went_wrong and found.compiled_code else None
    return DbtResult(
        unique_id=found.unique_id,
        kind=kind,
        status=found.status,
        outcome=outcome,
        message=_message(found.message, words) if went_wrong else None,
        failures=found.failures if kind in ("test", "unit_test") else None,
        tables=() if node is None else tables_of(manifest, node),
        columns=() if node is None or node.column_name is None else (node.column_name,),
        file=None if node is None else node.original_file_path or None,
        compiled_sql=sql if sql is None or len(sql) <= SQL_CHARS_MAX else f"{sql[:SQL_CHARS_MAX]}\n-- cut off here",
        seconds=round(found.execution_time, 3),
    )


def _message(text: str | None, words: frozenset[str]) -> str | None:
    return masked_message(text, words)[:_MESSAGE_CHARS_MAX] or None if text else None


def _freshness(found: _SourceResult, manifest: Manifest, words: frozenset[str]) -> SourceFreshness:
    node = manifest.node(found.unique_id)
    age, limits = found.max_loaded_at_time_ago_in_s, found.criteria or _Criteria()
    return SourceFreshness(
        unique_id=found.unique_id,
        table=None if node is None else node.table,
        status=found.status,
        outcome=outcome_of(found.status, "source"),
        max_loaded_at=found.max_loaded_at,
        age_hours=None if age is None else round(age / 3600, 2),
        warn_after_hours=_hours(limits.warn_after),
        error_after_hours=_hours(limits.error_after),
        message=_message(found.error, words),
    )


def _hours(limit: _Threshold | None) -> float | None:
    if limit is None or limit.count is None or limit.period is None:
        return None
    return round(limit.count * {"minute": 1 / 60, "hour": 1.0, "day": 24.0}[limit.period], 3)


def _unreadable(path: Path, error: Exception) -> ToolFailed:
    return ToolFailed(f"dbt ended without {path.name} that can be read ({type(error).__name__}); look at its own log.")
