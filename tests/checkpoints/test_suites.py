"""Expectations in code become JSON, and what cannot become a gate is refused by name."""

import subprocess
import sys
from pathlib import Path

import pytest

from prefect_healing.checkpoints.suite import resolve
from prefect_healing.domain.catalog import Gate
from prefect_healing.errors import ConfigurationError
from tests.checkpoints.conftest import Check
from tests.checkpoints.tables import create_bookings

CODE = '''
"""What is expected of bookings."""
import great_expectations as gx
import great_expectations.expectations as gxe
from limits import SEATS_MIN

class ExpectKnownCarrier(gxe.ExpectColumnValuesToBeInSet):
    """Carriers are known."""
    column: str = "carrier"
    value_set: list = ["UA"]

LISTED = [gxe.ExpectColumnValuesToNotBeNull(column="seats", severity="warning", meta={"owner": "sales"})]
SUITE = gx.ExpectationSuite(name="bookings", expectations=[gxe.ExpectTableRowCountToBeBetween(min_value=SEATS_MIN)])
OWN = [ExpectKnownCarrier()]
NOTHING = []
NONSENSE = ["seats are known"]
NUMBER = 7

def returned():
    return SUITE

def broken():
    raise RuntimeError("no limits today")
'''


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of code with suites, which is no package and not installed."""
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "suites_of_bookings.py").write_text(CODE)
    (folder / "limits.py").write_text("SEATS_MIN = 1000")
    for module in ("suites_of_bookings", "limits"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    return folder


@pytest.mark.parametrize("place", ["suites_of_bookings.py", "suites_of_bookings"])
@pytest.mark.parametrize("attribute", ["SUITE", "returned"])
def test_a_suite_is_found_in_a_file_and_in_a_module(root: Path, place: str, attribute: str):
    resolved = resolve(Gate(suite=f"{place}:{attribute}"), root)

    [only] = resolved.expectations
    assert (only["type"], only["kwargs"]) == ("expect_table_row_count_to_be_between", {"min_value": 1000})
    assert resolved.suite is None


def test_severity_and_meta_come_along(root: Path):
    [only] = resolve(Gate(suite="suites_of_bookings.py:LISTED"), root).expectations

    assert only == {
        "type": "expect_column_values_to_not_be_null",
        "kwargs": {"column": "seats"},
        "severity": "warning",
        "meta": {"owner": "sales"},
    }


def test_what_needs_no_code_stays_as_it_is(root: Path):
    """A gate that was resolved once is not resolved again."""
    resolved = resolve(Gate(suite="suites_of_bookings.py:LISTED"), root)

    assert resolve(resolved, root) == resolved
    assert resolve(Gate(project="here", checkpoint="c"), root).project == str(root / "here")


async def test_an_expectation_of_ones_own_is_checked(root: Path, check: Check):
    """Another process loads its class from where it stands."""
    resolved = resolve(Gate(suite="suites_of_bookings.py:OWN"), root)

    [found] = (await check(Gate.model_validate_json(resolved.model_dump_json()))).violations

    assert (found.expectation, found.unexpected) == ("expect_known_carrier", 134)


def test_another_process_checks_the_same(root: Path, tmp_path: Path):
    """It has the JSON, and nothing of the code that wrote it but its place."""
    url = f"sqlite:///{tmp_path / 'warehouse.db'}"
    create_bookings(url)
    (tmp_path / "gate.json").write_text(resolve(Gate(suite="suites_of_bookings.py:OWN"), root).model_dump_json())
    program = f"""
import asyncio
from pathlib import Path
from prefect_healing.checkpoints.run import run_checkpoint
from prefect_healing.domain.catalog import Gate
from prefect_healing.settings import Settings
from tests.checkpoints.tables import BAD, bookings

gate = Gate.model_validate_json(Path({str(tmp_path / "gate.json")!r}).read_text())
print(asyncio.run(run_checkpoint(gate, bookings(), BAD, Settings(warehouse={url!r}))).model_dump_json())
"""

    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert '"unexpected":134' in done.stdout


@pytest.mark.parametrize(
    ("suite", "why"),
    [
        ("suites_of_bookings.py:nowhere", "nowhere"),
        ("nowhere.py:SUITE", "There is no file"),
        ("nowhere_at_all:SUITE", "nowhere_at_all"),
        ("suites_of_bookings.py:broken", "no limits today"),
        ("suites_of_bookings.py:NOTHING", "expects nothing"),
        ("suites_of_bookings.py:NONSENSE", "no expectation"),
        ("suites_of_bookings.py:NUMBER", "no expectation"),
    ],
)
def test_what_is_no_suite_is_refused(root: Path, suite: str, why: str):
    """Whoever wrote it must act, so the text of the error names it."""
    before = list(sys.path)

    with pytest.raises(ConfigurationError, match=why) as raised:
        resolve(Gate(suite=suite), root)

    assert suite.rpartition(":")[0].removesuffix(".py") in str(raised.value)
    assert sys.path == before


async def test_a_gate_may_name_its_suite_itself(root: Path, check: Check, monkeypatch: pytest.MonkeyPatch):
    """It is read when the gate runs, from the folder that it runs in."""
    monkeypatch.chdir(root)

    [found] = (await check(Gate(suite="suites_of_bookings.py:SUITE"))).violations

    assert (found.observed, found.expected) == (400, "min_value 1000")
