"""Prefect flows that heal themselves: find the cause, repair what policy allows, verify, report.

Nothing runs on import, and a name is loaded when it is first used: a flow under `@self_healing` that succeeds pays
for nothing else.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prefect_healing.classify import classify as classify
    from prefect_healing.classify.retry import retry_if_transient as retry_if_transient
    from prefect_healing.dbt.build import dbt_build as dbt_build
    from prefect_healing.domain.options import Source as Source
    from prefect_healing.domain.report import Report as Report
    from prefect_healing.guardrails.policy import Policy as Policy
    from prefect_healing.guardrails.rules import allow as allow
    from prefect_healing.guardrails.rules import ask as ask
    from prefect_healing.guardrails.rules import deny as deny
    from prefect_healing.heal import heal as heal
    from prefect_healing.hooks import self_healing as self_healing
    from prefect_healing.quality_gate import aquality_gate as aquality_gate
    from prefect_healing.quality_gate import quality_gate as quality_gate
    from prefect_healing.tools.tool import tool as tool

_HOMES = {
    "Policy": "guardrails.policy",
    "Report": "domain.report",
    "Source": "domain.options",
    "allow": "guardrails.rules",
    "ask": "guardrails.rules",
    "aquality_gate": "quality_gate",
    "classify": "classify",
    "dbt_build": "dbt.build",
    "deny": "guardrails.rules",
    "heal": "heal",
    "quality_gate": "quality_gate",
    "retry_if_transient": "classify.retry",
    "self_healing": "hooks",
    "tool": "tools.tool",
}

__all__ = [
    "Policy",
    "Report",
    "Source",
    "allow",
    "aquality_gate",
    "ask",
    "classify",
    "dbt_build",
    "deny",
    "heal",
    "quality_gate",
    "retry_if_transient",
    "self_healing",
    "tool",
]


def __getattr__(name: str) -> object:
    """Load a public name from the module that has it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


class _Package(ModuleType):
    """Some public names, such as `heal`, are names of submodules too; here the public name wins."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
