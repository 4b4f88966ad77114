"""The tables of the demo's warehouse. As in most warehouses, nothing in the tables of rows forbids a duplicate."""

from datetime import datetime

import sqlalchemy as sa

metadata = sa.MetaData()


def _loaded_at() -> sa.Column[datetime]:
    return sa.Column("loaded_at", sa.DateTime(timezone=True), nullable=False)


FLIGHTS = sa.Table(
    "flights",
    metadata,
    sa.Column("flight_date", sa.Date, nullable=False, index=True),
    sa.Column("carrier", sa.String(2), nullable=False),
    sa.Column("flight", sa.Integer, nullable=False),
    sa.Column("origin", sa.String(3), nullable=False),
    sa.Column("sched_dep_time", sa.Integer),
    sa.Column("sched_arr_time", sa.Integer),
    sa.Column("dest", sa.String(3), nullable=False),
    sa.Column("tailnum", sa.String(6)),
    sa.Column("dep_time", sa.Integer),
    sa.Column("dep_delay", sa.Integer),
    sa.Column("arr_time", sa.Integer),
    sa.Column("arr_delay", sa.Integer),
    sa.Column("air_time", sa.Integer),
    sa.Column("distance", sa.Integer),
    _loaded_at(),
)
"""One row a flight, partitioned by `flight_date`."""

DAILY = sa.Table(
    "daily_delays",
    metadata,
    sa.Column("flight_date", sa.Date, primary_key=True),
    sa.Column("airport", sa.String(3), primary_key=True),
    sa.Column("flights", sa.Integer, nullable=False),
    sa.Column("flown", sa.Integer, nullable=False),
    sa.Column("mean_dep_delay", sa.Float),
)
"""One row a day and airport; `mean_dep_delay` in minutes over the flights that left."""

DEPARTURES_RAW = sa.Table(
    "departures_raw",
    metadata,
    sa.Column("flight_date", sa.Date, nullable=False, index=True),
    sa.Column("carrier", sa.String(2), nullable=False),
    sa.Column("flight", sa.Integer, nullable=False),
    sa.Column("origin", sa.String(3), nullable=False),
    sa.Column("dep_time", sa.Integer),
    sa.Column("dep_delay", sa.Integer),
    _loaded_at(),
)
"""One row a flight, as the vendor sent it."""

DEPARTURES = sa.Table(
    "departures",
    metadata,
    sa.Column("flight_date", sa.Date, nullable=False, index=True),
    sa.Column("carrier", sa.String(2), nullable=False),
    sa.Column("flight", sa.Integer, nullable=False),
    sa.Column("origin", sa.String(3), nullable=False),
    sa.Column("hour", sa.Integer, nullable=False),
    sa.Column("dep_delay", sa.Integer, nullable=False),
    _loaded_at(),
)
"""One row for each flight that left, with the hour of the day, 0 to 23, in which it did."""

DEPARTURE_HOURS = sa.Table(
    "departure_hours",
    metadata,
    sa.Column("flight_date", sa.Date, nullable=False, index=True),
    sa.Column("origin", sa.String(3), nullable=False),
    sa.Column("hour", sa.Integer, nullable=False),
    sa.Column("departures", sa.Integer, nullable=False),
    sa.Column("delay_minutes", sa.Integer, nullable=False),
    _loaded_at(),
)
"""One row a day, airport and hour; `delay_minutes` is the sum over its departures."""

DEPARTURE_BOARD = sa.Table(
    "departure_board",
    metadata,
    sa.Column("flight_date", sa.Date, nullable=False, index=True),
    sa.Column("origin", sa.String(3), nullable=False),
    sa.Column("departures", sa.Integer, nullable=False),
    sa.Column("mean_delay", sa.Float, nullable=False),
    _loaded_at(),
)
"""One row a day and airport; `mean_delay` in minutes a departure."""

LOADS = sa.Table(
    "load_history",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("flight_date", sa.Date, nullable=False),
    sa.Column("rows", sa.Integer, nullable=False),
    _loaded_at(),
)
"""One row each time rows of a day were loaded into `flights`: where repeated effects show."""

OF_A_DAY = (FLIGHTS, DAILY, LOADS)
"""What holds the days of scenarios."""

DEPARTURE_TABLES = (DEPARTURES_RAW, DEPARTURES, DEPARTURE_HOURS, DEPARTURE_BOARD)
"""Each is made from the one before it, the first from what the vendor sends."""

REQUIRED_COLUMNS = frozenset(column.name for column in FLIGHTS.columns) - {"flight_date", "loaded_at"}
