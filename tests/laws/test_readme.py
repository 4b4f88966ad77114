"""What the README shows is true."""

import re
from pathlib import Path

import pytest

from prefect_healing.cli import app

README = Path(__file__).parents[2] / "README.md"
TEXT = README.read_text(encoding="utf-8")
PYTHON = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", PYTHON, ids=[block.split("\n\n")[-1].strip().splitlines()[0] for block in PYTHON])
def test_python_blocks_run(block: str):
    """Each Python block runs as it stands."""
    names: dict[str, object] = {"__name__": "readme"}

    exec(compile(block, str(README), "exec"), names)

    assert len(names) > 2


def test_the_policy_shown_is_the_shipped_one():
    """The YAML block is the shipped policy file, word for word."""
    shipped = (README.parent / "deployments/policies/default.yaml").read_text(encoding="utf-8")
    shown = re.search(r"^```yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)

    assert shown is not None
    assert shown.group(1) == shipped.partition("\n\n")[2]


def test_commands_exist():
    """Each `prefect-healing` command that is named exists."""
    named = set(re.findall(r"prefect-healing ([a-z]+)", TEXT))

    assert named
    assert named <= set(app)
