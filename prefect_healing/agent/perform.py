"""One tool call, as a Prefect task: persisted, so that what a model was told is what it will always have been told."""

from collections.abc import Callable, Coroutine
from functools import cache
from typing import Any

from prefect import task

from prefect_healing.agent.agent import Agent, Position, key_of
from prefect_healing.agent.observation import Observation, Previewed
from prefect_healing.clock import now
from prefect_healing.domain.mandate import Decision
from prefect_healing.domain.record import JsonObject
from prefect_healing.errors import StorageUnavailable, ToolError, ToolFailed, ToolUnavailable
from prefect_healing.models.model import ToolCall
from prefect_healing.tools.evidence import Spilled, spill_key
from prefect_healing.tools.tool import AnyTool
from prefect_healing.tools.toolset import offered_name
from prefect_healing.workbench import Workbench


class Invocation:
    """What `perform` needs. A plain class on purpose, as `Exchange` is."""

    def __init__(
        self,
        bench: Workbench,
        agent: Agent,
        tool: AnyTool,
        call: ToolCall,
        arguments: JsonObject,
        decision: Decision,
        at: Position,
        evidence_id: str,
    ) -> None:
        self.bench, self.agent, self.tool, self.call = bench, agent, tool, call
        self.arguments, self.decision, self.at, self.evidence_id = arguments, decision, at, evidence_id
        self.key = key_of(bench.incident.id, agent, at, call)


@task(
    cache_key_fn=lambda _, parameters: parameters["invocation"].key,
    persist_result=True,
    result_serializer="json",
    refresh_cache=False,
    retry_delay_seconds=1,
    retry_jitter_factor=0.5,
)
async def perform(invocation: Invocation) -> str:
    """Return the JSON text of the Observation. A tool that fails is an answer; only an unavailable one is retried."""
    started = now()
    try:
        text, previewed = await _outcome(invocation)
        status = "ok"
    except ToolUnavailable as error:
        if not is_last_try(invocation.tool):
            raise
        text, previewed, status = str(error), None, "unavailable"
    except ToolError as error:
        text, previewed, status = str(error), None, "failed"
    except StorageUnavailable:
        raise
    except Exception as error:  # noqa: BLE001 - a defect of one tool is told as what it is, and ends nothing
        text, previewed, status = f"The tool broke: {type(error).__name__}: {error}", None, "failed"
    text = invocation.bench.redacted(text)
    shown = await _shown(invocation, text)
    if previewed is not None:  # After the redaction, which would take the token for a secret.
        shown = f"{shown}\nconfirmation token: {previewed.token}"
    return Observation(
        call=invocation.call,
        status=status,
        text=f"[{invocation.evidence_id}]\n{shown}",
        decision=invocation.decision,
        started_at=started,
        seconds=(now() - started).total_seconds(),
        evidence_id=invocation.evidence_id,
        previewed=previewed,
        spilled_chars=len(text) if len(text) > invocation.agent.budget.output_chars else 0,
    ).model_dump_json()


@cache
def task_for(tool: AnyTool) -> "Callable[[Invocation], Coroutine[Any, Any, str]]":
    """Return the task that performs `tool`, under the tool's own name and retries."""
    name = offered_name(tool)
    return perform.with_options(name=name, task_run_name=name, retries=tool.retries)


async def _outcome(invocation: Invocation) -> tuple[str, Previewed | None]:
    bench, tool, arguments = invocation.bench, invocation.tool, invocation.arguments
    context = bench.context()
    if not tool.writes:
        return (await tool.run(context, arguments)).model_dump_json(exclude_none=True), None
    scope = await tool.run_preview(context, arguments)
    if bench.redacted(scope.summary) != scope.summary:
        raise ToolFailed("The preview's summary holds a secret; nothing may be proposed on it.")
    token = bench.token(invocation.at.round, tool.name, arguments, scope)
    previewed = Previewed(tool=tool.name, arguments=arguments, scope=scope, token=token)
    return scope.model_dump_json(), previewed


async def _shown(invocation: Invocation, text: str) -> str:
    """Return `text`, or its head and tail where it is long; the whole goes to the journal, to be read on."""
    limit = invocation.agent.budget.output_chars
    if len(text) <= limit:
        return text
    key = spill_key(invocation.bench.incident, invocation.evidence_id)
    await invocation.bench.journal.write(key, Spilled(text=text))
    head, tail = text[: limit * 2 // 3], text[-limit // 3 :]
    cut = len(text) - len(head) - len(tail)
    note = f"[{cut} characters cut; read on with read_more(evidence_id={invocation.evidence_id!r}, offset={len(head)})]"
    return f"{head}\n{note}\n{tail}"


def is_last_try(tool: AnyTool) -> bool:
    """Say whether Prefect will not run the current task again when it fails."""
    from prefect.context import TaskRunContext

    context = TaskRunContext.get()
    return context is None or context.task_run.run_count > tool.retries
