"""A checkpoint of a Great Expectations project that is already there."""

import logging
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from prefect_healing.checkpoints.batches import hush, let_go
from prefect_healing.checkpoints.part import Outcome, Part, by_id, expected_as
from prefect_healing.domain.catalog import Gate, Table
from prefect_healing.errors import ConfigurationError
from prefect_healing.guardrails.redaction import redact
from prefect_healing.warehouse.partition import schema_and_name

if TYPE_CHECKING:
    from great_expectations import Checkpoint, ExpectationSuite
    from great_expectations.core.expectation_validation_result import ExpectationSuiteValidationResult
    from great_expectations.data_context.data_context.file_data_context import FileDataContext
    from great_expectations.datasource.fluent.interfaces import Batch

Parameters = dict[str, int | str]


class _BatchDefinition(Protocol):
    name: str
    partitioner: object

    def get_batch(self, batch_parameters: Parameters) -> "Batch": ...


class _Key(Protocol):
    def to_tuple(self) -> tuple[str, ...]: ...


class _Asset(Protocol):
    name: str

    def get_batch_parameters_keys(self, partitioner: object) -> tuple[str, ...]: ...


class _Definition(Protocol):
    """A validation definition, as far as it is used here; Great Expectations types it only in part."""

    data: _BatchDefinition
    asset: _Asset
    suite: "ExpectationSuite"
    data_source: object

    def run(
        self, *, checkpoint_id: str | None, batch_parameters: Parameters, result_format: object
    ) -> "ExpectationSuiteValidationResult": ...


_logger = logging.getLogger(__name__)

_CONFIGURATION = "great_expectations.yml"
_FOLDERS = (".", "gx", "great_expectations")
_ERROR_CHARS = 300
_OF_THE_DAY = frozenset({"year", "month", "day"})


@contextmanager
def run_theirs(
    gate: Gate, table: Table, day: date, *, with_actions: bool
) -> Generator[tuple[dict[str, Outcome], tuple[Part, ...]]]:
    """Run a project's checkpoint for one day; lend what came of it, and its batches to look closer.

    The day becomes the batch parameters of its batch definitions. Results are stored where the project stores them.
    Its actions (notices, data docs) run `with_actions`; one that raises is logged, and the results count all the same.
    Raises ConfigurationError where project or checkpoint is not there or cannot run for one day.
    """
    checkpoint = _checkpoint(_opened(gate.project or ""), gate)
    definitions = _definitions(checkpoint)
    parameters = _parameters(checkpoint, table, day)
    try:
        suites = _suite_results(checkpoint, parameters, with_actions=with_actions)
        outcomes = by_id(result for suite in suites for result in suite.results)
        yield outcomes, tuple(_part(each, table, parameters) for each in definitions)
    finally:
        for each in definitions:
            _let_go(each)


def _opened(project: str) -> "FileDataContext":
    import great_expectations as gx

    folder = Path(project).expanduser()
    # Asked for a project that is not there, Great Expectations makes one.
    found = next((folder / each for each in _FOLDERS if (folder / each / _CONFIGURATION).is_file()), None)
    if found is None:
        raise ConfigurationError(f"There is no Great Expectations project in {folder}: no {_CONFIGURATION} is there.")
    try:
        context = gx.get_context(mode="file", context_root_dir=str(found))  # pyright: ignore[reportUnknownMemberType]
    except Exception as error:  # noqa: BLE001 - a broken project breaks in as many ways as there are lines in it.
        raise ConfigurationError(
            f"The Great Expectations project in {folder} cannot be opened: {_said(error)}"
        ) from None
    hush(context)
    return context


def _checkpoint(context: "FileDataContext", gate: Gate) -> "Checkpoint":
    name = gate.checkpoint or ""
    keys = cast("Sequence[_Key]", context.checkpoint_store.list_keys())
    known = sorted(key.to_tuple()[0] for key in keys)
    if name not in known:
        there = ", ".join(known) or "none"
        raise ConfigurationError(f"Project {gate.project} has no checkpoint {name!r}; it has {there}.")
    try:
        return context.checkpoints.get(name)
    except Exception as error:  # noqa: BLE001 - as above: what it refers to may be missing or broken.
        raise ConfigurationError(
            f"Checkpoint {name!r} of project {gate.project} cannot be loaded: {_said(error)}"
        ) from None


def _definitions(checkpoint: "Checkpoint") -> Sequence[_Definition]:
    return cast("Sequence[_Definition]", checkpoint.validation_definitions)


def _parameters(checkpoint: "Checkpoint", table: Table, day: date) -> Parameters:
    """Return the batch parameters that mean this day. Without any, Great Expectations takes the last partition."""
    wanted = [_parameters_of(each, table, day) for each in _definitions(checkpoint)]
    if not wanted:
        raise ConfigurationError(f"Checkpoint {checkpoint.name!r} validates nothing; give it a validation definition.")
    if any(each != wanted[0] for each in wanted):
        raise ConfigurationError(
            f"Checkpoint {checkpoint.name!r} mixes batch definitions that are partitioned differently; make it two."
        )
    return wanted[0]


def _parameters_of(definition: _Definition, table: Table, day: date) -> Parameters:
    keys = set(definition.asset.get_batch_parameters_keys(partitioner=definition.data.partitioner)) - {"path"}
    if keys <= _OF_THE_DAY:
        return {name: getattr(day, name) for name in sorted(keys)}
    if keys == {table.partition}:
        return {str(table.partition): day.isoformat()}
    raise ConfigurationError(
        f"Batch definition {definition.data.name!r} takes {', '.join(sorted(keys))}, which no day says; "
        "partition it daily, monthly, yearly or by the table's partition column."
    )


def _suite_results(
    checkpoint: "Checkpoint", parameters: Parameters, *, with_actions: bool
) -> "list[ExpectationSuiteValidationResult]":
    from great_expectations.exceptions.exceptions import NoAvailableBatchesError

    if with_actions:
        try:
            result = checkpoint.run(batch_parameters=parameters)  # pyright: ignore[reportUnknownMemberType]
            return list(result.run_results.values())
        except NoAvailableBatchesError:
            raise
        except Exception as error:  # An action may raise anything, and takes the results with it.
            if not checkpoint.actions:
                raise
            _logger.warning("An action of checkpoint %s failed: %s", checkpoint.name, type(error).__name__)
    result_format = cast("object", checkpoint.result_format)  # pyright: ignore[reportUnknownMemberType]
    return [
        each.run(checkpoint_id=checkpoint.id, batch_parameters=parameters, result_format=result_format)
        for each in _definitions(checkpoint)
    ]


def _part(definition: _Definition, table: Table, parameters: Parameters) -> Part:
    def fetch() -> "Batch":
        return definition.data.get_batch(batch_parameters=parameters)

    expected = tuple(expected_as(each) for each in definition.suite.expectation_configurations)
    return Part(fetch, expected, _refusal(definition, table, set(parameters)))


def _refusal(definition: _Definition, table: Table, parameters: set[str]) -> str | None:
    schema, name = schema_and_name(table.name)
    asset = definition.asset
    if getattr(asset, "table_name", None) != name or (schema and getattr(asset, "schema_name", schema) != schema):
        return f"The project's data asset {asset.name} is not the table {table.name} itself."
    column = getattr(definition.data.partitioner, "column_name", None)
    if parameters not in (set(_OF_THE_DAY), {table.partition}) or column != table.partition:
        return f"The project's batch definition {definition.data.name} is not just the partition of one day."
    return None


def _let_go(definition: _Definition) -> None:
    from great_expectations.datasource.fluent.sql_datasource import SQLDatasource

    if isinstance(source := definition.data_source, SQLDatasource):
        let_go(source)


def _said(error: Exception) -> str:
    return redact(f"{type(error).__name__}: {' '.join(str(error).split())}")[:_ERROR_CHARS]
