"""What the watch sees, and which alerts it raises."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from prefect_healing.domain.alert import incident_id
from prefect_healing.domain.catalog import Catalog, Table
from prefect_healing.errors import ConfigurationError
from prefect_healing.settings import Settings
from prefect_healing.watch_freshness import Watched, breaches, look_at_ages

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
FRESH, OLD = datetime(2026, 11, 22, 11), datetime(2026, 11, 20, 12)  # noqa: DTZ001 - as a column without zone holds it

CATALOG = """
tables:
  stage: {layer: staging, upstreams: [raw], freshness: {column: at, max_age_hours: 6}}
  raw: {layer: staging, freshness: {column: at, max_age_hours: 6}}
  mart: {layer: gold, upstreams: [stage], freshness: {column: at, max_age_hours: 6}}
  report: {layer: gold, upstreams: [mart]}
  other: {layer: gold, upstreams: [raw], freshness: {column: at, max_age_hours: 72}}
"""


@pytest.fixture
def watch(database_url: str, tmp_path: Path):
    """Fill the tables, and look at them."""

    async def look(text: str = CATALOG, **times: Any) -> tuple[Watched, ...]:
        engine = sa.create_engine(database_url)
        with engine.begin() as connection:
            for name, at in times.items():
                table = sa.Table(name, sa.MetaData(), sa.Column("at", sa.DateTime))
                table.create(connection)
                connection.execute(table.insert().values(at=at))
        engine.dispose()
        (path := tmp_path / "catalog.yaml").write_text(text)
        return await look_at_ages(Settings(warehouse=database_url, catalog=str(path)), NOW)

    return look


async def test_every_table_with_a_limit_is_looked_at(watch):
    """In the order of loading; one without a limit is nobody's promise."""
    watched = await watch(raw=FRESH, stage=OLD, mart=None, other=OLD)

    assert [(each.table, each.stale) for each in watched] == [
        ("raw", False),
        ("stage", True),
        ("other", False),
        ("mart", True),
    ]
    assert [each.line for each in watched[1::2]] == [
        "stage: STALE, 48.0 h old, 6 h allowed",
        "mart: STALE, never updated, 6 h allowed",
    ]


async def test_a_table_that_is_not_there_does_not_hide_the_others(watch):
    """It is told, and never taken for fresh."""
    watched = {each.table: each for each in await watch(raw=FRESH, stage=FRESH, mart=OLD)}

    assert watched["mart"].stale is True
    assert watched["other"].stale is None
    assert "the warehouse has none of that name" in watched["other"].line


async def test_nothing_to_watch_is_an_error(watch):
    """A watch that watches nothing would always be content."""
    with pytest.raises(ConfigurationError, match="PREFECT_HEALING_CATALOG"):
        await watch("tables: {a: {layer: gold}}\n")


def _seen(*stale: str) -> tuple[Watched, ...]:
    return tuple(Watched(table=name, max_age_hours=6, stale=name in stale) for name in "abcdef")


def _made(*edges: tuple[str, str]) -> Catalog:
    upstreams = {name: tuple(parent for parent, child in edges if child == name) for name in "abcdef"}
    return Catalog(tables=tuple(Table(name=name, layer="gold", upstreams=upstreams[name]) for name in "abcdef"))


def _alerted(catalog: Catalog, *stale: str) -> list[str]:
    return [each.table for each in breaches(catalog, _seen(*stale), uuid4(), "watch-freshness")]


def test_one_chain_is_one_alert():
    """For the last stale table of it, even where one between is fresh."""
    catalog = _made(("a", "b"), ("b", "c"), ("c", "d"), ("b", "e"))

    assert _alerted(catalog, "a", "b", "c") == ["c"]
    assert _alerted(catalog, "a", "c") == ["c"]
    assert _alerted(catalog, "b", "d", "e") == ["d", "e"]
    assert _alerted(catalog, "a", "f") == ["a", "f"]
    assert _alerted(catalog) == []


edges = st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("abcdef")), max_size=12)


@given(edges, st.sets(st.sampled_from("abcdef")))
def test_every_stale_table_is_covered_by_an_alert_and_no_alert_by_another(
    pairs: list[tuple[str, str]], stale: set[str]
):
    """Whatever the lineage."""
    catalog = _made(*{(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]})

    alerted = _alerted(catalog, *stale)

    below = {name: {name, *(each.name for each in catalog.downstream_of(name))} for name in "abcdef"}
    assert all(below[name].intersection(alerted) for name in stale)
    assert all(not below[name].intersection(alerted) - {name} for name in alerted)


def test_the_same_table_is_the_same_incident_whoever_finds_it():
    """Two rounds of watching, or two watches, open one incident."""
    one, other = (breaches(_made(), _seen("a"), uuid4(), name)[0] for name in ("watch-freshness", "by hand"))

    assert incident_id(one) == incident_id(other)
    assert incident_id(one) != incident_id(breaches(_made(), _seen("b"), uuid4(), "watch-freshness")[0])
    assert (one.generation, one.raised_by, one.last_update) == (0, "watch", None)
