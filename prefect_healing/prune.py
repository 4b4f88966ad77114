"""Letting go of old incidents: what they left in the result storage, once it can no longer be needed."""

import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from prefect_healing.api import incidents
from prefect_healing.clock import now
from prefect_healing.dbt.build import BUILDS
from prefect_healing.domain.report import Report
from prefect_healing.errors import ConfigurationError
from prefect_healing.journal import open_journal
from prefect_healing.settings import settings

if TYPE_CHECKING:
    import sqlalchemy as sa


async def prune() -> tuple[str, ...]:
    """Delete what incidents left that closed longer ago than `retention_days`, and return their ids.

    That is their journals and results, old dbt builds, and in the warehouse copies and keys; not rows in quarantine.

    An incident that is open, or cut off, is never touched, however old it is. Raises ConfigurationError where the
    result storage is not a local folder: Prefect's storage blocks cannot list or delete, the store's own lifecycle
    rules can.
    """
    folder = await _folder()
    going_on = [line for line in await incidents() if line.status in ("open", "dead")]
    unfinished = {line.incident_id for line in going_on}
    oldest = now() - timedelta(days=settings().retention_days)
    gone: list[str] = []
    for journal in sorted((folder / "healing").glob("*/")):
        identity = journal.name
        report = await (await open_journal(identity)).read("report", Report)
        if identity in unfinished or report is None or report.closed_at > oldest:
            continue
        for result in folder.glob(f"healing-{identity}-*"):
            result.unlink(missing_ok=True)
        shutil.rmtree(journal)
        gone.append(identity)
    for build in (folder / "healing" / BUILDS).glob("*.json"):
        if build.stat().st_mtime < oldest.timestamp():
            build.unlink(missing_ok=True)
    if settings().warehouse is not None:
        await _prune_warehouse(min([oldest, *(line.began for line in going_on if line.began)]))
    return tuple(gone)


async def _prune_warehouse(before: datetime) -> None:
    """Delete the copies and the keys in the warehouse that are from before a moment; rows in quarantine stay."""
    from prefect_healing.warehouse.connection import writing
    from prefect_healing.warehouse.copies import drop_copies
    from prefect_healing.warehouse.violation_keys import forget_keys

    def delete(connection: "sa.Connection") -> int:
        return drop_copies(connection, before) + forget_keys(connection, before)

    await writing(settings(), delete)


async def _folder() -> Path:
    from prefect.filesystems import LocalFileSystem
    from prefect.results import aget_default_result_storage

    storage = await aget_default_result_storage()
    if not isinstance(storage, LocalFileSystem) or storage.basepath is None:
        raise ConfigurationError(
            f"The result storage is a {type(storage).__name__}, which cannot list or delete. "
            "Give its store a lifecycle rule for the prefixes `healing/` and `healing-`, of 30 days or more."
        )
    return Path(storage.basepath).expanduser()  # noqa: ASYNC240 - a command of its own, nothing else runs
