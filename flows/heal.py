"""The flow that heals, as `prefect deploy` deploys it."""

from prefect_healing.heal import heal

__all__ = ["heal"]
