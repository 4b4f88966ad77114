"""A task repeats only what can get better, as Prefect asks its condition."""

import inspect

import pytest
from prefect.client.schemas.objects import State, StateType
from prefect.states import Failed

from prefect_healing.classify import failure_text, retry_if_transient, text_of_exception


def asked(state: "State[object]") -> bool:
    return retry_if_transient(None, None, state)


@pytest.mark.parametrize(
    ("failure", "again"),
    [
        (ConnectionResetError(104, "Connection reset by peer"), True),
        (RuntimeError("something odd"), True),
        (ModuleNotFoundError("No module named 'pyarrow'"), False),
        (ValueError("missing columns ['dep_time']"), False),
        (TimeoutError(), True),
    ],
    ids=str,
)
def test_only_what_stays_is_not_repeated(failure: Exception, again: bool):
    state = Failed(data=failure, message=f"Task run encountered unexpected exception: {failure!r}")

    assert asked(state) is again


def test_a_returned_failed_state_is_judged_by_its_message():
    assert asked(State(type=StateType.FAILED, message="ModuleNotFoundError: No module named 'x'")) is False
    assert asked(State(type=StateType.FAILED, message=None)) is True


def test_the_reason_behind_the_exception_is_judged():
    error = RuntimeError("load failed")
    error.__cause__ = ModuleNotFoundError("No module named 'x'")

    assert asked(Failed(data=error)) is False


def test_prefect_calls_only_plain_functions():
    assert inspect.isfunction(retry_if_transient)


def test_a_task_under_prefect_stops_at_what_stays(prefect_calls: "PrefectCalls"):
    assert prefect_calls.of(ModuleNotFoundError("No module named 'x'")) == 1
    assert prefect_calls.of(ConnectionResetError(104, "Connection reset by peer")) == 3


class PrefectCalls:
    def of(self, error: Exception) -> int:
        """Return how often Prefect runs a task that always raises `error`, with two retries."""
        from prefect import task
        from prefect.client.schemas.objects import TaskRun
        from prefect.task_engine import SyncTaskRunEngine

        failing = task(lambda: None, name="failing", retries=2, retry_condition_fn=retry_if_transient)
        engine = SyncTaskRunEngine(task=failing)
        engine.task_run = TaskRun.model_construct()
        calls = 1
        while engine.retries < 2 and engine.can_retry(error):
            calls += 1
            engine.retries += 1
        return calls


@pytest.fixture
def prefect_calls() -> PrefectCalls:
    return PrefectCalls()


def test_a_chain_is_written_as_python_writes_it():
    try:
        try:
            raise KeyError("dep_delay")
        except KeyError as error:
            raise RuntimeError("load failed") from error
    except RuntimeError as error:
        text = text_of_exception(error)

    assert text.index("KeyError: 'dep_delay'") < text.index("direct cause") < text.index("RuntimeError: load failed")


def test_an_endless_or_circular_chain_is_bounded():
    error: BaseException = ValueError("x" * 10_000_000)
    for number in range(1_000):
        following = ValueError(str(number))
        following.__cause__ = error
        error = following
    circle = KeyError("a")
    circle.__context__ = ValueError("b")
    circle.__context__.__context__ = circle

    assert len(text_of_exception(error)) < 200_000
    assert "KeyError" in text_of_exception(circle)


def test_a_state_without_anything_has_no_text():
    assert failure_text(State(type=StateType.FAILED)) == ""
