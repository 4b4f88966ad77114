"""Let a Prefect task retry only what can get better."""

from typing import TYPE_CHECKING

from prefect_healing.classify.exception_text import text_of_exception
from prefect_healing.classify.verdict import classify

if TYPE_CHECKING:
    from prefect import Task
    from prefect.client.schemas.objects import State, TaskRun


def retry_if_transient(task: "Task[..., object]", task_run: "TaskRun", state: "State[object]") -> bool:
    """Return False where the failure stays however often the task runs, True for all else, also for the unknown.

    Pass it to Prefect: `@task(retries=3, retry_condition_fn=retry_if_transient)`. It must stay a plain function:
    Prefect calls no other kind of object.
    """
    return classify(failure_text(state)).rerun_helps is not False


def failure_text(state: "State[object]") -> str:
    """Return the exception that a failed state holds as text, else its message.

    Read from the state at hand and never from result storage, so that it costs no request inside an event loop.
    """
    data = getattr(state.data, "result", state.data)
    if isinstance(data, BaseException):
        return text_of_exception(data)
    if isinstance(data, str):
        return data
    return state.message or ""
