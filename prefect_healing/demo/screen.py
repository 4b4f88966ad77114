"""What the demo shows while it runs and when it has ended."""

import time
from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from prefect_healing.demo.result import DemoResult, ScenarioResult

LINES_FOR_YOUR_FLOW = """\
from prefect import flow
from prefect_healing import self_healing

@self_healing          # outermost, above @flow
@flow(persist_result=True)
def your_flow(): ...
"""


class Screen:
    """Progress line by line, each with the seconds since the start."""

    def __init__(self, *, to_stderr: bool) -> None:
        self.console = Console(stderr=to_stderr, highlight=False)
        self._since = time.monotonic()

    @property
    def seconds(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self._since

    def say(self, text: str) -> None:
        """Show one line."""
        self.console.print(f"[dim]{self.seconds:6.1f} s[/dim]  {escape(text)}", soft_wrap=True)

    @contextmanager
    def busy(self, text: str) -> Generator[None]:
        """Show that something is being done."""
        self.say(f"{text} ...")
        with self.console.status(text):
            yield

    def show(self, result: DemoResult, *, keep: bool) -> None:
        """Show the table, the timings, where to look, and what to add to a flow."""
        self.console.print(_table(result.scenarios))
        self.console.print(_timings(result), soft_wrap=True)
        self.console.print(_where_to_look(result, keep=keep), soft_wrap=True, markup=False)
        self.console.print(f"\nA flow of yours heals itself with these lines:\n\n{LINES_FOR_YOUR_FLOW}", markup=False)


def _table(rows: tuple[ScenarioResult, ...]) -> Table:
    table = Table("scenario", "cause found", "action", "proof", "outcome", "seconds", "right", show_lines=False)
    for row in rows:
        cells = (row.scenario, row.cause or "-", row.action, row.proof, row.outcome)
        table.add_row(*map(escape, cells), f"{row.seconds:.0f}", "yes" if row.right else "[red]no[/red]")
    return table


def _timings(result: DemoResult) -> str:
    parts = result.timings
    return (
        f"Prefect server {parts.server:.0f} s, deployments {parts.serve:.0f} s, "
        f"scenarios {parts.scenarios:.0f} s, in all {parts.total:.0f} s."
    )


def _where_to_look(result: DemoResult, *, keep: bool) -> str:
    if not keep:
        return "To look at the runs and reports in the Prefect UI, run it again with --keep."
    links = [f"  {each.scenario}: {each.url}" for each in result.scenarios if each.url]
    heading = "In the Prefect UI, until you press Ctrl-C, with the reports under Artifacts:"
    return "\n".join([heading, *links])
