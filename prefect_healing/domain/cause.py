"""The closed vocabulary of causes, and whether they pass by themselves."""

from typing import Literal

Cause = Literal[
    "transient_network",
    "upstream_unavailable",
    "rate_limited",
    "auth",
    "schema_drift",
    "data_quality",
    "missing_upstream_data",
    "resource_exhausted",
    "infra_crash",
    "concurrency_conflict",
    "dependency_env",
    "config_error",
    "code_bug",
    "timeout",
    "unknown",
]
"""Why something failed."""

Transience = Literal["transient", "intermittent", "permanent", "unknown"]
"""`transient` passes by itself, `intermittent` comes and goes, `permanent` stays until somebody changes something."""
