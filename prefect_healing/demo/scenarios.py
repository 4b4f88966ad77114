"""What the demo breaks, each with its known cause and the outcome that is right."""

from collections.abc import Sequence
from datetime import date
from typing import Literal

from prefect_healing.demo.faults import FaultName, FaultParams
from prefect_healing.domain.cause import Cause
from prefect_healing.domain.record import JsonObject, Record
from prefect_healing.domain.report import Outcome
from prefect_healing.errors import ConfigurationError

NO_INCIDENT: Literal["no incident"] = "no incident"


class Run(Record):
    """A flow run to start, of the deployment `flow/demo`. The day is a parameter too, unless `of_day` is false."""

    flow: str = "nightly-flights"
    parameters: JsonObject = {}
    of_day: bool = True

    @property
    def deployment(self) -> str:
        """Return the deployment, as flow/deployment."""
        return f"{self.flow}/demo"

    def parameters_on(self, day: date) -> JsonObject:
        """Return the parameters of the run for one day."""
        return {"day": day.isoformat(), **self.parameters} if self.of_day else self.parameters


class Scenario(Record):
    """One thing that goes wrong on one day.

    The fault is set at the vendor, and `departures_hours_old`, where it is given, makes the departure tables end with
    the day before, loaded so many hours ago. Then each of the runs `before` has to end, and `run` is what is to be
    healed; `inline` makes that a plain script without a deployment. `requests` is what the vendor may be asked for the
    day at most, counted by the vendor: one for a failure that nothing should be tried again for.
    """

    name: str
    day: date
    fault: FaultName = "healthy"
    fault_params: FaultParams = FaultParams()
    departures_hours_old: float | None = None
    before: tuple[Run, ...] = ()
    run: Run = Run()
    inline: bool = False
    expected_cause: Cause | None
    expected_outcome: Outcome | Literal["no incident"]
    requests: int | None = None

    @property
    def runs(self) -> tuple[Run, ...]:
        """Return the runs to start, each when the one before it has ended; the last is to be healed."""
        return (*self.before, self.run)


_GATED = Run(flow="gated-flights")

PIPELINE_SCENARIOS: tuple[Scenario, ...] = (
    # The two that a repair must wait for come first.
    Scenario(
        name="vendor_outage",
        day=date(2013, 1, 7),
        fault="vendor_outage",
        fault_params=FaultParams(seconds=25),
        expected_cause="upstream_unavailable",
        expected_outcome="healed",
    ),
    Scenario(
        name="rate_limited",
        day=date(2013, 1, 8),
        fault="rate_limited",
        fault_params=FaultParams(seconds=25),
        expected_cause="rate_limited",
        expected_outcome="healed",
    ),
    Scenario(
        name="cut_connection",
        day=date(2013, 1, 9),
        fault="cut_connection",
        fault_params=FaultParams(requests=2),
        expected_cause="transient_network",
        expected_outcome="healed",
    ),
    Scenario(
        name="slow_vendor",
        day=date(2013, 1, 10),
        fault="slow_vendor",
        fault_params=FaultParams(requests=2),
        expected_cause="timeout",
        expected_outcome="healed",
    ),
    Scenario(
        name="renamed_column",
        day=date(2013, 1, 11),
        fault="renamed_column",
        expected_cause="schema_drift",
        expected_outcome="escalated",
        requests=1,
    ),
    Scenario(
        name="bad_credentials",
        day=date(2013, 1, 14),
        fault="bad_credentials",
        expected_cause="auth",
        expected_outcome="escalated",
        requests=1,
    ),
    Scenario(
        # On this day every flight to Birmingham and Des Moines was cancelled: a mean over nothing.
        name="code_bug",
        day=date(2013, 1, 16),
        run=Run(parameters={"breakdown": "dest"}),
        expected_cause="code_bug",
        expected_outcome="escalated",
        requests=1,
    ),
    Scenario(
        name="missing_module",
        day=date(2013, 1, 17),
        run=Run(parameters={"statement": "accountants"}),
        expected_cause="dependency_env",
        expected_outcome="escalated",
        requests=1,
    ),
    Scenario(
        name="healthy",
        day=date(2013, 1, 18),
        expected_cause=None,
        expected_outcome=NO_INCIDENT,
        requests=1,
    ),
    Scenario(
        name="cut_connection_inline",
        day=date(2013, 1, 21),
        fault="cut_connection",
        fault_params=FaultParams(requests=2),
        expected_cause="transient_network",
        expected_outcome="healed",
        inline=True,
    ),
    Scenario(
        name="new_column",
        day=date(2013, 2, 19),
        fault="new_column",
        run=Run(flow="load-flights"),
        expected_cause="schema_drift",
        expected_outcome="escalated",
        requests=1,
    ),
    Scenario(
        name="changed_type",
        day=date(2013, 2, 20),
        fault="changed_type",
        run=Run(flow="load-flights"),
        expected_cause="schema_drift",
        expected_outcome="escalated",
        requests=1,
    ),
)
"""What makes a run fail."""

DATA_SCENARIOS: tuple[Scenario, ...] = (
    # Those that take longest come first: one rebuilds four tables, three wait for the vendor.
    Scenario(
        # Nothing came of the last day, and nobody noticed: four tables end with the day before.
        name="stale_three_hops",
        day=date(2013, 12, 31),
        fault="late",
        fault_params=FaultParams(requests=1),
        departures_hours_old=30,
        before=(Run(flow="load-departures"),),
        run=Run(flow="watch-freshness", of_day=False),
        expected_cause="missing_upstream_data",
        expected_outcome="healed",
        requests=2,
    ),
    Scenario(
        name="late_upstream",
        day=date(2013, 2, 14),
        fault="late",
        fault_params=FaultParams(seconds=45),
        run=_GATED,
        expected_cause="missing_upstream_data",
        expected_outcome="healed",
    ),
    Scenario(
        name="late_for_good",
        day=date(2013, 2, 15),
        fault="late",
        run=_GATED,
        expected_cause="missing_upstream_data",
        expected_outcome="escalated",
    ),
    Scenario(
        name="truncated_for_good",
        day=date(2013, 2, 12),
        fault="truncated",
        run=_GATED,
        expected_cause="data_quality",
        expected_outcome="escalated",
    ),
    Scenario(
        name="truncated_partition",
        day=date(2013, 2, 11),
        fault="truncated",
        fault_params=FaultParams(requests=1),
        run=_GATED,
        expected_cause="data_quality",
        expected_outcome="healed",
        requests=2,
    ),
    Scenario(
        # A job that adds instead of replacing ran twice.
        name="double_load",
        day=date(2013, 2, 13),
        before=(Run(flow="load-flights", parameters={"mode": "append"}),),
        run=Run(flow="gated-flights", parameters={"mode": "append"}),
        expected_cause="data_quality",
        expected_outcome="healed",
        requests=3,
    ),
    Scenario(
        name="bad_rows",
        day=date(2013, 2, 18),
        fault="bad_rows",
        run=_GATED,
        expected_cause="data_quality",
        expected_outcome="healed",
        requests=1,
    ),
    Scenario(
        # A blizzard: half of the day's departures never happened, and the source says so too.
        name="genuine_anomaly",
        day=date(2013, 2, 8),
        run=_GATED,
        expected_cause="data_quality",
        expected_outcome="declined",
        requests=1,
    ),
    Scenario(
        # Somebody had one airport rebuilt, which took the place of all three.
        name="gold_table",
        day=date(2013, 2, 21),
        before=(Run(flow="load-flights"),),
        run=Run(flow="publish-delays", parameters={"airports": ["LGA"]}),
        expected_cause="data_quality",
        expected_outcome="escalated",
        requests=1,
    ),
)
"""What leaves runs green, or would: bad, late and missing data."""

SCENARIOS = (*DATA_SCENARIOS, *PIPELINE_SCENARIOS)
"""All, in the order in which they are begun: long ones first."""


def chosen(names: Sequence[str]) -> tuple[Scenario, ...]:
    """Return the named scenarios in the demo's order, all where none is named.

    Raises ConfigurationError for a name that is not there.
    """
    known = {scenario.name for scenario in SCENARIOS}
    if unknown := sorted(set(names) - known):
        raise ConfigurationError(f"No scenario {unknown[0]!r}. There are: {', '.join(sorted(known))}.")
    return tuple(each for each in SCENARIOS if not names or each.name in names)
