"""Everything has a limit, counted from what is persisted."""

from datetime import UTC, datetime, timedelta

import pytest

from prefect_healing.agent.loop import run_agent
from prefect_healing.domain.usage import Usage
from prefect_healing.errors import ModelMisbehaved, ModelUnavailable
from prefect_healing.models.scripted import Scripted
from tests.agent.benches import CONCLUDES, Bodies, Heard, agent_of, bench_of, echoes


class Killed(BaseException):
    """The process is gone."""


def endless(usage: Usage | None = None):
    """Return a script that never concludes and never asks the same twice."""
    return lambda request: echoes_at(request, usage)


def echoes_at(request, usage):
    return Scripted.calls(("echo", {"word": str(len(request.messages))}), usage=usage)


async def test_fifteen_tool_calls_are_made_and_no_more(tmp_path):
    """Of what goes beyond the limit each call is answered, and none is made; the count runs over all turns."""
    bodies = Bodies()
    bench = bench_of(tmp_path, bodies.tool)
    model = Heard([echoes(*"abcdefghij"), echoes(*"klmnopqrst"), echoes("u"), CONCLUDES])

    ending = await run_agent(agent_of(model), bench)

    assert "".join(sorted(bodies.ran)) == "abcdefghijklmno"
    assert [each.status for each in ending.observations] == ["ok"] * 15 + ["refused"] * 6
    assert "limit of 15 tool calls" in ending.observations[-1].text
    assert ending.diagnosis is not None


async def test_twenty_turns_are_all(tmp_path):
    model = Heard(endless())

    ending = await run_agent(agent_of(model), bench_of(tmp_path, Bodies().tool))

    assert len(model.requests) == 20
    assert ending.beyond == "All 20 turns are used."


async def test_a_call_that_could_cost_too_much_is_not_sent(tmp_path):
    """What a call may cost at most is counted before it is sent: with $0.25 of $0.50 spent, $0.30 is too much."""
    model = Heard(endless(Usage(cost_usd=0.25)), ceiling_usd=0.30)

    ending = await run_agent(agent_of(model, cost_usd=0.50), bench_of(tmp_path, Bodies().tool))

    assert len(model.requests) == 1
    assert ending.beyond == "$0.250 of $0.50 are spent and the next call may cost $0.300."


async def test_a_reply_may_be_as_long_as_the_dollars_that_are_left_allow(tmp_path):
    """Better a shorter reply than none: its limit is halved until the call fits, down to one that can conclude."""

    class Priced(Heard):
        def cost_ceiling_usd(self, request):
            return request.max_tokens / 100_000

    spends = endless(Usage(cost_usd=0.16))
    model = Priced([spends, spends, spends, CONCLUDES])

    ending = await run_agent(
        agent_of(model, cost_usd=0.37, reply_tokens=8_000, reply_tokens_min=4_000), bench_of(tmp_path, Bodies().tool)
    )

    assert [request.max_tokens for request in model.requests] == [8_000, 8_000, 4_000]
    assert ending.beyond is not None


@pytest.mark.parametrize(
    ("budget", "said"),
    [({"tokens": 100}, "100 of 100 tokens are used."), ({"minutes": 1e-9}, "of 1e-09 minutes are used.")],
)
async def test_tokens_and_minutes_hold(tmp_path, budget, said):
    usage = Usage(input_tokens=10, cache_read_tokens=20, cache_write_tokens=30, output_tokens=40)
    model = Heard(endless(usage))

    ending = await run_agent(agent_of(model, **budget), bench_of(tmp_path, Bodies().tool))

    assert len(model.requests) == 1
    assert said in ending.beyond


async def test_after_the_deadline_nothing_is_asked(tmp_path):
    model = Heard([CONCLUDES])

    ending = await run_agent(agent_of(model), bench_of(tmp_path, deadline_at=datetime.now(UTC) - timedelta(seconds=1)))

    assert model.requests == []
    assert "deadline" in ending.beyond


async def test_a_restart_does_not_reset_what_was_spent(tmp_path):
    """Entered again, the agent has spent the same, to the token, and asks and does nothing anew."""
    bodies = Bodies()
    bench = bench_of(tmp_path, bodies.tool)
    model = Heard([echoes("a", "b"), echoes("c"), CONCLUDES])

    first = await run_agent(agent_of(model), bench)
    again = await run_agent(agent_of(model), bench)

    assert again == first
    assert first.spent.model_calls == 3
    assert first.spent.tool_calls == 3
    assert first.spent.seconds > 0
    assert len(model.requests) == 3
    assert sorted(bodies.ran) == ["a", "b", "c"]


async def test_a_call_that_was_lost_with_its_process_is_charged_at_its_ceiling(tmp_path):
    """Nobody knows whether it was billed; killed over and over, the budget is used up and nothing is sent any more."""

    def dies(request):
        raise Killed

    bench = bench_of(tmp_path)
    dying = Heard(dies, ceiling_usd=0.2)
    for _ in range(2):
        with pytest.raises(Killed):
            await run_agent(agent_of(dying, cost_usd=0.5), bench)

    ending = await run_agent(agent_of(Heard([CONCLUDES], ceiling_usd=0.2), cost_usd=0.5), bench)

    assert len(dying.requests) == 2
    assert ending.spent.lost_usd == pytest.approx(0.4)
    assert ending.beyond is not None


async def test_one_lost_call_leaves_the_rest_of_the_budget(tmp_path):
    def dies(request):
        raise Killed

    bench = bench_of(tmp_path)
    with pytest.raises(Killed):
        await run_agent(agent_of(Heard(dies, ceiling_usd=0.2)), bench)

    ending = await run_agent(agent_of(Heard([CONCLUDES], ceiling_usd=0.2)), bench)

    assert ending.diagnosis is not None
    assert ending.spent.cost_usd == pytest.approx(0.2)


@pytest.mark.parametrize(("may_have_cost", "lost_usd"), [(True, 0.2), (False, 0.0)])
async def test_a_call_that_the_service_refused_costs_nothing(tmp_path, may_have_cost, lost_usd):
    """A 429 or 529 generated nothing; a reply that was cut off may be billed."""
    failures = [ModelUnavailable("busy", 0, may_have_cost)] * 2

    def busy_first(request):
        if failures:
            raise failures.pop()
        return CONCLUDES

    ending = await run_agent(agent_of(Heard(busy_first, ceiling_usd=0.1)), bench_of(tmp_path))

    assert ending.diagnosis is not None
    assert ending.spent.lost_usd == pytest.approx(lost_usd)


async def test_a_model_that_stays_unavailable_is_asked_four_times(tmp_path):
    """One call and three retries; then a value says so, which a restart finds again."""

    def busy(request):
        raise ModelUnavailable("overloaded, says the service", 0)

    bench, model = bench_of(tmp_path), Heard(busy)

    first = await run_agent(agent_of(model), bench)
    again = await run_agent(agent_of(model), bench)

    assert first.unavailable == again.unavailable == "overloaded, says the service"
    assert len(model.requests) == 4


@pytest.mark.parametrize("error", [ModelUnavailable("come back tomorrow", 3600), ModelMisbehaved("400")])
async def test_what_will_not_pass_soon_is_not_waited_for(tmp_path, error):
    """A retry-after beyond a minute, and an error that stays, are values at once: nobody sleeps."""

    def refuses(request):
        raise error

    model = Heard(refuses)

    ending = await run_agent(agent_of(model), bench_of(tmp_path))

    assert ending.unavailable == str(error)
    assert len(model.requests) == 1


@pytest.mark.parametrize(
    "turns",
    [[echoes("a"), echoes("a"), echoes("a")], [echoes("a", "a", "a")], [echoes("a"), echoes("b", "a", "a")]],
    ids=["turn by turn", "in one turn", "both"],
)
async def test_the_same_call_a_third_time_is_refused(tmp_path, turns):
    bodies = Bodies()

    ending = await run_agent(agent_of(Heard([*turns, CONCLUDES])), bench_of(tmp_path, bodies.tool))

    assert bodies.ran.count("a") == 2
    assert ending.observations[-1].status == "refused"
    assert "exactly this 2 times" in ending.observations[-1].text
