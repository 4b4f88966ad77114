"""What an incident must not forget: values written once, as JSON text, in Prefect's result storage."""

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Protocol, TypeVar

from pydantic import ValidationError

from prefect_healing.domain.record import Record
from prefect_healing.errors import StorageUnavailable

R = TypeVar("R", bound=Record)


class Storage(Protocol):
    """A Prefect storage block, as far as the journal uses it; blocks may answer at once or with an awaitable."""

    def read_path(self, path: str) -> "bytes | Awaitable[bytes]":
        """Read a file."""
        ...

    def write_path(self, path: str, content: bytes) -> "object | Awaitable[object]":
        """Write a file."""
        ...


class Journal:
    """The journal of one incident. A value is absent until a whole one was written: a torn file reads as absent."""

    def __init__(self, storage: Storage, incident_id: str) -> None:
        self._storage = storage
        self.incident_id = incident_id

    async def read(self, key: str, kind: type[R]) -> R | None:
        """Return the value under `key`, or None where none was written.

        Raises StorageUnavailable where the storage did not answer: absent and unknown are not the same.
        """
        content = await self._content(key)
        try:
            return None if content is None else kind.model_validate_json(content)
        except ValidationError:
            return None

    async def write(self, key: str, value: Record) -> None:
        """Write `value` under `key`. Raises StorageUnavailable where that failed."""
        try:
            written = self._storage.write_path(self._path(key), value.model_dump_json().encode("utf-8", "replace"))
            if isawaitable(written):
                await written
        except Exception as error:  # Storage blocks raise whatever their client library raises.
            raise StorageUnavailable(f"Cannot write {self._path(key)} to the result storage: {error}") from error

    async def once(self, key: str, kind: type[R], compute: Callable[[], Awaitable[R]]) -> R:
        """Return the value under `key`; compute and write it where there is none."""
        if (known := await self.read(key, kind)) is not None:
            return known
        value = await compute()
        await self.write(key, value)
        return value

    async def keep(self, key: str, value: R) -> R:
        """Write `value` under `key` unless there is one; return the one that stays."""
        if (known := await self.read(key, type(value))) is not None:
            return known
        await self.write(key, value)
        return value

    def _path(self, key: str) -> str:
        return f"healing/{self.incident_id}/{key}.json"

    async def _content(self, key: str) -> bytes | None:
        try:
            content = self._storage.read_path(self._path(key))
            return await content if isawaitable(content) else content
        except Exception as error:  # As above; only a clear "not there" is absence.
            if _says_absent(error):
                return None
            raise StorageUnavailable(f"Cannot read {self._path(key)} from the result storage: {error}") from error


async def open_journal(incident_id: str) -> Journal:
    """Return the journal of an incident in the result storage that Prefect is configured with.

    Raises StorageUnavailable where that storage cannot be opened.
    """
    from prefect.results import aget_default_result_storage

    try:
        storage = await aget_default_result_storage()
    except Exception as error:  # As below: a block is loaded, and may be of any kind.
        raise StorageUnavailable(
            f"Cannot open the result storage: {error}. Look at PREFECT_DEFAULT_RESULT_STORAGE_BLOCK."
        ) from error
    return Journal(storage, incident_id)  # pyright: ignore[reportArgumentType]


def _says_absent(error: Exception) -> bool:
    if isinstance(error, FileNotFoundError):
        return True
    if isinstance(error, ValueError):  # Prefect's LocalFileSystem
        return "does not exist" in str(error)
    name = type(error).__name__  # The clients of object stores, named, so that none of them need be imported.
    return name in ("NoSuchKey", "NotFound", "ResourceNotFoundError") or "NoSuchKey" in str(error)
