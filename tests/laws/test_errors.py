"""Errors cross processes: Prefect pickles what a task raised."""

import pickle
from importlib import import_module
from pkgutil import walk_packages

import pytest

import prefect_healing
from prefect_healing import errors
from prefect_healing.errors import HealingError, ModelUnavailable

for module in walk_packages(prefect_healing.__path__, "prefect_healing."):
    import_module(module.name)  # A part of the package may have an error of its own.


def _tree(error: type[HealingError]) -> list[type[HealingError]]:
    return [error, *(each for child in error.__subclasses__() for each in _tree(child))]


@pytest.mark.parametrize("error", _tree(HealingError), ids=lambda error: error.__name__)
def test_every_error_survives_pickle(error: type[HealingError]) -> None:
    """Its type, its text and its facts are the same on the other side."""
    raised = error("The warehouse did not answer; look at its log.")

    copy = pickle.loads(pickle.dumps(raised))

    assert type(copy) is error
    assert (str(copy), vars(copy)) == (str(raised), vars(raised))


def test_what_a_service_asked_to_wait_survives_pickle() -> None:
    """A retry in another process obeys the same retry-after."""
    copy = pickle.loads(pickle.dumps(ModelUnavailable("Overloaded.", retry_after_seconds=7.5)))

    assert copy.retry_after_seconds == 7.5


@pytest.mark.parametrize("error", _tree(HealingError), ids=lambda error: error.__name__)
def test_every_error_says_who_must_act(error: type[HealingError]) -> None:
    """The tree in the docstring of `errors` names it, or a kind of error that it is."""
    named = (errors.__doc__ or "").replace("\n", " ")
    kinds = [kind for kind in error.__mro__ if issubclass(kind, HealingError) and kind is not HealingError]

    assert error is HealingError or any(f" {kind.__name__} " in f"{named} " for kind in kinds)
