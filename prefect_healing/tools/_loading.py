"""Running a table's declared loader for one day: once for an effect, to its end."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date
from typing import TYPE_CHECKING, Any, NamedTuple

from prefect_healing.domain.catalog import Loader, Table
from prefect_healing.domain.record import JsonObject
from prefect_healing.errors import ActionInterrupted, ToolFailed
from prefect_healing.registry import find_flow
from prefect_healing.tools._entrypoints import flow_name_of
from prefect_healing.tools._outcomes import run_ended_well
from prefect_healing.tools._reruns import incident_tag
from prefect_healing.tools.flow_process import run_detached
from prefect_healing.tools.prefect_api import belongs_to_healing, named_deployment, prefect_client, run_of, url_of
from prefect_healing.tools.tool import ToolContext

if TYPE_CHECKING:
    from uuid import UUID

    from prefect import Flow
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun
    from prefect.client.schemas.responses import DeploymentResponse

_ATTEMPTS_MAX = 5

BeginAgain = Callable[[], Awaitable[None]]
"""Makes the partition what it was, before a load that was killed half way is begun again."""


class Loaded(NamedTuple):
    """How a load ended. `well` is None where it goes on still, so that nobody knows."""

    flow_run_id: "UUID"
    well: bool | None
    detail: str


def loader_of(table: Table) -> Loader:
    """Return what loads a table. Raises ToolFailed where nothing is declared, or dbt does."""
    if table.loader is None:
        raise ToolFailed(f"Table {table.name} declares no loader in the catalog, so nobody knows how to load it again.")
    if table.loader.dbt is not None:
        raise ToolFailed(
            f"Table {table.name} is built by dbt; propose run_dbt with select {table.loader.dbt!r} instead."
        )
    return table.loader


async def loader_version(ctx: ToolContext, loader: Loader) -> str:
    """Return what changes when the loader does. Raises ToolFailed where it cannot be run."""
    if loader.deployment is None:
        _flow_name(ctx, loader)
        return loader.name
    async with prefect_client() as client:
        found = await _own_deployment(client, loader.deployment)
    _refuse_unknown_parameter(found, loader)
    return f"{found.id}:{found.version_id or found.version or ''}"


async def load(ctx: ToolContext, loader: Loader, day: date, key: str, begin_again: BeginAgain) -> Loaded:
    """Run the loader for a day under `key`, or go on with the run that an earlier attempt began; wait for its end.

    It waits `verify_seconds` at most. A deployed run that nobody has taken by then is cancelled.
    """
    if loader.deployment is not None:
        return await _load_deployed(ctx, loader.deployment, {loader.parameter: day.isoformat()}, key)
    return await _load_here(ctx, loader, {loader.parameter: day.isoformat()}, key, begin_again)


async def _load_deployed(ctx: ToolContext, deployment: str, parameters: dict[str, Any], key: str) -> Loaded:
    from prefect.deployments import arun_deployment

    async with prefect_client() as client:
        await _own_deployment(client, deployment)
        run: FlowRun = await arun_deployment(
            deployment,
            client=client,
            parameters=parameters,
            timeout=0,
            as_subflow=False,
            idempotency_key=key,
            tags=[incident_tag(ctx)],
        )
        data: JsonObject = {"flow_run_id": str(run.id), "not_before": None, "url": url_of("flow-run", run.id)}
        await run_ended_well("load", data, ctx.settings.verify_seconds)
        if await _cancelled_before_it_began(client, run):
            return Loaded(
                run.id, well=False, detail=f"no worker took flow run {run.name} of {deployment}, so it was cancelled"
            )
        return _ending(await run_of(client, run.id))


async def _cancelled_before_it_began(client: "PrefectClient", run: "FlowRun") -> bool:
    from prefect.states import Cancelled

    now = await run_of(client, run.id)
    if now.state is None or not (now.state.is_scheduled() or now.state.is_pending()):
        return False
    await client.set_flow_run_state(run.id, Cancelled(message="The repair that wanted it waited long enough."))
    now = await run_of(client, run.id)
    return now.state is not None and now.state.is_cancelled() and not now.run_count


async def _load_here(
    ctx: ToolContext, loader: Loader, parameters: dict[str, Any], key: str, begin_again: BeginAgain
) -> Loaded:
    flow = _flow(ctx, loader)
    async with prefect_client() as client:
        flow_id = await client.create_flow(flow)
        number, run = await _latest(client, flow_id, key)
        if run is not None and _died(run):
            await begin_again()
            # A new run: one that is brought back would not repeat the tasks whose results it finds.
            run = await _next(ctx, client, flow_id, parameters, key, number, run)
        if run is None:
            run = await _create(ctx, client, flow_id, parameters, f"{key}-1")
        if run.state is not None and not run.state.is_final():
            await _run_to_its_end(flow, run, ctx.settings.verify_seconds)
        return _ending(await run_of(client, run.id))


async def _run_to_its_end(flow: "Flow[..., Any]", run: "FlowRun", seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await run_detached(flow, run)
    except TimeoutError:  # It cannot be stopped; its state says that it goes on.
        return


async def _latest(client: "PrefectClient", flow_id: "UUID", key: str) -> "tuple[int, FlowRun | None]":
    """Return the last attempt, by number, that was begun under the key."""
    latest: FlowRun | None = None
    for number in range(1, _ATTEMPTS_MAX + 1):
        found = await _under(client, flow_id, f"{key}-{number}")
        if found is None:
            return number - 1, latest
        latest = found
    return _ATTEMPTS_MAX, latest


async def _under(client: "PrefectClient", flow_id: "UUID", key: str) -> "FlowRun | None":
    from prefect.client.schemas import filters

    found = await client.read_flow_runs(
        flow_filter=filters.FlowFilter(id=filters.FlowFilterId(any_=[flow_id])),
        flow_run_filter=filters.FlowRunFilter(idempotency_key=filters.FlowRunFilterIdempotencyKey(any_=[key])),
        limit=1,
    )
    return found[0] if found else None


def _died(run: "FlowRun") -> bool:
    """Say whether a run was killed. The repair holds the incident's lock, so nobody runs one that says Running."""
    state = run.state
    return state is not None and (state.is_crashed() or state.is_running() or state.name in ("Cancelling", "Retrying"))


async def _next(
    ctx: ToolContext,
    client: "PrefectClient",
    flow_id: "UUID",
    parameters: dict[str, Any],
    key: str,
    number: int,
    dead: "FlowRun",
) -> "FlowRun":
    from prefect.states import Crashed

    if number >= _ATTEMPTS_MAX:
        raise ToolFailed(f"The load was begun {number} times and killed each time; the partition is as it was.")
    run = await _create(ctx, client, flow_id, parameters, f"{key}-{number + 1}")
    if dead.state is not None and not dead.state.is_final():
        ended = Crashed(message="The process that ran it was killed.")
        await client.set_flow_run_state(dead.id, ended, force=True)
    return run


async def _create(
    ctx: ToolContext, client: "PrefectClient", flow_id: "UUID", parameters: dict[str, Any], key: str
) -> "FlowRun":
    """Create the run under our key: asked twice, the server answers with the first."""
    from prefect.client.schemas.actions import FlowRunCreate, StateCreate
    from prefect.client.schemas.objects import FlowRun, StateType

    wanted = FlowRunCreate(
        flow_id=flow_id,
        parameters=parameters,
        tags=[incident_tag(ctx)],
        idempotency_key=key,
        state=StateCreate(type=StateType.PENDING, name="Pending"),
    )
    answer = await client.request("POST", "/flow_runs/", json=wanted.model_dump(mode="json", exclude_unset=True))
    return FlowRun.model_validate(answer.json())


def _ending(run: "FlowRun") -> Loaded:
    """Return how a run ended; not what it says of it, which may quote the data."""
    state = run.state
    if state is None or not state.is_final():
        return Loaded(run.id, None, f"flow run {run.name} is {run.state_name} still")
    return Loaded(run.id, state.is_completed(), f"flow run {run.name} ended {state.name}")


def _flow(ctx: ToolContext, loader: Loader) -> "Flow[..., Any]":
    flow = find_flow(_flow_name(ctx, loader), loader.flow, ctx.incident.options.code_root)
    if flow is None or flow.isgenerator:
        raise ToolFailed(f"The loader {loader.name} cannot be loaded as a flow here; a person has to run it.")
    return flow


def _flow_name(ctx: ToolContext, loader: Loader) -> str:
    name = flow_name_of(loader.name, ctx.incident.options.code_root)
    if name is None:
        raise ToolFailed(f"The code of loader {loader.name} is not where the catalog says; a person has to run it.")
    if belongs_to_healing(name, []):
        raise ToolFailed(f"The loader {loader.name} is part of healing itself, which a repair never runs.")
    return name


async def _own_deployment(client: "PrefectClient", name: str) -> "DeploymentResponse":
    found = await named_deployment(client, name)
    if belongs_to_healing(name.partition("/")[0], found.tags):
        raise ToolFailed(f"Deployment {name} is part of healing itself, which a repair never touches.")
    return found


def _refuse_unknown_parameter(found: "DeploymentResponse", loader: Loader) -> None:
    known = (found.parameter_openapi_schema or {}).get("properties")
    if isinstance(known, dict) and loader.parameter not in known:
        raise ToolFailed(
            f"Deployment {loader.deployment} has no parameter {loader.parameter!r} that takes the partition; "
            "correct `parameter` of the loader in the catalog."
        )


def interrupted(loaded: Loaded, why: str) -> ActionInterrupted:
    """Return the error of a load of which nobody knows what it wrote."""
    return ActionInterrupted(f"Nobody knows what was loaded: {loaded.detail}{why}. A person has to look at the table.")
