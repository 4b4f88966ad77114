"""One writer at a time, across processes and hosts, that a dead holder cannot keep.

A lock is a Prefect global concurrency limit of one, held by a lease that is renewed while its holder lives. Prefect
gives the slot back when a lease runs out (measured: 57 s after `kill -9` with leases of 60 s). A holder that died on
this host is noticed at once: its process is gone, and its lease is given back by whoever comes next.
"""

import asyncio
import os
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from prefect_healing.domain.record import Record
from prefect_healing.errors import StorageUnavailable
from prefect_healing.journal import Journal

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

LEASE_SECONDS = 60.0  # The least that Prefect's server accepts.
_RENEW_SECONDS = 20.0
_POLL_SECONDS = 1.0
_LOCKED = 423


class Holder(Record):
    """Who holds a lock: its lease, and the process by host, id and start, since ids are used again."""

    lease_id: UUID
    host: str
    pid: int
    started: str

    @property
    def is_dead(self) -> bool:
        """Say whether the holder was a process of this host that is gone; False where that cannot be known."""
        return is_gone(self.host, self.pid, self.started)


def is_gone(host: str, pid: int, started: str) -> bool:
    """Say whether a process of this host is gone; False where that cannot be known."""
    return host == socket.gethostname() and _started(pid) != started


def this_process() -> tuple[str, int, str]:
    """Return host, id and start of this process."""
    return socket.gethostname(), os.getpid(), _started(os.getpid())


@asynccontextmanager
async def one_writer(name: str, journal: Journal, wait_seconds: float) -> AsyncGenerator[None]:
    """Hold the lock `name` while the block runs.

    Raises TimeoutError where another holder kept it for `wait_seconds`.
    """
    from prefect.client.orchestration import get_client

    async with get_client() as client:
        await client.upsert_global_concurrency_limit_by_name(name, 1)
        holder = await _acquire(client, name, journal, wait_seconds)
        renewing = asyncio.create_task(_renew(client, holder.lease_id))
        try:
            yield
        finally:
            renewing.cancel()
            with suppress(asyncio.CancelledError):
                await renewing
            await client.release_concurrency_slots_with_lease(holder.lease_id)


async def held(client: "PrefectClient", name: str, journal: Journal) -> bool:
    """Say whether anybody alive holds the lock `name`."""
    from prefect.exceptions import ObjectNotFound

    holder = await journal.read(_key(name), Holder)
    if holder is not None and holder.is_dead:
        return False
    try:
        limit = await client.read_global_concurrency_limit_by_name(name)
    except ObjectNotFound:
        return False
    return limit.active_slots > 0


async def forget(name: str) -> None:
    """Delete the lock `name`, once nobody will ask for it again."""
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    async with get_client() as client:
        with suppress(ObjectNotFound):
            await client.delete_global_concurrency_limit_by_name(name)


async def _acquire(client: "PrefectClient", name: str, journal: Journal, wait_seconds: float) -> Holder:
    key = _key(name)
    until = asyncio.get_running_loop().time() + wait_seconds
    await _take_from_the_dead(client, journal, key)
    while (lease_id := await _try(client, name)) is None:
        if asyncio.get_running_loop().time() > until:
            raise TimeoutError(f"Somebody else has held the lock {name!r} for {wait_seconds:.0f} s.")
        await asyncio.sleep(_POLL_SECONDS)
    host, pid, started = this_process()
    holder = Holder(lease_id=lease_id, host=host, pid=pid, started=started)
    try:
        await journal.write(key, holder)
    except StorageUnavailable:
        await client.release_concurrency_slots_with_lease(lease_id)
        raise
    return holder


def _key(name: str) -> str:
    return f"locks/{name.replace(':', '-')}"


async def _try(client: "PrefectClient", name: str) -> UUID | None:
    from prefect.exceptions import PrefectHTTPStatusError

    try:
        response = await client.increment_concurrency_slots_with_lease([name], 1, "concurrency", LEASE_SECONDS)
    except PrefectHTTPStatusError as error:
        if error.response.status_code == _LOCKED:
            return None
        raise
    return UUID(response.json()["lease_id"])


async def _take_from_the_dead(client: "PrefectClient", journal: Journal, key: str) -> None:
    from prefect.exceptions import PrefectHTTPStatusError

    holder = await journal.read(key, Holder)
    if holder is not None and holder.is_dead:
        with suppress(PrefectHTTPStatusError):  # A lease that ran out is not there to be given back.
            await client.release_concurrency_slots_with_lease(holder.lease_id)


async def _renew(client: "PrefectClient", lease_id: UUID) -> None:
    import httpx
    from prefect.exceptions import PrefectHTTPStatusError

    while True:
        await asyncio.sleep(_RENEW_SECONDS)
        # A renewal that fails is tried again before the lease ends; every effect bears being done beside another.
        with suppress(httpx.HTTPError, PrefectHTTPStatusError):
            await client.renew_concurrency_lease(lease_id, LEASE_SECONDS)


def _started(pid: int) -> str:
    """Return when a process started, as the kernel counts it; empty where there is none or the system cannot tell."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return "" if not _exists(pid) else "unknown"


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
