"""The command line: thin faces over the functions of `api`."""

import asyncio
import json as jsonlib
import os
import sys
import traceback
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast
from uuid import UUID

from cyclopts import App, Parameter

from prefect_healing.domain.alert import Mode
from prefect_healing.errors import HealingError

T = TypeVar("T")
_WIDTH_OF_FILES = 200  # Columns, where no terminal says how many it has.
Json = Annotated[bool, Parameter(name="--json", negative=(), help="Print JSON for machines.")]

app = App(
    name="prefect-healing",
    help="Prefect flows that heal themselves: find the cause, repair what policy allows, verify, report.",
    version="0.1.0",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, on the process's own arguments where none are given.

    An error is one message and exit status 1, never a traceback.
    """
    # Prefect's lines of each task and state stand in the runs' logs on the server; here they would hide ours.
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "ERROR")
    try:
        app(sys.argv[1:] if arguments is None else arguments)
    except HealingError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        _fail("Interrupted. What was begun is listed by: prefect-healing incidents")
    except BrokenPipeError:  # Whoever read our output has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:  # noqa: BLE001 - the interface ends here, and a traceback is none
        _fail(f"This should not have happened: {type(error).__name__}: {error} ({_where(error)}).")


@app.command
def demo(
    *scenarios: str,
    warehouse: str | None = None,
    home: Path | None = None,
    keep: bool = False,
    json: Json = False,
) -> None:
    """Break a real pipeline in several ways and watch it heal.

    Parameters
    ----------
    scenarios
        Names of scenarios; all where none is named.
    warehouse
        SQLAlchemy URL of an empty database; an SQLite file where none is given. The demo makes its tables there, and
        clears the days of its scenarios when it is run again.
    home
        Folder for everything the demo keeps; a new one where none is given.
    keep
        Leave the Prefect server up until Ctrl-C, to look around in its UI.
    """
    from prefect_healing.demo.runner import run_demo

    result = _run(run_demo(scenarios, home=home, warehouse=warehouse, keep=keep, json=json))
    if not result.right:
        sys.exit(1)


@app.command
def classify(file: str = "-", *, json: Json = False) -> None:
    """Tell the cause from a failure text.

    Parameters
    ----------
    file
        A file with a log, a traceback or an error message; `-` reads standard input.
    """
    from prefect_healing.classify import classify as classify_text

    found = classify_text(_text_of(file))
    shown = found.model_dump(mode="json", exclude={"signature"})
    _print(shown, json, "\n".join(f"{key:14} {value}" for key, value in shown.items()))


@app.command
def heal(target: str, *, mode: Mode | None = None, wait: bool = True, json: Json = False) -> None:
    """Heal a failed flow run, decorated or not, or go on with an incident.

    Parameters
    ----------
    target
        A flow run's id or URL, or an incident's id.
    mode
        How far to go this once: observe, propose or heal. Without it, policy and environment decide.
    wait
        Wait until the incident is closed.
    """
    from prefect_healing import api

    _follow(api.heal_target(target, mode), wait=wait, as_json=json)


@app.command
def answer(incident: str, text: str, *, wait: bool = True, json: Json = False) -> None:
    """Answer the question that an incident waits for; healing goes on with your words as evidence."""
    from prefect_healing import api

    _follow(api.answer(incident, text), wait=wait, as_json=json)


@app.command
def alert(file: str = "-", *, wait: bool = True, json: Json = False) -> None:
    """Raise an alert from a JSON file, such as `{"flow_run_id": "..."}`; `-` reads standard input."""
    from prefect_healing import api

    _follow(api.raise_alert(_run_named_in(file)), wait=wait, as_json=json)


@app.command
def incidents(*, json: Json = False) -> None:
    """List incidents, newest first."""
    from prefect_healing import api
    from prefect_healing.screen import incident_table

    lines = _run(api.incidents())
    _print([line.model_dump(mode="json") for line in lines], json, lambda: incident_table(lines))


@app.command
def show(incident: str, *, sent: bool = False, json: Json = False) -> None:
    """Show an incident's report; with --sent, exactly what went to the model."""
    from prefect_healing import api
    from prefect_healing.screen import report_view

    line = _run(api.find_incident(incident))
    if sent:
        requests = _run(api.sent(line.incident_id))
        _print(requests, as_json=True)
        return
    report = _run(api.report_of(line.incident_id))
    if report is None:
        opened = _run(api.incident_of(line.incident_id))
        state = {"incident_id": line.incident_id, "status": line.status, "url": line.url}
        text = f"Incident {line.incident_id} is {line.status}; its heal run: {line.url or line.heal_flow_run_id}"
        if line.status == "dead":
            text += f"\nIts process is gone. Go on with: prefect-healing heal {line.incident_id}"
        _print({**state, "incident": opened.model_dump(mode="json") if opened else None}, json, text)
        return
    _print(report.model_dump(mode="json"), json, lambda: report_view(report))


@app.command
def runs(*, since: str = "24h", sql: str | None = None, json: Json = False) -> None:
    """Export the audit: one row an incident, one row a call.

    Parameters
    ----------
    since
        A length of time such as 30m, 24h or 7d, or a date.
    sql
        A SQLAlchemy URL; rows go into the tables healing_runs and healing_calls, replacing those of the same incident.
    """
    from prefect_healing import api, audit
    from prefect_healing.screen import runs_table

    reports = _run(api.reports_since(_moment(since)))
    rows = audit.rows_of(reports)
    if sql is not None:
        audit.write_sql(rows, sql)
        _print(
            {"runs": len(rows.runs), "calls": len(rows.calls)}, json, f"{len(rows.runs)} runs, {len(rows.calls)} calls."
        )
        return
    _print(rows.model_dump(mode="json"), json, lambda: runs_table(rows))


@app.command
def prune(*, json: Json = False) -> None:
    """Delete what closed incidents left in the result storage longer ago than PREFECT_HEALING_RETENTION_DAYS."""
    from prefect_healing.prune import prune as prune_now

    gone = _run(prune_now())
    _print(list(gone), json, f"{len(gone)} incidents pruned." + (f" {', '.join(gone)}" if gone else ""))


@app.command
def doctor(*, json: Json = False) -> None:
    """Check Prefect, storage, key, model, policy and hooks, and say what to do about each failure."""
    from prefect_healing.doctor import examine
    from prefect_healing.screen import findings_text

    findings = _run(examine())
    _print([each.model_dump(mode="json") for each in findings], json, lambda: findings_text(findings))
    if any(each.status == "failed" for each in findings):
        sys.exit(1)


def _follow(starting: "Coroutine[Any, Any, Any]", *, wait: bool, as_json: bool) -> None:
    """Say what was dispatched, heal here or wait for the heal run, and end with its outcome."""
    from prefect_healing.following import follow

    report = _run(follow(starting, wait=wait, say=lambda text: print(text, file=sys.stderr)))
    if report is None:
        if as_json:
            _print(None, as_json=True)
        return
    text = f"Incident {report.incident.id} {report.outcome.replace('_', ' ')}: {report.reason}"
    _print(report.model_dump(mode="json"), as_json, text)
    if report.outcome != "healed":
        sys.exit(1)


def _run(work: "Coroutine[Any, Any, T]") -> T:
    return asyncio.run(work)


def _print(value: object, as_json: bool, shown: object = None) -> None:  # noqa: FBT001 - private, and read at every call
    """Print `value` as JSON, or what people rather look at: a text, or something rich can draw."""
    if as_json:
        print(jsonlib.dumps(value, ensure_ascii=False, indent=2, default=str))
        return
    drawn = shown() if callable(shown) else shown
    if isinstance(drawn, str):
        print(drawn)
        return
    from rich.console import Console

    width = None if sys.stdout.isatty() else _WIDTH_OF_FILES
    Console(width=width).print(drawn)


def _text_of(file: str) -> str:
    if file == "-":
        return sys.stdin.buffer.read().decode("utf-8", "replace")
    try:
        return Path(file).read_bytes().decode("utf-8", "replace")
    except OSError as error:
        raise HealingError(f"Cannot read {file}: {error.strerror}. Name a file, or `-` for standard input.") from error


def _run_named_in(file: str) -> UUID:
    try:
        read: object = jsonlib.loads(_text_of(file))
    except (ValueError, RecursionError) as error:
        raise HealingError(f"The alert is not JSON: {error}. Expected an object with flow_run_id.") from error
    if not isinstance(read, dict) or "flow_run_id" not in read:
        raise HealingError('The alert names no run. Expected an object such as {"flow_run_id": "..."}.')
    try:
        return UUID(str(cast("dict[str, object]", read)["flow_run_id"]))
    except ValueError as error:
        raise HealingError(f"flow_run_id is no id of a flow run: {error}. Copy it from the Prefect UI.") from error


def _moment(since: str) -> datetime:
    units = {"m": "minutes", "h": "hours", "d": "days"}
    try:
        if since[:-1].isdecimal() and since[-1:] in units:
            return datetime.now(UTC) - timedelta(**{units[since[-1]]: int(since[:-1])})
        moment = datetime.fromisoformat(since)
    except (ValueError, OverflowError) as error:
        raise HealingError(f"--since {since!r} is no length of time; write 30m, 24h, 7d or 2026-11-01.") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _where(error: Exception) -> str:
    *_, last = traceback.extract_tb(error.__traceback__)
    return f"{Path(last.filename).name}:{last.lineno}"


def _fail(text: str) -> None:
    print(f"prefect-healing: {text}", file=sys.stderr)
    sys.exit(1)
