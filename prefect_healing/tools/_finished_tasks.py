"""Which finished tasks a re-run would repeat.

The server keeps, in the state of a task run whose result was to be persisted, where that result is. A finished task
replays only where this is there, can be read here, and is found again under the same key.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect_healing.tools._prefect_api import task_runs_of

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun, TaskRun
    from prefect.results import ResultRecordMetadata

UNRECORDED = "whatever finished unrecorded before the crash"

_RANDOM_KEY = re.compile(r"[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}")  # uuid4().hex: written under no cache key
_HASHED_KEY = re.compile(r"[0-9a-f]{32}")  # of a cache policy; the default one holds the flow run's id
_SUBFLOW_DEPTH_MAX = 3


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
    for task_run in await task_runs_of(client, run.id):
        name = prefix + task_run.name
        child = _child_run_id(task_run)
        if child is not None:
            inner_count, inner = await _look_into_subflow(client, task_run, child, same_run, name, depth)
            count, repeats = count + inner_count, repeats + inner
        elif task_run.state is not None and task_run.state.is_completed():
            count += 1
            if not await _replays(client, task_run.state.data, run.id, same_run=same_run):
                repeats.append(name)
    return count, repeats


async def _look_into_subflow(
    client: "PrefectClient", task_run: "TaskRun", child_id: UUID, same_run: bool, name: str, depth: int
) -> tuple[int, list[str]]:
    """A finished subflow is taken over by the same parent run if its result is kept; else a new one starts afresh."""
    child = await client.read_flow_run(child_id)
    completed = task_run.state is not None and task_run.state.is_completed()
    if completed and same_run and child.state is not None and await _readable(client, child.state.data):
        return 1, []
    if depth >= _SUBFLOW_DEPTH_MAX:
        return 1, [f"{name} and what is below it"]
    inner_count, inner = await _look(client, child, same_run=False, prefix=f"{name} > ", depth=depth + 1)
    return (inner_count + 1, [name, *inner]) if completed else (inner_count, inner)


def _child_run_id(task_run: "TaskRun") -> UUID | None:
    return None if task_run.state is None else task_run.state.state_details.child_flow_run_id


async def _replays(client: "PrefectClient", data: object, flow_run_id: UUID, *, same_run: bool) -> bool:
    metadata = _metadata(data)
    if metadata is None or metadata.storage_key is None or not await _readable(client, data):
        return False
    key = Path(metadata.storage_key).name
    if _RANDOM_KEY.fullmatch(key):
        return False
    if same_run:
        return True
    return not _HASHED_KEY.fullmatch(key) and str(flow_run_id) not in metadata.storage_key


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
    return content[:1] == b"{" and content[-1:] == b"}"  # Writes are not atomic: a torn file is none.


async def _content(client: "PrefectClient", block_id: UUID | None, key: str) -> bytes:
    from prefect.filesystems import LocalFileSystem

    storage = await _storage(client, block_id)
    if isinstance(storage, LocalFileSystem):
        return _ends(storage, key)
    content = storage.read_path(key)
    return await content if hasattr(content, "__await__") else content


def _ends(storage: Any, key: str) -> bytes:
    """Return first and last byte of a local file: results may be large, and their content is not wanted."""
    with Path(storage._resolve_path(key)).open("rb") as file:  # noqa: SLF001  It refuses what is outside of its folder.
        first = file.read(1)
        file.seek(-1, 2)
        return first + file.read(1)


async def _storage(client: "PrefectClient", block_id: UUID | None) -> Any:
    from prefect.blocks.core import Block
    from prefect.results import aget_default_result_storage

    if block_id is None:
        return await aget_default_result_storage()
    return Block._from_block_document(await client.read_block_document(block_id))  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def _metadata(data: object) -> "ResultRecordMetadata | None":
    from prefect.results import ResultRecordMetadata

    return data if isinstance(data, ResultRecordMetadata) else None
