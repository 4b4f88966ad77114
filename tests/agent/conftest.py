"""Agents run here without a flow around them: what is tested is the loop and its two tasks."""

from collections.abc import Iterator

import pytest
from prefect.settings import PREFECT_LOGGING_TO_API_ENABLED, temporary_settings


@pytest.fixture(autouse=True)
def _tasks_may_run_without_a_flow(prefect_server: str) -> Iterator[None]:
    with temporary_settings({PREFECT_LOGGING_TO_API_ENABLED: False}):
        yield
