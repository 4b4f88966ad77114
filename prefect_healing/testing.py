"""What tests of flows, tools and policies under healing need: settings for a while, and healing to the end."""

import os
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from uuid import UUID

from prefect_healing.domain.alert import Mode
from prefect_healing.domain.report import Report
from prefect_healing.errors import HealingError
from prefect_healing.guardrails.policy import Policy
from prefect_healing.guardrails.yaml_policy import policy_to_yaml
from prefect_healing.models.model import Model
from prefect_healing.settings import settings
from prefect_healing.tools.tool import AnyTool

_TOOLS_MODULE = "prefect_healing_tools_under_test"
_models: list[Model] = []


@contextmanager
def healing(
    *,
    model: Model | None = None,
    tools: Sequence[AnyTool] = (),
    policy: Policy | None = None,
    mode: Mode | None = "heal",
    **others: str | float,
) -> Generator[None]:
    """Heal with this model, these tools beside the usual ones, this policy and mode, while the block runs.

    `others` are fields of Settings. It holds for the whole process, inline heals in other threads included.
    """
    with tempfile.TemporaryDirectory() as folder, _environment(_variables(model, tools, policy, mode, others, folder)):
        if model is not None:
            _models.append(model)
        try:
            yield
        finally:
            if model is not None:
                _models.remove(model)
            sys.modules.pop(_TOOLS_MODULE, None)


async def heal_to_the_end(flow_run_id: UUID) -> Report:
    """Heal a failed flow run, as `prefect-healing heal` does, and return the report.

    Raises HealingError where there was nothing to heal, with the reason.
    """
    from prefect_healing.api import heal_target
    from prefect_healing.following import follow

    said: list[str] = []
    report = await follow(heal_target(str(flow_run_id), None), wait=True, say=said.append)
    if report is None:
        raise HealingError(f"Nothing was healed: {'; '.join(said)}")
    return report


def __getattr__(name: str) -> Model:
    """Return the model that `healing` was given: settings name models by module and attribute."""
    if name == "current_model" and _models:
        return _models[-1]
    raise AttributeError(name)


def _variables(
    model: Model | None,
    tools: Sequence[AnyTool],
    policy: Policy | None,
    mode: Mode | None,
    others: dict[str, str | float],
    folder: str,
) -> dict[str, str]:
    variables = {name: str(value) for name, value in others.items()}
    if model is not None:
        variables["model"] = f"{__name__}:current_model"
    if mode is not None:
        variables["mode"] = mode
    if policy is not None:
        file = Path(folder) / "policy.yaml"
        file.write_text(policy_to_yaml(policy), encoding="utf-8")
        variables["policy"] = str(file)
    if tools:
        module = ModuleType(_TOOLS_MODULE)
        module.__dict__.update({each.name: each for each in tools})
        sys.modules[_TOOLS_MODULE] = module
        variables["tools"] = _TOOLS_MODULE
    return {f"PREFECT_HEALING_{name.upper()}": value for name, value in variables.items()}


@contextmanager
def _environment(variables: dict[str, str]) -> Generator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    settings.cache_clear()
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        settings.cache_clear()
