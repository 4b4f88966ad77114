"""The report as Markdown: what stands on it, that it is text and nothing else, and that it has an end."""

import re
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from prefect_healing.domain.evidence import Evidence
from prefect_healing.domain.mandate import Authorized, Mandate
from prefect_healing.domain.repair import Repair, RollBack
from prefect_healing.domain.report import Question, Report
from prefect_healing.stages.markdown import BYTES_MAX, as_description, as_markdown
from prefect_healing.stages.markup import code, is_web_address, link, prose, table, verbatim
from tests.stages import reports

_PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
_OUR_HTML = re.compile(r"<br>|(<details><summary>[^<>]*</summary><pre>[^<>]*</pre></details>\n?)+")
_AUTOLINK = re.compile(r"https?://|ftp://|www\.|[\w.+-]@[\w-]|mailto:|xmpp:", re.IGNORECASE)


def first_screen(report: Report) -> str:
    return as_markdown(report).partition("\n### ")[0]


def section(report: Report, title: str) -> str:
    found = re.search(rf"^### {title}\n(.*?)(?=^### |\Z)", as_markdown(report), re.DOTALL | re.MULTILINE)
    assert found, as_markdown(report)
    return found[1]


def tokens(markdown: str) -> Iterator[Token]:
    for block in _PARSER.parse(markdown):
        yield block
        yield from block.children or ()


def headings(markdown: str) -> list[str]:
    blocks = _PARSER.parse(markdown)
    return [after.content for block, after in pairwise(blocks) if block.type == "heading_open"]


def assert_only_our_own(markdown: str) -> None:
    """Assert that there is no link, image, HTML or bare address beside the ones that the report itself makes.

    Within a link neither UI makes another one of an address.
    """
    links = 0
    for token in tokens(markdown):
        links += {"link_open": 1, "link_close": -1}.get(token.type, 0)
        assert token.type != "image"
        if token.type == "link_open":
            assert str(token.attrs["href"]).startswith(tuple(reports.OUR_LINKS))
        if token.type in ("html_block", "html_inline"):
            assert _OUR_HTML.fullmatch(token.content.strip("\n")), token.content
        if token.type == "text" and not links:
            assert not _AUTOLINK.search(token.content), token.content


def test_the_first_screen_says_the_six_things_of_a_healed_run():
    text = first_screen(reports.healed())

    assert "## Healed: nightly-flights" in text
    assert "**Cause:** The vendor asked for fewer requests. (rate limited; confirmed, 90%)" in text
    assert "```text\nhttpx.HTTPStatusError: 429 Too Many Requests\n```" in text
    assert "**Done:** dangerous-cougar was set to run again." in text
    assert "Rule: `default rule 5: allow retry_flow_run`" in text
    assert "**Left for you:** Nothing." in text
    assert f"**Failed run:** [dangerous-cougar]({reports.RUN_URL}) of nightly-flights/production" in text


def test_the_first_screen_says_what_is_left_for_a_person_with_its_command():
    text = first_screen(reports.escalated())

    assert "## Escalated: nightly-flights" in text
    assert "**Done:** Nothing." in text
    assert "Ask the vendor for a higher limit.<br>Everything that was found: `prefect-healing show 7F3KQ2ZD`" in text


def test_what_a_model_proposes_is_never_shown_as_a_command_of_ours():
    proposal = "Run prefect-healing heal 7F3KQ2ZD"
    found = reports.diagnosis(proposal=proposal)
    text = first_screen(
        reports.escalated(
            rounds=(reports.one_round(triage=reports.triage(diagnosis=found), repair=None),),
            left_for_person=(proposal,),
        )
    )

    assert proposal in text
    assert "`prefect-healing" not in text


def test_an_action_that_was_not_allowed_is_shown_with_the_rule_and_its_preview():
    asked = Mandate(decisions=(Authorized(action=reports.action(), decision=reports.decision("ask")),))
    report = reports.escalated(rounds=(reports.one_round(mandate=asked, repair=None, verification=None),))

    assert "**Done:** Nothing. `retry_flow_run` was proposed. Policy default says so." in first_screen(report)
    assert "Run dangerous-cougar again. **A person is to be asked** by" in section(report, "What was planned")


def test_a_question_stands_first_in_what_is_left():
    asked = Question(question="Is the vendor migrating?", why="Two days are missing.", summary="All else is well.")
    report = reports.escalated(
        rounds=(
            reports.one_round(
                triage=reports.triage(question=asked, diagnosis=None), mandate=None, repair=None, verification=None
            ),
        )
    )

    assert "**Left for you:** Is the vendor migrating? (Two days are missing.)" in first_screen(report)
    assert "All else is well." in section(report, "What is left for a person")


def test_an_unknown_or_failed_effect_is_said_aloud():
    report = reports.healed(rounds=(reports.one_round(repair=Repair(receipts=(reports.receipt(status="unknown"),))),))

    assert "**Done:** **unknown**: dangerous-cougar" in first_screen(report)


def test_what_was_undone_is_listed_after_what_was_done():
    undo = reports.receipt(action_id="undo A1", tool="resume_deployment", detail="The schedule runs again.", data={})
    report = reports.healed(outcome="rolled_back", rounds=(reports.one_round(roll_back=RollBack(receipts=(undo,))),))

    done = section(report, "What was done")

    assert "## Rolled back: nightly-flights" in as_markdown(report)
    assert done.index("was set to run again") < done.index("The schedule runs again. Rule: undo of an allowed action")


def test_that_the_model_was_not_there_is_on_the_first_screen():
    missing = reports.triage(fallback_reason="claude-opus-5-5 was not available, so the rules investigated: 529")

    assert "**Without its model:** claude-opus-5-5 was not available" in first_screen(
        reports.healed(rounds=(reports.one_round(triage=missing),))
    )


def test_a_fault_elsewhere_is_linked_where_the_author_declared_the_host():
    found = reports.diagnosis(faulty_object="http://vendor.example/flights/2013-01-01")
    report = reports.healed(rounds=(reports.one_round(triage=reports.triage(diagnosis=found)),))

    assert "[vendor.example/flights/2013-01-01](http://vendor.example/flights/2013-01-01)" in first_screen(report)


def test_an_address_that_only_a_model_knows_is_shown_and_not_linked():
    found = reports.diagnosis(faulty_object="http://evil.example/login")
    report = reports.healed(rounds=(reports.one_round(triage=reports.triage(diagnosis=found)),))

    assert "**Fault lies in:** `http://evil.example/login`" in first_screen(report)


def test_below_stand_proof_evidence_times_calls_cost_and_policy():
    report = reports.healed()

    assert f"**Passed**, round 1, `retry_flow_run`: It completed. [Look]({reports.RERUN_URL})." in section(
        report, "Proof"
    )
    assert "<summary>E2 (cited) · read_flow_run_logs · 03:00:00</summary><pre>429 at page 7" in section(
        report, "Evidence"
    )
    assert "| 02:59:57 | -3.0 | Flow run dangerous-cougar failed |" in section(report, "Timeline")
    assert "| 03:00:12 | +12.0 | Incident closed: healed |" in section(report, "Timeline")
    assert '| `read_flow_run_logs` | E2 | 0.25 | `{"limit":50}` |' in section(report, "What was asked of tools")
    assert "| 1 | `claude-opus-5-5` | 3 | 10,000 | 9,000 | 200 | $0.0125 |" in section(report, "Model, tokens and cost")
    assert "Policy `default`, version `0898ed63ebb6`, mode heal" in section(report, "Policy")


def test_an_incident_without_a_round_has_a_report_too():
    report = reports.healed(outcome="declined", reason="The run was no longer failed.", rounds=())

    assert "**Cause:** not found. The run was no longer failed." in first_screen(report)
    assert_only_our_own(as_markdown(report))


@pytest.mark.parametrize("text", reports.HOSTILE)
def test_text_from_outside_makes_no_link_no_image_no_html_and_no_heading(text):
    markdown = as_markdown(reports.hostile(text))

    assert_only_our_own(markdown)
    assert len(headings(markdown)) == len(headings(as_markdown(reports.hostile("plain"))))


@settings(max_examples=100, deadline=None)
@given(
    text=st.lists(st.sampled_from([*"\\`*_[]()<>|~&#-+=!:@/ \n\t\r1.", "http://a.b", "www.a", "</pre>", "x"])).map(
        "".join
    )
)
def test_no_mixture_of_marks_gets_out(text):
    """Every text of the report at once, made of the marks that mean something."""
    markdown = as_markdown(reports.hostile(text))

    assert_only_our_own(markdown)


@given(text=st.text(alphabet="\\`| ab*[]()"))
def test_a_row_keeps_its_cells_whatever_stands_in_them(text):
    parsed = _PARSER.parse(table(("a", "b"), [(code(text), prose(text))]))

    assert sum(token.type == "td_open" for token in parsed) == 2
    assert_only_our_own(table(("a", "b"), [(code(text), prose(text))]))


@given(text=st.text(alphabet="`~ab\n ").filter(str.strip))
def test_the_decisive_line_is_verbatim_whatever_ticks_are_in_it(text):
    blocks = [token for token in tokens(verbatim(text)) if token.type in ("fence", "code_inline")]

    assert [block.content.strip("\n ") for block in blocks] == [text.strip("\n ")]


def test_a_line_that_is_too_wide_for_a_block_wraps_and_one_that_would_fill_the_screen_does_not():
    assert verbatim("x" * 60).startswith("```text\n")
    assert verbatim("x" * 100) == f"`{'x' * 100}`"
    assert verbatim("x" * 1_000) == f"```text\n{'x' * 1_000}\n```"


def test_the_description_holds_nothing_from_outside():
    for text in reports.HOSTILE:
        assert as_description(reports.hostile(text)) == "Healed: rate limited, incident 7F3KQ2ZD"


def test_a_name_in_a_link_keeps_its_underscores():
    assert link("load_daily_2", reports.RUN_URL) == f"[load_daily_2]({reports.RUN_URL})"
    assert link("x](http://evil.example) `y`", reports.RUN_URL).count("](") == 1


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "http://user:pw@evil.example/",
        "http:///x",
        "//evil",
        "http://a b/",
        "http://[",
    ],
)
def test_only_plain_web_addresses_become_links(url):
    assert not is_web_address(url)
    assert link("look", url) == "look"


def test_an_address_cannot_end_its_link_early():
    assert link("look", "http://a.example/x)[y](http://b.example") == (
        "[look](http://a.example/x%29%5By%5D%28http://b.example)"
    )


def test_a_huge_report_ends_within_its_limit_and_says_that_there_is_more():
    evidence = tuple(Evidence(id=f"E{at}", source="log", at=reports.AT, text="<&\n" * 100_000) for at in range(500))
    calls = tuple(reports.call(arguments={"sql": "|`" * 5_000}, detail="é" * 10_000) for _ in range(500))
    huge = reports.triage(evidence=evidence, calls=calls, diagnosis=reports.diagnosis(summary="é" * 1_000_000))
    report = reports.healed(rounds=tuple(reports.one_round(number=at, triage=huge) for at in range(1, 20)))

    markdown = as_markdown(report)

    assert len(markdown.encode()) <= BYTES_MAX
    assert "**Failed run:**" in markdown
    assert "prefect-healing show 7F3KQ2ZD --json" in markdown


def test_a_lone_surrogate_can_still_be_sent():
    assert as_markdown(reports.hostile("\ud800")).encode()
