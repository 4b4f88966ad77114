"""Flows that load the small warehouse from a source that is as large as it is told; badly written, on purpose.

They write in pieces, each in a transaction of its own: killed half way, half a day is there.
"""

import os
from datetime import date

import sqlalchemy as sa
from prefect import flow

from tests.warehouse_write.shop import DAILY, ORDERS, connected, order

PIECE = 3
URL, ROWS, FAILS_AFTER = "SHOP_URL", "SHOP_ROWS", "SHOP_FAILS_AFTER"


def load(day: date) -> None:
    """Replace a day of orders and of the figures made from it; break off after some rows where told so."""
    url, rows, limit = os.environ[URL], int(os.environ[ROWS]), int(os.environ.get(FAILS_AFTER, "1000000"))
    with connected(url) as connection:
        connection.execute(sa.delete(ORDERS).where(ORDERS.c.day == day))
        connection.execute(sa.delete(DAILY).where(DAILY.c.day == day))
    for begin in range(0, rows, PIECE):
        if begin >= limit:
            raise RuntimeError("the disk of customer c7 is full")
        with connected(url) as connection:
            piece = range(begin, min(begin + PIECE, rows))
            connection.execute(sa.insert(ORDERS), [order(100 + number, day) for number in piece])
    with connected(url) as connection:
        connection.execute(sa.insert(DAILY), {"day": day, "orders": rows})


@flow(name="load-orders")
def load_orders(day: date) -> None:
    """Load a day, replacing what is there."""
    load(day)


@flow(name="load-nothing")
def load_nothing(day: date) -> None:
    """Complete without a row."""
    with connected(os.environ[URL]) as connection:
        connection.execute(sa.delete(ORDERS).where(ORDERS.c.day == day))
