"""How far one scenario has come: which of its runs were started, and what the server shows of them."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from prefect_healing.demo.result import Found
from prefect_healing.demo.scenarios import Scenario
from prefect_healing.demo.watch import Sight, sight_of

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun


class Course:
    """One scenario being played. `run_ids` are its runs so far; None stands for a script, which creates its own run."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.run_ids: list[UUID | None] = []
        self.sight = Sight()
        self._said = ""
        self._began: float | None = None
        self._given_up = False

    @property
    def outcome(self) -> Found | None:
        """Return how the scenario ended, None while it goes on; `unfinished` where nothing more is waited for."""
        if self._at_the_last_run and self.sight.outcome:
            return self.sight.outcome
        broke_off = self.sight.broke_off and not self._at_the_last_run
        return "unfinished" if self._given_up or broke_off else None

    @property
    def next_may_start(self) -> bool:
        """Say whether the run before the next one has completed."""
        return not self._at_the_last_run and self.sight.completed

    def begun_run(self, run_id: UUID | None) -> None:
        """Note the run that was started, which is the one to look at from now on."""
        self._began = time.monotonic() if self._began is None else self._began
        self.run_ids.append(run_id)
        self.sight = Sight()

    def give_up_after(self, seconds: float) -> None:
        """Wait no longer where the scenario was begun more than these seconds ago."""
        self._given_up = self._began is not None and time.monotonic() - self._began > seconds

    def see(self, runs: "Sequence[FlowRun]") -> bool:
        """Take in what the server shows; say whether there is something new to tell."""
        if not self.run_ids:
            return False
        self.sight = sight_of(self.scenario, self.run_ids[-1], runs)
        new = self._at_the_last_run and self.sight.words != self._said
        self._said = self.sight.words if new else self._said
        return new

    @property
    def _at_the_last_run(self) -> bool:
        return len(self.run_ids) == len(self.scenario.runs)
