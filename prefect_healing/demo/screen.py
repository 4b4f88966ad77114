"""What the demo shows while it runs and when it has ended."""

import time
from collections.abc import Generator
from contextlib import contextmanager

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from prefect_healing.demo.result import DemoResult, ScenarioResult

_PROOF_CHARS = 110
_WIDE = 140

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
        wide = self.console.width >= _WIDE
        self.console.print(_table(result.scenarios, with_proof=wide))
        if not wide:
            self.console.print(_proofs(result.scenarios), soft_wrap=True, markup=False)
        self.console.print(_verdict(result), soft_wrap=True, markup=False)
        self.console.print(_timings(result), soft_wrap=True)
        self.console.print(_where_to_look(result, keep=keep), soft_wrap=True, markup=False)
        self.console.print(f"\nA flow of yours heals itself with these lines:\n\n{LINES_FOR_YOUR_FLOW}", markup=False)


def _table(rows: tuple[ScenarioResult, ...], *, with_proof: bool) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    names = ["scenario", "cause found", "action", *(["proof"] if with_proof else []), "outcome", "s"]
    for name in names:
        table.add_column(name, no_wrap=name != "proof")
    for row in rows:
        proof = [escape(_shortened(row.proof))] if with_proof else []
        table.add_row(row.scenario, row.cause or "-", row.action, *proof, _outcome(row), f"{row.seconds:.0f}")
    return table


def _proofs(rows: tuple[ScenarioResult, ...]) -> str:
    return "\n".join([" Proof:", *(f"   {row.scenario}: {_shortened(row.proof)}" for row in rows), ""])


def _shortened(proof: str) -> str:
    line = proof.removeprefix("Flow run encountered an exception: ")
    return line if len(line) <= _PROOF_CHARS else f"{line[:_PROOF_CHARS]} ..."


def _outcome(row: ScenarioResult) -> str:
    return row.outcome if row.right else f"[red]{row.outcome}: wrong[/red]"


def _verdict(result: DemoResult) -> str:
    wrong = [row for row in result.scenarios if not row.right]
    if not wrong:
        return f"All {len(result.scenarios)} are right."
    expected = "; ".join(
        f"{row.scenario} should be {row.expected_outcome} by {row.expected_cause}, with {row.requests} requests made"
        for row in wrong
    )
    return f"{len(wrong)} of {len(result.scenarios)} are wrong: {expected}."


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
