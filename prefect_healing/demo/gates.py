"""What must hold of the demo's tables, day by day, as expectations of Great Expectations.

Importing this module imports Great Expectations, which takes seconds: only gates do.
"""

# Great Expectations exports its expectations without saying so to type checkers.
# pyright: reportPrivateImportUsage=false

import great_expectations.expectations as gxe
from great_expectations.expectations.metadata_types import FailureSeverity

AIRPORTS = ("EWR", "JFK", "LGA")
FEWEST, MOST = 600, 1100
"""Flights of a day: in all of 2013 there were 634 to 1,014."""

flights = (
    gxe.ExpectTableRowCountToBeBetween(min_value=FEWEST, max_value=MOST),
    gxe.ExpectCompoundColumnsToBeUnique(column_list=["flight_date", "carrier", "flight", "origin"]),
    *(
        gxe.ExpectColumnValuesToNotBeNull(column=column)
        for column in ("carrier", "flight", "origin", "dest", "sched_dep_time", "distance")
    ),
    gxe.ExpectColumnValuesToBeInSet(column="origin", value_set=list(AIRPORTS)),
    gxe.ExpectColumnValuesToBeBetween(column="distance", min_value=1),
    # Flights are cancelled every day, and then have no time of departure; seldom more than one in five.
    gxe.ExpectColumnValuesToNotBeNull(column="dep_time", mostly=0.75),
    gxe.ExpectColumnValuesToNotBeNull(column="tailnum", mostly=0.9, severity=FailureSeverity.WARNING),
)
"""Of one day of `flights`."""

daily_delays = (
    gxe.ExpectTableRowCountToEqual(value=len(AIRPORTS)),
    gxe.ExpectColumnDistinctValuesToEqualSet(column="airport", value_set=list(AIRPORTS)),
    gxe.ExpectColumnSumToBeBetween(column="flights", min_value=FEWEST, max_value=MOST),
    gxe.ExpectColumnPairValuesAToBeGreaterThanB(column_A="flights", column_B="flown", or_equal=True),
)
"""Of one day of `daily_delays`: as many flights as the day had, whatever the airport."""
