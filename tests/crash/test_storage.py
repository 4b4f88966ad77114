"""What is torn is absent; what cannot be read is not taken for absent."""

from pathlib import Path

import pytest
from prefect.filesystems import LocalFileSystem
from prefect.results import ResultStore

from prefect_healing.agent.ask import Sending
from prefect_healing.agent.sent import Models
from prefect_healing.domain.incident import Attempt, Incident
from prefect_healing.domain.mandate import Mandate
from prefect_healing.domain.repair import Receipt, Repair, RollBack
from prefect_healing.domain.report import Report, Triage
from prefect_healing.domain.verification import Verification
from prefect_healing.effects import Intention
from prefect_healing.journal import Journal
from prefect_healing.locks import Holder
from prefect_healing.stages.open_incident import PolicyText, TokenKey
from prefect_healing.stages.report import Told
from prefect_healing.stages.triage import Answers

pytestmark = pytest.mark.crash

KINDS = {
    "policy": PolicyText,
    "token-key": TokenKey,
    "incident": Incident,
    "locks/*": Holder,
    "round-*/models": Models,
    "round-*/sent/*/*": Sending,
    "round-*/triage-*": Triage,
    "round-*/mandate": Mandate,
    "round-*/answers": Answers,
    "round-*/repair": Repair,
    "round-*/verification": Verification,
    "round-*/roll-back": RollBack,
    "round-*/attempt": Attempt,
    "effects/*/intention": Intention,
    "effects/*/receipt": Receipt,
    "report": Report,
    "report-*-[0-9]": Report,
    "report-*-told": Told,
}


async def test_a_torn_file_of_each_kind_reads_as_absent(came_through):
    """Cut anywhere, a value of the journal or a result of Prefect is as if it had never been written."""
    torn = set[str]()
    for scenario in ("undone", "asked"):
        plan = came_through(scenario).plan
        storage = LocalFileSystem(basepath=str(plan.storage))
        for file in _read_back(plan.storage):
            whole = file.read_bytes()
            assert await _is_there(storage, plan.storage, file), file
            for length in (0, 1, len(whole) // 2, len(whole) - 1):
                file.write_bytes(whole[:length])
                assert not await _is_there(storage, plan.storage, file), (file, length)
            file.write_bytes(whole)
            torn.add(_kind_of(file, plan.storage))

    assert torn == {*KINDS, "a result of Prefect"}


@pytest.mark.parametrize(
    ("scenario", "boundary", "outcome"),
    [
        ("healed", "result of ask", "healed"),
        ("healed", "intention of book", "healed"),
        ("healed", "receipt of book", "healed"),
        ("healed", "receipt of restore", "healed"),
        ("undone", "receipt of remove", "rolled_back"),
        ("letter", "intention of send_letter", "healed"),
        ("letter", "receipt of send_letter", "escalated"),
    ],
)
def test_a_storage_that_does_not_answer_makes_nothing_happen_twice(scenario, boundary, outcome, ground, came_through):
    """From some boundary on the storage is gone, for that process; once it is back, another one goes on."""
    plan = ground.plan(scenario, unreachable_from=boundary)

    ended = ground.run_twice(plan)

    assert plan.sprung.exists(), ended.log
    assert ended.report is not None, ended.log
    assert ended.report.outcome == outcome
    assert ended.effects == came_through(scenario).effects
    assert len(ended.asked) - len(came_through(scenario).asked) <= 1


def _read_back(storage: Path) -> list[Path]:
    """Return what decides how a heal goes on: the journal and the results of tasks; not the value of heal."""
    return [*storage.glob("healing-*"), *(each for each in storage.glob("healing/**/*") if each.is_file())]


def _kind_of(file: Path, storage: Path) -> str:
    if file.parent == storage:
        return "a result of Prefect"
    key = Path(*file.relative_to(storage).with_suffix("").parts[2:])
    kinds = [each for each in KINDS if key.match(each) and len(key.parts) == each.count("/") + 1]
    assert kinds, f"{key} is of no kind that is known here"
    return kinds[0]


async def _is_there(storage: LocalFileSystem, folder: Path, file: Path) -> bool:
    if (kind := _kind_of(file, folder)) == "a result of Prefect":
        return await ResultStore(result_storage=storage).aexists(file.name)
    parts = file.relative_to(folder).with_suffix("").parts
    return await Journal(storage, parts[1]).read("/".join(parts[2:]), KINDS[kind]) is not None
