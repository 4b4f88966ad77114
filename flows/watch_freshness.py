"""The flow that watches the age of the catalog's tables, as `prefect deploy` deploys it, every hour."""

from prefect_healing.watch_freshness import watch_freshness

__all__ = ["watch_freshness"]
