"""Running failed runs again without a deployment, and deployments without a worker."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from prefect import flow, get_client, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from prefect.context import FlowRunContext
from prefect.settings import PREFECT_TASKS_DEFAULT_RETRIES, temporary_settings
from prefect.states import Completed, Running

from prefect_healing.domain.plan import Scope
from prefect_healing.domain.repair import Receipt
from prefect_healing.errors import ToolFailed
from prefect_healing.registry import register
from prefect_healing.settings import Settings
from prefect_healing.tools.prefect_write import (
    pause_deployment,
    resume_deployment,
    retry_flow_run,
    run_deployment,
)
from prefect_healing.tools.tool import AnyTool, Applied, ToolContext
from tests.tools.conftest import About, Fail

pytestmark = pytest.mark.usefixtures("prefect_server")


class Vendor:
    """An outside world that fails until it is told not to, and counts what was done to it."""

    def __init__(self) -> None:
        self.up = False
        self.done: list[str] = []

    def ask(self) -> None:
        if not self.up:
            raise ConnectionError("vendor is down")


@pytest.fixture
def vendor() -> Vendor:
    return Vendor()


@pytest.fixture
def name() -> str:
    return f"write-{uuid4().hex[:8]}"


async def test_the_preview_names_the_finished_tasks_that_a_new_run_would_repeat(
    fail: Fail, about: About, vendor: Vendor, name: str
):
    """A new run finds only results kept under a key that does not hold the old run's id."""

    @task(persist_result=True, cache_key_fn=lambda _context, _arguments: f"{name}-keyed")
    def keyed() -> int:
        return 1

    @task(persist_result=True)
    def kept_for_its_run() -> int:
        return 2

    @task
    def not_kept() -> int:
        return 3

    @flow(name=name)
    def pipeline() -> None:
        keyed(), kept_for_its_run(), not_kept()
        vendor.ask()

    register(pipeline)
    run = await fail(pipeline)

    scope = await retry_flow_run.run_preview(about(run), {"flow_run_id": run.id})

    assert _tasks(scope) == ["kept_for_its_run", "not_kept"]
    assert scope.flow_runs == (str(run.id),)
    assert scope.basis == str(run.state_id)
    assert "3 finished tasks; 2 would repeat" in scope.summary


async def test_the_same_run_repeats_only_what_is_not_kept_or_not_there(
    fail: Fail, about: About, vendor: Vendor, name: str, tmp_path: Path
):
    """A result replays in the same run if it is whole, where its state says, and under a key."""

    @task(persist_result=True)
    def kept() -> int:
        return 1

    @task
    def not_kept() -> int:
        return 2

    @task(persist_result=True, cache_policy=NO_CACHE)
    def kept_under_no_key() -> int:
        return 3

    @task(persist_result=True, result_storage_key=f"{name}-torn")
    def torn() -> int:
        return 4

    @task(persist_result=True, cache_key_fn=lambda _context, _arguments: f"{name}-gone")
    def gone() -> int:
        return 5

    @flow(name=name)
    def pipeline() -> None:
        kept(), not_kept(), kept_under_no_key(), torn(), gone()
        vendor.ask()

    run = await fail(pipeline)
    from prefect.settings import PREFECT_LOCAL_STORAGE_PATH

    storage = Path(PREFECT_LOCAL_STORAGE_PATH.value())
    (storage / f"{name}-torn").write_text('{"metadata":')
    (storage / f"{name}-gone").unlink()

    scope = await _same_run_scope(run)

    assert _tasks(scope) == ["gone", "kept_under_no_key", "not_kept", "torn"]


async def test_a_finished_subflow_repeats_with_all_that_is_in_it(fail: Fail, about: About, vendor: Vendor, name: str):
    @task(persist_result=True)
    def inner() -> int:
        return 1

    @flow(name=f"{name}-unkept")
    def unkept() -> int:
        return inner()

    @flow(name=f"{name}-kept", persist_result=True)
    def kept() -> int:
        return inner()

    @flow(name=name)
    def pipeline() -> None:
        unkept(), kept()
        vendor.ask()

    run = await fail(pipeline)

    scope = await _same_run_scope(run)

    assert len(scope.repeats) == 2
    assert scope.repeats[0].startswith(f"{name}-unkept")
    assert " > inner" in scope.repeats[1]


async def test_a_run_without_a_deployment_is_run_again_as_a_new_linked_run(
    fail: Fail, about: About, vendor: Vendor, name: str
):
    seen: list[FlowRunContext | None] = []

    @flow(name=name)
    async def pipeline(day: str) -> None:
        seen.append(FlowRunContext.get())
        vendor.ask()
        vendor.done.append(day)

    register(pipeline)
    run = await fail(pipeline, day="2013-01-01")
    ctx = await _carrying_out(about(run), retry_flow_run, flow_run_id=run.id)
    vendor.up = True

    applied = await retry_flow_run(ctx, run.id)

    new = await _read(applied)
    check = await retry_flow_run.verify(ctx, _receipt(applied, retry_flow_run))
    assert vendor.done == ["2013-01-01"]
    assert new.id != run.id
    assert new.state_name == "Completed"
    assert {f"incident:{ctx.incident.id}", f"rerun-of:{run.id}"} <= set(new.tags)
    assert new.parent_task_run_id is None
    assert seen[0] is not seen[1]
    assert check.status == "passed"
    assert applied.undo is None


async def test_inside_a_flow_a_re_run_is_no_subflow(fail: Fail, about: About, vendor: Vendor, name: str):
    """It runs in a context of its own, though with this process's Prefect settings."""

    @flow(name=name)
    def pipeline() -> None:
        vendor.ask()
        vendor.done.append("done")

    register(pipeline)
    run = await fail(pipeline)
    ctx = await _carrying_out(about(run), retry_flow_run, flow_run_id=run.id)
    vendor.up = True

    @flow(name="repairing", validate_parameters=False)
    async def repairing() -> Applied:
        return await retry_flow_run(ctx, run.id)

    new = await _read(await repairing())

    assert vendor.done == ["done"]
    assert new.parent_task_run_id is None


async def test_a_re_run_has_the_settings_of_whoever_started_it(fail: Fail, about: About, vendor: Vendor, name: str):
    @flow(name=name)
    async def pipeline() -> None:
        vendor.ask()
        vendor.done.append(str(PREFECT_TASKS_DEFAULT_RETRIES.value()))

    register(pipeline)
    run = await fail(pipeline)
    ctx = await _carrying_out(about(run), retry_flow_run, flow_run_id=run.id)
    vendor.up = True

    with temporary_settings({PREFECT_TASKS_DEFAULT_RETRIES: 7}):
        await retry_flow_run(ctx, run.id)

    assert vendor.done == ["7"]


async def test_carried_out_twice_it_runs_once(fail: Fail, about: About, vendor: Vendor, name: str):
    @flow(name=name)
    def pipeline() -> None:
        vendor.ask()
        vendor.done.append("done")

    register(pipeline)
    run = await fail(pipeline)
    ctx = await _carrying_out(about(run), retry_flow_run, flow_run_id=run.id)
    vendor.up = True

    assert await retry_flow_run.look(ctx, {"flow_run_id": run.id}) is None
    first = await retry_flow_run(ctx, run.id)
    second = await retry_flow_run(ctx, run.id)
    found = await retry_flow_run.look(ctx, {"flow_run_id": run.id})

    assert first == second == found
    assert vendor.done == ["done"]


async def test_a_half_done_re_run_is_continued_and_never_begun_again(
    fail: Fail, about: About, vendor: Vendor, name: str
):
    """What the dead half had finished and kept is not repeated."""

    @task(persist_result=True)
    def effect() -> None:
        vendor.done.append("effect")

    @flow(name=name)
    def pipeline() -> None:
        effect()
        vendor.ask()
        vendor.done.append("end")

    register(pipeline)
    run = await fail(pipeline)
    ctx = await _carrying_out(about(run), retry_flow_run, flow_run_id=run.id)
    half = await _read(await retry_flow_run(ctx, run.id))
    vendor.up = True
    async with get_client() as client:  # As it stands when a process was killed in the middle of it.
        await client.set_flow_run_state(half.id, Running(), force=True)

    assert await retry_flow_run.look(ctx, {"flow_run_id": run.id}) is None
    whole = await _read(await retry_flow_run(ctx, run.id))

    assert whole.id == half.id
    assert whole.state_name == "Completed"
    assert vendor.done == ["effect", "effect", "end"]
    assert len(await _runs_of(name)) == 2


async def test_a_re_run_that_fails_is_told_with_its_message(fail: Fail, about: About, vendor: Vendor, name: str):
    @flow(name=name)
    def pipeline() -> None:
        vendor.ask()

    register(pipeline)
    run = await fail(pipeline)
    ctx = await _carrying_out(about(run), retry_flow_run, flow_run_id=run.id)

    applied = await retry_flow_run(ctx, run.id)
    check = await retry_flow_run.verify(ctx, _receipt(applied, retry_flow_run))

    assert check.status == "failed"
    assert "vendor is down" in check.detail
    assert check.link is not None


async def test_a_flow_that_ends_the_process_ends_only_its_own_run(fail: Fail, about: About, vendor: Vendor, name: str):
    @flow(name=name)
    def pipeline() -> None:
        if vendor.up:
            raise SystemExit(3)
        vendor.ask()

    register(pipeline)
    run = await fail(pipeline)
    ctx = await _carrying_out(about(run), retry_flow_run, flow_run_id=run.id)
    vendor.up = True

    applied = await retry_flow_run(ctx, run.id)

    assert (await _read(applied)).state_name == "Crashed"


async def test_a_re_run_waits_until_its_time_but_not_for_long(fail: Fail, about: About, vendor: Vendor, name: str):
    @flow(name=name)
    def pipeline() -> None:
        vendor.ask()

    register(pipeline)
    run = await fail(pipeline)
    ctx = await _carrying_out(about(run), retry_flow_run, flow_run_id=run.id)
    vendor.up = True
    soon = datetime.now(UTC) + timedelta(seconds=1.5)

    with pytest.raises(ToolFailed, match="at most 600 seconds"):
        await retry_flow_run(ctx, run.id, datetime.now(UTC) + timedelta(hours=1))
    new = await _read(await retry_flow_run(ctx, run.id, soon))

    assert new.start_time is not None
    assert new.start_time >= soon


async def test_a_flow_that_nobody_can_find_is_a_no_with_the_remedy(fail: Fail, about: About, vendor: Vendor, name: str):
    @flow(name=name)
    def pipeline() -> None:
        vendor.ask()

    run = await fail(pipeline)

    with pytest.raises(ToolFailed, match="deploy it"):
        await retry_flow_run.run_preview(about(run), {"flow_run_id": run.id})


async def test_a_flow_is_found_by_its_entrypoint(fail: Fail, about: About, name: str, tmp_path: Path):
    marker = tmp_path / "up"
    (tmp_path / "script.py").write_text(
        f"from pathlib import Path\nfrom prefect import flow\n\n@flow(name={name!r})\ndef pipeline():\n"
        f"    if not Path({str(marker)!r}).exists():\n        raise ConnectionError('vendor is down')\n"
    )
    from prefect.flows import load_flow_from_entrypoint

    run = await fail(load_flow_from_entrypoint(f"{tmp_path}/script.py:pipeline"))
    ctx = about(run, entrypoint="script.py:pipeline", code_root=str(tmp_path))
    ctx = await _carrying_out(ctx, retry_flow_run, flow_run_id=run.id)
    marker.touch()

    applied = await retry_flow_run(ctx, run.id)

    assert (await _read(applied)).state_name == "Completed"


async def test_what_did_not_fail_is_not_re_run(about: About, name: str, prefect_server: str):
    @flow(name=name)
    def fine() -> None:
        pass

    state = await asyncio.to_thread(fine, return_state=True)
    run_id = state.state_details.flow_run_id

    with pytest.raises(ToolFailed, match="not failed"):
        await retry_flow_run.run_preview(about(), {"flow_run_id": run_id})


@pytest.mark.parametrize(("flow_name", "tags"), [("heal", set()), ("triage", set()), ("mine", {"healing"})])
async def test_healing_is_never_re_run(fail: Fail, about: About, vendor: Vendor, flow_name: str, tags: set[str]):
    from prefect import tags as tagged

    @flow(name=flow_name)
    async def pipeline() -> None:
        vendor.ask()

    with tagged(*tags):
        run = await fail(pipeline)

    with pytest.raises(ToolFailed, match="part of healing itself"):
        await retry_flow_run.run_preview(about(run), {"flow_run_id": run.id})


async def test_a_deployed_run_is_itself_set_to_run_again(fail: Fail, about: About, vendor: Vendor, name: str):
    """The tag comes first; what somebody else changed since the preview is left alone."""

    @flow(name=name)
    def pipeline() -> None:
        vendor.ask()

    run = await _failed_deployed_run(pipeline)
    ctx = await _carrying_out(about(run), retry_flow_run, flow_run_id=run.id)
    later = datetime.now(UTC) + timedelta(minutes=30)

    assert ctx.scope is not None
    assert ctx.scope.deployments == (f"{name}/prod",)
    assert await retry_flow_run.look(ctx, {"flow_run_id": run.id}) is None
    applied = await retry_flow_run(ctx, run.id, later)
    again = await _read(applied)
    found = await retry_flow_run.look(ctx, {"flow_run_id": run.id})

    assert again.id == run.id
    assert again.state_name == "AwaitingRetry"
    assert again.state is not None
    assert again.state.state_details.scheduled_time == later
    assert set(again.tags) == {"mine", f"incident:{ctx.incident.id}"}
    assert found == applied
    with pytest.raises(ToolFailed, match="not failed"):
        await retry_flow_run(ctx, run.id)


async def test_a_success_that_somebody_only_declared_proves_nothing(
    fail: Fail, about: About, vendor: Vendor, name: str
):
    @flow(name=name)
    def pipeline() -> None:
        vendor.ask()

    run = await _failed_deployed_run(pipeline)
    ctx = await _carrying_out(about(run), retry_flow_run, flow_run_id=run.id)
    applied = await retry_flow_run(ctx, run.id)
    async with get_client() as client:
        await client.set_flow_run_state(run.id, Completed(), force=True)

    check = await retry_flow_run.verify(ctx, _receipt(applied, retry_flow_run))

    assert check.status == "failed"
    assert "did not run again" in check.detail


async def test_a_re_run_that_nobody_picks_up_is_inconclusive(fail: Fail, about: About, vendor: Vendor, name: str):
    @flow(name=name)
    def pipeline() -> None:
        vendor.ask()

    run = await _failed_deployed_run(pipeline)
    ctx = about(run, settings=Settings(verify_seconds=0.5))
    ctx = await _carrying_out(ctx, retry_flow_run, flow_run_id=run.id)
    applied = await retry_flow_run(ctx, run.id)

    check = await retry_flow_run.verify(ctx, _receipt(applied, retry_flow_run))

    assert check.status == "inconclusive"
    assert "worker" in check.detail


async def test_a_run_that_changed_since_the_preview_is_left_alone(fail: Fail, about: About, vendor: Vendor, name: str):
    @flow(name=name)
    def pipeline() -> None:
        vendor.ask()

    run = await _failed_deployed_run(pipeline)
    ctx = await _carrying_out(about(run), retry_flow_run, flow_run_id=run.id)
    await _set_failed(run.id)

    with pytest.raises(ToolFailed, match="changed since the preview"):
        await retry_flow_run(ctx, run.id)


async def test_a_deployment_is_run_once_for_one_effect(about: About, name: str, prefect_server: str):
    @flow(name=name)
    def upstream(day: str = "today") -> None: ...

    await _deploy(upstream)
    arguments = {"deployment": f"{name}/prod", "parameters": {"day": "2013-01-01"}}
    ctx = await _carrying_out(about(settings=Settings(verify_seconds=0.3)), run_deployment, **arguments)

    first = await run_deployment.run(ctx, arguments)
    second = await run_deployment.run(ctx, arguments)
    run = await _read(first)
    check = await run_deployment.verify(ctx, _receipt(first, run_deployment))

    assert first.data["flow_run_id"] == second.data["flow_run_id"]
    assert run.parameters == {"day": "2013-01-01"}
    assert f"incident:{ctx.incident.id}" in run.tags
    assert check.status == "inconclusive"
    assert len(await _runs_of(name)) == 1


async def test_a_deployment_is_refused_parameters_that_it_does_not_have(about: About, name: str, prefect_server: str):
    @flow(name=name)
    def upstream(day: str = "today") -> None: ...

    await _deploy(upstream)

    with pytest.raises(ToolFailed, match="no parameter month"):
        await run_deployment.run_preview(about(), {"deployment": f"{name}/prod", "parameters": {"month": 5}})


async def test_a_deployment_is_paused_and_the_undo_resumes_it(about: About, name: str, prefect_server: str):
    @flow(name=name)
    def nightly() -> None: ...

    await _deploy(nightly)
    arguments = {"deployment": f"{name}/prod"}
    ctx = await _carrying_out(about(), pause_deployment, **arguments)

    assert await pause_deployment.look(ctx, arguments) is None
    paused = await pause_deployment.run(ctx, arguments)
    assert await pause_deployment.look(ctx, arguments) == paused
    assert (await pause_deployment.verify(ctx, _receipt(paused, pause_deployment, arguments))).status == "passed"
    with pytest.raises(ToolFailed, match="paused already"):
        await pause_deployment.run_preview(ctx, arguments)

    assert paused.undo is not None
    assert paused.undo.tool == resume_deployment.name
    resumed = await resume_deployment.run(ctx, paused.undo.arguments)
    assert (await resume_deployment.verify(ctx, _receipt(resumed, resume_deployment, arguments))).status == "passed"
    assert (await pause_deployment.verify(ctx, _receipt(paused, pause_deployment, arguments))).status == "failed"


@pytest.mark.parametrize("tool", [run_deployment, pause_deployment, resume_deployment], ids=lambda tool: tool.name)
async def test_the_healer_s_own_deployment_is_never_touched(about: About, tool: AnyTool, prefect_server: str):
    @flow(name="heal")
    def heal() -> None: ...

    await _deploy(heal)
    ctx = about(effect_key=uuid4().hex)

    with pytest.raises(ToolFailed, match="part of healing itself"):
        await tool.run_preview(ctx, {"deployment": "heal/prod"})
    with pytest.raises(ToolFailed, match="part of healing itself"):
        await tool.run(ctx, {"deployment": "heal/prod"})


def _tasks(scope: Scope) -> list[str]:
    return sorted(name.rpartition("-")[0] for name in scope.repeats)


async def _same_run_scope(run: FlowRun) -> Scope:
    """Preview as for a deployed run; what would repeat depends on that alone."""
    from prefect_healing.tools._finished_tasks import finished_tasks

    async with get_client() as client:
        finished = await finished_tasks(client, run, same_run=True)
    return Scope(summary="", repeats=finished.repeats)


async def _carrying_out(ctx: ToolContext, tool: AnyTool, **arguments: object) -> ToolContext:
    """Preview, then return the context of carrying out what was previewed."""
    from dataclasses import replace

    return replace(ctx, scope=await tool.run_preview(ctx, arguments), effect_key=uuid4().hex)


def _receipt(applied: Applied, tool: AnyTool, arguments: dict[str, str] | None = None) -> Receipt:
    return Receipt(
        effect_id="e",
        action_id="a",
        tool=tool.name,
        arguments=dict(arguments or {}),
        status="done",
        detail=applied.detail,
        at=datetime.now(UTC),
        data=applied.data,
        undo=applied.undo,
    )


async def _read(applied: Applied) -> FlowRun:
    async with get_client() as client:
        return await client.read_flow_run(UUID(str(applied.data["flow_run_id"])))


async def _runs_of(name: str) -> list[FlowRun]:
    async with get_client() as client:
        return await client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=[name])), sort=FlowRunSort.ID_DESC, limit=50
        )


async def _deploy(pipeline) -> UUID:
    """Register a deployment that nobody serves."""
    async with get_client() as client:
        flow_id = await client.create_flow(pipeline)
        from prefect.utilities.callables import parameter_schema

        return await client.create_deployment(
            flow_id=flow_id,
            name="prod",
            paused=False,
            enforce_parameter_schema=True,
            parameter_openapi_schema=parameter_schema(pipeline.fn).model_dump_for_openapi(),
        )


async def _failed_deployed_run(pipeline) -> FlowRun:
    deployment_id = await _deploy(pipeline)
    async with get_client() as client:
        run = await client.create_flow_run_from_deployment(deployment_id, tags=["mine"])
    await _set_failed(run.id)
    async with get_client() as client:
        return await client.read_flow_run(run.id)


async def _set_failed(run_id: UUID) -> None:
    from prefect.states import Failed

    async with get_client() as client:
        await client.set_flow_run_state(run_id, Failed(message="vendor is down"), force=True)
