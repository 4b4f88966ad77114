"""The model that needs no key: fixed rules over what `classify` and the tools say. It never guesses."""

import re
from datetime import datetime
from functools import cached_property

from pydantic import JsonValue

from prefect_healing.classify import classify
from prefect_healing.domain.classification import Classification
from prefect_healing.domain.record import JsonObject
from prefect_healing.models.advice import advice_for, sentence_for
from prefect_healing.models.conversation import Seen, answered, as_list, failed_rounds, texts
from prefect_healing.models.data_rules import data_calls
from prefect_healing.models.model import Reply, Request
from prefect_healing.tools.backoff import when_to_retry
from prefect_healing.tools.tool import PREVIEW_PREFIX

INVESTIGATE = ("read_flow_run", "read_flow_run_logs", "read_task_runs", "read_flow_history", "check_upstream_sources")
CITED = (*INVESTIGATE[:3], "diff_schema")
LOOK_AT_CODE = ("read_source", "changes_since_last_success")
DIFF_SCHEMA = "diff_schema"
RETRY = PREVIEW_PREFIX + "retry_flow_run"
SURE = 0.8
_CODE_CAUSES = frozenset({"code_bug", "schema_drift", "dependency_env", "config_error"})
_LOADED = re.compile(r"^It loads table (\S+) \(\w+\)\.$", re.MULTILINE)
_TABLES_MAX = 3
_RETRY_AFTER = re.compile(r"retry.{0,3}after\D{0,20}(\d{1,5})", re.IGNORECASE)


class Rules:
    """A Model without a model. Stateless: each reply is a pure function of the request."""

    id = "rules-1"

    def cost_ceiling_usd(self, request: Request) -> float:
        """Return 0: rules cost nothing."""
        return 0.0

    async def reply(self, request: Request) -> Reply:
        """Return the next step of the investigation."""
        calls = data_calls(request) or Case(request).next_calls()
        turn = sum(message["role"] == "assistant" for message in request.messages)
        content: tuple[JsonObject, ...] = tuple(
            {"type": "tool_use", "id": f"rules_{turn}_{index}", "name": name, "input": arguments}
            for index, (name, arguments) in enumerate(calls)
        )
        return Reply(content=content, stop_reason="tool_use", model=self.id)


class Case:
    """What the transcript tells so far, and what follows from it."""

    def __init__(self, request: Request) -> None:
        self.offered = frozenset(str(tool["name"]) for tool in request.tools)
        self.opening = texts(request.messages[0])
        self.seen = answered(request.messages)

    def next_calls(self) -> list[tuple[str, JsonObject]]:
        """Investigate; look at the code where the code is at fault; preview a re-run where one helps; conclude."""
        if not self.seen:
            return [(name, {}) for name in INVESTIGATE if name in self.offered]
        if self.helps and RETRY in self.offered and self._last(RETRY) is None and self.flow_run_id:
            return [(RETRY, self._retry_arguments())]
        looking = [call for call in self._closer() if call[0] in self.offered and self._last(call[0]) is None]
        if not self.helps and self.classification.cause in _CODE_CAUSES and looking:
            return looking
        return [("conclude", self._conclusion())]

    def _closer(self) -> list[tuple[str, JsonObject]]:
        """Return where to look when the code, or what it expects of the data, is at fault."""
        calls: list[tuple[str, JsonObject]] = [(name, {}) for name in LOOK_AT_CODE]
        if self.classification.cause == "schema_drift":
            calls += [(DIFF_SCHEMA, {"table": name}) for name in _LOADED.findall(self.opening)[:_TABLES_MAX]]
        return calls

    @cached_property
    def classification(self) -> Classification:
        """Return what the failure's own text says: the log with its tracebacks, else the state's message."""
        found = classify(self._log_text())
        if found.cause == "unknown":
            found = classify(self.opening)
        return found

    @property
    def helps(self) -> bool:
        """Say whether an unchanged re-run is likely to help."""
        return self.classification.rerun_helps is True

    @property
    def flow_run_id(self) -> str | None:
        """Return the failed run's id."""
        run = self._last("read_flow_run")
        return str(run.data["id"]) if run and run.data.get("id") else None

    def _last(self, name: str) -> Seen | None:
        return next((each for each in reversed(self.seen) if each.name == name), None)

    def _log_text(self) -> str:
        log = self._last("read_flow_run_logs")
        lines = log.data.get("lines") if log else None
        texts = [str(line.get("text", "")) for line in as_list(lines) if isinstance(line, dict)]
        run = self._last("read_flow_run")
        return "\n".join([*texts, str(run.data.get("message", "")) if run else ""])

    def _retry_arguments(self) -> JsonObject:
        assert self.flow_run_id is not None  # noqa: S101 - asked before
        moment = self._not_before()
        return {"flow_run_id": self.flow_run_id, **({"not_before": moment} if moment else {})}

    def _not_before(self) -> str | None:
        """Return when to try again: now where all sources are up, later where one is down or asked to wait."""
        probe = self._last("check_upstream_sources")
        checked = str(probe.data.get("checked_at", "")) if probe else ""
        if not checked:
            return None
        statuses = [each for each in as_list(probe.data.get("sources") if probe else None) if isinstance(each, dict)]
        asked = [float(str(each["retry_after_seconds"])) for each in statuses if each.get("retry_after_seconds")]
        asked += [float(found) for found in _RETRY_AFTER.findall(self._log_text())]
        earlier = failed_rounds(self.opening)
        if not asked and not earlier and all(each.get("up") for each in statuses):
            return None
        moment = datetime.fromisoformat(checked)
        return when_to_retry(moment, max(asked, default=None), earlier, str(self.flow_run_id)).isoformat()

    def _conclusion(self) -> JsonObject:
        found, preview = self.classification, self._last(RETRY)
        token = preview.token if preview else None
        refused_before = self._last("conclude") is not None
        unknown = found.cause == "unknown"
        shown = (each for each in self.seen if each.ok and each.name in CITED)
        cites = [each.evidence_id for each in shown if each.evidence_id]
        said: JsonObject = {
            "cause": found.cause,
            "summary": sentence_for(found),
            "disposition": "repair" if token else "hand_over",
            "transience": found.transience,
            "confidence": found.confidence,
            "confidence_reason": _why(found),
            "evidence_status": "insufficient" if unknown else "confirmed" if found.confidence >= SURE else "hypothesis",
            "cites": [*cites] if cites else ["E1"],
            "gaps": ["No signature knows this failure."] if unknown else [],
        }
        if found.decisive_line and not refused_before:
            said["decisive_line"] = found.decisive_line
        if token:
            said["actions"] = [_retry(token)]
        else:
            said["proposal"] = advice_for(found, preview.text if preview and not preview.ok else None)
        return said


def _why(found: Classification) -> str:
    return f"Signature {found.signature} matched." if found.signature else "No signature matched."


def _retry(token: str) -> JsonValue:
    reason = "The cause passes by itself, so running the flow again is likely to succeed."
    return {"tool": "retry_flow_run", "confirmation_token": token, "reason": reason}
