"""What must hold of the demo's tables, day by day, as expectations of Great Expectations."""

# Great Expectations exports its expectations without saying so to type checkers.
# pyright: reportPrivateImportUsage=false

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation

AIRPORTS = ("EWR", "JFK", "LGA")
FEWEST, MOST = 600, 1100
"""Flights of a day: in all of 2013 there were 634 to 1,014."""


def flights() -> "list[Expectation]":
    """Return what must hold of one day of `flights`."""
    import great_expectations.expectations as gxe
    from great_expectations.expectations.metadata_types import FailureSeverity

    always = ("carrier", "flight", "origin", "dest", "sched_dep_time", "distance")
    return [
        gxe.ExpectTableRowCountToBeBetween(min_value=FEWEST, max_value=MOST),
        gxe.ExpectCompoundColumnsToBeUnique(column_list=["flight_date", "carrier", "flight", "origin"]),
        *(gxe.ExpectColumnValuesToNotBeNull(column=column) for column in always),
        gxe.ExpectColumnValuesToBeInSet(column="origin", value_set=list(AIRPORTS)),
        gxe.ExpectColumnValuesToBeBetween(column="distance", min_value=1),
        # Flights are cancelled every day, and then have no time of departure; seldom more than one in five.
        gxe.ExpectColumnValuesToNotBeNull(column="dep_time", mostly=0.75),
        gxe.ExpectColumnValuesToNotBeNull(column="tailnum", mostly=0.9, severity=FailureSeverity.WARNING),
    ]


def daily_delays() -> "list[Expectation]":
    """Return what must hold of one day of `daily_delays`: as many flights as the day had, whatever the airport."""
    import great_expectations.expectations as gxe

    return [
        gxe.ExpectTableRowCountToEqual(value=len(AIRPORTS)),
        gxe.ExpectColumnDistinctValuesToEqualSet(column="airport", value_set=list(AIRPORTS)),
        gxe.ExpectColumnSumToBeBetween(column="flights", min_value=FEWEST, max_value=MOST),
        gxe.ExpectColumnPairValuesAToBeGreaterThanB(column_A="flights", column_B="flown", or_equal=True),
    ]
