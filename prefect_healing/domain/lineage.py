"""What is made from what, as one graph, whoever said so."""

from collections.abc import Collection, Iterable

from prefect_healing.domain.catalog import Catalog
from prefect_healing.domain.record import Record

Edge = tuple[str, str]
"""A parent and the child that is made from it, by name."""


class Graph(Record):
    """Edges from parent to child. What several systems say may contradict itself, so every walk bears a cycle."""

    edges: tuple[Edge, ...] = ()

    def merged(self, edges: Iterable[Edge]) -> "Graph":
        """Return the graph with more edges; one that is there already, or leads from a node to itself, adds nothing."""
        return Graph(edges=tuple(dict.fromkeys(each for each in (*self.edges, *edges) if each[0] != each[1])))

    def renamed(self, names: dict[str, str]) -> "Graph":
        """Return the graph with nodes called by the names given for them; two of one name become one."""
        return Graph().merged((names.get(parent, parent), names.get(child, child)) for parent, child in self.edges)

    def parents(self, name: str) -> tuple[str, ...]:
        """Return what a node is made from directly."""
        return tuple(parent for parent, child in self.edges if child == name)

    def children(self, name: str) -> tuple[str, ...]:
        """Return what is made from a node directly."""
        return tuple(child for parent, child in self.edges if parent == name)

    def upwards(self, name: str) -> dict[str, int]:
        """Return the node and all that it is made from, each with the number of hops to it, nearest first."""
        return _walk(name, _index(self.edges, 1, 0))

    def downwards(self, name: str) -> dict[str, int]:
        """Return the node and all that is made from it, each with the number of hops to it, nearest first."""
        return _walk(name, _index(self.edges, 0, 1))

    def topmost(self, among: Collection[str]) -> tuple[str, ...]:
        """Return those of the nodes that no other of them is upstream of, in the order given.

        Nodes that are all upstream of each other have nobody above them, so the first of them stands for all.
        """
        above = {name: self.upwards(name).keys() for name in among}
        return tuple(
            name
            for index, name in enumerate(among)
            if not any(
                other in above[name] and (name not in above[other] or place < index)
                for place, other in enumerate(among)
                if other != name
            )
        )

    def between(self, first: Iterable[str], last: str) -> frozenset[str]:
        """Return what lies on a way down from one of the first nodes to the last, ends included."""
        above = self.upwards(last).keys()
        return frozenset(name for start in first if start in above for name in self.downwards(start).keys() & above)

    def in_order(self, names: Collection[str]) -> tuple[str, ...]:
        """Return the names with parents before children; where the graph does not tell, in the order given."""
        ordered: dict[str, None] = {}
        left: list[str] = list(names)
        while left:
            ordered |= dict.fromkeys(self.topmost(left))
            left = [name for name in left if name not in ordered]
        return tuple(ordered)


def catalog_graph(catalog: Catalog) -> Graph:
    """Return what the catalog declares."""
    return Graph().merged((parent, table.name) for table in catalog.tables for parent in table.upstreams)


def table_named(catalog: Catalog, key: str) -> str | None:
    """Return the declared table that an asset key such as `postgres://host/warehouse/schema/table` ends with."""
    parts = [part for part in key.rpartition("://")[2].split("/") if part]
    tails = {".".join(parts[-count:]).casefold() for count in (1, 2)}
    return next((table.name for table in catalog.tables if table.name.casefold() in tails), None)


def names_of_assets(catalog: Catalog, keys: Collection[str]) -> dict[str, str]:
    """Return the table that each asset key stands for. Where two keys fit one table, neither is taken for it."""
    fits = {key: table for key in dict.fromkeys(keys) if (table := table_named(catalog, key)) is not None}
    taken = list(fits.values())
    return {key: table for key, table in fits.items() if taken.count(table) == 1}


def _index(edges: Iterable[Edge], of: int, to: int) -> dict[str, list[str]]:
    index: dict[str, list[str]] = {}
    for edge in edges:
        index.setdefault(edge[of], []).append(edge[to])
    return index


def _walk(name: str, index: dict[str, list[str]]) -> dict[str, int]:
    hops, left = {name: 0}, [name]
    for each in left:
        for other in index.get(each, []):
            if other not in hops:
                hops[other] = hops[each] + 1
                left.append(other)
    return hops
