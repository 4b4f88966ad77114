"""The gate as a flow of its own, as `prefect deploy` deploys it: for tables that somebody else loads."""

from prefect_healing.quality_gate import gate_flow as quality_gate

__all__ = ["quality_gate"]
