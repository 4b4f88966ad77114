"""Where along a lineage the data stopped: a pure judgement on what was seen of every node."""

from collections.abc import Mapping
from datetime import date
from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime

from prefect_healing.domain.catalog import Layer
from prefect_healing.domain.lineage import Graph
from prefect_healing.domain.record import Record

Kind = Literal["table", "source", "model", "asset"]
"""`model`: known to dbt only. `asset`: known to Prefect only, by its key."""

Status = Literal["fresh", "stale", "failed", "unknown"]


class LastRun(Record):
    """A flow run that loads a table, or was to. Times are UTC; `state_name` may be Late for one that never began."""

    id: UUID
    name: str
    state_type: str
    state_name: str
    expected_at: AwareDatetime | None = None
    started_at: AwareDatetime | None = None
    ended_at: AwareDatetime | None = None
    duration_seconds: float = 0

    @property
    def broke(self) -> bool:
        """Say whether it ended badly."""
        return self.state_type in ("FAILED", "CRASHED", "CANCELLED")


class Seen(Record):
    """What was seen of one node; `problem` says why nothing could be.

    `newest` is a table's newest partition, or the newest data that a source says it has. `aged` says whether the table
    is older than its freshness allows, None where nothing is declared. `partitioned` is False where a table has no
    partitions to compare. `late_after` is the day that data must not be older than. `up` and `lacks` are a source's:
    whether it answered, and the incident's partition where it said that it does not have it.
    """

    name: str
    kind: Kind
    layer: Layer | None = None
    last_update: AwareDatetime | None = None
    first: date | None = None
    newest: date | None = None
    partitioned: bool = True
    aged: bool | None = None
    late_after: date | None = None
    up: bool | None = None
    lacks: date | None = None
    broke: bool = False
    last_run: LastRun | None = None
    problem: str = ""


class Judged(Record):
    """A node's status, and what it rests on."""

    status: Status
    detail: str = ""

    @property
    def broken(self) -> bool:
        """Say whether the node is where data may have stopped."""
        return self.status in ("stale", "failed")


class Verdict(Record):
    """Every node judged, the most upstream broken ones, the first of them, and the tables to rebuild, in order."""

    nodes: dict[str, Judged]
    roots: tuple[str, ...] = ()
    first_broken: str | None = None
    rebuild_order: tuple[str, ...] = ()


def judge(graph: Graph, seen: Mapping[str, Seen], asked: str) -> Verdict:
    """Judge all that a table is made from. `seen` lists the nodes, tables in the order of loading.

    A table with a freshness entry is judged by that, another one by how far the data above it reach. A source is at
    fault only where something made from it is not fresh.
    """
    hops = graph.upwards(asked)
    judged = {name: _judged(each, _reach(graph, seen, name)) for name, each in seen.items() if name in hops}
    late = _late_sources(graph, seen, judged, asked)
    judged |= late
    broken = [
        name for name, each in judged.items() if each.broken and (name in late or _bears(graph, seen, judged, name))
    ]
    roots = graph.topmost(graph.in_order(broken))
    between = graph.between(roots, asked)
    return Verdict(
        nodes=judged,
        roots=roots,
        first_broken=max(roots, key=lambda name: hops[name], default=None),
        rebuild_order=graph.in_order([name for name in seen if name in between and seen[name].kind == "table"]),
    )


def _reach(graph: Graph, seen: Mapping[str, Seen], name: str, on_the_way: frozenset[str] = frozenset()) -> date | None:
    """Return the newest day that a node could have: no newer than the oldest of what it is made from."""
    node = seen.get(name)
    if node is None or name in on_the_way:
        return None
    above = [_reach(graph, seen, parent, on_the_way | {name}) for parent in graph.parents(name)]
    possible = min((day for day in above if day is not None), default=None)
    return max((day for day in (node.newest, possible) if day is not None), default=None)


def _judged(node: Seen, reach: date | None) -> Judged:
    if node.problem:
        return Judged(status="unknown", detail=node.problem)
    if node.kind == "source":
        return _judged_source(node)
    if node.kind != "table":
        return Judged(status="failed" if node.broke else "unknown", detail=_of_others(node))
    behind = _behind(node, reach)
    broken = node.aged if node.aged is not None else behind
    badly = node.last_run is not None and node.last_run.broke
    if broken is False:
        return Judged(status="fresh")
    if badly or broken:
        return Judged(status="failed" if badly else "stale", detail=_why(node, reach if behind else None))
    return Judged(status="unknown", detail="It declares no freshness, and there are no partitions to compare.")


def _judged_source(node: Seen) -> Judged:
    if node.up is None:
        return Judged(status="unknown", detail="The catalog does not declare it.")
    if not node.up:
        return Judged(status="failed", detail="It does not answer.")
    if node.lacks is not None:
        has = f"; the newest it has is {node.newest}" if node.newest else ""
        return Judged(status="stale", detail=f"It does not have {node.lacks}{has}.")
    return Judged(status="fresh", detail=f"It has data up to {node.newest}." if node.newest else "")


def _of_others(node: Seen) -> str:
    if node.kind == "asset":
        return "Its newest materialization failed." if node.broke else "Only its materializations are known."
    return "Only dbt knows it; declare it in the catalog to have it looked at."


def _behind(node: Seen, reach: date | None) -> bool | None:
    """Say whether a table lacks days that are there above it, None where nothing tells."""
    if not node.partitioned or reach is None:
        return None
    return node.newest is None or node.newest < reach


def _why(node: Seen, reach: date | None) -> str:
    said: list[str] = []
    if node.aged:
        said.append("It is older than the catalog allows." if node.last_update else "It was never updated.")
    if reach is not None:
        said.append(f"It has {f'days up to {node.newest}' if node.newest else 'no day'}, and could have {reach}.")
    if node.last_run is not None:
        said.append(_of_run(node, node.last_run))
    return " ".join(said)


def _of_run(node: Seen, run: LastRun) -> str:
    at = f" at {run.ended_at:%Y-%m-%d %H:%M} UTC" if run.ended_at else ""
    last = f"The last run of its loader, {run.name}, is {run.state_name}{at}"
    moved = node.last_update is not None and run.ended_at is not None and node.last_update >= run.ended_at
    return (
        f"{last}, yet the table did not move: it failed quietly."
        if run.state_type == "COMPLETED" and not moved
        else f"{last}."
    )


def _late_sources(
    graph: Graph, seen: Mapping[str, Seen], judged: Mapping[str, Judged], asked: str
) -> dict[str, Judged]:
    """Return the sources that are late themselves: a table is too old, and it and all above it have what they had."""
    node = seen[asked]
    tables = [seen[name] for name in judged if seen[name].kind == "table"]
    if (
        not node.aged
        or node.late_after is None
        or any(_behind(each, _reach(graph, seen, each.name)) for each in tables)
    ):
        return {}
    return {
        name: Judged(status="stale", detail=f"It has nothing newer than {seen[name].newest}.")
        for name, each in judged.items()
        if seen[name].kind == "source" and each.status == "fresh" and _before(seen[name].newest, node.late_after)
    }


def _before(day: date | None, limit: date) -> bool:
    return day is not None and day < limit


def _bears(graph: Graph, seen: Mapping[str, Seen], judged: Mapping[str, Judged], name: str) -> bool:
    """Say whether a broken node can be why others are: a source only where something made from it waits for it."""
    if seen[name].kind != "source":
        return True
    lacks = seen[name].lacks
    below = [seen[child] for child in graph.children(name) if child in judged]
    waiting = any(lacks is not None and (each.newest is None or each.newest < lacks) for each in below)
    return waiting or any(judged[each.name].status != "fresh" for each in below)
