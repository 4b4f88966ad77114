"""Did the world recover? Plain code looks."""

from prefect_healing.domain.repair import Receipt, Repair
from prefect_healing.domain.verification import Check, Verification
from prefect_healing.errors import ToolError
from prefect_healing.workbench import Workbench


async def verify(bench: Workbench, repair: Repair) -> Verification:
    """Run the check of every action that was carried out; a check that cannot be made is inconclusive, so failed."""
    return Verification(checks=tuple([await _check(bench, receipt) for receipt in repair.receipts]))


async def _check(bench: Workbench, receipt: Receipt) -> Check:
    tool = bench.toolset.writer(receipt.tool)
    if tool is None or receipt.status not in ("done", "already_done"):
        return Check(name=receipt.tool, status="failed", detail=f"{receipt.status}: {receipt.detail}")
    try:
        check = await tool.verify(bench.context(effect_key=receipt.effect_id), receipt)
    except ToolError as error:
        check = Check(name=receipt.tool, status="inconclusive", detail=str(error))
    return check.model_copy(update={"detail": bench.redacted(check.detail)})
