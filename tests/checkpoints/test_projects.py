"""A Great Expectations project that was there before us: its checkpoint, for one day, as it is configured."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from prefect_healing.checkpoints.quietly import quietly
from prefect_healing.domain.catalog import Gate
from prefect_healing.errors import ConfigurationError
from prefect_healing.settings import Settings
from prefect_healing.warehouse.connection import reading
from prefect_healing.warehouse.violation_keys import matched
from tests.checkpoints.conftest import Check
from tests.checkpoints.tables import BAD, GOOD, ROWS, WITHOUT_SEATS, bookings, create_bookings


@pytest.fixture
def project(warehouse: Settings, tmp_path: Path) -> Path:
    """Return the folder of a project with checkpoints for the bookings: by day, of all days, and with a bad action."""
    with quietly():  # Its import alone warns, and takes seconds.
        from tests.checkpoints.their_project import make_project

        return make_project(tmp_path / "project", str(warehouse.warehouse), tmp_path / "notes")


def of(project: Path, checkpoint: str) -> Gate:
    return Gate(project=str(project), checkpoint=checkpoint)


async def test_a_checkpoint_runs_for_one_day(project: Path, check: Check, warehouse: Settings):
    """The day becomes year, month and day of its batch definition."""
    found = await check(of(project, "daily"), gate_id="g1")

    seats, carrier = found.violations
    assert (seats.severity, seats.checked, seats.unexpected) == ("warning", ROWS, WITHOUT_SEATS)
    assert (carrier.severity, carrier.unexpected, carrier.rows_kept) == ("critical", 134, 134)
    kept = await reading(warehouse, lambda connection: matched(connection, bookings(), BAD, "g1", carrier.id))
    assert (kept.kept, kept.found) == (134, 134)


async def test_severity_decides_there_too(project: Path, check: Check):
    found = await check(of(project, "daily"), day=GOOD)

    assert found.passed
    assert [each.severity for each in found.violations] == ["warning"]


async def test_its_actions_run_with_the_gate_and_not_when_somebody_looks_again(
    project: Path, check: Check, tmp_path: Path
):
    """A channel hears of a failure once, not at every verification."""
    await check(of(project, "daily"), gate_id="g1")
    await check(of(project, "daily"))

    assert (tmp_path / "notes").read_text() == "False\n"


async def test_an_action_that_raises_does_not_hide_what_was_found(
    project: Path, check: Check, caplog: pytest.LogCaptureFixture
):
    found = await check(of(project, "falling"), gate_id="g1")

    assert [each.unexpected for each in found.violations] == [WITHOUT_SEATS, 134]
    assert "An action of checkpoint falling failed: RuntimeError" in caplog.text


async def test_rows_of_other_days_are_never_named(project: Path, check: Check):
    """A checkpoint over the whole table says nothing of one partition."""
    found = await check(of(project, "whole"), gate_id="g1")

    seats, _ = found.violations
    assert (seats.checked, seats.rows_kept) == (2 * ROWS, 0)
    assert "not just the partition of one day" in (seats.refusal or "")


async def test_a_day_that_their_source_does_not_have_is_missing(warehouse: Settings, check: Check, tmp_path: Path):
    """Their checkpoint may look at another table than the catalog's."""
    url = str(warehouse.warehouse)
    create_bookings(url, rows=1, table="archive")
    with quietly():
        from tests.checkpoints.their_project import make_project

        project = make_project(tmp_path / "project", url, tmp_path / "notes", table="archive")
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM archive WHERE booked_on = '2013-01-05'"))

    found = await check(of(project, "daily"))

    assert [each.status for each in found.stopping] == ["missing"]
    assert found.rows == ROWS


async def test_a_checkpoint_that_does_not_exist_is_refused_with_those_that_do(project: Path, check: Check):
    with pytest.raises(ConfigurationError, match=r"no checkpoint 'hourly'; it has daily, falling, whole"):
        await check(of(project, "hourly"))


async def test_a_folder_without_a_project_is_refused_and_stays_empty(check: Check, tmp_path: Path):
    """Asked for a project that is not there, Great Expectations makes one."""
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir()

    with pytest.raises(ConfigurationError, match="There is no Great Expectations project"):
        await check(of(nowhere, "daily"))

    assert list(nowhere.iterdir()) == []


@pytest.mark.parametrize("broken", ["config_version: [", "config_version: 4.0\nnonsense: true\n"])
async def test_a_broken_project_is_refused(project: Path, check: Check, broken: str):
    (project / "gx" / "great_expectations.yml").write_text(broken)

    with pytest.raises(ConfigurationError, match="cannot be opened"):
        await check(of(project, "daily"))


async def test_a_broken_checkpoint_is_refused(project: Path, check: Check):
    [file] = (project / "gx" / "checkpoints").glob("daily*")
    file.write_text('{"name": "daily", "validation_definitions": [{"name": "x"}]}')

    with pytest.raises(ConfigurationError, match="cannot be loaded"):
        await check(of(project, "daily"))
