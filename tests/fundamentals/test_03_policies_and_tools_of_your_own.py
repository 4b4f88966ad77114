"""A team's own tool, and the rule that lets it be used."""

from uuid import UUID, uuid4

import pytest

from prefect_healing import Policy, allow, ask, tool
from prefect_healing.domain.plan import Scope
from prefect_healing.domain.record import JsonObject
from prefect_healing.domain.repair import Receipt
from prefect_healing.domain.report import Report
from prefect_healing.domain.verification import Check
from prefect_healing.models.model import Request
from prefect_healing.models.scripted import Scripted, Turn, last_result
from prefect_healing.testing import heal_to_the_end, healing
from prefect_healing.tools.tool import Applied, ToolContext
from tests.fundamentals.flows import Vendor, failed_run_id, flow_that_asks

pytestmark = pytest.mark.usefixtures("prefect_server")
SEEN: list[str] = []
"""The keys under which the target was asked to reload, each counted once, as a target that takes keys does."""


@tool(effect="write", takes_key=True)
async def reload_day(ctx: ToolContext, day: str) -> Applied:
    """Load one day again from the vendor."""
    if str(ctx.effect_key) not in SEEN:
        SEEN.append(str(ctx.effect_key))
    return Applied(detail=f"loaded {day}")


@reload_day.preview
async def what_reloading_touches(ctx: ToolContext, day: str) -> Scope:
    """Name the table and the day."""
    return Scope(summary=f"replace the flights of {day}", tables=("flights",), days=(day,))


@reload_day.check
async def the_day_is_there(ctx: ToolContext, receipt: Receipt) -> Check:
    """Look whether the target was asked."""
    return Check(name="reload_day", status="passed" if SEEN else "failed", detail=f"{len(SEEN)} loads")


def reloading(request: Request) -> Turn:
    """Preview the reload, then conclude with the token of the preview."""
    if len(request.messages) == 1:
        return Scripted.calls(("preview_reload_day", {"day": "2013-01-05"}))
    shown = last_result(request, "preview_reload_day")
    action: JsonObject = {
        "tool": "reload_day",
        "confirmation_token": shown.rpartition("confirmation token: ")[2],
        "reason": "The vendor is whole again.",
    }
    conclusion: JsonObject = {
        "cause": "missing_upstream_data",
        "summary": "The day is incomplete.",
        "disposition": "repair",
        "transience": "transient",
        "confidence": 0.9,
        "confidence_reason": "The vendor says so.",
        "evidence_status": "confirmed",
        "cites": ["E1"],
        "actions": [action],
    }
    return Scripted.calls(("conclude", conclusion))


def failed() -> UUID:
    """Let a flow fail."""
    return failed_run_id(flow_that_asks(Vendor(fails=9), f"nightly-{uuid4()}")(return_state=True))


async def healed_under(policy: Policy) -> Report:
    """Heal a failed run with the reloading model under a policy."""
    SEEN.clear()
    with healing(model=Scripted(reloading), tools=[reload_day], policy=policy):
        return await heal_to_the_end(failed())


async def test_a_rule_lets_a_tool_of_your_own_repair():
    """Previewed, allowed, carried out once, and proved by its own check."""
    report = await healed_under(Policy(allow("*", effect="read"), allow("reload_day", effect="write"), name="bold"))

    assert report.outcome == "healed"
    assert len(SEEN) == 1


async def test_a_rule_that_asks_leaves_the_plan_to_a_person():
    """Nothing is done; the plan and the rule are in the report."""
    report = await healed_under(Policy(allow("*", effect="read"), ask("reload_day", effect="write"), name="careful"))

    assert report.outcome == "escalated"
    assert report.rounds[0].mandate.decisions[0].decision.verdict == "ask"
    assert SEEN == []


async def test_no_rule_is_a_no():
    """What no rule speaks of is denied."""
    report = await healed_under(Policy(allow("*", effect="read"), name="silent"))

    assert report.outcome == "escalated"
    assert report.rounds[0].mandate.decisions[0].decision.verdict == "deny"
    assert SEEN == []
