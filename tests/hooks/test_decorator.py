"""What `@self_healing` makes of a flow, before anything runs."""

from inspect import iscoroutinefunction

import pytest
from prefect import flow

from prefect_healing import self_healing
from prefect_healing.errors import ConfigurationError


def mine(flow: object, flow_run: object, state: object) -> None: ...


def test_below_flow_it_says_where_it_belongs():
    """`@flow` over it would throw the hooks away."""
    with pytest.raises(ConfigurationError, match=r"was given nightly.*Put it above @flow"):

        @flow
        @self_healing  # pyright: ignore[reportArgumentType]
        def nightly() -> None: ...


@pytest.mark.parametrize("what", [42, "nightly", len, object()])
def test_on_anything_but_a_flow_it_says_what_it_was_given(what: object):
    with pytest.raises(ConfigurationError, match="is no flow"):
        self_healing(mode="heal")(what)  # pyright: ignore[reportArgumentType]


def test_hooks_of_the_user_come_first_and_stay():
    healed = self_healing(flow(on_failure=[mine], on_crashed=[mine])(lambda: None))

    assert healed.on_failure_hooks[0] is mine
    assert healed.on_crashed_hooks[0] is mine
    assert len(healed.on_failure_hooks) == len(healed.on_crashed_hooks) == 2


def test_a_list_of_hooks_that_flows_share_is_not_added_to():
    """Prefect keeps the very list that it was given."""
    shared = [mine]
    one = flow(name="one", on_failure=shared)(lambda: None)
    other = flow(name="other", on_failure=shared)(lambda: None)

    self_healing(one)

    assert shared == one.on_failure_hooks == other.on_failure_hooks == [mine]


def test_with_options_keeps_healing():
    healed = self_healing(flow(lambda: None)).with_options(retries=2, name="again")

    assert len(healed.on_failure_hooks) == len(healed.on_crashed_hooks) == 1


def test_decorated_twice_it_heals_once():
    """The outer one counts."""
    healed = self_healing(mode="heal")(self_healing(flow(lambda: None)))

    assert len(healed.on_failure_hooks) == len(healed.on_crashed_hooks) == 1


def test_the_hook_is_as_its_flow_is():
    """Prefect awaits hooks of async flows in the flow's own loop, and runners look at the function's kind."""

    @self_healing
    @flow
    async def asynchronous() -> None: ...

    @self_healing
    @flow
    def synchronous() -> None: ...

    assert iscoroutinefunction(asynchronous.on_failure_hooks[0])
    assert not iscoroutinefunction(synchronous.on_failure_hooks[0])
