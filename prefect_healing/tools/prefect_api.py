"""The Prefect API as the tools use it: one way in, errors in our words, pages put together."""

import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect_healing.errors import ConfigurationError, ToolFailed, ToolUnavailable
from prefect_healing.tools.tool import ToolContext

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import Flow as FlowRecord
    from prefect.client.schemas.objects import FlowRun, State, TaskRun
    from prefect.client.schemas.responses import DeploymentResponse

HEALING_TAG = "healing"
HEALING_FLOWS = frozenset({"heal", "triage", "repair"})
PAGE_MAX = 200  # The server refuses more.
TASK_RUNS_MAX = 2_000
MESSAGE_CHARS_MAX = 4_000

_CLIENT_ERRORS = range(400, 500)
_ASK_AGAIN = frozenset({408, 429})
_VARIABLE_PART = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|0x[0-9a-f]+|\b[0-9a-f]{12,}\b|\d+", re.IGNORECASE
)


@asynccontextmanager
async def prefect_client() -> "AsyncGenerator[PrefectClient]":
    """Open a Prefect client; inside, ToolFailed and ToolUnavailable stand for what the API answers."""
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    async with AsyncExitStack() as opened:
        try:
            client = await opened.enter_async_context(get_client())
        except (httpx.HTTPError, RuntimeError, OSError) as error:
            raise _no_answer(error) from error
        except ValueError as error:  # No address, and no temporary server wanted.
            raise ConfigurationError(f"There is no Prefect server to talk to: {error}") from error
        try:
            yield client
        except ObjectNotFound as error:
            raise ToolFailed("The Prefect server knows no such object; check the id or the name.") from error
        except httpx.HTTPStatusError as error:
            raise _in_our_words(error.response.status_code, error.response.text) from error
        except httpx.TransportError as error:
            raise _no_answer(error) from error


def _no_answer(error: Exception) -> ToolUnavailable:
    from prefect.settings import get_current_settings

    where = get_current_settings().api.url or "the temporary server"
    return ToolUnavailable(
        f"The Prefect API at {where} did not answer: {type(error).__name__}: {error}. "
        "Is the server up, and is PREFECT_API_URL right?"
    )


def _in_our_words(status: int, body: str) -> ToolFailed | ToolUnavailable:
    if status in _CLIENT_ERRORS and status not in _ASK_AGAIN:
        return ToolFailed(f"The Prefect server refused this with {status}: {bounded(body, 500)}")
    return ToolUnavailable(f"The Prefect server answered {status}; ask again later.")


def run_or_own(ctx: ToolContext, flow_run_id: UUID | None) -> UUID:
    """Return the flow run that is meant: the incident's own where none was named."""
    return flow_run_id or ctx.incident.subject.flow_run_id


def bounded(text: str | None, chars_max: int = MESSAGE_CHARS_MAX) -> str:
    """Return `text` as valid Unicode, with its middle cut out where it is longer than `chars_max`."""
    whole = text or ""
    if len(whole) > chars_max:
        head, tail = chars_max * 2 // 3, chars_max // 3
        whole = f"{whole[:head]} [... {len(whole) - head - tail} characters cut ...] {whole[-tail:]}"
    return whole.encode("utf-8", "replace").decode("utf-8")


def message_shape(message: str | None) -> str:
    """Return a message without ids, numbers and addresses, so that two failures of one kind compare equal."""
    return " ".join(_VARIABLE_PART.sub("#", (message or "")[:MESSAGE_CHARS_MAX]).split())


def json_values(value: object, chars_max: int = MESSAGE_CHARS_MAX) -> Any:  # noqa: ANN401  JSON is what it is.
    """Return what the API gave as plain JSON values, long strings cut."""
    if isinstance(value, Mapping):
        pairs: list[tuple[object, object]] = list(value.items())  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        return {bounded(str(key), 200): json_values(each, chars_max) for key, each in pairs}
    if isinstance(value, list | tuple | set):
        items: list[object] = list(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        return [json_values(each, chars_max) for each in items]
    if value is None or isinstance(value, bool | int | float):
        return value
    return bounded(str(value), chars_max)


def url_of(kind: str, object_id: UUID) -> str | None:
    """Return where an object (`flow-run`, `deployment`) is seen in the Prefect UI, None where no UI is known."""
    from prefect.utilities.urls import url_for

    return url_for(kind, obj_id=object_id)


async def deployment_of(client: "PrefectClient", run: "FlowRun") -> "DeploymentResponse | None":
    """Return a run's deployment, None where it has none or it was deleted."""
    from prefect.exceptions import ObjectNotFound

    if run.deployment_id is None:
        return None
    try:
        return await client.read_deployment(run.deployment_id)
    except ObjectNotFound:
        return None


async def deployment_name_of(client: "PrefectClient", deployment: "DeploymentResponse") -> str:
    """Return `flow/deployment`."""
    flow = await client.read_flow(deployment.flow_id)
    return f"{flow.name}/{deployment.name}"


async def named_deployment(client: "PrefectClient", name: str) -> "DeploymentResponse":
    """Return the deployment `flow/deployment`. Raises ToolFailed where there is none."""
    from prefect.exceptions import ObjectNotFound

    try:
        return await client.read_deployment_by_name(name)
    except ObjectNotFound as error:
        raise ToolFailed(f"There is no deployment {name!r}; names read flow/deployment.") from error


async def run_of(client: "PrefectClient", flow_run_id: UUID) -> "FlowRun":
    """Return a flow run. Raises ToolFailed where there is none."""
    from prefect.exceptions import ObjectNotFound

    try:
        return await client.read_flow_run(flow_run_id)
    except ObjectNotFound as error:
        raise ToolFailed(f"There is no flow run {flow_run_id}; leave the id out to mean the incident's own.") from error


async def flow_of(client: "PrefectClient", run: "FlowRun") -> "FlowRecord":
    """Return the flow of a run, as the server knows it."""
    return await client.read_flow(run.flow_id)


async def states_of(client: "PrefectClient", flow_run_id: UUID) -> "list[State]":
    """Return the states that a run had, oldest first."""
    states = await client.read_flow_run_states(flow_run_id)
    return sorted(states, key=lambda state: state.timestamp)


async def task_runs_of(client: "PrefectClient", flow_run_id: UUID) -> "list[TaskRun]":
    """Return a run's task runs as first expected to start, at most TASK_RUNS_MAX of them."""
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
    from prefect.client.schemas.sorting import TaskRunSort

    found: list[TaskRun] = []
    while len(found) < TASK_RUNS_MAX:
        page = await client.read_task_runs(
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id])),
            sort=TaskRunSort.EXPECTED_START_TIME_ASC,
            limit=PAGE_MAX,
            offset=len(found),
        )
        found.extend(page)
        if len(page) < PAGE_MAX:
            break
    return found


def rerun_tag(flow_run_id: UUID) -> str:
    """Return the tag that links a new run to the failed one that it repeats."""
    return f"rerun-of:{flow_run_id}"


def belongs_to_healing(flow_name: str, tags: "list[str]") -> bool:
    """Say whether a flow run or a deployment is part of healing itself, which is never healed."""
    return HEALING_TAG in tags or flow_name in HEALING_FLOWS
