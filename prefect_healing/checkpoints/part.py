"""A batch of Great Expectations, what is expected of it, and what came of that, in types of ours."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, cast

from prefect_healing.checkpoints.reasons import why_errored
from prefect_healing.domain.violation import Severity
from prefect_healing.errors import ConfigurationError

if TYPE_CHECKING:
    from great_expectations.core.expectation_validation_result import ExpectationValidationResult
    from great_expectations.datasource.fluent.interfaces import Batch
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

Figures = Mapping[str, object]
Format = Literal["BOOLEAN_ONLY"] | dict[str, object]
_SEVERITIES: dict[str, Severity] = {"critical": "critical", "warning": "warning", "info": "info"}


@dataclass(frozen=True)
class Expected:
    """One expectation, by its id in its suite."""

    id: str
    type: str
    kwargs: Mapping[str, object]
    severity: Severity
    configuration: "ExpectationConfiguration"


@dataclass(frozen=True)
class Outcome:
    """What came of one expectation: whether it holds, why that is not known, and the figures of the batch."""

    holds: bool
    error: str | None
    figures: Figures


@dataclass(frozen=True)
class Part:
    """What is expected of one batch, in the order of the suite.

    `fetch` gets the batch when it is first needed: to list a project's batches may read its whole table. `refusal` says
    why no rows that break it can be moved; None where the batch is just the partition.
    """

    fetch: "Callable[[], Batch]"
    expected: tuple[Expected, ...]
    refusal: str | None = None

    @cached_property
    def batch(self) -> "Batch":
        """Return the batch."""
        return self.fetch()

    def outcomes(self, wanted: Iterable[Expected], result_format: Format) -> dict[str, Outcome]:
        """Check some of the expectations; return what came of them by id. Nothing is stored, no action runs."""
        from great_expectations import ExpectationSuite

        configurations = [each.configuration for each in wanted]
        suite = ExpectationSuite(name="gate", expectations=configurations)
        if len(suite.expectations) != len(configurations):
            raise ConfigurationError("Great Expectations does not accept the configuration of one of the expectations.")
        result = self.batch.validate(suite, result_format=result_format)  # pyright: ignore[reportUnknownMemberType]
        return by_id(result.results)


def expected_as(configuration: "ExpectationConfiguration") -> Expected:
    """Return an expectation of Great Expectations as ours; one that says nothing of its severity is critical."""
    said = str(getattr(configuration.severity, "value", configuration.severity))
    return Expected(
        id=str(configuration.id),
        type=configuration.type,
        kwargs=cast("Mapping[str, object]", configuration.kwargs),  # pyright: ignore[reportUnknownMemberType]
        severity=_SEVERITIES.get(said, "critical"),
        configuration=configuration,
    )


def by_id(results: "Iterable[ExpectationValidationResult]") -> dict[str, Outcome]:
    """Return what came of expectations by their ids: results come in an order of their own."""
    return {
        each.expectation_config.id: _outcome(each)
        for each in results
        if each.expectation_config is not None and each.expectation_config.id is not None
    }


def _outcome(result: "ExpectationValidationResult") -> Outcome:
    raised = cast("Mapping[str, object]", result.exception_info or {})  # pyright: ignore[reportUnknownMemberType]
    figures = cast("Figures", result.result or {})  # pyright: ignore[reportUnknownMemberType]
    return Outcome(holds=bool(result.success), error=why_errored(raised), figures=figures)
