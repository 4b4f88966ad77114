"""The graph of what is made from what: walks end, whatever was said, and orders hold where they can."""

from hypothesis import given
from hypothesis import strategies as st

from prefect_healing.domain.catalog import Catalog, Table
from prefect_healing.domain.lineage import Edge, Graph, catalog_graph, names_of_assets

names = st.sampled_from("abcdefg")
graphs = st.lists(st.tuples(names, names), max_size=20).map(Graph().merged)


def _reaches(edges: tuple[Edge, ...], start: str, end: str) -> bool:
    """Say the same more slowly: relax the edges until nothing changes."""
    reached = {start}
    for _ in edges:
        reached |= {child for parent, child in edges if parent in reached}
    return end in reached


@given(graphs, names)
def test_upwards_finds_exactly_what_a_node_is_made_from(graph: Graph, asked: str):
    """In a graph with cycles too, and each node once."""
    assert set(graph.upwards(asked)) == {name for name in "abcdefg" if _reaches(graph.edges, name, asked)}


@given(graphs, names)
def test_hops_grow_by_one(graph: Graph, asked: str):
    """A node is one hop further than the nearest thing made from it."""
    hops = graph.upwards(asked)

    assert hops[asked] == 0
    for name, far in hops.items():
        if name != asked:
            assert far == 1 + min(hops[child] for child in graph.children(name) if child in hops)


@given(graphs, graphs)
def test_merging_keeps_all_that_either_said_once(one: Graph, other: Graph):
    """In any order, and without a node that is made from itself."""
    merged = one.merged(other.edges)

    assert sorted(merged.edges) == sorted({*one.edges, *other.edges})
    assert sorted(other.merged(one.edges).edges) == sorted(merged.edges)
    assert all(parent != child for parent, child in merged.edges)


@given(graphs, st.lists(names, unique=True))
def test_order_puts_parents_first_and_loses_nothing(graph: Graph, some: list[str]):
    """Only nodes that are made from each other may stand in any order."""
    ordered = graph.in_order(some)

    assert sorted(ordered) == sorted(some)
    for place, name in enumerate(ordered):
        for later in ordered[place + 1 :]:
            assert not _reaches(graph.edges, later, name) or _reaches(graph.edges, name, later)


@given(graphs, st.lists(names, unique=True))
def test_topmost_covers_all_and_no_more(graph: Graph, some: list[str]):
    """Every node is one of them or below one of them, and none of them is below another, but in a cycle."""
    top = graph.topmost(some)

    assert all(any(_reaches(graph.edges, above, name) for above in top) for name in some)
    assert not any(_reaches(graph.edges, above, name) for above in top for name in top if above != name)


@given(graphs, names, names)
def test_between_is_what_lies_on_a_way(graph: Graph, first: str, last: str):
    """From one to the other, both included; nothing where no way leads there."""
    expected = {n for n in "abcdefg" if _reaches(graph.edges, first, n) and _reaches(graph.edges, n, last)}

    assert graph.between([first], last) == expected


def _catalog(*tables: str) -> Catalog:
    return Catalog(tables=tuple(Table(name=name, layer="gold", upstreams=()) for name in tables))


def test_an_asset_is_the_table_that_its_key_ends_with():
    """With or without a schema; what fits no table keeps its key."""
    catalog = _catalog("orders", "shop.customers")
    keys = ["postgres://host/db/orders", "s3://bucket/raw.csv", "postgres://host/db/shop/customers"]

    assert names_of_assets(catalog, keys) == {keys[0]: "orders", keys[2]: "shop.customers"}


def test_two_assets_that_fit_one_table_are_neither():
    """A raw file and the table it is loaded into may be called alike; guessing would join them."""
    assert names_of_assets(_catalog("orders"), ["s3://raw/orders", "postgres://db/orders"]) == {}


def test_the_catalogs_graph_leads_from_sources_to_tables():
    """As declared."""
    tables = (
        Table(name="stage", layer="staging", upstreams=("shop",)),
        Table(name="mart", layer="gold", upstreams=("stage",)),
    )

    assert catalog_graph(Catalog(tables=tables)).edges == (("shop", "stage"), ("stage", "mart"))
