"""One model call, as a Prefect task: persisted, so that a reply is paid for once."""

import asyncio
import random
import re
from datetime import datetime
from typing import TYPE_CHECKING

from prefect import task

from prefect_healing.agent.agent import Agent, Position, key_of
from prefect_healing.agent.budget import Spent
from prefect_healing.agent.transcript import Transcript
from prefect_healing.clock import now
from prefect_healing.domain.record import JsonObject, Record
from prefect_healing.errors import ConfigurationError, ModelMisbehaved, ModelUnavailable
from prefect_healing.models.model import Reply, Request
from prefect_healing.workbench import Workbench

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State, TaskRun
    from prefect.tasks import Task

RETRIES = 3
WAIT_SECONDS_MAX = 60.0


class Asked(Record):
    """How a model call ended: a reply, or why there is none.

    `unavailable` hands over to another model; `beyond` says which limit was reached.
    """

    reply: Reply | None = None
    unavailable: str | None = None
    beyond: str | None = None
    lost_usd: float = 0.0
    seconds: float = 0.0


class Sending(Record):
    """Written before a call is sent: how often it was, what it may cost, and what it adds to what was sent before.

    `free` counts the attempts that the service refused, which cost nothing.
    """

    attempts: int
    free: int = 0
    ceiling_usd: float
    model: str
    system: str | None = None
    tools: tuple[JsonObject, ...] | None = None
    messages: tuple[JsonObject, ...] = ()

    @property
    def lost_usd(self) -> float:
        """Return the most that the attempts can have cost whose replies were lost."""
        return (self.attempts - self.free) * self.ceiling_usd


class Exchange:
    """What `ask` needs. A plain class on purpose: Prefect walks through records and collections it is given."""

    def __init__(
        self,
        bench: Workbench,
        agent: Agent,
        transcript: Transcript,
        spent: Spent,
        at: Position,
        deadline_at: datetime,
    ) -> None:
        self.bench, self.agent, self.transcript, self.spent, self.at = bench, agent, transcript, spent, at
        self.deadline_at, self.began_at = deadline_at, now()
        self.key = key_of(bench.incident.id, agent, at, "ask")

    def __str__(self) -> str:
        """Name the model, for the task run's name."""
        return self.agent.model.id

    @property
    def sending_key(self) -> str:
        """Return where the journal keeps what was sent."""
        return sending_key(self.agent, self.at)


def sending_key(agent: Agent, at: Position) -> str:
    """Return where the journal keeps what was sent at a position."""
    return f"round-{at.round}/sent/{folder_of(agent)}/{at.turn}"


def folder_of(agent: Agent) -> str:
    """Return the folder of what one agent sent to one model."""
    return f"{agent.name}-{re.sub(r'[^A-Za-z0-9_.-]', '-', agent.model.id)}"


async def _worth_another_try(task: "Task[..., str]", task_run: "TaskRun", state: "State[str]") -> bool:
    """Wait as long as the service asked, or back off, then let Prefect try again."""
    error = await state.aresult(raise_on_failure=False)
    if not isinstance(error, ModelUnavailable):
        return False
    back_off = 0.5 * 2**task_run.run_count * random.uniform(0.75, 1.0)  # noqa: S311 - jitter is no secret
    asked_for = error.retry_after_seconds
    await asyncio.sleep(min(back_off if asked_for is None else asked_for, WAIT_SECONDS_MAX))
    return True


@task(
    name="ask",
    task_run_name="ask {exchange}",
    cache_key_fn=lambda _, parameters: parameters["exchange"].key,
    persist_result=True,
    result_serializer="json",
    refresh_cache=False,
    retries=RETRIES,
    retry_delay_seconds=0,
    retry_condition_fn=_worth_another_try,
)
async def ask(exchange: Exchange) -> str:
    """Return the JSON text of an Asked. Counts the call against the budget before it is sent."""
    bench, agent = exchange.bench, exchange.agent
    before = await bench.journal.read(exchange.sending_key, Sending)
    lost_usd = before.lost_usd if before else 0.0
    request, ceiling_usd = _affordable(exchange, lost_usd)
    beyond = exchange.spent.beyond(agent.budget, lost_usd + ceiling_usd)
    if beyond is None and now() > exchange.deadline_at:
        beyond = f"The incident's deadline, {exchange.deadline_at:%H:%M:%S} UTC, has passed."
    if beyond is not None:
        return Asked(beyond=beyond, lost_usd=lost_usd).model_dump_json()
    sending = _sending(exchange, before, ceiling_usd)
    await bench.journal.write(exchange.sending_key, sending)
    try:
        reply, unavailable = await agent.model.reply(request), None
    except ModelUnavailable as error:
        if not error.may_have_cost:
            free = sending.model_copy(update={"free": sending.free + 1})
            await bench.journal.write(exchange.sending_key, free)
        if _may_try_again(error):
            raise
        reply, unavailable = None, bench.redacted(str(error))
    except (ModelMisbehaved, ConfigurationError) as error:
        reply, unavailable = None, bench.redacted(str(error))
    except Exception as error:  # noqa: BLE001 - a Model of a team's own may raise anything; the rules then investigate
        reply, unavailable = None, bench.redacted(f"{agent.model.id} broke: {type(error).__name__}: {error}")
    seconds = (now() - exchange.began_at).total_seconds()  # Of all tries, and of the waits between them.
    return Asked(reply=reply, unavailable=unavailable, lost_usd=lost_usd, seconds=seconds).model_dump_json()


def _affordable(exchange: Exchange, lost_usd: float) -> tuple[Request, float]:
    """Return the call with the longest reply that the budget still pays for, else the shortest, and its ceiling."""
    agent, tokens = exchange.agent, exchange.agent.budget.reply_tokens
    while True:
        request = exchange.transcript.request(tokens)
        ceiling_usd = agent.model.cost_ceiling_usd(request)
        fits = exchange.spent.cost_usd + lost_usd + ceiling_usd <= agent.budget.cost_usd
        if fits or tokens // 2 < agent.budget.reply_tokens_min:
            return request, ceiling_usd
        tokens //= 2


def _sending(exchange: Exchange, before: Sending | None, ceiling_usd: float) -> Sending:
    transcript, first = exchange.transcript, exchange.at.turn == 0
    return Sending(
        attempts=(before.attempts if before else 0) + 1,
        free=before.free if before else 0,
        ceiling_usd=ceiling_usd,
        model=exchange.agent.model.id,
        system=transcript.system if first else None,
        tools=transcript.tools if first else None,
        messages=transcript.messages if first else _new_messages(transcript),
    )


def _new_messages(transcript: Transcript) -> tuple[JsonObject, ...]:
    """Return what was added since the call before: its reply, and what followed it."""
    followed = transcript.messages[-1]["role"] == "user"
    return transcript.messages[-2:] if followed else transcript.messages[-1:]


def _may_try_again(error: ModelUnavailable) -> bool:
    from prefect.context import TaskRunContext

    context = TaskRunContext.get()
    tried = context.task_run.run_count if context else RETRIES + 1
    return tried <= RETRIES and (error.retry_after_seconds or 0) <= WAIT_SECONDS_MAX
