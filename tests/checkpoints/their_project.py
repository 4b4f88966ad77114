"""A Great Expectations project as others have it, in files. Import it `quietly`."""

from pathlib import Path
from typing import Any, Literal

import great_expectations as gx
import great_expectations.expectations as gxe
from great_expectations.checkpoint.actions import ValidationAction


class Note(ValidationAction):
    """Adds a line to a file, as others tell a channel."""

    type: Literal["note"] = "note"
    path: str

    def run(self, checkpoint_result: Any, action_context: Any = None) -> dict[str, Any]:
        with Path(self.path).open("a") as file:
            file.write(f"{checkpoint_result.success}\n")
        return {}


class Fall(ValidationAction):
    """Raises, as an action does whose channel is gone."""

    type: Literal["fall"] = "fall"

    def run(self, checkpoint_result: Any, action_context: Any = None) -> dict[str, Any]:
        raise RuntimeError("the channel is gone")


def make_project(folder: Path, url: str, notes: Path, table: str = "bookings") -> Path:
    """Make a project with checkpoints by day, of all days, and with an action that raises; return its folder."""
    folder.mkdir()
    context = gx.get_context(mode="file", project_root_dir=str(folder))
    sources = context.data_sources
    add = sources.add_sqlite if url.startswith("sqlite") else sources.add_postgres
    source = add("warehouse", connection_string=url)
    asset = source.add_table_asset("all bookings", table_name=table)
    suite = context.suites.add(gx.ExpectationSuite(name="bookings"))
    suite.add_expectation(gxe.ExpectColumnValuesToNotBeNull(column="seats", severity="warning"))
    suite.add_expectation(gxe.ExpectColumnValuesToBeInSet(column="carrier", value_set=["UA"]))
    by_day = asset.add_batch_definition_daily("by day", column="booked_on")
    whole = asset.add_batch_definition_whole_table("whole")
    note = Note(name="note", path=str(notes))
    for name, batches, actions in (
        ("daily", by_day, [note]),
        ("whole", whole, []),
        ("falling", by_day, [Fall(name="fall")]),
    ):
        definition = gx.ValidationDefinition(name=name, data=batches, suite=suite)
        definition = context.validation_definitions.add(definition)
        context.checkpoints.add(gx.Checkpoint(name=name, validation_definitions=[definition], actions=actions))
    source.get_engine().dispose()
    return folder
