"""Finding the flow object for a name."""

from pathlib import Path
from uuid import uuid4

import pytest
from prefect import flow

from prefect_healing.registry import find_flow, register

_SCRIPT = "from prefect import flow\n\n@flow(name={name!r})\ndef nightly():\n    return 1\n"


@pytest.fixture
def name() -> str:
    return f"registry-{uuid4().hex[:8]}"


def test_the_latest_flow_of_a_name_is_found(name: str):
    @flow(name=name)
    def first() -> None: ...

    @flow(name=name)
    def second() -> None: ...

    assert register(first) is first
    register(second)

    assert find_flow(name) is second


def test_a_flow_that_nobody_registered_is_loaded_from_its_entrypoint(name: str, tmp_path: Path):
    (tmp_path / "nightly.py").write_text(_SCRIPT.format(name=name))

    found = find_flow(name, f"{tmp_path}/nightly.py:nightly")
    below_root = find_flow(name, "nightly.py:nightly", str(tmp_path))

    assert found is not None
    assert below_root is not None
    assert found.name == below_root.name == name


def test_an_entrypoint_may_be_a_module(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    module = f"module_{uuid4().hex[:8]}"
    (tmp_path / f"{module}.py").write_text(_SCRIPT.format(name=name))
    monkeypatch.syspath_prepend(tmp_path)

    assert find_flow(name, f"{module}:nightly") is not None
    assert find_flow(name, f"{module}.nightly") is not None


@pytest.mark.parametrize("script", ["x = (", "raise SystemError", "nightly = 1", _SCRIPT.format(name="another")])
def test_what_is_not_the_flow_is_not_found(name: str, tmp_path: Path, script: str):
    (tmp_path / "nightly.py").write_text(script)

    assert find_flow(name, f"{tmp_path}/nightly.py:nightly") is None


@pytest.mark.parametrize("entrypoint", [None, "", "nowhere.py:flow", "no.such:flow", "nonsense"])
def test_an_entrypoint_that_leads_nowhere_finds_nothing(name: str, entrypoint: str | None):
    assert find_flow(name, entrypoint) is None
