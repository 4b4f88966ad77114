"""The catalog that people write: what it says, and what is told of one that is wrong."""

from pathlib import Path

import pytest

from prefect_healing.catalog import catalog_of, load_catalog
from prefect_healing.domain.catalog import Catalog, Freshness, Gate, Loader
from prefect_healing.errors import ConfigurationError
from prefect_healing.settings import Settings

SHIPPED = Path(__file__).parents[2] / "deployments" / "catalog.yaml"

GOOD = """
tables:
  mart:
    layer: gold
    owner: analytics
    upstreams: [totals]
    loader: {dbt: mart}
    rebuild: allow
    freshness: {column: built_at, max_age_hours: 26}
  totals:
    layer: intermediate
    upstreams: [orders, customers]
    loader: {flow: 'flows/totals.py:totals', parameter: day}
    gate: {project: gx, checkpoint: totals}
  orders:
    layer: staging
    key: [order_id]
    partition: order_date
    loader: {deployment: load-orders/production, parameter: day}
    upstreams: [shop]
    new_columns: load
    share_rows: true
    copy_rows_max: 10
    columns:
      email: {sensitive: true}
      note: {}
  customers: {layer: staging}
sources:
  shop:
    manifest: ${SHOP_URL}/manifest?day={partition}
    rows: count
    last_data: newest.day
"""


@pytest.fixture
def write(tmp_path: Path):
    def written(text: str) -> Path:
        path = tmp_path / "catalog.yaml"
        path.write_text(text)
        return path

    return written


def test_tables_come_in_the_order_of_loading(write, monkeypatch: pytest.MonkeyPatch):
    """Whatever order people wrote them in; what is loaded together keeps theirs."""
    monkeypatch.setenv("SHOP_URL", "http://shop.test")

    catalog = load_catalog(write(GOOD))

    assert [each.name for each in catalog.tables] == ["orders", "customers", "totals", "mart"]
    assert [each.name for each in catalog.downstream_of("orders")] == ["totals", "mart"]


def test_an_entry_says_what_people_wrote(write, monkeypatch: pytest.MonkeyPatch):
    """Every field there is."""
    monkeypatch.setenv("SHOP_URL", "http://shop.test")

    catalog = load_catalog(write(GOOD))

    orders, totals, mart = (catalog.table(name) for name in ("orders", "totals", "mart"))
    assert orders.loader == Loader(deployment="load-orders/production", parameter="day")
    assert (orders.key, orders.partition, orders.sensitive) == (("order_id",), "order_date", {"email"})
    assert (orders.new_columns, orders.share_rows, orders.copy_rows_max) == ("load", True, 10)
    assert totals.gate == Gate(project="gx", checkpoint="totals")
    assert (mart.needs_person, mart.freshness) == (None, Freshness(column="built_at", max_age_hours=26))
    source = catalog.source("shop")
    assert source.manifest == "http://shop.test/manifest?day={partition}"
    assert (source.rows, source.last_data, source.nulls) == ("count", "newest.day", "nulls")


def test_a_changed_file_or_environment_is_a_changed_catalog(write, monkeypatch: pytest.MonkeyPatch):
    """Reading is remembered by what was read."""
    monkeypatch.setenv("SHOP_URL", "http://one.test")
    path = write(GOOD)
    first = load_catalog(path)

    assert load_catalog(path) is first
    monkeypatch.setenv("SHOP_URL", "http://two.test")
    assert load_catalog(path).source("shop").manifest.startswith("http://two.test")
    write("tables: {only: {layer: gold}}\n")
    assert [each.name for each in load_catalog(path).tables] == ["only"]


def test_without_a_setting_nothing_is_declared():
    """The half that heals flows needs no catalog."""
    assert catalog_of(Settings()) == Catalog()


def test_the_shipped_example_is_read(monkeypatch: pytest.MonkeyPatch):
    """People copy it."""
    monkeypatch.setenv("VENDOR_URL", "http://127.0.0.1:8765")

    catalog = catalog_of(Settings(catalog=str(SHIPPED)))

    assert {"flights", "daily_delays"} <= {each.name for each in catalog.tables}
    assert catalog.table("daily_delays").upstreams == ("flights",)


def _table(*lines: str) -> str:
    return "tables:\n  t:\n    layer: gold\n" + "".join(f"    {line}\n" for line in lines)


WRONG = {
    # Two of one.
    "tables:\n  t: {layer: gold}\n  t: {layer: gold}\n": (3, "'t'", "twice"),
    _table("loader: {dbt: a}", "loader: {dbt: b}"): (5, "'loader'", "twice"),
    _table("loader: {dbt: a, deployment: b/c, parameter: day}"): (4, "loader", "exactly one of deployment, flow"),
    _table("loader:", "- {dbt: a}", "- {dbt: b}"): (4, "loader of t", "mapping"),
    "tables:\n  t: {layer: gold}\n  T: {layer: gold}\n": (3, "'T' and 't'", "rename"),
    "tables:\n  t: {layer: gold}\nsources:\n  t: {manifest: http://x}\n": (4, "'t'", "rename"),
    # Names that nobody knows.
    "tabels: {}\n": (1, "tabels", "Did you mean tables?"),
    _table("upstream: [x]"): (4, "upstream", "Did you mean upstreams?"),
    _table("loader: {deploymnt: a/b}"): (4, "deploymnt", "Did you mean deployment?"),
    _table("freshness: {column: c, max_age: 3}"): (4, "max_age", "max_age_hours"),
    _table("columns:", "  email: {sensitiv: true}"): (5, "sensitiv", "Did you mean sensitive?"),
    _table("gate: {checkpont: c, project: p}"): (4, "checkpont", "Did you mean checkpoint?"),
    _table("name: other"): (4, "name", "no field"),
    "sources:\n  s:\n    manifests: http://x\n": (3, "manifests", "Did you mean manifest?"),
    _table("upstreams: [t2, s]") + "sources:\n  shop: {manifest: http://x}\n": (4, "'t2'", "shop"),
    _table("upstreams:", "- ordrs") + "  orders: {layer: gold}\n": (5, "ordrs", "Did you mean orders?"),
    # Cycles.
    _table("upstreams: [t]"): (4, "t -> t", "take one upstream out"),
    "tables:\n  a: {layer: gold, upstreams: [b]}\n  b: {layer: gold, upstreams: [c, d]}\n"
    "  c: {layer: gold, upstreams: [a]}\n  d: {layer: gold, upstreams: []}\n": (2, "a -> c -> b -> a", "cycle"),
    # What makes no sense.
    _table("loader: {deployment: a/b}"): (4, "loader of t", "parameter: day"),
    _table("loader: {flow: 'f.py:f', parameter: ''}"): (4, "loader of t", "parameter: day"),
    _table("loader: {deployment: ab, parameter: day}"): (4, "loader.deployment", "pattern"),
    _table("freshness: {column: c, max_age_hours: 0}"): (4, "max_age_hours", "greater than 0"),
    _table("freshness: {column: c, max_age_hours: 2}", "columns: {c: {sensitive: true}}"): (4, "c of t", "another"),
    _table("partition: p", "columns: {p: {sensitive: true}}"): (4, "p of t", "name another column"),
    _table("layer: bronze"): (4, "'layer'", "twice"),
    "tables:\n  t: {layer: bronze}\n": (2, "layer", "'staging', 'intermediate' or 'gold'"),
    "tables:\n  t: {}\n": (2, "layer", "required"),
    "tables:\n  t:\n": (2, "table t", "mapping"),
    "tables:\n- t\n": (1, "tables", "mapping"),
    "tables:\n  healing_effects: {layer: gold}\n": (2, "healing_effects", "none of them can be declared"),
    "tables:\n  't; drop table x': {layer: gold}\n": (2, "name", "pattern"),
    _table("gate: {checkpoint: c}"): (4, "gate", "both, project and checkpoint"),
    _table("columns: [email]"): (4, "columns", "mapping"),
    _table("columns: {email: true}"): (4, "column email", "mapping"),
    "sources:\n  s: {manifest: ftp://x}\n": (2, "manifest", "pattern"),
    "sources:\n  s:\n    manifest: ${NOT_SET_ANYWHERE}/x\n": (3, "${NOT_SET_ANYWHERE}", "set it"),
    # What YAML can do and a catalog cannot.
    "tables: &a {}\nsources: *a\n": (2, "aliases", "write the value out"),
    "? [a]\n: {}\n": (1, "", ""),
    "tables:\n  ? {a: b}\n  : {layer: gold}\n": (1, "", ""),
    "tables: {t: !!python/object:os.system x}\n": (1, "not YAML", ""),
    "x: " + "[" * 5_000 + "\n": (1, "", ""),
    "\n": (1, "the catalog is empty", "tables, sources"),
    "just text\n": (1, "a catalog", "mapping"),
}


@pytest.mark.parametrize("text", WRONG, ids=lambda text: repr(text[:60]))
def test_what_is_wrong_is_told_with_file_line_name_and_remedy(text: str, write):
    """Never a traceback, never a guess."""
    line, name, remedy = WRONG[text]
    path = write(text)

    with pytest.raises(ConfigurationError) as caught:
        load_catalog(path)

    message = str(caught.value)
    assert str(path) in message
    assert f"line {line}:" in message or line == 1
    assert name in message
    assert remedy in message


def test_what_stands_in_the_environment_is_never_told(write, monkeypatch: pytest.MonkeyPatch):
    """A wrong address may hold a password."""
    monkeypatch.setenv("SHOP_URL", "shop:hunter2@shop.test")

    with pytest.raises(ConfigurationError, match="manifest") as caught:
        load_catalog(write(GOOD))

    assert "hunter2" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_told_with_the_setting(tmp_path: Path):
    """Missing files, folders, binary ones, and ones that are no catalog by their size."""
    (binary := tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    (huge := tmp_path / "huge.yaml").write_text("# nothing\n" * 60_000)

    for path in (tmp_path / "none.yaml", tmp_path, binary, huge, "\0"):
        with pytest.raises(ConfigurationError, match="catalog file"):
            load_catalog(path)
