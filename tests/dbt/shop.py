"""A small dbt project, a shop, over orders of which some break its tests, and every value is a canary."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from prefect_healing.dbt.project import DbtProject, dbt_project
from prefect_healing.domain.catalog import Catalog, Column, Loader, Table

CANARIES = ("canary.one@mail.test", "canary.two@mail.test", "CANARYSTATUS")
ORDERS = (
    (1, CANARIES[0], "5", "paid", "2013-01-05", "2013-01-05 10:00:00"),
    (2, CANARIES[1], None, CANARIES[2], "2013-01-05", "2013-01-05 10:00:00"),
    (3, None, None, "open", "2013-01-06", "2013-01-06 10:00:00"),
)
CREATE = (
    "CREATE TABLE orders (order_id INTEGER, email VARCHAR(100), amount INTEGER, status VARCHAR(20), ordered_on DATE, "
    "loaded_at TIMESTAMP)"
)
INSERT = "INSERT INTO orders VALUES (%s, %s, %s, %s, %s, %s)"

_MODELS = {
    "stg_orders.sql": "select * from {{ source('raw', 'orders') }}",
    "paid_orders.sql": "{{ config(materialized='ephemeral') }} select * from {{ ref('stg_orders') }}",
    "daily.sql": "{{ config(materialized='table') }}\n"
    "select ordered_on, count(*) as orders from {{ ref('paid_orders') }} group by ordered_on",
    "daily_view.sql": "select * from {{ ref('daily') }}",
    "broken.sql": "{{ config(materialized='table') }}\n"
    "select cast(status as integer) as number from {{ source('raw', 'orders') }} where order_id = 2",
}
_SCHEMA = {
    "sources": [
        {
            "name": "raw",
            "schema": "{{ target.schema }}",
            "config": {"freshness": {"error_after": {"count": 1, "period": "day"}}, "loaded_at_field": "loaded_at"},
            "tables": [{"name": "orders"}],
        }
    ],
    "models": [
        {
            "name": "stg_orders",
            "columns": [
                {"name": "order_id", "data_tests": ["not_null"]},
                {"name": "email", "data_tests": ["not_null"]},
                {"name": "amount", "data_tests": ["not_null"]},
            ],
        },
        {"name": "daily", "columns": [{"name": "ordered_on", "data_tests": ["unique", "not_null"]}]},
    ],
}


@dataclass(frozen=True)
class Shop:
    """The project, and where its tables are."""

    project: DbtProject
    url: str


def make_shop(folder: Path, profile: dict[str, object]) -> DbtProject:
    """Write the project, with a profile of its own."""
    (folder / "models").mkdir(parents=True)
    for name, text in _MODELS.items():
        (folder / "models" / name).write_text(text)
    (folder / "tests").mkdir()
    (folder / "tests" / "known_order.sql").write_text("select * from {{ ref('stg_orders') }} where order_id = 1")
    (folder / "models" / "schema.yml").write_text(yaml.safe_dump(_SCHEMA))
    settings = {"name": "shop", "version": "1.0", "profile": "shop", "model-paths": ["models"]}
    (folder / "dbt_project.yml").write_text(yaml.safe_dump(settings))
    profiles = {"shop": {"target": "dev", "outputs": {"dev": {"threads": 1, **profile}}}}
    (folder / "profiles.yml").write_text(yaml.safe_dump(profiles))
    return dbt_project(folder)


def catalog(*, share_rows: bool = False, without: tuple[str, ...] = ()) -> Catalog:
    """Return what the shop's owners declared of its tables."""
    email = {"email": Column(sensitive=True)}
    tables = (
        Table(name="orders", layer="staging", share_rows=share_rows, columns=email),
        Table(
            name="stg_orders",
            layer="staging",
            loader=Loader(dbt="stg_orders"),
            upstreams=("orders",),
            share_rows=share_rows,
            columns=email,
        ),
        Table(name="daily", layer="gold", loader=Loader(dbt="daily"), upstreams=("stg_orders",)),
        Table(
            name="daily_view",
            layer="intermediate",
            loader=Loader(dbt="daily_view"),
            upstreams=("daily",),
        ),
    )
    return Catalog(tables=tuple(each for each in tables if each.name not in without))
