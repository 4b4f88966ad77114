"""Did the world recover? Plain code looks."""

from collections.abc import Awaitable, Callable

from prefect_healing.domain.repair import Receipt, Repair
from prefect_healing.domain.verification import Check, Verification
from prefect_healing.errors import StorageUnavailable, ToolError
from prefect_healing.stages.data_check import data_check
from prefect_healing.workbench import Workbench


async def verify(bench: Workbench, repair: Repair) -> Verification:
    """Look whether what was wrong is right again; a check that cannot be made is inconclusive, so failed.

    Where data was at fault, the same checkpoint or the same look at its age decides. Else it is the check of every
    action that was carried out.
    """
    alert, undone = bench.incident.alert, [each for each in repair.receipts if each not in repair.applied]
    if alert.kind == "flow_run":
        return Verification(checks=tuple([await _check(bench, receipt) for receipt in repair.receipts]))
    failed = [await _check(bench, receipt) for receipt in undone]
    return Verification(checks=tuple(failed or [await _guarded(bench, alert.kind, lambda: data_check(bench))]))


async def _check(bench: Workbench, receipt: Receipt) -> Check:
    tool = bench.toolset.writer(receipt.tool)
    if tool is None or receipt.status not in ("done", "already_done"):
        return Check(name=receipt.tool, status="failed", detail=f"{receipt.status}: {receipt.detail}")
    context = bench.context(effect_key=receipt.effect_id)
    return await _guarded(bench, receipt.tool, lambda: tool.verify(context, receipt))


async def _guarded(bench: Workbench, name: str, look: Callable[[], Awaitable[Check]]) -> Check:
    try:
        check = await look()
    except ToolError as error:
        check = Check(name=name, status="inconclusive", detail=str(error))
    except StorageUnavailable:
        raise
    except Exception as error:  # noqa: BLE001 - a defect of a check; what it would have seen, nobody knows
        detail = f"The check broke: {type(error).__name__}: {error}"
        check = Check(name=name, status="inconclusive", detail=detail)
    return check.model_copy(update={"detail": bench.redacted(check.detail)})
