"""What each part of a query tells of the rows it was computed from, and whether that may leave the warehouse.

Three labels: FREE may leave; CLOSED comes from rows of a table that does not share them, so only aggregates of it may
leave; SENSITIVE is counted and tested for NULL, and nothing else. A value that leaves openly may still tell a closed
one where the query sets the two equal (`JOIN numbers ON numbers.n = payments.amount`), so columns that are compared
with closed ones of other rows become closed themselves, for that part of the query.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Literal

Kind = Literal["number", "date", "text", "other"]
Shape = Literal["column", "indicator", "literal", "computed"]
"""`column`: a value of a row, or arithmetic of such. `indicator`: a condition, or a constant chosen by one."""


class Label(IntEnum):
    """How far a value may go."""

    FREE = 0
    CLOSED = 1
    SENSITIVE = 2


@dataclass(frozen=True)
class Flow:
    """What a value tells. `origins` are the rows it comes from, one for each place where the query reads a table.

    `repeated` says that one row may stand for many of its values; `names` are the columns, for messages.
    """

    label: Label = Label.FREE
    kind: Kind = "other"
    shape: Shape = "literal"
    origins: frozenset[str] = frozenset()
    repeated: bool = False
    names: tuple[str, ...] = ()

    @property
    def closed(self) -> bool:
        """Say whether the value may not leave as it is."""
        return self.label is not Label.FREE


def together(flows: Iterable[Flow], *, kind: Kind = "other", shape: Shape = "computed") -> Flow:
    """Return what a value tells that is computed from these."""
    flows = tuple(flows)
    return Flow(
        label=max((each.label for each in flows), default=Label.FREE),
        kind=kind,
        shape=shape,
        origins=frozenset[str]().union(*(each.origins for each in flows)),
        repeated=any(each.repeated for each in flows),
        names=tuple(dict.fromkeys(name for each in flows for name in each.names)),
    )


@dataclass(frozen=True)
class Output:
    """One column of a table, a subquery or the answer, under the name that the database has for it."""

    name: str
    flow: Flow


@dataclass
class Source:
    """What stands in FROM under one alias; `columns` by their folded names."""

    alias: str
    columns: dict[str, Output]


@dataclass
class Scope:
    """The sources that one SELECT sees, within the SELECT around it.

    `seen` logs every value that was read, `outer_seen` those of the SELECTs around. `raised` are the origins whose
    values are compared with closed ones.
    """

    outer: "Scope | None" = None
    sources: dict[str, Source] = field(default_factory=dict[str, Source])
    seen: list[Flow] = field(default_factory=list[Flow])
    outer_seen: list[Flow] = field(default_factory=list[Flow])
    raised: frozenset[str] = frozenset()

    def read(self, flow: Flow) -> Flow:
        """Log a value that is read here, and return what it tells in this SELECT."""
        if not flow.closed and flow.origins & self.raised:
            flow = replace(flow, label=Label.CLOSED)
        if len(self.sources) > 1:
            flow = replace(flow, repeated=True)
        self.seen.append(flow)
        return flow


def raised_by(units: Sequence[Sequence[Flow]]) -> frozenset[str]:
    """Return the origins whose open values tell closed ones, given which values each expression reads together."""
    raised = frozenset[str]()
    mixed = [(_origins(unit, closed=True), _origins(unit, closed=False)) for unit in units]
    for closed, free in mixed:
        if closed:
            raised |= free - closed
    while True:
        more = raised.union(*(free for _, free in mixed if free & raised))
        if more == raised:
            return raised
        raised = more


def _origins(unit: Iterable[Flow], *, closed: bool) -> frozenset[str]:
    return frozenset[str]().union(*(each.origins for each in unit if each.closed is closed))


def bound_together(outputs: Sequence[Output]) -> list[Output]:
    """Return a subquery's columns such that its open ones count as one: they stand in the same rows."""
    origins = frozenset[str]().union(*(each.flow.origins for each in outputs if not each.flow.closed))
    return [each if each.flow.closed else replace(each, flow=replace(each.flow, origins=origins)) for each in outputs]


def read_anew(output: Output, place: int) -> Output:
    """Return a column of a subquery as another place reads it: its rows are not those of the first place."""
    origins = frozenset(f"{place}/{origin}" for origin in output.flow.origins)
    return replace(output, flow=replace(output.flow, origins=origins, shape=_as_read(output.flow)))


def _as_read(flow: Flow) -> Shape:
    # A constant chosen by a condition stays one. What was computed is no column, or a mask would pass for one.
    return "column" if flow.shape == "literal" or not flow.closed else flow.shape
