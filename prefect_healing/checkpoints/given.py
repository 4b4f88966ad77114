"""What a flow's author hands to a gate, as the gate that any process can run."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from prefect_healing.checkpoints.quietly import quietly
from prefect_healing.checkpoints.suite import as_json
from prefect_healing.domain.catalog import Gate
from prefect_healing.errors import ConfigurationError

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite
    from great_expectations.expectations.expectation import Expectation

    Given = Gate | ExpectationSuite | Iterable[Expectation]


def gate_of(given: "Given") -> Gate:
    """Return a gate as it is, a suite or expectations as a gate of their JSON.

    Raises ConfigurationError where there is nothing to expect.
    """
    if isinstance(given, Gate):
        return given
    from great_expectations import ExpectationSuite

    with quietly():
        expectations = list(given.expectations if isinstance(given, ExpectationSuite) else given)
        written = tuple(as_json(each, f"{each.__class__.__module__}:", Path()) for each in expectations)
    if not written:
        raise ConfigurationError("The suite expects nothing; a gate needs at least one expectation.")
    return Gate(expectations=written)
