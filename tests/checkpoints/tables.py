"""A table of bookings with one good day, one bad day, and values that must stay where they are."""

from datetime import date

import sqlalchemy as sa

from prefect_healing.domain.catalog import Column, Gate, Table
from prefect_healing.domain.record import JsonObject
from prefect_healing.domain.violation import Severity

GOOD, BAD, NEVER = date(2013, 1, 4), date(2013, 1, 5), date(2013, 1, 6)
ROWS, WITHOUT_SEATS = 400, 238
CANARY = "canary-4111"
TABLE = "bookings"


def create_bookings(url: str, rows: int = ROWS, table: str = TABLE) -> None:
    """Fill two days: on the bad one, and on it alone, every third carrier is unknown; seats are missing on both."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    bookings = sa.Table(
        table,
        sa.MetaData(),
        sa.Column("booking_id", sa.Integer, primary_key=True),
        sa.Column("booked_on", sa.Date, index=True),
        sa.Column("email", sa.String(60)),
        sa.Column("carrier", sa.String(2)),
        sa.Column("seats", sa.Integer),
        sa.Column("fare", sa.Integer),
    )
    with engine.begin() as connection:
        bookings.create(connection)
        for first, day in ((0, GOOD), (rows, BAD)):
            connection.execute(bookings.insert(), [_booking(first + number, number, day) for number in range(rows)])


def _booking(id_: int, number: int, day: date) -> dict[str, object]:
    return {
        "booking_id": id_,
        "booked_on": day,
        "email": f"{CANARY}-{id_}",
        "carrier": "??" if day == BAD and number % 3 == 0 else "UA",
        "seats": None if number < WITHOUT_SEATS else 2,
        "fare": 77_310_000 + id_,
    }


def bookings(**changes: object) -> Table:
    """Declare the table: by default with a key, one sensitive column, and no rows to be shown."""
    declared = {
        "name": TABLE,
        "layer": "staging",
        "key": ("booking_id",),
        "partition": "booked_on",
        "columns": {"email": Column(sensitive=True), "fare": Column(sensitive=True)},
    }
    return Table.model_validate({**declared, **changes})


def expects(expectation: str, severity: Severity = "critical", **kwargs: object) -> JsonObject:
    return {"type": expectation, "kwargs": kwargs, "severity": severity}  # type: ignore[dict-item]


def gate(*expectations: JsonObject) -> Gate:
    return Gate(expectations=expectations)


NO_NULL_SEATS = expects("expect_column_values_to_not_be_null", column="seats")
KNOWN_CARRIER = expects("expect_column_values_to_be_in_set", column="carrier", value_set=["UA"])
