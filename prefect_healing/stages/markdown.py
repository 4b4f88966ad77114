"""The report as people read it in the Prefect UI: first what a person must know at 03:00, then how it is known."""

from urllib.parse import urlsplit

from prefect_healing.domain.incident import Incident
from prefect_healing.domain.mandate import Authorized
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
_LISTED_MAX = 4  # What the first screen has room for.
_COMMAND = "prefect-healing "

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
        _section("What was planned and done", _plans(report)),
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
    parts = [f"## {_OUTCOMES[report.outcome]}: {prose(incident.subject.flow_name, 80)}", _cause(report)]
    if line := _decisive_line(incident, diagnosis):
        parts.append(verbatim(line, 600))
    parts.append(table(("Failed run", _failed_run(incident)), _first_facts(report)))
    return "\n\n".join(parts)


def _cause(report: Report) -> str:
    diagnosis = report.diagnosis
    if diagnosis is None:
        return f"**Cause:** not found. {prose(report.reason)}"
    sure = f"{diagnosis.evidence_status}, {diagnosis.confidence:.0%}"
    return f"**Cause:** {prose(diagnosis.summary, 300)} ({_spaced(diagnosis.cause)}; {sure})"


def _decisive_line(incident: Incident, diagnosis: Diagnosis | None) -> str:
    found = diagnosis.decisive_line if diagnosis else None
    return found or incident.classification.decisive_line or ""


def _first_facts(report: Report) -> list[tuple[str, str]]:
    facts = [("**Done**", _done(report)), ("**Left for you**", _left(report))]
    if report.diagnosis and report.diagnosis.faulty_object:
        facts.append(("**Fault lies in**", _faulty_object(report.incident, report.diagnosis.faulty_object)))
    if fallback := next((each.triage.fallback_reason for each in report.rounds if each.triage.fallback_reason), None):
        facts.append(("**Without its model**", prose(fallback, 200)))
    return [*facts, ("**Incident**", _incident(report))]


def _failed_run(incident: Incident) -> str:
    subject = incident.subject
    of = f" of {prose(subject.deployment_name, 100)}" if subject.deployment_name else ""
    return f"{link(subject.flow_run_name, subject.url)}{of}, {prose(subject.state_name, 40)}"


def _done(report: Report) -> str:
    """Return what was done, each with its rule; where nothing was, what was proposed and why it was not allowed."""
    did = [_did(done, receipt) for done in report.rounds for receipt in _receipts(done)]
    if did:
        return _listed(did)
    refused = [
        f"{code(each.action.tool)} was proposed: {prose(each.decision.reason, 200)} Rule: {code(each.decision.rule)}"
        for done in report.rounds
        for each in (done.mandate.decisions if done.mandate else ())
        if not each.decision.allowed
    ]
    return _listed(["Nothing.", *refused]) if refused else f"Nothing. {_why_nothing(report)}".strip()


def _did(done: Round, receipt: Receipt) -> str:
    said = "" if receipt.status in ("done", "already_done") else f"**{_spaced(receipt.status)}**: "
    allowed = _decided(done, receipt)
    rule = code(allowed.decision.rule) if allowed else "undo of an allowed action"
    url = receipt.data.get("url")
    where = f" {link('Look', url)}." if isinstance(url, str) and is_web_address(url) else ""
    return f"{said}{prose(receipt.detail, 240)}{where} Rule: {rule}"


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
        left.insert(0, f"{prose(question.question, 240)} ({prose(question.why, 160)})")
    return _listed(left) if left else "Nothing."


def _to_do(text: str, proposal: str | None) -> str:
    """Return a thing to do. Only our own sentences show a command: what the model proposes is shown as words."""
    if text == proposal or _COMMAND not in text:
        return prose(text, 300)
    before, _, command = text.partition(_COMMAND)
    return f"{prose(before, 200)} {code(_COMMAND + command)}".strip()


def _faulty_object(incident: Incident, url: str) -> str:
    """Return a link where the address is on a host that the flow's author declared; else the address, to be read."""
    known = {source.url.host for source in incident.options.sources}
    if is_web_address(url) and urlsplit(url).hostname in known:
        return link(url, url)
    return code(url)


def _incident(report: Report) -> str:
    incident = report.incident
    seconds = (report.closed_at - incident.opened_at).total_seconds()
    where = f", {link('heal run', report.heal_run_url)}" if report.heal_run_url else ""
    also = f", covers {len(report.also_covers)} more runs" if report.also_covers else ""
    opened = f"opened {incident.opened_at:%Y-%m-%d %H:%M:%S} UTC, closed after {seconds:.0f} s"
    return f"{code(incident.id)}, mode {incident.mode}, {opened}{where}{also}"


def _proof(report: Report) -> str:
    rows = [
        (str(done.number), f"**{check.status}**", code(check.name), _seen(check))
        for done in report.rounds
        for check in (done.verification.checks if done.verification else ())
    ]
    return table(("Round", "Check", "Of", "What it saw"), rows[:_ROWS_MAX])


def _seen(check: Check) -> str:
    where = f" {link('look', check.link)}" if check.link and is_web_address(check.link) else ""
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
    rows = [
        (str(done.number), code(each.action.tool), _touched(each), each.decision.verdict, code(each.decision.rule))
        for done in report.rounds
        for each in (done.mandate.decisions if done.mandate else ())
    ]
    return table(("Round", "Action", "What it touches", "Verdict", "Rule"), rows[:_ROWS_MAX])


def _touched(authorized: Authorized) -> str:
    return f"{prose(authorized.action.scope.summary, 400)} {code(canonical(authorized.action.arguments), 300)}"


def _calls(report: Report) -> str:
    rows = [_call_row(each) for done in report.rounds for each in done.triage.calls]
    return table(("Call", "Arguments", "Rule", "Outcome", "Seconds"), rows[:_ROWS_MAX])


def _call_row(call: CallRecord) -> tuple[str, str, str, str, str]:
    ok = call.outcome == "ok"
    outcome = prose(call.detail, 40) if ok else f"**{prose(call.outcome, 40)}** {prose(call.detail, 160)}"
    arguments = code(canonical(call.arguments), 160) if call.arguments else ""
    return (code(call.tool), arguments, prose(call.rule, 120), outcome, f"{call.seconds:.2f}")


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


def _decided(done: Round, receipt: Receipt) -> Authorized | None:
    decisions = done.mandate.decisions if done.mandate else ()
    return next((each for each in decisions if each.action.id == receipt.action_id), None)


def _section(title: str, body: str) -> str:
    return f"### {title}\n\n{body}" if body else ""


def _listed(items: list[str]) -> str:
    more = len(items) - _LISTED_MAX
    shown = items[:_LISTED_MAX] if more > 0 else items
    return "<br>".join([*shown, f"and {more} more, below"] if more > 0 else shown)


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
