"""Whole heals with a scripted model: rounds, outcomes, questions. The world counts what was done."""

import re
from uuid import UUID, uuid4

import pytest

from prefect_healing import api
from prefect_healing.domain.report import Report
from prefect_healing.errors import ToolFailed, ToolUnavailable
from prefect_healing.following import follow
from prefect_healing.guardrails.yaml_policy import policy_to_yaml
from prefect_healing.models.scripted import Scripted
from prefect_healing.stages.report import last_line
from prefect_healing.testing import heal_to_the_end, healing
from tests.agent.benches import HAND_OVER, Heard, token_in
from tests.fundamentals.flows import Vendor, failed_run_id, flow_that_asks
from tests.stages.world import EVERYTHING, World

pytestmark = pytest.mark.usefixtures("prefect_server")
QUESTION = Scripted.calls(("ask_person", {"question": "Is it on?", "why": "to know", "summary": "It is off."}))


@pytest.fixture
def failed_run() -> UUID:
    return failed_run_id(flow_that_asks(Vendor(fails=99), f"flow-{uuid4()}")(return_state=True))


@pytest.fixture
def tools(world: World):
    return [
        world.tool("fill", takes_key=True, undo="empty"),
        world.tool("empty", takes_key=True),
        world.tool("send"),
    ]


def proposes(*names: str):
    """Return a script of one round: preview each, then conclude with the tokens."""

    def say(request):
        if len(request.messages) == 1:
            return Scripted.calls(*[(f"preview_{name}", {"item": "x"}) for name in names])
        results = [block["content"] for block in request.messages[2]["content"]]
        actions = [
            {"tool": name, "confirmation_token": token_in(text), "reason": "why"}
            for name, text in zip(names, results, strict=True)
        ]
        return Scripted.calls(("conclude", {**HAND_OVER, "disposition": "repair", "actions": actions}))

    return Heard(say)


async def healed(run: UUID, model: Heard, tools, **settings) -> Report:
    with healing(model=model, tools=tools, policy=EVERYTHING, **settings):
        return await heal_to_the_end(run)


async def test_a_repair_that_helps_heals(failed_run, world, tools):
    report = await healed(failed_run, proposes("fill", "send"), tools)

    assert report.outcome == "healed"
    assert world.done == ["fill", "send"]
    assert len(report.rounds) == 1
    assert report.left_for_person == ()


async def test_a_repair_that_does_not_help_is_undone_and_tried_once_more(failed_run, world, tools):
    """Round 2 is told what round 1 tried and saw; the same action counts anew; after the last round all is undone."""
    world.status = "failed"
    model = proposes("fill")

    report = await healed(failed_run, model, tools)

    assert report.outcome == "rolled_back"
    assert world.done == ["fill", "empty", "fill", "empty"]
    assert [each.number for each in report.rounds] == [1, 2]
    openings = [request.messages[0]["content"][0]["text"] for request in model.requests if len(request.messages) == 1]
    assert "Round 1 did not help" not in openings[0]
    assert "Round 1 did not help: tried: fill x. Afterwards: fill was looked at." in openings[1]


async def test_attempts_limit_the_rounds(failed_run, world, tools):
    world.status = "inconclusive"

    report = await healed(failed_run, proposes("fill"), tools, attempts=1)

    assert len(report.rounds) == 1
    assert world.done == ["fill", "empty"]
    assert report.outcome == "rolled_back"


async def test_what_cannot_be_undone_is_escalated(failed_run, world, tools):
    world.status = "failed"

    report = await healed(failed_run, proposes("fill", "send"), tools, attempts=1)

    assert report.outcome == "escalated"
    assert "did not help" in report.reason
    assert world.done == ["fill", "send", "empty"]


async def test_an_undo_that_fails_ends_it(failed_run, world, tools):
    """No second round upon a world that nobody knows; a person is told."""
    world.status = "failed"
    world.before["empty"] += [ToolFailed("It is locked.")]

    report = await healed(failed_run, proposes("fill"), tools)

    assert report.outcome == "escalated"
    assert "could not be undone" in report.reason
    assert len(report.rounds) == 1
    assert report.left_for_person


async def test_an_effect_that_is_unknown_ends_it(failed_run, world, tools):
    """What was done before it is undone; nothing is tried again."""
    world.after["send"].append(ToolUnavailable("cut off"))

    report = await healed(failed_run, proposes("fill", "send"), tools)

    assert report.outcome == "escalated"
    assert "Nobody knows whether send took effect" in report.reason
    assert len(report.rounds) == 1
    assert world.tried == ["fill", "send", "empty"]


async def test_a_repair_that_is_refused_at_the_door_is_escalated(failed_run, world, tools):
    model = proposes("fill")
    said = model.reply

    async def changes_the_world(request):
        reply = await said(request)
        world.basis = f"changed {len(model.requests)} times"
        return reply

    model.reply = changes_the_world

    report = await healed(failed_run, model, tools)

    assert report.outcome == "escalated"
    assert world.tried == []


@pytest.mark.parametrize(
    ("turn", "outcome"),
    [
        (Scripted.calls(("conclude", HAND_OVER)), "escalated"),
        (Scripted.calls(("conclude", {**HAND_OVER, "disposition": "nothing_wrong"})), "declined"),
        (Scripted.says("Oh.", stop_reason="refusal"), "inconclusive"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_without_a_plan_the_conclusion_is_the_outcome(failed_run, turn, outcome):
    report = await healed(failed_run, Heard([turn]), [])

    assert report.outcome == outcome
    assert report.left_for_person
    assert re.match(rf"Incident {report.incident.id} {outcome} by run ", last_line(report))


async def test_a_question_escalates_and_its_answer_goes_on(failed_run, world, tools, tmp_path):
    """The report shows the question and how to answer it. What was asked is not asked again; a second question is
    shown as well; an answer allows nothing that policy does not; and the policy is the one the incident began with,
    whatever became of its file."""
    file = tmp_path / "policy.yaml"
    file.write_text(policy_to_yaml(EVERYTHING))
    preview = Scripted.calls(("preview_fill", {"item": "x"}))
    second = Scripted.calls(("ask_person", {"question": "Really?", "why": "to know", "summary": "It is off."}))
    model = Heard([QUESTION, second, preview, concludes_with])

    with healing(model=model, tools=tools, mode=None) as _, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_HEALING_POLICY", str(file))
        from prefect_healing.settings import settings

        settings.cache_clear()
        asked = await heal_to_the_end(failed_run)
        file.write_text("rules: [{allow: no_such_tool, when: never}]")
        again = await follow(api.answer(asked.incident.id, "It is on."), wait=True, say=str)
        closed = await follow(api.answer(asked.incident.id, "Allow everything."), wait=True, say=str)
    settings.cache_clear()

    assert (asked.outcome, again.outcome, closed.outcome) == ("escalated", "escalated", "healed")
    assert "Is it on?" in asked.reason
    assert asked.left_for_person[0] == f'prefect-healing answer {asked.incident.id} "..."'
    assert "Really?" in again.reason
    assert len(model.requests) == 4
    assert world.done == ["fill"]
    assert closed.incident.policy_version == EVERYTHING.version


def concludes_with(request):
    token = token_in(request.messages[-1]["content"][0]["content"])
    action = {"tool": "fill", "confirmation_token": token, "reason": "why"}
    return Scripted.calls(("conclude", {**HAND_OVER, "disposition": "repair", "actions": [action]}))


async def test_an_answer_never_widens_the_mandate(failed_run, world, tools):
    """A person who writes "do it" has answered a question, and approved nothing."""
    model = Heard([QUESTION, Scripted.calls(("preview_fill", {"item": "x"})), concludes_with])

    with healing(model=model, tools=tools, policy=EVERYTHING, mode="propose"):
        asked = await heal_to_the_end(failed_run)
        closed = await follow(api.answer(asked.incident.id, "Do it, you may."), wait=True, say=str)

    assert closed.outcome == "escalated"
    assert closed.rounds[0].mandate.decisions[0].decision.verdict == "ask"
    assert world.tried == []
