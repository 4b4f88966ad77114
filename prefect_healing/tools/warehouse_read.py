"""What the agent may ask of a table: counts beside its source and its past, figures, schema, duplicates, loader."""

from statistics import median
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from prefect_healing.domain.catalog import Table, Upstream
from prefect_healing.domain.record import Record
from prefect_healing.errors import ToolFailed
from prefect_healing.tools._etl_job import EtlJob, etl_job
from prefect_healing.tools._schema_drift import SourceColumns, last_good_day, source_columns
from prefect_healing.tools._usual import ComparedColumn, compared
from prefect_healing.tools.manifest import Manifest, read_manifest
from prefect_healing.tools.tool import ToolContext, tool
from prefect_healing.warehouse.connection import reading
from prefect_healing.warehouse.duplicates import Duplicates, duplicates_in
from prefect_healing.warehouse.good_partitions import GoodPartition, recent_good, rows_when_good
from prefect_healing.warehouse.partition import as_day, count_rows, declared
from prefect_healing.warehouse.schema_history import ChangedColumn, KeptSchema, diff, last_good_schema, schema_of
from prefect_healing.warehouse.statistics import count_nulls

if TYPE_CHECKING:
    from datetime import date

    import sqlalchemy as sa

NULL_COLUMNS_MAX = 100

TableName = Annotated[str, Field(description="A table of the catalog, by its declared name.")]
Partition = Annotated[str, Field(description="The partition: an ISO day such as 2013-01-05.")]


class RowCounts(Record):
    """Rows of one partition: in the warehouse, at the source, when it was last good, and in good ones around it.

    `source_has_partition` and `source_rows` are None where no source is declared, or it does not tell; `source_up` and
    `source_detail` say which. `source_nulls` and `target_nulls` are null counts of the same columns.
    """

    table: str
    partition: str
    target_rows: int
    rows_when_good: int | None
    source: str | None
    source_up: bool | None
    source_has_partition: bool | None
    source_rows: int | None
    source_last_data: str | None
    source_detail: str
    source_nulls: dict[str, int]
    target_nulls: dict[str, int]
    history: tuple[GoodPartition, ...]
    usual_rows: float | None


@tool(effect="read")
async def compare_row_counts(ctx: ToolContext, table: TableName, partition: Partition) -> RowCounts:
    """Count a partition's rows in the warehouse, at its source (by the source's own manifest), and in good ones around.

    Start here when a gate failed on row counts or nulls, or a partition is missing. Fewer rows than the source has
    (`target_rows` < `source_rows`): the load was cut short, so reload the partition. More, or twice as many: rows were
    loaded twice; look at find_duplicates. As many as the source has, and as many nulls in each column
    (`target_nulls` = `source_nulls`): the warehouse agrees with its source, so the data are odd but true, and no reload
    will change them. `source_has_partition` false: the source does not have the day yet, and `source_last_data` says
    what it has; `source_up` false: ask again later. `usual_rows` is the median of the good partitions in `history`.
    """
    entry, day = declared(ctx.incident.catalog, table), as_day(partition)
    source, manifest = await _asked(ctx, entry, day)
    return await reading(ctx.settings, lambda connection: _row_counts(connection, entry, day, source, manifest))


class TableStatistics(Record):
    """A partition's figures by column. `compared_with` are the good partitions that the usual figures are from.

    `left_out` names no more than counts: columns beyond the first are not told of.
    """

    table: str
    partition: str
    rows: int
    usual_rows: float | None
    columns: tuple[ComparedColumn, ...]
    left_out: int
    compared_with: tuple[str, ...]
    note: str


@tool(effect="read")
async def table_statistics(ctx: ToolContext, table: TableName, partition: Partition) -> TableStatistics:
    """Read a partition's nulls, distinct values, minimum, maximum and quantiles by column, beside what is usual.

    Use it to see what is wrong with data that are there: a column that is null, constant or out of its usual range, or
    that holds values its type does not allow (`odd`). `usual` are medians over up to seven good partitions, its minimum
    and maximum the widest of them. `source_nulls` is what the source itself counts: the same number means that the
    source sent it so. Of text only counts are told, and of sensitive columns too.
    """
    entry, day = declared(ctx.incident.catalog, table), as_day(partition)
    _, manifest = await _asked(ctx, entry, day)
    found = await reading(ctx.settings, lambda connection: compared(connection, entry, day, manifest.nulls))
    return TableStatistics(
        table=entry.name,
        partition=partition,
        rows=found.rows,
        usual_rows=found.usual_rows,
        columns=found.columns,
        left_out=found.left_out,
        compared_with=found.compared_with,
        note=found.note,
    )


class SchemaComparison(Record):
    """How a table's columns differ from those it had when it was last good, and what its source says of its own.

    Types are families: integer, number, text, boolean, date, timestamp and so on. `compared_with` tells of which load
    the earlier schema is, None where none was kept; then nothing is known to differ. `new_columns_rule` is the
    catalog's: `escalate` means that a person decides about a column that the source adds, `load` that it may be loaded.
    """

    table: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[ChangedColumn, ...]
    compared_with: str | None
    new_columns_rule: str
    source: SourceColumns | None
    columns: int
    left_out: int


@tool(effect="read")
async def diff_schema(
    ctx: ToolContext,
    table: TableName,
    partition: Annotated[
        str | None, Field(description="The partition whose columns the source is asked for; leave it out for today.")
    ] = None,
) -> SchemaComparison:
    """Compare a table's columns and types with those of its last good load, and the columns that its source sends.

    Use it when a load fails on a column, a check names a column that is not there, or all values of a column are odd.
    `added`, `removed` and `changed` are about the table itself; the same under `source` about what the source sends for
    this partition, against what it sent for the last good one. A column removed and another added at once is most
    likely renamed. A schema change is no fault that a reload repairs, unless the source has gone back to the old one.
    """
    entry = declared(ctx.incident.catalog, table)
    day = None if partition is None else as_day(partition)
    now, kept, good_day = await reading(ctx.settings, lambda connection: _schemas(connection, entry, day))
    before = now if kept is None else kept.columns
    source = await source_columns(_source_of(ctx, entry), day, good_day, before)
    found = diff(before, now).bounded()
    return SchemaComparison(
        table=entry.name,
        added=found.added,
        removed=found.removed,
        changed=found.changed,
        compared_with=None if kept is None else f"the good load of {kept.day or 'an unknown day'}, kept {kept.kept_at}",
        new_columns_rule=entry.new_columns,
        source=source,
        columns=len(now),
        left_out=found.left_out,
    )


class DuplicateKeys(Duplicates):
    """Duplicates of a partition, and which one."""

    table: str
    partition: str


@tool(effect="read")
async def find_duplicates(ctx: ToolContext, table: TableName, partition: Partition) -> DuplicateKeys:
    """Count the rows of a partition that share their key, by the key that the catalog declares.

    Use it when a partition has more rows than its source, or a uniqueness check failed. Every key twice (`copies`
    {"2": all}) and as many `surplus_rows` as the source has rows: the day was loaded twice, and reloading it replaces
    all of it. A few keys twice whose rows differ (`identical_rows` 0): the source sent corrections or a wrong key, and
    a reload brings them back. No key and no row is shown.
    """
    entry, day = declared(ctx.incident.catalog, table), as_day(partition)
    found = await reading(ctx.settings, lambda connection: duplicates_in(connection, entry, day))
    return DuplicateKeys(table=entry.name, partition=partition, **found.model_dump())


@tool(effect="read")
async def read_etl_job(ctx: ToolContext, table: TableName) -> EtlJob:
    """Read what loads a table: the deployment or flow, its last five runs with parameters, the errors of a failed one.

    Use it to learn why a partition is missing, short or stale: a run that failed quietly, one that is late because the
    deployment is paused or nobody works its queue, or runs that completed for other partitions only. If every run
    completed, the loader did what it was told, so look at its source and at the tables it reads from.
    """
    entry = declared(ctx.incident.catalog, table)
    if entry.loader is None:
        raise ToolFailed(f"The catalog names no loader of {entry.name}; ask its owner, {entry.owner or 'unknown'}.")
    return await etl_job(entry.name, entry.loader, ctx.incident.options.code_root)


def _row_counts(
    connection: "sa.Connection", table: Table, day: "date", source: Upstream | None, manifest: Manifest
) -> RowCounts:
    history = recent_good(connection, table, day)
    nulls = count_nulls(connection, table, day, _interesting(manifest))
    return RowCounts(
        table=table.name,
        partition=day.isoformat(),
        target_rows=count_rows(connection, table.model_copy(update={"key": ()}), day),
        rows_when_good=rows_when_good(connection, table, day),
        source=None if source is None else source.name,
        source_up=None if source is None else manifest.up,
        source_has_partition=manifest.has_partition,
        source_rows=manifest.rows,
        source_last_data=manifest.last_data,
        source_detail=manifest.detail,
        source_nulls={name: manifest.nulls[name] for name in nulls},
        target_nulls=nulls,
        history=tuple(history),
        usual_rows=median(each.rows for each in history) if history else None,
    )


def _schemas(
    connection: "sa.Connection", table: Table, day: "date | None"
) -> "tuple[dict[str, str], KeptSchema | None, date | None]":
    return (
        schema_of(connection, table),
        last_good_schema(connection, table),
        last_good_day(connection, table, day),
    )


def _source_of(ctx: ToolContext, table: Table) -> Upstream | None:
    found = (ctx.incident.catalog.source(name) for name in table.upstreams)
    return next((each for each in found if each is not None), None)


async def _asked(ctx: ToolContext, table: Table, day: "date") -> tuple[Upstream | None, Manifest]:
    source = _source_of(ctx, table)
    if source is not None:
        return source, await read_manifest(source, day)
    return None, Manifest(up=False, detail="No source is declared: the table is made from other tables, or none.")


def _interesting(manifest: Manifest) -> list[str]:
    """Return the columns whose nulls to compare; where there are too many, those that the source has nulls of."""
    return sorted(manifest.nulls, key=lambda name: manifest.nulls[name] == 0)[:NULL_COLUMNS_MAX]
