"""What an expression tells, from what its columns tell."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sqlglot import exp

from prefect_healing.errors import ToolFailed
from prefect_healing.warehouse._sql_flow import Flow, Kind, Label, Scope, together

if TYPE_CHECKING:
    from prefect_healing.warehouse._sql_scopes import Query

ROWS_MIN = 5
"""From fewer rows than these no aggregate of values leaves: over one row, it would be the row."""

_SPREAD = (exp.Stddev, exp.StddevSamp, exp.StddevPop, exp.Variance, exp.VariancePop)
_AGGREGATES = (exp.Sum, exp.Avg, exp.Min, exp.Max, *_SPREAD)
_CONDITIONS = (
    *(exp.And, exp.Or, exp.Not, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ),
    *(exp.Is, exp.Like, exp.ILike, exp.Escape, exp.Between),
)
_ARITHMETIC = (exp.Add, exp.Sub, exp.Mul)
_ORDERING = (
    *(exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between, exp.Greatest, exp.Least),
    *(*_ARITHMETIC, exp.Div, exp.Mod),
)
"""What tells how far apart two values are: between tables, counting would then tell a closed one."""
_KEEPS_SHAPE: dict[type[exp.Expr], Kind | None] = {
    **dict.fromkeys((exp.Paren, exp.Neg, exp.Abs, exp.Round, exp.Ceil, exp.Floor, exp.TsOrDsToTimestamp), None),
    **dict.fromkeys((exp.Length, exp.Extract), "number"),
    **dict.fromkeys((exp.Date, exp.TimestampTrunc, exp.DateTrunc), "date"),
}
_SUBQUERIES = (exp.Subquery, exp.Exists, exp.In)


@dataclass
class Values:
    """Computes what expressions of one SELECT tell. `known` keeps subqueries, which are read once.

    Only when `final`, after it is known which columns are compared with closed ones, is anything refused for being
    closed, and are aggregates kept from telling of few rows.
    """

    query: "Query"
    scope: Scope
    known: dict[int, Flow] = field(default_factory=dict[int, Flow])
    final: bool = False

    def of(self, node: exp.Expr) -> Flow:
        """Return what the expression tells, with its columns resolved in the tree."""
        if isinstance(node, exp.Column):
            return self._column(node)
        if (about := _only_counted(node)) is not None:
            return self._counted(node, about)
        if isinstance(node, _SUBQUERIES) and _inner_query(node) is not None:
            return self._subquery(node)
        if isinstance(node, exp.Filter):
            return self._filtered(node)
        if isinstance(node, _AGGREGATES):
            return self._aggregate(node, node)
        return self._plain(node)

    def _column(self, node: exp.Column) -> Flow:
        flow = self.query.resolve(node, self.scope)
        if flow.label is Label.SENSITIVE:
            raise ToolFailed(
                f"{flow.names[0]} is sensitive: it can stand in COUNT({node.name}), COUNT(DISTINCT {node.name}) and "
                f"{node.name} IS [NOT] NULL, and nowhere else."
            )
        return flow

    def _counted(self, node: exp.Expr, about: exp.Expr | None) -> Flow:
        if isinstance(node, exp.Is):
            flow = self._bare(about)
            closed = Label.FREE if self._shared(flow) else Label.CLOSED
            return replace(flow, label=closed, kind="other", shape="indicator")
        if isinstance(node, exp.Typeof):
            return Flow(Label.FREE, "text", "column", self.of(node.this).origins)
        flow = self._inside(lambda: Flow() if about is None else self._bare(about))
        return Flow(Label.FREE, "number", "column", frozenset(("counted",)), names=flow.names)

    def _bare(self, node: exp.Expr | None) -> Flow:
        if isinstance(node, exp.Column):
            return self.query.resolve(node, self.scope)
        return Flow() if node is None else self.of(node)

    def _shared(self, flow: Flow) -> bool:
        if flow.label is not Label.SENSITIVE:
            return not flow.closed
        tables = [self.query.tables[name.rpartition(".")[0]] for name in flow.names]
        return all(each.share_rows for each in tables) and not flow.origins & self.scope.raised

    def _inside(self, compute: Callable[[], Flow]) -> Flow:
        mark = len(self.scope.outer_seen)
        flow = compute()
        if len(self.scope.outer_seen) > mark:
            raise ToolFailed("An aggregate in a subquery takes a column of the query around; take one of its own.")
        return flow

    def _aggregate(self, node: exp.Expr, whole: exp.Expr) -> Flow:
        flow = self._inside(lambda: self.of(node.this))
        result = Flow(Label.FREE, _kind_of(node, flow), "column", frozenset(("aggregated",)), names=flow.names)
        if not flow.closed or not self.final:
            return replace(result, label=flow.label) if flow.closed else result
        if flow.shape != "indicator":
            self._check_aggregate(node, flow)
            _kept_from_few(node, whole, flow, self.query.dialect)
            self.query.withholds = True
        return result

    def _check_aggregate(self, node: exp.Expr, flow: Flow) -> None:
        kinds = ("number", "date") if isinstance(node, exp.Min | exp.Max) else ("number",)
        name, about = node.key.upper(), ", ".join(flow.names)
        if flow.shape != "column":
            raise ToolFailed(
                f"{name} over {about} takes a column, or +, - and * of columns of one table, or a CASE that gives "
                "constants: the rows are not shared, and anything else could single one out."
            )
        if flow.kind not in kinds:
            raise ToolFailed(
                f"{name} of {about} would be one of its values, or is none of numbers; the rows are not shared. "
                f"Ask COUNT(DISTINCT ...){' or MIN and MAX' if flow.kind == 'date' else ''} instead."
            )

    def _filtered(self, node: exp.Filter) -> Flow:
        self.of(node.expression.this)
        if isinstance(node.this, exp.Count):
            return self.of(node.this)
        if not isinstance(node.this, _AGGREGATES):
            raise ToolFailed("FILTER follows count, sum, avg, min or max, and nothing else.")
        return self._aggregate(node.this, node)

    def _subquery(self, node: exp.Expr) -> Flow:
        first = () if not isinstance(node, exp.In) else (self.of(node.this),)
        if id(node) not in self.known:
            self.known[id(node)] = self._read_inner(node)
        inner = self.scope.read(self.known[id(node)])
        shape = "computed" if isinstance(node, exp.Subquery) else "indicator"
        return together((*first, inner), kind=inner.kind, shape=shape)

    def _read_inner(self, node: exp.Expr) -> Flow:
        inner = _inner_query(node)
        assert inner is not None  # noqa: S101 - the caller asked
        if (
            isinstance(node, exp.Exists)
            and isinstance(inner, exp.Select)
            and isinstance(inner.expressions[0], exp.Star)
        ):
            inner.set("expressions", [exp.Literal.number(1)])
        around = Scope(outer=self.scope)
        outputs = self.query.columns(inner, around)
        if len(outputs) != 1 and not isinstance(node, exp.Exists):
            raise ToolFailed(f"A subquery that stands for a value gives {len(outputs)} columns; it needs exactly one.")
        return self._told(around, () if isinstance(node, exp.Exists) else [each.flow for each in outputs])

    def _told(self, around: Scope, outputs: "list[Flow] | tuple[()]") -> Flow:
        told = together((*outputs, *around.outer_seen), kind=outputs[0].kind if outputs else "other")
        if around.outer_seen and any(each.closed for each in around.seen):
            # What closed rows say of each row of the query around is closed, and is not of that row's own table.
            return replace(told, label=Label.CLOSED, origins=frozenset(("elsewhere",)))
        if not around.outer_seen and not told.closed:
            return replace(told, origins=frozenset())  # One value for the whole query, as a constant is.
        return told

    def _plain(self, node: exp.Expr) -> Flow:
        if isinstance(node, exp.Query):
            raise ToolFailed("A query stands where a value belongs; put it in parentheses, or into WITH.")
        flows = [self.of(each) for each in _operands(node)]
        if isinstance(node, _ORDERING):
            _check_one_origin(node, together(flows))
        if isinstance(node, exp.Literal):
            return Flow(kind="text" if node.is_string else "number")
        if isinstance(node, (*_CONDITIONS, exp.In)):
            return together(flows, shape="indicator")
        if isinstance(node, exp.Case | exp.If):
            return self._chosen(node, flows)
        if isinstance(node, _ARITHMETIC):
            return _arithmetic(flows)
        if isinstance(node, exp.Cast):
            return together(flows, kind=_kind_of_type(node), shape=flows[0].shape)
        if type(node) in _KEEPS_SHAPE:
            return together(flows, kind=_KEEPS_SHAPE[type(node)] or flows[0].kind, shape=flows[0].shape)
        if isinstance(node, exp.Substring) and self.final and any(each.closed for each in flows):
            raise ToolFailed("Parts of a text can be asked only of rows that the catalog shares; use LIKE and LENGTH.")
        return together(flows, kind=flows[0].kind if flows else "other", shape="computed" if flows else "literal")

    def _chosen(self, node: exp.Expr, flows: list[Flow]) -> Flow:
        branches = [node.args.get("true"), node.args.get("false"), node.args.get("default")]
        branches += [each.args.get("true") for each in node.args.get("ifs") or ()]
        constant = all(each is None or isinstance(each, exp.Literal | exp.Null | exp.Boolean) for each in branches)
        return together(flows, kind="number", shape="indicator" if constant else "computed")


def _only_counted(node: exp.Expr) -> exp.Expr | None:
    """Return what COUNT counts, or what is tested for NULL or for its type; None for other expressions."""
    if isinstance(node, exp.Count):
        about = node.this
        if isinstance(about, exp.Distinct):
            if len(about.expressions) != 1:
                raise ToolFailed("COUNT(DISTINCT ...) takes one column; count the groups of a subquery instead.")
            return about.expressions[0]
        return exp.Null() if isinstance(about, exp.Star) else about
    if isinstance(node, exp.Is) and isinstance(node.expression, exp.Null):
        return node.this
    return node.this if isinstance(node, exp.Typeof) else None


def _inner_query(node: exp.Expr) -> exp.Expr | None:
    inner = node.args.get("query") if isinstance(node, exp.In) else node.this
    while isinstance(inner, exp.Subquery):
        inner = inner.this
    return inner if isinstance(inner, exp.Query) else None


def _operands(node: exp.Expr) -> list[exp.Expr]:
    skipped = exp.DataType | exp.Var | exp.Identifier
    return [each for each in node.iter_expressions() if not isinstance(each, skipped)]


def _check_one_origin(node: exp.Expr, flow: Flow) -> None:
    if flow.closed and len(flow.origins) > 1:
        raise ToolFailed(
            f"{node.key.upper()} of {', '.join(flow.names)}: rows that are not shared can be compared with those of "
            "another table by = and <> only. Aggregate each in WITH first, and compare the aggregates."
        )


def _arithmetic(flows: list[Flow]) -> Flow:
    columns = all(each.shape == "column" for each in flows) and len({each.origins for each in flows}) == 1
    literal = all(each.shape == "literal" for each in flows)
    kind: Kind = "number" if all(each.kind == "number" for each in flows) else "other"
    return together(flows, kind=kind, shape="column" if columns else "literal" if literal else "computed")


def _kind_of(node: exp.Expr, flow: Flow) -> Kind:
    return flow.kind if isinstance(node, exp.Min | exp.Max) else "number"


def _kind_of_type(node: exp.Cast) -> Kind:
    kind = node.to.this
    if kind in (exp.DType.DATE, exp.DType.TIMESTAMP):
        return "date"
    return "text" if kind == exp.DType.TEXT else "other" if kind == exp.DType.BOOLEAN else "number"


def _kept_from_few(node: exp.Expr, whole: exp.Expr, flow: Flow, dialect: str) -> None:
    """Put NULL in the place of an aggregate over few rows; what a join repeats counts once."""
    about = node.this.copy()
    counted = exp.Count(this=exp.Distinct(expressions=[about]) if flow.repeated else about)
    if isinstance(whole, exp.Filter):
        counted = exp.Filter(this=counted, expression=whole.expression.copy())
    if dialect == "sqlite" and isinstance(node, exp.Min | exp.Max):
        node.set("this", _of_its_kind(node.this, flow.kind))
    enough = exp.GTE(this=counted, expression=exp.Literal.number(ROWS_MIN))
    whole.replace(exp.Case(ifs=[exp.If(this=enough, true=whole.copy())]))


def _of_its_kind(about: exp.Expr, kind: Kind) -> exp.Expr:
    """Leave out what SQLite holds in a column of numbers or times without its being one: that would be a text."""
    if kind == "number":
        numbers = [exp.Literal.string("integer"), exp.Literal.string("real")]
        holds: exp.Expr = exp.In(this=exp.Typeof(this=about.copy()), expressions=numbers)
    else:
        holds = exp.Not(this=exp.Is(this=exp.Date(this=about.copy()), expression=exp.Null()))
    return exp.Case(ifs=[exp.If(this=holds, true=about.copy())])
