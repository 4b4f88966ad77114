"""A selection is words, none of which can be an option; a status is never good for want of a translation."""

import pytest
from pydantic import TypeAdapter, ValidationError

from prefect_healing.dbt.artifacts import outcome_of
from prefect_healing.dbt.project import Selection, dbt_project, selectors
from prefect_healing.errors import ConfigurationError, ToolFailed


@pytest.mark.parametrize(
    "said", ["--full-refresh", "daily --vars", "-s", "daily;drop", "daily\n--x", "", " ", "a" * 401]
)
def test_a_model_can_select_nodes_and_nothing_else(said: str):
    with pytest.raises(ValidationError):
        TypeAdapter(Selection).validate_python(said)


@pytest.mark.parametrize("said", ["daily", "+daily+", "tag:nightly,daily", "2+stg_orders @daily", "source:raw.orders"])
def test_dbts_own_syntax_goes(said: str):
    assert TypeAdapter(Selection).validate_python(said) == said


def test_an_author_cannot_slip_an_option_into_a_selection():
    with pytest.raises(ToolFailed, match="selects no dbt node"):
        selectors(["daily", "--full-refresh"])


@pytest.mark.parametrize(
    ("status", "kind", "outcome"),
    [
        ("success", "model", "passed"),
        ("pass", "test", "passed"),
        ("fail", "test", "failed"),
        ("error", "test", "errored"),
        ("error", "source", "failed"),
        ("runtime error", "source", "errored"),
        ("partial success", "model", "errored"),
        ("a word of next year", "model", "errored"),
    ],
)
def test_models_tests_and_sources_have_words_of_their_own(status: str, kind: str, outcome: str):
    assert outcome_of(status, kind) == outcome  # type: ignore[arg-type]


def test_a_folder_without_a_project_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"holds no dbt_project\.yml"):
        dbt_project(tmp_path)
