"""Which failed runs get a heal run, and that they get one."""

import asyncio
from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest
from prefect import flow, get_client, tags
from prefect.states import Completed, Running

from prefect_healing import self_healing
from prefect_healing.dispatch import dispatch
from prefect_healing.domain.options import HealingOptions
from prefect_healing.errors import HealingError
from prefect_healing.guardrails.policy import Policy
from prefect_healing.heal_runs import alert_of, heal_runs
from prefect_healing.testing import healing
from tests.fundamentals.flows import failed_run_id
from tests.hooks.seen import heal_runs_of, log_of, run_of, the_heal_run_of

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def waiting(asleep: str) -> Iterator[None]:
    with healing(heal_deployment=asleep):
        yield


def failing(name: str, *says: str) -> list[UUID]:
    """Run a plain flow once for each message that it is to fail with; return the ids of the runs."""

    @flow(name=name)
    def nightly(say: str) -> None:
        raise ConnectionError(say)

    return [failed_run_id(nightly(say, return_state=True)) for say in says]  # pyright: ignore[reportArgumentType]


@pytest.fixture
def name() -> str:
    return f"nightly-{uuid4().hex[:8]}"


async def test_runs_that_fail_alike_have_one_incident(name: str, waiting: None):
    """What varies in a message, such as an id or a count, does not make another failure of it."""
    first, second = failing(name, "vendor is down (request 17)", "vendor is down (request 18)")

    opened = await dispatch(first, HealingOptions())
    joined = await dispatch(second, HealingOptions())

    assert (opened.action, joined.action) == ("deployed", "joined")
    assert opened.incident_id == joined.incident_id
    assert (await the_heal_run_of(second)).id == opened.heal_flow_run_id


async def test_runs_that_fail_otherwise_have_their_own(name: str, waiting: None):
    first, second = failing(name, "vendor is down", "no such file: flights.csv")

    one = await dispatch(first, HealingOptions())
    other = await dispatch(second, HealingOptions())

    assert one.incident_id != other.incident_id


async def test_many_that_fail_alike_at_once_have_one_heal_run(name: str):
    """The server's unique key decides who heals; the others know where."""
    run_ids = failing(name, *["vendor is down"] * 5)

    done = await asyncio.gather(*(dispatch(run_id, HealingOptions()) for run_id in run_ids))

    assert sorted(each.action for each in done) == ["inline", *["joined"] * 4]
    assert len({each.heal_flow_run_id for each in done}) == 1
    for run_id in run_ids:
        assert (await the_heal_run_of(run_id)).id == done[0].heal_flow_run_id


async def test_after_an_incident_is_closed_the_next_failure_is_a_new_one(name: str, waiting: None):
    first, second = failing(name, "vendor is down", "vendor is down")
    opened = await dispatch(first, HealingOptions())
    async with get_client() as client:
        await client.set_flow_run_state(opened.heal_flow_run_id, Completed(name="Healed"), force=True)

    again = await dispatch(second, HealingOptions())

    assert again.action == "deployed"
    assert again.incident_id != opened.incident_id
    alert = alert_of(await run_of(again.heal_flow_run_id))
    assert alert is not None
    assert alert.generation == 1


async def test_a_run_that_an_incident_ran_again_joins_it_whatever_it_fails_with(name: str, waiting: None):
    """The tag is there before it starts; a new failure in it is the incident's next round, not another incident."""
    (first,) = failing(name, "vendor is down")
    opened = await dispatch(first, HealingOptions())
    with tags(f"incident:{opened.incident_id}"):
        (again,) = failing(name, "something else entirely")

    joined = await dispatch(again, HealingOptions())

    assert (joined.action, joined.incident_id) == ("joined", opened.incident_id)
    assert len(await heal_runs_of(again)) == 1


@pytest.mark.parametrize("healing_name", ["heal", "triage", "repair"])
async def test_flows_of_the_healer_are_never_healed(healing_name: str, waiting: None):
    (run_id,) = failing(healing_name, "the healer broke")

    assert (await dispatch(run_id, HealingOptions())).action == "left"
    assert await heal_runs_of(run_id) == []


async def test_what_carries_the_tag_of_healing_is_never_healed(name: str, waiting: None):
    with tags("healing"):
        (run_id,) = failing(name, "the healer broke")

    assert (await dispatch(run_id, HealingOptions())).action == "left"


async def test_a_run_that_is_well_by_now_is_left(name: str, waiting: None):
    (run_id,) = failing(name, "vendor is down")
    async with get_client() as client:
        await client.set_flow_run_state(run_id, Running(), force=True)

    left = await dispatch(run_id, HealingOptions())

    assert left.action == "left"
    assert "nothing is wrong" in left.reason


async def test_a_run_that_does_not_exist_is_said_not_to():
    with pytest.raises(HealingError, match=r"There is no flow run .* Copy its id"):
        await dispatch(uuid4(), HealingOptions())


@pytest.mark.parametrize("who", ["decorator", "environment", "policy"])
async def test_switched_off_a_flow_is_left_alone(who: str, name: str):
    """Whoever says so: no heal run, no tag, and one line that says who."""

    @self_healing(mode="off" if who == "decorator" else "heal")
    @flow(name=name)
    def nightly() -> None:
        raise ConnectionError("vendor is down")

    policy = Policy(name="quiet", mode="off") if who == "policy" else None
    with healing(mode="off" if who == "environment" else None, policy=policy):
        run_id = failed_run_id(nightly(return_state=True))

    assert await heal_runs_of(run_id) == []
    assert (await run_of(run_id)).tags == []
    (line,) = [line for line in await log_of(run_id) if "Not healed: Healing is off" in line]
    assert {"decorator": "decorator", "environment": "PREFECT_HEALING_MODE", "policy": "'quiet'"}[who] in line


async def test_the_heal_run_of_a_deployment_that_nobody_polls_is_said_to_wait(name: str, waiting: None):
    (run_id,) = failing(name, "vendor is down")

    done = await dispatch(run_id, HealingOptions())

    assert done.warning is not None
    assert "no worker has polled" in done.warning


async def test_heal_runs_are_listed_in_pages(name: str, waiting: None):
    """An audit of a month has more of them than one answer of the server."""
    first, second = failing(name, "vendor is down", "no such file: flights.csv")
    opened = [await dispatch(run_id, HealingOptions()) for run_id in (first, second)]

    async with get_client() as client:
        pages = [await heal_runs(client, limit=1, offset=offset) for offset in (0, 1)]

    assert {run.id for (run,) in pages} == {each.heal_flow_run_id for each in opened}
