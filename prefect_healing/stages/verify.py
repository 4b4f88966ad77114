"""Did the world recover? Plain code looks."""

from prefect_healing.domain.repair import Receipt, Repair
from prefect_healing.domain.verification import Check, Verification
from prefect_healing.errors import StorageUnavailable, ToolError
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
    except StorageUnavailable:
        raise
    except Exception as error:  # noqa: BLE001 - a defect of a check; what it would have seen, nobody knows
        detail = f"The check broke: {type(error).__name__}: {error}"
        check = Check(name=receipt.tool, status="inconclusive", detail=detail)
    return check.model_copy(update={"detail": bench.redacted(check.detail)})
