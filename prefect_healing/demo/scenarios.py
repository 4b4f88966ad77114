"""What the demo breaks, each with its known cause and the outcome that is right."""

from collections.abc import Sequence
from datetime import date
from typing import Literal

from prefect_healing.demo.vendor import FaultName, FaultParams
from prefect_healing.domain.cause import Cause
from prefect_healing.domain.record import JsonObject, Record
from prefect_healing.domain.report import Outcome
from prefect_healing.errors import ConfigurationError

NO_INCIDENT: Literal["no incident"] = "no incident"


class Scenario(Record):
    """One thing that goes wrong on one day.

    `inline` runs it from a plain script without a deployment. `requests` is what the vendor may be asked for the day
    at most, counted by the vendor: one for a failure that nothing should be tried again for.
    """

    name: str
    day: date
    fault: FaultName = "healthy"
    fault_params: FaultParams = FaultParams()
    parameters: JsonObject = {}
    expected_cause: Cause | None
    expected_outcome: Outcome | Literal["no incident"]
    inline: bool = False
    requests: int | None = None


SCENARIOS: tuple[Scenario, ...] = (
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
        parameters={"breakdown": "dest"},
        expected_cause="code_bug",
        expected_outcome="escalated",
        requests=1,
    ),
    Scenario(
        name="missing_module",
        day=date(2013, 1, 17),
        parameters={"statement": "accountants"},
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
)


def chosen(names: Sequence[str]) -> tuple[Scenario, ...]:
    """Return the named scenarios in the demo's order, all where none is named.

    Raises ConfigurationError for a name that is not there.
    """
    known = {scenario.name for scenario in SCENARIOS}
    if unknown := sorted(set(names) - known):
        raise ConfigurationError(f"No scenario {unknown[0]!r}. There are: {', '.join(sorted(known))}.")
    return tuple(each for each in SCENARIOS if not names or each.name in names)
