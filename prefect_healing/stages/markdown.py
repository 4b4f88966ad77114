"""The report as people read it in the Prefect UI: first what a person must know at 03:00, then how it is known."""

from urllib.parse import urlsplit

from prefect_healing.domain.incident import Incident
from prefect_healing.domain.mandate import Decision, Verdict
from prefect_healing.domain.plan import Diagnosis
from prefect_healing.domain.record import canonical
from prefect_healing.domain.repair import Receipt
from prefect_healing.domain.report import CallRecord, Outcome, Report, Round
from prefect_healing.domain.usage import Usage
from prefect_healing.domain.verification import Check
from prefect_healing.stages.markup import code, details, is_web_address, link, prose, table, verbatim
from prefect_healing.stages.timeline import timeline

BYTES_MAX = 200_000
_EVIDENCE_CHARS = 4_000
_EVIDENCE_MAX = 40
_ROWS_MAX = 60
_DONE_CHARS = 340  # What the first screen has room for.
_LEFT_CHARS = 260
_COMMAND = "prefect-healing "

_VERDICTS: dict[Verdict, str] = {"allow": "Allowed", "ask": "A person is to be asked", "deny": "Denied"}
_OUTCOMES: dict[Outcome, str] = {
    "healed": "Healed",
    "declined": "Declined",
    "rolled_back": "Rolled back",
    "inconclusive": "Inconclusive",
    "escalated": "Escalated",
}


def as_markdown(report: Report) -> str:
    """Return the report as Markdown of at most 200 KB.

    Outcome, cause, decisive line, what was done, what is left and the failed run fit on the first screen. Whatever
    came from logs, tools, models or people is escaped: it can make no link, no image and no HTML.
    """
    sections = (
        _first_screen(report),
        _section("Proof", _proof(report)),
        _section("Evidence", _evidence(report)),
        _section("Timeline", timeline(report)),
        _section("What was planned", _plans(report)),
        _section("What was done", _repairs(report)),
        _section("What is left for a person", _all_left(report)),
        _section("What was asked of tools", _calls(report)),
        _section("Model, tokens and cost", _costs(report)),
        _section("Policy", _policy(report)),
    )
    return _within(BYTES_MAX, [each for each in sections if each], report.incident.id)


def as_description(report: Report) -> str:
    """Return one line for lists of artifacts. It holds no text from outside, for the UI reads it as Markdown too."""
    cause = report.diagnosis.cause if report.diagnosis else "unknown"
    return f"{_OUTCOMES[report.outcome]}: {_spaced(cause)}, incident {report.incident.id}"


def _first_screen(report: Report) -> str:
    incident, diagnosis = report.incident, report.diagnosis
    parts = [f"## {_OUTCOMES[report.outcome]}: {prose(incident.alert.about, 80)}", _cause(report)]
    if line := _decisive_line(incident, diagnosis):
        parts.append(verbatim(line))
    # A list, not a table: the first UI does not wrap the cells of a table.
    parts.append("\n".join(f"- **{name}:** {fact}" for name, fact in _first_facts(report)))
    return "\n\n".join(parts)


def _cause(report: Report) -> str:
    diagnosis = report.diagnosis
    if diagnosis is None:
        return f"**Cause:** not found. {prose(report.reason, 240)}"
    sure = f"{diagnosis.evidence_status}, {diagnosis.confidence:.0%}"
    return f"**Cause:** {prose(diagnosis.summary, 150)} ({_spaced(diagnosis.cause)}; {sure})"


def _decisive_line(incident: Incident, diagnosis: Diagnosis | None) -> str:
    found = diagnosis.decisive_line if diagnosis else None
    return found or incident.classification.decisive_line or ""


def _first_facts(report: Report) -> list[tuple[str, str]]:
    facts = [
        ("Done", _done(report)),
        ("Left for you", _left(report)),
        ("Failed run" if report.incident.alert.kind == "flow_run" else "Found by", _failed_run(report.incident)),
    ]
    if report.diagnosis and report.diagnosis.faulty_object:
        facts.append(("Fault lies in", _faulty_object(report.incident, report.diagnosis.faulty_object)))
    if fallback := next((each.triage.fallback_reason for each in report.rounds if each.triage.fallback_reason), None):
        facts.append(("Without its model", prose(fallback, 200)))
    return [*facts, ("Incident", _incident(report))]


def _failed_run(incident: Incident) -> str:
    subject = incident.subject
    of = f" of {prose(subject.deployment_name, 100)}" if subject.deployment_name else ""
    return f"{link(subject.flow_run_name, subject.url)}{of}, {prose(subject.state_name, 40)}"


def _done(report: Report) -> str:
    """Return what was done, each with its rule; where nothing was, what was proposed and why it was not allowed."""
    if did := [_did(done, receipt) for done in report.rounds for receipt in _receipts(done)]:
        return _listed(did, _DONE_CHARS)
    refused = [
        f"Nothing. {code(each.action.tool)} was proposed. {prose(each.decision.reason, 140)} {_rule(each.decision)}"
        for done in report.rounds
        for each in (done.mandate.decisions if done.mandate else ())
        if not each.decision.allowed
    ]
    return _listed(refused, _DONE_CHARS) if refused else f"Nothing. {_why_nothing(report)}".strip()


def _did(done: Round, receipt: Receipt) -> str:
    said = "" if receipt.status in ("done", "already_done") else f"**{_spaced(receipt.status)}**: "
    decisions = done.mandate.decisions if done.mandate else ()
    decided = next((each.decision for each in decisions if each.action.id == receipt.action_id), None)
    rule = _rule(decided) if decided else "Rule: undo of an allowed action"
    url = receipt.data.get("url")
    where = f" {link('Look', url)}." if isinstance(url, str) and is_web_address(url) else ""
    return f"{said}{prose(receipt.detail, 130)}{where} {rule}"


def _rule(decision: Decision) -> str:
    return f"Rule: {code(decision.rule, 120)}"


def _why_nothing(report: Report) -> str:
    if report.incident.mode == "observe":
        return "The mode is observe."
    if report.diagnosis and report.diagnosis.transience == "permanent":
        return "The cause stays until somebody changes something."
    return "" if report.diagnosis is None else "No action was proposed."


def _left(report: Report) -> str:
    proposal = report.diagnosis.proposal if report.diagnosis else None
    left = [_to_do(each, proposal) for each in report.left_for_person]
    if question := (report.rounds[-1].triage.question if report.rounds else None):
        left.insert(0, f"{prose(question.question, 160)} ({prose(question.why, 80)})")
    return _listed(left, _LEFT_CHARS) if left else "Nothing."


def _to_do(text: str, proposal: str | None, chars_max: int = 140) -> str:
    """Return a thing to do. Only our own sentences show a command: what the model proposes is shown as words."""
    if text == proposal or _COMMAND not in text:
        return prose(text, chars_max)
    before, _, command = text.partition(_COMMAND)
    return f"{prose(before, 200)} {code(_COMMAND + command)}".strip()


def _faulty_object(incident: Incident, url: str) -> str:
    """Return a link where the address is on a host that the flow's author declared; else the address, to be read."""
    known = {source.url.host for source in incident.options.sources}
    if is_web_address(url) and (host := urlsplit(url).hostname) in known:
        return link(f"{host}{urlsplit(url).path}", url)
    return code(url)


def _incident(report: Report) -> str:
    incident = report.incident
    seconds = (report.closed_at - incident.opened_at).total_seconds()
    where = f", {link('heal run', report.heal_run_url)}" if report.heal_run_url else ""
    also = f", covers {len(report.also_covers)} more runs" if report.also_covers else ""
    opened = f"opened {incident.opened_at:%Y-%m-%d %H:%M:%S} UTC, closed after {seconds:.0f} s"
    return f"{code(incident.id)}, mode {incident.mode}, {opened}{where}{also}"


def _proof(report: Report) -> str:
    lines = [
        f"- **{check.status.capitalize()}**, round {done.number}, {code(check.name)}: {_seen(check)}"
        for done in report.rounds
        for check in (done.verification.checks if done.verification else ())
    ]
    return "\n".join(lines[:_ROWS_MAX])


def _seen(check: Check) -> str:
    where = f" {link('Look', check.link)}." if check.link and is_web_address(check.link) else ""
    return f"{prose(check.detail, 300)}{where}"


def _evidence(report: Report) -> str:
    found = [*report.incident.evidence, *(each for done in report.rounds for each in done.triage.evidence)]
    cited = {cite for done in report.rounds if done.triage.diagnosis for cite in done.triage.diagnosis.cites}
    lines = [
        details(
            f"{each.id}{' (cited)' if each.id in cited else ''} · {each.source} · {each.at:%H:%M:%S}",
            each.text,
            _EVIDENCE_CHARS,
        )
        for each in found[:_EVIDENCE_MAX]
    ]
    gaps = report.diagnosis.gaps if report.diagnosis else ()
    said = [f"Not known: {'; '.join(prose(gap, 200) for gap in gaps[:10])}"] if gaps else []
    if report.diagnosis and report.diagnosis.confidence_reason:
        said.append(f"Confidence: {prose(report.diagnosis.confidence_reason)}")
    return "\n\n".join([*said, "\n".join(lines)]) if lines or said else ""


def _plans(report: Report) -> str:
    lines = [
        f"- Round {done.number}, {code(each.action.tool)} {code(canonical(each.action.arguments), 300)}: "
        f"{prose(each.action.scope.summary, 400)} **{_VERDICTS[each.decision.verdict]}** by {code(each.decision.rule)}"
        for done in report.rounds
        for each in (done.mandate.decisions if done.mandate else ())
    ]
    return "\n".join(lines[:_ROWS_MAX])


def _repairs(report: Report) -> str:
    lines = [f"- Round {done.number}: {_did(done, each)}" for done in report.rounds for each in _receipts(done)]
    return "\n".join(lines[:_ROWS_MAX])


def _all_left(report: Report) -> str:
    """Return in full what the first screen may have shortened: questions, proposals, and all that is left."""
    lines = [
        f"- {said}: {prose(text, 2_000)}"
        for done in report.rounds
        for said, text in (
            ("Question", done.triage.question.question if done.triage.question else None),
            ("Why it is asked", done.triage.question.why if done.triage.question else None),
            ("What is known so far", done.triage.question.summary if done.triage.question else None),
        )
        if text
    ]
    proposal = report.diagnosis.proposal if report.diagnosis else None
    lines += [f"- {_to_do(each, proposal, 2_000)}" for each in report.left_for_person[:_ROWS_MAX]]
    return "\n".join(lines)


def _calls(report: Report) -> str:
    calls = [each for done in report.rounds for each in done.triage.calls]
    rows = [_call_row(each) for each in calls[:_ROWS_MAX]]
    return table(("Call", "Outcome", "Seconds", "Arguments", "Rule"), rows)


def _call_row(call: CallRecord) -> tuple[str, str, str, str, str]:
    ok = call.outcome == "ok"
    outcome = prose(call.detail, 40) if ok else f"**{prose(call.outcome, 40)}** {prose(call.detail, 160)}"
    arguments = code(canonical(call.arguments), 160) if call.arguments else ""
    return (code(call.tool, 80), outcome, f"{call.seconds:.2f}", arguments, prose(call.rule, 120))


def _costs(report: Report) -> str:
    rows = [_cost_row(each) for each in report.rounds]
    if len(rows) > 1:
        rows.append(("all", "", str(sum(each.triage.model_calls for each in report.rounds)), *_tokens(report.usage)))
    said = [
        f"Round {each.number}: {prose(reason)}"
        for each in report.rounds
        for reason in (each.triage.fallback_reason, each.triage.out_of_limits)
        if reason
    ]
    header = ("Round", "Model", "Calls", "Tokens in", "From cache", "Tokens out", "Cost")
    return "\n\n".join([*said, table(header, rows)]) if rows else ""


def _cost_row(done: Round) -> tuple[str, ...]:
    triage, usage = done.triage, done.triage.usage
    tokens = _tokens(usage)
    return (str(done.number), code(triage.model, 80), str(triage.model_calls), *tokens)


def _tokens(usage: Usage) -> tuple[str, str, str, str]:
    read = usage.input_tokens + usage.cache_write_tokens + usage.cache_read_tokens
    return (f"{read:,}", f"{usage.cache_read_tokens:,}", f"{usage.output_tokens:,}", f"${usage.cost_usd:.4f}")


def _policy(report: Report) -> str:
    incident = report.incident
    return (
        f"Policy {code(incident.policy_name, 80)}, version {code(incident.policy_version[:12])}, mode {incident.mode}; "
        f"deadline {incident.deadline_at:%H:%M:%S} UTC; raised by {incident.alert.raised_by}. "
        f"All of it as JSON: {code(f'prefect-healing show {incident.id} --json')}"
    )


def _receipts(done: Round) -> tuple[Receipt, ...]:
    return (*(done.repair.receipts if done.repair else ()), *(done.roll_back.receipts if done.roll_back else ()))


def _section(title: str, body: str) -> str:
    return f"### {title}\n\n{body}" if body else ""


def _listed(items: list[str], chars_max: int) -> str:
    """Return the items that fit on the first screen, the first in any case; the others stand below."""
    shown = [each for at, each in enumerate(items) if at == 0 or sum(map(len, items[: at + 1])) <= chars_max]
    more = len(items) - len(shown)
    return "<br>".join(shown) + (f" ({more} more below)" if more else "")


def _spaced(word: str) -> str:
    return word.replace("_", " ")


def _within(bytes_max: int, sections: list[str], incident_id: str) -> str:
    """Return the sections that fit, in order; says so where some do not."""
    note = f"There is more: {code(f'prefect-healing show {incident_id} --json')}\n"
    text, left = "", bytes_max - len(note.encode())
    for section in sections:
        left -= len(section.encode("utf-8", "replace")) + 2
        if left < 0:
            return text + note
        text += section + "\n\n"
    return text
