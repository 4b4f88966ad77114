"""The report as it is seen: both UIs, 1280x800, nothing scrolled. Pictures of it are left in test-output/."""

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from prefect_healing.domain.mandate import Authorized, Mandate
from prefect_healing.domain.repair import Repair
from prefect_healing.stages.markdown import as_description, as_markdown
from tests.browser.conftest import PICTURES, SCREEN, Seen
from tests.stages import reports

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
UIS = {"v1": ("", "article.artifact-data-markdown"), "v2": ("/v2", "[data-testid=markdown-display]")}


@pytest.fixture(scope="session")
def healed(seen: Seen, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return seen.artifact("outage", tmp_path_factory.mktemp("outage"))


@pytest.fixture(scope="session")
def escalated(seen: Seen, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return seen.artifact("bug", tmp_path_factory.mktemp("bug"))


def opened(page: "Page", seen: Seen, artifact: dict[str, str], ui: str, picture: str) -> "Locator":
    """Open an artifact's page and return its Markdown, rendered."""
    prefix, article = UIS[ui]
    page.goto(f"{seen.url}{prefix}/artifacts/artifact/{artifact['id']}")
    page.wait_for_selector(f"{article} li")
    page.wait_for_load_state("load")
    PICTURES.mkdir(exist_ok=True)
    page.screenshot(path=PICTURES / f"report-{picture}-{ui}.png")
    return page.locator(article)


def assert_on_screen(part: "Locator", said: str) -> None:
    """Assert that a part says so, lies within the window, and hides nothing of it at its side."""
    box = part.bounding_box()
    text = " ".join(part.inner_text().split())

    assert said in text
    assert box is not None
    assert box["y"] >= 0
    assert box["y"] + box["height"] <= SCREEN["height"], f"{said!r} ends at {box['y'] + box['height']:.0f}"
    assert box["x"] + box["width"] <= SCREEN["width"]
    assert part.evaluate(
        "part => part.scrollWidth <= part.clientWidth + 1 || getComputedStyle(part).display == 'inline'"
    )


def fact(article: "Locator", name: str) -> "Locator":
    return article.locator("li").filter(has_text=f"{name}:").first


@pytest.mark.parametrize("ui", UIS)
def test_a_healed_run_is_told_without_scrolling(page: "Page", seen: Seen, healed: dict[str, str], ui: str):
    article = opened(page, seen, healed, ui, "healed")

    assert_on_screen(article.locator("h2").first, "Healed: nightly-flights")
    assert_on_screen(article.get_by_text("Cause:").first.locator(".."), "upstream unavailable")
    assert_on_screen(article.locator("code").first, "ConnectionError: 503 Service Unavailable for url")
    assert_on_screen(fact(article, "Done"), "Rule: default rule")
    assert_on_screen(fact(article, "Left for you"), "Nothing.")
    assert_on_screen(fact(article, "Failed run"), "Failed")
    assert "/runs/flow-run/" in (fact(article, "Failed run").locator("a").get_attribute("href") or "")


@pytest.mark.parametrize("ui", UIS)
def test_an_escalated_run_is_told_without_scrolling(page: "Page", seen: Seen, escalated: dict[str, str], ui: str):
    article = opened(page, seen, escalated, ui, "escalated")

    assert_on_screen(article.locator("h2").first, "Escalated: nightly-flights")
    assert_on_screen(article.locator("code").first, "KeyError: 'dep_delay'")
    assert_on_screen(fact(article, "Done"), "Nothing.")
    assert_on_screen(fact(article, "Left for you"), "prefect-healing show")
    assert_on_screen(fact(article, "Failed run"), "Failed")


@pytest.mark.parametrize("ui", UIS)
def test_a_crowded_report_still_shows_all_six_without_scrolling(page: "Page", seen: Seen, ui: str):
    """Long sentences, a long line, several actions: the first screen shortens, the sections below do not."""
    sentence = "The vendor renamed the column that the daily table is built from and announced it nowhere. " * 20
    found = reports.diagnosis(summary=sentence, decisive_line="KeyError: " + "dep_delay " * 17, proposal=sentence)
    allowed = reports.decision().model_copy(update={"rule": "default rule 5: allow a tool where this and that " * 9})
    receipts = tuple(reports.receipt(detail=sentence, at=reports.AT + timedelta(seconds=second)) for second in range(5))
    done = reports.one_round(
        triage=reports.triage(diagnosis=found),
        mandate=Mandate(decisions=(Authorized(action=reports.action(), decision=allowed),)),
        repair=Repair(receipts=receipts),
    )
    left = (sentence, *(f"Everything that was found: prefect-healing show {at}" for at in range(9)))
    crowded = reports.escalated(rounds=(done,), left_for_person=left)

    article = opened(
        page, seen, seen.artifact_of(as_markdown(crowded), "crowded", as_description(crowded)), ui, "crowded"
    )

    assert_on_screen(article.locator("h2").first, "Escalated: nightly-flights")
    assert_on_screen(article.locator("code").first, "KeyError: dep_delay")
    assert_on_screen(fact(article, "Done"), "(4 more below)")
    assert_on_screen(fact(article, "Left for you"), "more below)")
    assert_on_screen(fact(article, "Failed run"), "dangerous-cougar")


@pytest.mark.parametrize("ui", UIS)
def test_no_text_from_outside_becomes_part_of_the_page(page: "Page", seen: Seen, ui: str):
    """The parser of the unit tests is not the one of either UI, so the hostile texts are shown to both."""
    alerts = list[str]()
    page.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.dismiss()))
    texts = [as_markdown(reports.hostile(text)) for text in reports.HOSTILE]

    article = opened(page, seen, seen.artifact_of("\n\n".join(texts), "hostile"), ui, "hostile")
    links = article.locator("a").evaluate_all("links => links.map(link => link.href)")

    assert links
    assert all(link.startswith(tuple(reports.OUR_LINKS)) for link in links)
    assert article.locator("img, script, iframe, form, input, button, h1").count() == 0
    assert alerts == []


@pytest.mark.parametrize("ui", UIS)
def test_evidence_opens_on_a_click(page: "Page", seen: Seen, escalated: dict[str, str], ui: str):
    article = opened(page, seen, escalated, ui, "evidence")
    evidence = article.locator("details").first

    assert not evidence.locator("pre").is_visible()
    evidence.locator("summary").click()

    assert "KeyError: 'dep_delay'" in evidence.locator("pre").inner_text()


@pytest.mark.parametrize("ui", UIS)
def test_the_heal_run_is_named_after_what_came_of_it(page: "Page", seen: Seen, healed: dict[str, str], ui: str):
    page.goto(f"{seen.url}{UIS[ui][0]}/runs/flow-run/{healed['flow_run_id']}")

    page.get_by_text("heal nightly-flights: healed").first.wait_for()
    page.screenshot(path=PICTURES / f"heal-run-{ui}.png")

    assert page.get_by_text("Healed", exact=True).first.is_visible()
