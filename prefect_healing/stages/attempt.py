"""From one round to the next."""

from dataclasses import replace

from prefect_healing.domain.incident import Attempt
from prefect_healing.domain.report import Round
from prefect_healing.workbench import Workbench


async def next_round_after(bench: Workbench, done: Round) -> Workbench:
    """Write what the round tried, and return the workbench as the next round sees it."""
    attempt = await bench.journal.keep(
        f"round-{done.number}/attempt", Attempt(round=done.number, summary=_in_words(done))
    )
    return replace(bench, incident=bench.incident.after(attempt))


def _in_words(done: Round) -> str:
    tried = ", ".join(each.detail for each in (done.repair.receipts if done.repair else ()))
    saw = "; ".join(each.detail for each in (done.verification.checks if done.verification else ()))
    return f"tried: {tried}. Afterwards: {saw}."
