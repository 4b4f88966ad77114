"""Letting go of old incidents: what they left in the result storage, once it can no longer be needed."""

import shutil
from datetime import timedelta
from pathlib import Path

from prefect_healing.api import incidents
from prefect_healing.clock import now
from prefect_healing.dbt.build import BUILDS
from prefect_healing.domain.report import Report
from prefect_healing.errors import ConfigurationError
from prefect_healing.journal import open_journal
from prefect_healing.settings import settings


async def prune() -> tuple[str, ...]:
    """Delete what incidents that closed longer ago than `retention_days` left, and old dbt builds; return their ids.

    An incident that is open, or cut off, is never touched, however old it is. Raises ConfigurationError where the
    result storage is not a local folder: Prefect's storage blocks cannot list or delete, the store's own lifecycle
    rules can.
    """
    folder = await _folder()
    unfinished = {line.incident_id for line in await incidents() if line.status in ("open", "dead")}
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
    return tuple(gone)


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
