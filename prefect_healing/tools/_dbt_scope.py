"""What running dbt models would touch: their tables, and what a database drops along with them."""

from typing import TYPE_CHECKING

from prefect_healing.dbt.manifest import Manifest, Node, declared_table
from prefect_healing.domain.plan import Scope
from prefect_healing.domain.record import digest
from prefect_healing.errors import ConfigurationError, ToolFailed
from prefect_healing.tools._dbt import refuse_undeclared
from prefect_healing.tools.tool import ToolContext
from prefect_healing.warehouse.connection import reading

if TYPE_CHECKING:
    import sqlalchemy as sa

ADDS_TWICE = "is incremental without a unique_key, so running it again may add the same rows again"

_VIEWS_ON = """
WITH RECURSIVE dependent AS (
    SELECT to_regclass(:relation)::oid AS relation
    UNION
    SELECT rule.ev_class FROM dependent
    JOIN pg_depend ON pg_depend.refobjid = dependent.relation AND pg_depend.refclassid = 'pg_class'::regclass
    JOIN pg_rewrite AS rule ON rule.oid = pg_depend.objid AND pg_depend.classid = 'pg_rewrite'::regclass
)
SELECT space.nspname, class.relname FROM dependent
JOIN pg_class AS class ON class.oid = dependent.relation JOIN pg_namespace AS space ON space.oid = class.relnamespace
"""


async def scope_of_models(ctx: ToolContext, manifest: Manifest, nodes: tuple[Node, ...]) -> Scope:
    """Return what building these models touches. Raises ToolFailed where that goes beyond the incident's tables."""
    stored = tuple(each for each in nodes if each.is_stored)
    tables = refuse_undeclared(ctx, manifest, stored)
    _refuse_what_others_load(ctx, stored)
    if manifest.metadata.adapter_type == "postgres":
        await _refuse_lost_views(ctx, stored)
    names = ", ".join(each.name for each in nodes[:10]) + (", ..." if len(nodes) > 10 else "")  # noqa: PLR2004
    return Scope(
        summary=f"Build {len(nodes)} dbt models from what they are made from now: {names}. Cannot be undone.",
        tables=tables,
        asks=tuple(_asks(ctx, manifest, stored)),
        basis=digest([[each.unique_id, each.checksum.checksum, each.table] for each in nodes]),
    )


def _asks(ctx: ToolContext, manifest: Manifest, nodes: tuple[Node, ...]) -> list[str]:
    asks = [f"dbt model {each.name} {ADDS_TWICE}" for each in nodes if each.may_repeat_rows]
    for name in dict.fromkeys(each.table for each in nodes if each.table is not None):
        table = declared_table(ctx.incident.catalog, name)
        if table is not None and table.needs_person:
            asks.append(table.needs_person)
    if hooked := [each.name for each in nodes if each.has_hooks]:
        asks.append(f"dbt runs hooks with {', '.join(hooked[:5])}, and what those write nobody can preview")
    if manifest.operations:
        asks.append("the dbt project has on-run-start or on-run-end hooks, and what those write nobody can preview")
    return asks


def _refuse_what_others_load(ctx: ToolContext, nodes: tuple[Node, ...]) -> None:
    for each in nodes:
        table = declared_table(ctx.incident.catalog, each.table or "")
        loader = None if table is None else table.loader
        if table is not None and (loader is None or loader.dbt not in (each.name, each.unique_id)):
            by = "nothing" if loader is None else loader.name
            raise ToolFailed(f"The catalog says that {table.name} is loaded by {by}, not by dbt model {each.name}.")


async def _refuse_lost_views(ctx: ToolContext, nodes: tuple[Node, ...]) -> None:
    """Raise ToolFailed where PostgreSQL would drop views that are not built anew.

    dbt swaps a table or view for its successor and drops the old one with all views that read it.
    """
    swapped = [(each.schema_name or "public", each.alias or each.name) for each in nodes if _is_swapped(each)]
    try:
        views = await reading(ctx.settings, lambda connection: _views_on(connection, swapped))
    except ConfigurationError as error:
        raise ToolFailed(f"Which views hang on these tables cannot be seen: {error}") from error
    if lost := sorted(views - set(swapped)):
        named = ", ".join(f"{schema}.{view}" for schema, view in lost[:5])
        raise ToolFailed(
            f"Building this would drop the views that read it and are not built with it: {named}. "
            "Select what depends on it too, as in daily+; a view that is not dbt's is a person's to rebuild."
        )


def _is_swapped(node: Node) -> bool:
    return node.config.materialized in ("table", "view")


def _views_on(connection: "sa.Connection", relations: list[tuple[str, str]]) -> set[tuple[str, str]]:
    import sqlalchemy as sa

    quote = connection.dialect.identifier_preparer.quote_identifier
    found: set[tuple[str, str]] = set()
    for schema, name in relations:
        rows = connection.execute(sa.text(_VIEWS_ON), {"relation": f"{quote(schema)}.{quote(name)}"})
        found.update((space, relation) for space, relation in rows)
    return found
