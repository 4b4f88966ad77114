"""What a node of a dbt project is made from and what is made from it, with how the last build left each."""

from collections.abc import Callable, Iterable

from prefect_healing.dbt.artifacts import DbtResult, Outcome
from prefect_healing.dbt.manifest import Kind, Manifest, Node
from prefect_healing.domain.record import Record
from prefect_healing.errors import ToolFailed

NODES_SHOWN = 100
_NAMES_SHOWN = 40


class DbtNode(Record):
    """A table or view of the project. `depth` is 0 for the node asked for, below 0 upstream of it, above downstream.

    `last_outcome` is how the last build of the incident's flow run left it, None where that did not build it.
    """

    node: str
    kind: Kind
    table: str
    depth: int
    materialized: str | None
    made_from: tuple[str, ...]
    tests: tuple[str, ...]
    last_outcome: Outcome | None


class DbtLineage(Record):
    """The nodes around one, upstream first; `left_out` are not listed."""

    node: str
    nodes: tuple[DbtNode, ...]
    left_out: int


def lineage_of(manifest: Manifest, name: str, last: Iterable[DbtResult] = ()) -> DbtLineage:
    """Return what is around the node of this name, table or unique id; `last` is what came of the last build.

    Raises ToolFailed where there is no such node.
    """
    outcomes: dict[str, Outcome] = {each.unique_id: each.outcome for each in last}
    stored = {each.unique_id: each for each in _everything(manifest) if each.is_stored}
    asked = _named(stored.values(), name)
    parents = {each: tuple(up.unique_id for up in manifest.stored_parents(node)) for each, node in stored.items()}
    children = {each: tuple(down for down, ups in parents.items() if each in ups) for each in stored}
    above, below = _walk(asked.unique_id, lambda at: parents[at]), _walk(asked.unique_id, lambda at: children[at])
    depths = {**{each: -depth for each, depth in above.items()}, **below}
    ordered = sorted(depths, key=lambda each: (depths[each], each))
    nearest = sorted(ordered, key=lambda each: abs(depths[each]))[:NODES_SHOWN]
    return DbtLineage(
        node=asked.name,
        nodes=tuple(
            DbtNode(
                node=stored[each].name,
                kind=stored[each].kind,
                table=stored[each].table or "",
                depth=depths[each],
                materialized=stored[each].config.materialized,
                made_from=tuple(stored[up].name for up in parents[each]),
                tests=_tests_of(manifest, each),
                last_outcome=outcomes.get(each),
            )
            for each in ordered
            if each in nearest
        ),
        left_out=len(ordered) - len(nearest),
    )


def _everything(manifest: Manifest) -> Iterable[Node]:
    return (*manifest.sources.values(), *manifest.nodes.values())


def _named(nodes: Iterable[Node], name: str) -> Node:
    known = list(nodes)
    found = next((each for each in known if name in (each.unique_id, each.name, each.table)), None)
    if found is None:
        names = ", ".join(sorted(each.name for each in known)[:_NAMES_SHOWN])
        raise ToolFailed(f"The dbt project has no model, seed, snapshot or source {name[:80]!r}; it has {names}.")
    return found


def _walk(start: str, following: Callable[[str], tuple[str, ...]]) -> dict[str, int]:
    """Return how many steps each node is away, by the longest way, so that none stands before what it needs."""
    depths, left = {start: 0}, [start]
    while left:
        at = left.pop()
        for each in following(at):
            if depths.get(each, -1) < depths[at] + 1:
                depths[each] = depths[at] + 1
                left.append(each)
    return depths


def _tests_of(manifest: Manifest, unique_id: str) -> tuple[str, ...]:
    tests = (each for each in manifest.nodes.values() if each.kind == "test")
    return tuple(sorted(each.name for each in tests if unique_id in each.depends_on.nodes))[:_NAMES_SHOWN]
