"""What type checkers see of a flow under `@self_healing`: the flow itself. Checked by pyright, never run."""
# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from typing import assert_type

from prefect import Flow, flow

from prefect_healing import self_healing


@self_healing
@flow
def bare(day: int, *, full: bool = False) -> str:
    return f"{day} {full}"


@self_healing(mode="heal", rerun="safe")
@flow(retries=1)
async def configured(day: int) -> list[str]:
    return [str(day)]


async def a_call_has_the_type_of_the_function() -> None:
    assert_type(bare(1, full=True), str)
    assert_type(await configured(1), list[str])


def a_call_with_other_arguments_is_an_error() -> None:
    bare("yesterday")  # pyright: ignore[reportArgumentType]
    configured()  # pyright: ignore[reportCallIssue]


def it_stays_a_flow(nightly: "Flow[[int], str]") -> None:
    assert_type(self_healing(nightly), Flow[[int], str])
    assert_type(self_healing(mode="off")(nightly), Flow[[int], str])


def a_plain_function_is_an_error() -> None:
    self_healing(len)  # pyright: ignore[reportArgumentType]
