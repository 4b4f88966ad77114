"""Which policy counts: the one that is named, else the team's file, else the built-in one."""

from collections.abc import Collection
from pathlib import Path

from prefect_healing.guardrails.default_policy import DEFAULT_POLICY
from prefect_healing.guardrails.policy import Policy
from prefect_healing.guardrails.yaml_policy import load_policy

TEAM_FILE = Path("deployments/policies/default.yaml")


def find_policy(name: str | None, known_tools: Collection[str] | None = None) -> Policy:
    """Return the policy that is named, else the team's, else the built-in one, which `default` names too.

    The team's is `deployments/policies/default.yaml` below the working directory. Rules may name `known_tools` only,
    where given. Raises ConfigurationError where the file cannot be read or says something unknown.
    """
    if name == "default" or (name is None and not TEAM_FILE.is_file()):
        return DEFAULT_POLICY
    file = Path(name) if name else TEAM_FILE
    return load_policy(file, known_tools=known_tools)
