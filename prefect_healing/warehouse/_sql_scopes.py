"""Reads a query as the database will: names every column by its source, and follows what leaves."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from sqlglot import exp

from prefect_healing.domain.catalog import Catalog, Table
from prefect_healing.errors import ToolFailed
from prefect_healing.warehouse._sql_flow import (
    Flow,
    Kind,
    Label,
    Output,
    Scope,
    Shape,
    Source,
    bound_together,
    raised_by,
    read_anew,
)
from prefect_healing.warehouse._sql_shapes import COLUMNS_MAX
from prefect_healing.warehouse._sql_values import Values

Columns = Mapping[str, Kind]
"""The columns that a table really has, under their own names, and what kind of value each holds."""


@dataclass
class Query:
    """One query being read. Its tree is changed on the way: names made full, small groups kept from leaving."""

    catalog: Catalog
    dialect: str
    columns_of: Callable[[Table], Columns]
    tables: dict[str, Table] = field(default_factory=dict[str, Table])
    ctes: dict[str, list[Output]] = field(default_factory=dict[str, list[Output]])
    places: int = 0
    withholds: bool = False

    def read(self, tree: exp.Query) -> list[Output]:
        """Read the whole query and return its columns. Raises ToolFailed where anything may not leave."""
        self._read_with(tree)
        outputs = self.columns(tree, None, leaves=True)
        for output in outputs:
            if output.flow.closed:
                raise ToolFailed(_stays(output.flow))
        return outputs

    def columns(self, tree: exp.Expr, outer: Scope | None, *, leaves: bool = False) -> list[Output]:
        """Return what a SELECT, or several joined by UNION, give, as one reads it in the SELECT around."""
        if isinstance(tree, exp.SetOperation):
            return self._set_operation(tree, outer, leaves=leaves)
        if isinstance(tree, exp.Subquery) and not tree.alias:
            return self.columns(tree.this, outer, leaves=leaves)
        if not isinstance(tree, exp.Select):
            raise ToolFailed("A query inside this one is no SELECT; write it as one.")
        return self._select(tree, outer, leaves=leaves)

    def fold(self, identifier: exp.Expr | str | None) -> str:
        """Return a name as the database compares it."""
        name = identifier if isinstance(identifier, str) else "" if identifier is None else str(identifier.name)
        exact = self.dialect == "postgres" and isinstance(identifier, exp.Identifier) and identifier.quoted
        return name if exact else name.lower()

    def _read_with(self, tree: exp.Query) -> None:
        with_ = tree.args.get("with_")
        for cte in with_.expressions if isinstance(with_, exp.With) else ():
            name = self.fold(cte.args["alias"].this)
            if name in self.ctes or self._declared(name) is not None:
                raise ToolFailed(f"WITH gives the name {name} twice, or to a table that has it; choose another name.")
            self.ctes[name] = _distinct_names(self.columns(cte.this, None), name, self._own)
            cte.args["alias"].set("this", exp.to_identifier(name, quoted=True))

    def _set_operation(self, tree: exp.SetOperation, outer: Scope | None, *, leaves: bool) -> list[Output]:
        left = self.columns(tree.left, outer, leaves=leaves)
        right = self.columns(tree.right, outer, leaves=leaves)
        if len(left) != len(right):
            raise ToolFailed(f"One side of {tree.key.upper()} gives {len(left)} columns, the other {len(right)}.")
        both = [replace(a, flow=_merged(a.flow, b.flow)) for a, b in zip(left, right, strict=True)]
        self._order(tree, both, None)
        return bound_together(both)

    def _select(self, select: exp.Select, outer: Scope | None, *, leaves: bool) -> list[Output]:
        scope = Scope(outer=outer)
        self._sources(select, scope)
        self._name_all(select, scope)
        values = Values(self, scope)
        units = [self._logged(values, part) for part in _parts_of(select)]
        scope.raised = raised_by(units)
        final = Values(self, scope, known=values.known, final=True)
        self._conditions(select, final)
        self._groups(select, final, leaves=leaves)
        outputs = [Output(each.alias, final.of(each.this)) for each in select.expressions]
        self._order(select, outputs, final)
        if outer is not None:
            outer.seen.extend(scope.seen)
        return bound_together(outputs)

    def _logged(self, values: "Values", part: exp.Expr) -> list[Flow]:
        mark = len(values.scope.seen)
        values.of(part)
        return values.scope.seen[mark:]

    def _conditions(self, select: exp.Select, final: "Values") -> None:
        for condition in _conditions_of(select):
            final.of(condition)

    def _groups(self, select: exp.Select, final: "Values", *, leaves: bool) -> None:
        group = select.args.get("group")
        for each in group.expressions if isinstance(group, exp.Group) else ():
            flow = final.of(each)
            if flow.closed and leaves:
                raise ToolFailed(_stays(flow))

    def _order(self, tree: exp.Query, outputs: list[Output], final: "Values | None") -> None:
        order = tree.args.get("order")
        for each in order.expressions if isinstance(order, exp.Order) else ():
            flow = self._ordered_by(each.this, outputs, final)
            if flow.closed:
                raise ToolFailed(f"The rows of {', '.join(flow.names)} are not shared, so nothing is ordered by them.")

    def _ordered_by(self, by: exp.Expr, outputs: list[Output], final: "Values | None") -> Flow:
        if isinstance(by, exp.Literal):
            return outputs[_place(by, len(outputs))].flow
        if isinstance(by, exp.Column) and not by.table:
            named = [each for each in outputs if self._own(each.name) == self.fold(by.this)]
            if len(named) == 1:
                by.set("this", exp.to_identifier(named[0].name, quoted=True))
                return named[0].flow
        if final is None:
            raise ToolFailed("After UNION, order by the name or the number of a column of the answer.")
        return final.of(by)

    # Sources.

    def _sources(self, select: exp.Select, scope: Scope) -> None:
        from_ = select.args.get("from_")
        joins: list[exp.Join] = select.args.get("joins") or []
        if from_ is None:
            return
        self._add(from_.this, scope)
        for join in joins:
            before = dict(scope.sources)
            source = self._add(join.this, scope)
            if using := join.args.get("using"):
                join.set("on", self._using(using, before, source, join))
                join.set("using", None)

    def _add(self, node: exp.Expr, scope: Scope) -> Source:
        if isinstance(node, exp.Table):
            name, outputs = self._table(node)
        elif isinstance(node, exp.Subquery) and node.alias:
            name, outputs = node.alias, _distinct_names(self.columns(node.this, None), node.alias, self._own)
        else:
            raise ToolFailed("In FROM stand tables of this incident and subqueries with an alias, nothing else.")
        alias = self.fold(node.args["alias"].this) if node.alias else self.fold(name)
        if alias in scope.sources:
            raise ToolFailed(f"Two sources in FROM are named {alias}; give each an alias of its own.")
        self.places += 1
        read = [read_anew(each, self.places) for each in outputs]
        scope.sources[alias] = Source(alias, {self._own(each.name): each for each in read})
        node.set("alias", exp.TableAlias(this=exp.to_identifier(alias, quoted=True)))
        return scope.sources[alias]

    def _own(self, name: str) -> str:
        return name if self.dialect == "postgres" else name.lower()

    def _table(self, node: exp.Table) -> tuple[str, list[Output]]:
        schema, name = self.fold(node.args.get("db")), self.fold(node.this)
        if not schema and name in self.ctes:
            node.set("this", exp.to_identifier(name, quoted=True))
            return name, self.ctes[name]
        table = self._declared(f"{schema}.{name}" if schema else name)
        if table is None:
            known = ", ".join(each.name for each in self.catalog.tables) or "none"
            said = node.name[:60] if not schema else f"{node.text('db')[:60]}.{node.name[:60]}"
            raise ToolFailed(f"No table {said!r} bears on this incident, so it cannot be read; there are {known}.")
        own_schema, _, own = table.name.rpartition(".")
        node.set("this", exp.to_identifier(own, quoted=True))
        node.set("db", exp.to_identifier(own_schema, quoted=True) if own_schema else None)
        self.tables[table.name] = table
        return own, [self._column(table, column, kind) for column, kind in self.columns_of(table).items()]

    def _declared(self, name: str) -> Table | None:
        same = self.catalog.table(name)
        alike = [each for each in self.catalog.tables if each.name.lower() == name.lower()]
        return same or (alike[0] if len(alike) == 1 else None)

    def _column(self, table: Table, column: str, kind: Kind) -> Output:
        sensitive = any(each.casefold() == column.casefold() for each in table.sensitive)
        free = table.share_rows or column == table.partition
        label = Label.SENSITIVE if sensitive else Label.FREE if free else Label.CLOSED
        flow = Flow(label, kind, "column", frozenset((table.name,)), names=(f"{table.name}.{column}",))
        return Output(column, flow)

    def _using(self, using: list[exp.Expr], before: dict[str, Source], source: Source, join: exp.Join) -> exp.Expr:
        if str(join.args.get("side") or "") not in ("", "LEFT"):
            raise ToolFailed("A join with RIGHT or FULL cannot have USING; write ON.")
        pairs: list[exp.Expr] = []
        for column in using:
            name = self.fold(column)
            left = [each for each in before.values() if name in each.columns]
            if len(left) != 1 or name not in source.columns:
                raise ToolFailed(f"USING names {column.name[:60]}, which is not once on either side; write ON.")
            pairs.append(exp.EQ(this=_qualified(name, left[0]), expression=_qualified(name, source)))
        return exp.and_(*pairs)

    # Names.

    def resolve(self, column: exp.Column, scope: Scope) -> Flow:
        """Return what a column tells, and write its full name into the tree. Outer SELECTs are looked at last."""
        passed: list[Scope] = []
        at: Scope | None = scope
        while at is not None:
            if (found := self._find(column, at)) is not None:
                source, output = found
                column.set("this", exp.to_identifier(output.name, quoted=True))
                column.set("table", exp.to_identifier(source.alias, quoted=True))
                flow = at.read(output.flow)
                for each in passed:
                    each.seen.append(flow)
                    each.outer_seen.append(flow)
                return flow
            passed.append(at)
            at = at.outer
        raise ToolFailed(_unknown(column, scope))

    def _find(self, column: exp.Column, scope: Scope) -> tuple[Source, Output] | None:
        name = self.fold(column.this)
        if qualifier := column.args.get("table"):
            source = scope.sources.get(self.fold(qualifier))
            if source is None:
                return None
            if name not in source.columns:
                raise ToolFailed(_unknown(column, scope))
            return source, source.columns[name]
        holders = [each for each in scope.sources.values() if name in each.columns]
        if len(holders) > 1:
            said = " and ".join(each.alias for each in holders)
            raise ToolFailed(f"Column {name} is in {said}; write which, as {holders[0].alias}.{name}.")
        return (holders[0], holders[0].columns[name]) if holders else None

    def _name_all(self, select: exp.Select, scope: Scope) -> None:
        """Write stars out, give every output a name, and put what GROUP BY names by number or alias in its place."""
        select.set("expressions", [each for node in select.expressions for each in self._written_out(node, scope)])
        if len(select.expressions) > COLUMNS_MAX:
            raise ToolFailed(f"The query gives more than {COLUMNS_MAX} columns; name the ones you want.")
        select.set("expressions", [self._named(each) for each in select.expressions])
        group = select.args.get("group")
        if isinstance(group, exp.Group):
            group.set("expressions", [self._grouped_by(each, select, scope) for each in group.expressions])

    def _written_out(self, node: exp.Expr, scope: Scope) -> list[exp.Expr]:
        star = isinstance(node, exp.Star) or (isinstance(node, exp.Column) and isinstance(node.this, exp.Star))
        if not star:
            return [node]
        qualifier = node.args.get("table")
        sources = [each for each in scope.sources.values() if not qualifier or each.alias == self.fold(qualifier)]
        if not sources:
            raise ToolFailed(f"{'No source named ' + str(qualifier.name)[:60] if qualifier else 'Nothing'} is in FROM.")
        columns = [each for source in sources for each in source.columns.values()]
        if hidden := [each.name for each in columns if each.flow.label is Label.SENSITIVE]:
            open_ = ", ".join(each.name for each in columns if each.flow.label is Label.FREE)
            raise ToolFailed(
                f"* includes {', '.join(hidden)}, which the catalog calls sensitive. Name the columns you want"
                f"{': ' + open_ if open_ else ''}."
            )
        return [_qualified(each, source) for source in sources for each in source.columns]

    def _named(self, node: exp.Expr) -> exp.Expr:
        inner = node.unalias()
        if isinstance(node, exp.Alias):
            name = self.fold(node.args["alias"])
        else:
            name = self.fold(node.this) if isinstance(node, exp.Column) else _name_of(inner)
        return exp.Alias(this=inner, alias=exp.to_identifier(name, quoted=True))

    def _grouped_by(self, by: exp.Expr, select: exp.Select, scope: Scope) -> exp.Expr:
        if isinstance(by, exp.Literal):
            return select.expressions[_place(by, len(select.expressions))].this.copy()
        if isinstance(by, exp.Column) and not by.table and self._find(by, scope) is None:
            named = [each.this for each in select.expressions if self._own(each.alias) == self.fold(by.this)]
            if len(named) == 1:
                return named[0].copy()
        return by


def _parts_of(select: exp.Select) -> Iterable[exp.Expr]:
    yield from _conditions_of(select)
    group = select.args.get("group")
    yield from group.expressions if isinstance(group, exp.Group) else ()
    yield from (each.this for each in select.expressions)
    order = select.args.get("order")
    for each in order.expressions if isinstance(order, exp.Order) else ():
        if not isinstance(each.this, exp.Literal | exp.Column):  # A column alone is compared with nothing.
            yield each.this


def _conditions_of(select: exp.Select) -> Iterable[exp.Expr]:
    joined = [join.args.get("on") for join in select.args.get("joins") or ()]
    clauses = [select.args.get(name) for name in ("where", "having")]
    for condition in (*joined, *(clause and clause.this for clause in clauses)):
        if condition is not None:
            yield from list(condition.flatten()) if isinstance(condition, exp.And) else [condition]


def _merged(one: Flow, other: Flow) -> Flow:
    names = tuple(dict.fromkeys((*one.names, *other.names)))
    label, kind = max(one.label, other.label), one.kind if one.kind == other.kind else "other"
    # Beside rows of another query a single closed one would stand out in a maximum or a sum.
    shape: Shape = "computed" if label is not Label.FREE else "column"
    return Flow(label, kind, shape, one.origins | other.origins, repeated=True, names=names)


def _distinct_names(outputs: list[Output], where: str, fold: Callable[[str], str]) -> list[Output]:
    names = [fold(each.name) for each in outputs]
    if double := next((name for name in names if names.count(name) > 1), None):
        raise ToolFailed(f"The subquery {where} has two columns named {double}; give each a name with AS.")
    return outputs


def _qualified(name: str, source: Source) -> exp.Column:
    return exp.column(exp.to_identifier(name, quoted=True), table=exp.to_identifier(source.alias, quoted=True))


def _name_of(node: exp.Expr) -> str:
    return (
        node.sql_name().lower() if isinstance(node, exp.Func) and not isinstance(node, exp.And | exp.Or) else node.key
    )


def _place(number: exp.Literal, count: int) -> int:
    if number.is_string or not str(number.this).isdigit() or not 1 <= int(number.this) <= count:
        raise ToolFailed(f"{str(number.this)[:20]!r} is no column of the answer, which has {count}; give its number.")
    return int(number.this) - 1


def _stays(flow: Flow) -> str:
    return (
        f"The values of {', '.join(flow.names) or 'this query'} stay in the warehouse: the catalog does not share "
        "those rows. Ask for aggregates of them (count, count(distinct), sum, avg, and min and max of numbers and "
        "times), grouped by nothing but the partition column, and compared with no columns of other tables."
    )


def _unknown(column: exp.Column, scope: Scope) -> str:
    known = "; ".join(
        f"{each.alias} has {', '.join(output.name for output in each.columns.values())}"
        for each in scope.sources.values()
    )
    name = f"{column.table[:60]}.{column.name[:60]}" if column.table else column.name[:60]
    return f"No column {name!r} can be read here; {known or 'the query has no FROM'}."[:1_500]
