"""Errors cross processes: Prefect pickles what a task raised."""

import pickle

import pytest

from prefect_healing.errors import HealingError, ModelUnavailable


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
    """The tree in the module's docstring names it."""
    import prefect_healing.errors

    assert f" {error.__name__} " in f" {prefect_healing.errors.__doc__} ".replace("\n", " ")
