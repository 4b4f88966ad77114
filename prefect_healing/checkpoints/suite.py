"""Expectations that are written in code, as JSON that any other process can check again."""

import sys
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from hashlib import sha256
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, cast

from prefect_healing.checkpoints.quietly import quietly
from prefect_healing.domain.catalog import Gate
from prefect_healing.domain.record import JsonObject
from prefect_healing.errors import ConfigurationError

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation

DEFINED_IN = "prefect_healing_defined_in"
"""Where, in an expectation's meta, its class stands that Great Expectations does not have itself."""

_KEPT = ("type", "kwargs", "severity", "meta")
_WHAT_IT_MAY_BE = "an ExpectationSuite, a list of expectations, or a function without arguments that returns either"


def resolve(gate: Gate, root: Path) -> Gate:
    """Return the gate as any process can run it: expectations in code become JSON, a project's path absolute.

    Paths, and modules that are not installed, are looked for below `root`. Raises ConfigurationError where the suite
    cannot be loaded or is none.
    """
    if gate.project is not None:
        return gate.model_copy(update={"project": str((root / Path(gate.project).expanduser()).resolve())})
    if gate.suite is None:
        return gate
    expectations: list[JsonObject] = []
    with quietly():
        expectations += [as_json(each, gate.suite, root) for each in _written(gate.suite, root)]
    if not expectations:
        raise ConfigurationError(f"Suite {gate.suite} expects nothing; a gate needs at least one expectation.")
    return Gate(expectations=tuple(expectations))


def know_classes(expectations: Iterable[JsonObject]) -> None:
    """Load the modules of those expectations that are no part of Great Expectations."""
    for each in expectations:
        meta = each.get("meta")
        if isinstance(meta, dict) and isinstance(place := meta.get(DEFINED_IN), str):
            _module(place, Path())


def _written(name: str, root: Path) -> "list[Expectation]":
    from great_expectations import ExpectationSuite
    from great_expectations.expectations.expectation import Expectation

    module, _, attribute = name.rpartition(":")
    try:
        found = cast("object", getattr(_module(module, root), attribute))
        made = found() if callable(found) else found
    except ConfigurationError:
        raise
    except Exception as error:  # What the code of a suite raises can be anything; whoever wrote it must see it.
        raise ConfigurationError(f"Suite {name} cannot be loaded: {type(error).__name__}: {error}") from error
    given = made.expectations if isinstance(made, ExpectationSuite) else made
    wanted = list(cast("Iterable[object]", given)) if isinstance(given, Iterable) else [given]
    expectations = [each for each in wanted if isinstance(each, Expectation)]
    if len(expectations) != len(wanted):
        raise ConfigurationError(f"Suite {name} holds something that is no expectation; it may be {_WHAT_IT_MAY_BE}.")
    return expectations


def _module(place: str, root: Path) -> ModuleType:
    if not place.endswith(".py"):
        with _importable(root):
            return import_module(place)
    path = (root / Path(place).expanduser()).resolve()
    name = f"prefect_healing_suite_{sha256(str(path).encode()).hexdigest()[:16]}"
    specification = spec_from_file_location(name, path)
    if specification is None or specification.loader is None or not path.is_file():
        raise ConfigurationError(f"There is no file {path} to read expectations from.")
    module = module_from_spec(specification)
    sys.modules[name] = module  # Classes look for their own module here while they are made.
    with _importable(path.parent), _importable(root):
        specification.loader.exec_module(module)
    return module


@contextmanager
def _importable(folder: Path) -> Generator[None]:
    entry = str(folder.resolve())
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        sys.path.remove(entry)


def as_json(expectation: "Expectation", suite: str, root: Path) -> JsonObject:
    """Return an expectation as JSON; one of a class of somebody's own says where that class stands."""
    whole: Mapping[str, object] = expectation.configuration.to_json_dict()
    kept = cast("JsonObject", {name: whole[name] for name in _KEPT if whole.get(name)})
    if type(expectation).__module__.startswith("great_expectations."):
        return kept
    place = suite.rpartition(":")[0]
    meta = kept.get("meta")
    own = {**(meta if isinstance(meta, dict) else {}), DEFINED_IN: _absolute(place, root)}
    return {**kept, "meta": own}


def _absolute(place: str, root: Path) -> str:
    return str((root / Path(place).expanduser()).resolve()) if place.endswith(".py") else place
