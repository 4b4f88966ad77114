"""The secret values that this process and its Prefect server know, to be redacted wherever they turn up."""

import asyncio
import logging
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote, urlsplit

from pydantic import SecretBytes, SecretStr

from prefect_healing.guardrails.assignments import secret_kind

if TYPE_CHECKING:
    from prefect.client.schemas.objects import BlockDocument

_LOG = logging.getLogger(__name__)
_BLOCKS_MAX = 1_000
_BLOCKS_A_PAGE = 200
_VALUE_CHARS_MAX = 100_000


async def collect_secrets(
    environment: Mapping[str, str] | None = None, *, timeout_seconds: float = 5
) -> frozenset[str]:
    """Return the values that must not leave: of the environment's secrets and of all Prefect blocks' secret fields.

    Pass them to `redact`. A Prefect server that does not answer within `timeout_seconds`, or refuses, costs a warning:
    its blocks' values are then known by their shape only.
    """
    found = set(environment_secrets(os.environ if environment is None else environment))
    try:
        async with asyncio.timeout(timeout_seconds):
            found.update(await _block_secrets())
    except Exception as error:  # noqa: BLE001  Whatever a server or a transport raises; healing goes on without.
        _LOG.warning("Prefect's blocks cannot be read, so their secrets are redacted by shape only: %r", error)
    return frozenset(found)


def environment_secrets(environment: Mapping[str, str]) -> frozenset[str]:
    """Return the values of variables with secret-looking names, and the passwords in URLs of all."""
    found = set[str]()
    for name, value in environment.items():
        if secret_kind(name) is not None and not value.startswith("/"):  # A path to a secret is none.
            found.add(value)
        found.update(_userinfo(value))
    return frozenset(value for value in found if value)


async def _block_secrets() -> set[str]:
    from prefect.client.orchestration import get_client

    found = set[str]()
    async with get_client() as client:
        for offset in range(0, _BLOCKS_MAX, _BLOCKS_A_PAGE):
            page = await client.read_block_documents(offset=offset, limit=_BLOCKS_A_PAGE, include_secrets=True)
            found.update(value for block in page for value in block_secrets(block))
            if len(page) < _BLOCKS_A_PAGE:
                break
    return found


def block_secrets(block: "BlockDocument") -> Iterator[str]:
    """Yield the texts in a block's secret fields; its schema says which they are."""
    fields: Collection[str] = block.block_schema.fields.get("secret_fields", ()) if block.block_schema else ()
    for path, text in _texts(block.data, ""):
        if any(fnmatchcase(path, field) or fnmatchcase(path, f"{field}.*") for field in fields):
            yield text
        yield from _userinfo(text)


def _texts(value: object, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, SecretStr | SecretBytes):
        value = value.get_secret_value()
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        yield path, value[:_VALUE_CHARS_MAX]
    elif isinstance(value, Mapping):
        for name, each in cast("Mapping[object, object]", value).items():
            yield from _texts(each, f"{path}.{name}" if path else str(name))
    elif isinstance(value, Sequence):
        for each in cast("Sequence[object]", value):
            yield from _texts(each, path)


def _userinfo(value: str) -> Iterator[str]:
    try:
        password = urlsplit(value).password if "://" in value and "@" in value else None
    except ValueError:
        return
    if password:
        yield from (password, unquote(password))
