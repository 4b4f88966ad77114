"""A repair's hands on a small warehouse."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect.filesystems import LocalFileSystem

from prefect_healing.domain.catalog import Catalog
from prefect_healing.domain.violation import Violation
from prefect_healing.journal import Journal
from prefect_healing.tools import warehouse_write
from prefect_healing.tools.tool import Tool
from tests.warehouse_write.shop import Healer, catalog_of, incident_of

TOOLS = [each for each in vars(warehouse_write).values() if isinstance(each, Tool)]
Heals = Callable[..., Healer]


@pytest.fixture
def heals(tmp_path: Path) -> Heals:
    """Return what makes a repair's hands for an incident about a warehouse."""

    def make(url: str, *violations: Violation, catalog: Catalog | None = None, **settings: Any) -> Healer:
        incident = incident_of(catalog or catalog_of(), violations)
        journal = Journal(LocalFileSystem(basepath=str(tmp_path / uuid4().hex)), incident.id)
        return Healer(url, incident, journal, TOOLS, **settings)

    return make
