"""A new Prefect server spends most of its start on migrating an empty database: keep one that is migrated.

It stands in the user's cache folder, one for each version of Prefect. Where it cannot be kept, the demo starts slower.
"""

import os
import sqlite3
from contextlib import closing, suppress
from importlib.metadata import version
from pathlib import Path
from shutil import copyfile


def database_in(prefect_home: Path) -> Path:
    """Return where a server keeps its SQLite database."""
    return prefect_home / "prefect.db"


def begin_migrated(prefect_home: Path) -> bool:
    """Give a new server the kept database; say whether it has one now."""
    prefect_home.mkdir(parents=True, exist_ok=True)
    own, kept = database_in(prefect_home), _kept()
    if own.exists() or not kept.exists():
        return own.exists()
    copyfile(kept, own)
    return True


def keep_migrated(prefect_home: Path) -> None:
    """Keep the database of a server that has just started, for the next one."""
    kept = _kept()
    with suppress(OSError, sqlite3.Error):
        kept.parent.mkdir(parents=True, exist_ok=True)
        unfinished = kept.with_suffix(f".{os.getpid()}")
        with (
            closing(sqlite3.connect(database_in(prefect_home))) as source,
            closing(sqlite3.connect(unfinished)) as copy,
        ):
            source.backup(copy)
        unfinished.replace(kept)  # whole or not at all: two demos may start at once


def _kept() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "prefect-healing" / f"server-{version('prefect')}.db"
