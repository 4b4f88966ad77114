"""Which finished tasks a re-run would repeat.

The server keeps, in the state of a task run whose result was to be persisted, where that result is. A finished task
replays only where this is there, can be read here, and is found again under the same key.
"""

import asyncio
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect_healing.tools.prefect_api import task_runs_of

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun, TaskRun
    from prefect.filesystems import LocalFileSystem
    from prefect.results import ResultRecordMetadata  # pyright: ignore[reportPrivateImportUsage]

UNRECORDED = "whatever finished unrecorded before the crash"

_RANDOM_KEY = re.compile(r"[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}")  # uuid4().hex: written under no cache key
_HASHED_KEY = re.compile(r"[0-9a-f]{32}")  # of a cache policy; the default one holds the flow run's id
_SUBFLOW_DEPTH_MAX = 3

# Task runs reach the server as events, some time after they ended.
_CAUGHT_UP_AFTER = timedelta(seconds=30)
_LOOKS_MAX = 15
_LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class FinishedTasks:
    """How many tasks had finished, and the names of those that a re-run would run again."""

    count: int
    repeats: tuple[str, ...]


async def finished_tasks(client: "PrefectClient", run: "FlowRun", *, same_run: bool) -> FinishedTasks:
    """Tell what of a failed run would be repeated, by running it again itself (`same_run`) or as a new run."""
    count, repeats = await _look(client, run, same_run=same_run, prefix="", depth=0)
    if run.state is not None and run.state.is_crashed() and (repeats or not count):
        # A killed process takes its last events with it. Only where all that is known was persisted may
        # the rest be thought to have been.
        repeats.append(UNRECORDED)
    return FinishedTasks(count, tuple(repeats))


async def _look(
    client: "PrefectClient", run: "FlowRun", *, same_run: bool, prefix: str, depth: int
) -> tuple[int, list[str]]:
    count, repeats = 0, list[str]()
    for task_run in await _settled_task_runs(client, run):
        name = prefix + task_run.name
        if (child := _child_run_id(task_run)) is not None:
            below = await _look_into_subflow(client, task_run, child, same_run=same_run, name=name, depth=depth)
            count, repeats = count + below[0], repeats + below[1]
        elif _completed(task_run):
            count += 1
            if not await _replays(client, task_run, same_run=same_run):
                repeats.append(name)
        elif _lost_from_sight(run, task_run):
            repeats.append(f"{name} (its end was never recorded)")
    return count, repeats


async def _settled_task_runs(client: "PrefectClient", run: "FlowRun") -> "list[TaskRun]":
    """Return a run's task runs, once the server has caught up with a run that ended just now."""
    seen = await task_runs_of(client, run.id)
    if run.end_time is None or datetime.now(UTC) - run.end_time > _CAUGHT_UP_AFTER:
        return seen
    for _ in range(_LOOKS_MAX):
        await asyncio.sleep(_LOOK_SECONDS)
        before, seen = seen, await task_runs_of(client, run.id)
        unchanged = {each.id: each.state_id for each in before} == {each.id: each.state_id for each in seen}
        if unchanged and not any(_lost_from_sight(run, each) for each in seen):
            break
    return seen


def _completed(task_run: "TaskRun") -> bool:
    return task_run.state is not None and task_run.state.is_completed()


def _lost_from_sight(run: "FlowRun", task_run: "TaskRun") -> bool:
    """Say whether a task must have ended, since its failed run did, and the server does not know how."""
    if run.state is None or run.state.is_crashed() or task_run.state is None:
        return False
    return task_run.state.is_running()


async def _look_into_subflow(
    client: "PrefectClient", task_run: "TaskRun", child_id: UUID, *, same_run: bool, name: str, depth: int
) -> tuple[int, list[str]]:
    # The same parent run takes a finished subflow over if its result is kept; every other one starts afresh.
    child = await client.read_flow_run(child_id)
    completed = _completed(task_run)
    if completed and same_run and child.state is not None and await _readable(client, child.state.data):
        return 1, []
    if depth >= _SUBFLOW_DEPTH_MAX:
        return 1, [f"{name} and what is below it"]
    inner_count, inner = await _look(client, child, same_run=False, prefix=f"{name} > ", depth=depth + 1)
    return (inner_count + 1, [name, *inner]) if completed else (inner_count, inner)


def _child_run_id(task_run: "TaskRun") -> UUID | None:
    return None if task_run.state is None else task_run.state.state_details.child_flow_run_id


async def _replays(client: "PrefectClient", task_run: "TaskRun", *, same_run: bool) -> bool:
    data: object = None if task_run.state is None else task_run.state.data
    metadata = _metadata(data)
    if metadata is None or metadata.storage_key is None or not await _readable(client, data):
        return False
    key = Path(metadata.storage_key).name
    if _RANDOM_KEY.fullmatch(key):
        return False
    if same_run:
        return True
    return not _HASHED_KEY.fullmatch(key) and str(task_run.flow_run_id) not in metadata.storage_key


async def _readable(client: "PrefectClient", data: object) -> bool:
    """Say whether a whole result is where its state says, as this process sees the storage."""
    metadata = _metadata(data)
    if metadata is None or metadata.storage_key is None:
        return False
    if metadata.expiration is not None and metadata.expiration <= datetime.now(UTC):
        return False
    try:
        content = await _content(client, metadata.storage_block_id, metadata.storage_key)
    except Exception:  # noqa: BLE001  Storage blocks raise whatever their client library raises; all mean "not here".
        return False
    if _RANDOM_KEY.fullmatch(Path(metadata.storage_key).name):
        return bool(content)  # Written without its metadata, in whatever form its serializer has.
    return content[:1] == b"{" and content[-1:] == b"}"  # Writes are not atomic: a torn file is none.


async def _content(client: "PrefectClient", block_id: UUID | None, key: str) -> bytes:
    from prefect.filesystems import LocalFileSystem

    storage = await _storage(client, block_id)
    if isinstance(storage, LocalFileSystem):
        return _ends(storage, key)
    content = storage.read_path(key)
    return await content if hasattr(content, "__await__") else content


def _ends(storage: "LocalFileSystem", key: str) -> bytes:
    """Return first and last byte of a local file: results may be large, and their content is not wanted."""
    path = storage._resolve_path(key)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  It refuses what is outside.
    with path.open("rb") as file:
        first = file.read(1)
        file.seek(-1, 2)
        return first + file.read(1)


async def _storage(client: "PrefectClient", block_id: UUID | None) -> Any:  # noqa: ANN401  Blocks of any kind store.
    from prefect.blocks.core import Block
    from prefect.results import aget_default_result_storage

    if block_id is None:
        return await aget_default_result_storage()
    return Block._from_block_document(await client.read_block_document(block_id))  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def _metadata(data: object) -> "ResultRecordMetadata | None":
    from prefect.results import ResultRecordMetadata  # pyright: ignore[reportPrivateImportUsage]

    return data if isinstance(data, ResultRecordMetadata) else None
