"""A partition of the warehouse as a batch of Great Expectations."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from typing import TYPE_CHECKING, cast

from prefect_healing.checkpoints.part import Expected, Part, expected_as
from prefect_healing.checkpoints.partition_query import Partition
from prefect_healing.checkpoints.suite import know_classes
from prefect_healing.domain.catalog import Table
from prefect_healing.domain.record import JsonObject
from prefect_healing.errors import ConfigurationError
from prefect_healing.warehouse.partition import schema_and_name

if TYPE_CHECKING:
    import sqlalchemy as sa
    from great_expectations.data_context.data_context.abstract_data_context import AbstractDataContext
    from great_expectations.data_context.data_context.ephemeral_data_context import EphemeralDataContext
    from great_expectations.datasource.fluent.interfaces import Batch
    from great_expectations.datasource.fluent.sql_datasource import SQLDatasource
CHECK_SECONDS = 300
"""How long a single query of a check may take on PostgreSQL."""

_ABOUT_TYPES = frozenset({"expect_column_values_to_be_of_type", "expect_column_values_to_be_in_type_list"})
_URL = "PREFECT_HEALING_CHECKED_DATABASE"
_GIVEN = ("type", "kwargs", "severity", "meta")
_ERROR_CHARS = 300
_NOT_ASKED = "duckdb"


def expected_of(gate_expectations: Sequence[JsonObject], partition: Partition) -> tuple[Expected, ...]:
    """Return the expectations as Great Expectations has them, by our ids, in the order of the suite.

    Raises ConfigurationError where one has no such type or arguments that do not fit.
    """
    know_classes(gate_expectations)
    return tuple(_expected(number, each, partition) for number, each in enumerate(gate_expectations, start=1))


@contextmanager
def in_the_database(
    url: str, table: Table, partition: Partition, expected: tuple[Expected, ...]
) -> Generator[tuple[Part, ...]]:
    """Lend the partition as a query, which the database answers for each check.

    What a column's type is, only the table itself can say: a query's columns have none. It is not read for that.
    """
    source = _sql_source(url)
    try:
        _prepare(source)
        about_types = tuple(each for each in expected if each.type in _ABOUT_TYPES)
        others = tuple(each for each in expected if each.type not in _ABOUT_TYPES)
        parts = [Part(lambda: _batch_of_query(source, partition), others)] if others else []
        if about_types:
            parts.append(
                Part(lambda: _batch_of_table(source, table), about_types, "It is about the type, not about rows.")
            )
        yield tuple(parts)
    finally:
        let_go(source)


@contextmanager
def in_memory(rows: object, expected: tuple[Expected, ...]) -> Generator[tuple[Part, ...]]:
    """Lend the partition as a data frame, for databases that Great Expectations cannot ask itself."""
    source = _context().data_sources.add_pandas("warehouse")  # pyright: ignore[reportUnknownMemberType]
    asset = source.add_dataframe_asset("partition")
    definition = asset.add_batch_definition_whole_dataframe("all of it")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    yield (Part(lambda: definition.get_batch({"dataframe": rows}), expected),)


def needs_memory(partition: Partition) -> bool:
    """Say whether Great Expectations cannot ask this database: on DuckDB it sees empty results."""
    return partition.dialect == _NOT_ASKED


def let_go(source: "SQLDatasource") -> None:
    """Close the connections of a data source: one that is left open can keep SQLite's writers out."""
    source.get_execution_engine().close()
    cast("sa.Engine", source.get_engine()).dispose()  # pyright: ignore[reportUnknownMemberType]


def hush(context: "AbstractDataContext") -> None:
    """Have a context show no progress bars."""
    context.variables.progress_bars = {"globally": False}  # pyright: ignore[reportAttributeAccessIssue]


def _context(variables: Mapping[str, str] | None = None) -> "EphemeralDataContext":
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral", runtime_environment=dict(variables or {}))  # pyright: ignore[reportUnknownMemberType]
    hush(context)
    return context


def _sql_source(url: str) -> "SQLDatasource":
    # Handed over as a variable: in a password of its own, a dollar sign would be taken for one.
    sources = _context({_URL: url}).data_sources
    return sources.add_sql("warehouse", connection_string=f"${{{_URL}}}", kwargs={"hide_parameters": True})  # pyright: ignore[reportUnknownMemberType, reportCallIssue, reportUnknownVariableType]


def _batch_of_query(source: "SQLDatasource", partition: Partition) -> "Batch":
    asset = source.add_query_asset("partition", query=partition.query)
    return asset.add_batch_definition_whole_table("all of it").get_batch()  # pyright: ignore[reportUnknownMemberType]


def _batch_of_table(source: "SQLDatasource", table: Table) -> "Batch":
    schema, name = schema_and_name(table.name)
    asset = source.add_table_asset("table", table_name=name, schema_name=schema)
    return asset.add_batch_definition_whole_table("all of it").get_batch()  # pyright: ignore[reportUnknownMemberType]


def _prepare(source: "SQLDatasource") -> None:
    """Let the checks only read, and not for ever: an expectation may be SQL that somebody wrote."""
    from sqlalchemy import event

    engine = source.get_execution_engine().engine
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:  # The only one that this engine has.
            connection.exec_driver_sql("PRAGMA query_only = ON")
    elif engine.dialect.name == "postgresql":
        event.listen(engine, "begin", _postgres_reader)


def _postgres_reader(connection: "sa.Connection") -> None:
    connection.exec_driver_sql("SET TRANSACTION READ ONLY")
    connection.exec_driver_sql(f"SET LOCAL statement_timeout = {CHECK_SECONDS * 1000}")


def _expected(number: int, expectation: JsonObject, partition: Partition) -> Expected:
    from great_expectations.exceptions.exceptions import GreatExpectationsError
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    given = {name: expectation[name] for name in _GIVEN if name in expectation}
    type_, kwargs = given.get("type"), given.get("kwargs", {})
    if not isinstance(type_, str) or not isinstance(kwargs, dict) or set(expectation) - {*_GIVEN, "id"}:
        raise ConfigurationError(
            f"Expectation {number} of the gate is wrong: it has a type, kwargs and, where wanted, severity and meta."
        )
    whole = {**given, "kwargs": _typed(kwargs, partition), "id": str(number)}
    try:
        configuration = ExpectationConfiguration(**whole)  # pyright: ignore[reportArgumentType]
        configuration.to_domain_obj()
    except (GreatExpectationsError, ValueError, TypeError) as error:
        said = " ".join(str(error).split())[:_ERROR_CHARS]
        raise ConfigurationError(f"Expectation {number} of the gate, {type_}, is wrong: {said}") from None
    return expected_as(configuration)


def _typed(kwargs: JsonObject, partition: Partition) -> dict[str, object]:
    """Give the days in a set their type again: PostgreSQL does not compare a date with a text."""
    values, column = kwargs.get("value_set"), kwargs.get("column")
    if partition.dialect != "postgresql" or not isinstance(values, list) or not isinstance(column, str):
        return dict(kwargs)
    return {**kwargs, "value_set": [_moment(each, partition.types.get(column)) for each in values]}


def _moment(value: object, type_: object) -> object:
    import sqlalchemy as sa

    if isinstance(value, str) and isinstance(type_, sa.Date):
        return date.fromisoformat(value)
    if isinstance(value, str) and isinstance(type_, sa.DateTime):
        return datetime.fromisoformat(value)
    return value
