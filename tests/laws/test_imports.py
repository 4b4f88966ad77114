"""What importing the package may not bring with it."""

import json
import subprocess
import sys
from importlib.util import find_spec

HEAVY = {"anthropic", "great_expectations", "pandas", "sqlalchemy"}
"""Libraries that take from 0.4 to 7 seconds to import, and that a healthy run never needs."""


def _loaded_by(statement: str) -> set[str]:
    code = f"import json, sys; {statement}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    return {name.partition(".")[0] for name in json.loads(done.stdout)}


def test_the_heavy_libraries_are_there_to_be_imported() -> None:
    """Else the laws below would hold of an environment, not of the package."""
    assert all(find_spec(library) for library in HEAVY)


def test_importing_the_package_loads_no_heavy_library() -> None:
    """A flow author pays for the libraries of healing only when something fails."""
    assert _loaded_by("import prefect_healing").isdisjoint(HEAVY)


def test_importing_the_package_does_not_import_prefect() -> None:
    """The names of the package are looked up when they are asked for."""
    assert "prefect" not in _loaded_by("import prefect_healing")


def test_the_decorator_loads_no_heavy_library_that_prefect_does_not() -> None:
    """`self_healing` is what a flow's file imports, beside `flow`."""
    added = _loaded_by("from prefect_healing import self_healing") - _loaded_by("from prefect import flow")

    assert added.isdisjoint(HEAVY)
