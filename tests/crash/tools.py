"""Write tools of the test's own: one whose target takes a key, one that looks, one with neither, and two that undo."""

import httpx

from prefect_healing.domain.plan import Scope
from prefect_healing.domain.record import Record
from prefect_healing.domain.repair import Receipt, Undo
from prefect_healing.domain.verification import Check
from prefect_healing.tools.tool import Applied, ToolContext, tool
from tests.crash.trap import numbered, plan, reached


class Seen(Record):
    present: bool
    done: int


@tool(effect="read")
async def look_at_target() -> Seen:
    """Look at the target."""
    return await _noted("look_at_target", _look("book"))


@tool(effect="write", takes_key=True)
async def book(ctx: ToolContext, item: str) -> Applied:
    """Book an item; the target takes an idempotency key."""
    await _noted("book", _post("book", ctx.effect_key))
    return Applied(detail="booked", undo=Undo(tool="unbook", arguments={"item": item}))


@tool(effect="write", takes_key=True)
async def unbook(ctx: ToolContext, item: str) -> Applied:
    """Take a booking back; the target takes an idempotency key."""
    await _noted("unbook", _post("book/undo", ctx.effect_key))
    return Applied(detail="unbooked")


@tool(effect="write")
async def restore(ctx: ToolContext, item: str) -> Applied:
    """Restore an item; the target shows whether it is there."""
    await _noted("restore", _post("restore", None))
    return _restored(item)


@restore.already_done
async def is_restored(ctx: ToolContext, item: str) -> Applied | None:
    return _restored(item) if (await _look("restore")).present else None


@tool(effect="write")
async def remove(ctx: ToolContext, item: str) -> Applied:
    """Remove a restored item; the target shows whether it is there."""
    await _noted("remove", _post("restore/undo", None))
    return Applied(detail="removed")


@remove.already_done
async def is_removed(ctx: ToolContext, item: str) -> Applied | None:
    return None if (await _look("restore")).present else Applied(detail="removed")


@tool(effect="write")
async def send_letter(ctx: ToolContext, item: str) -> Applied:
    """Send a letter: nobody can tell afterwards whether it was sent."""
    await _noted("send_letter", _post("send_letter", None))
    return Applied(detail="sent")


for _each in (book, unbook, restore, remove, send_letter):

    @_each.preview
    async def what_it_touches(ctx: ToolContext, item: str, name: str = _each.name) -> Scope:
        await _noted(f"preview_{name}", _look(name))
        tables = (f"orders_{plan().row}",) if name == "book" else ()
        return Scope(summary=f"{name} {item}", tables=tables)

    @_each.check
    async def did_it_help(ctx: ToolContext, receipt: Receipt) -> Check:
        """The world recovers by the first repair, or the second, or not at all, as the script says."""
        seen = await _noted(f"check of {receipt.tool}", _look(receipt.tool))
        helped = seen.done >= {"undone": 9, "second_round": 2}.get(plan().scenario, 1)
        return Check(name=receipt.tool, status="passed" if helped else "failed", detail=f"done {seen.done}")


def _restored(item: str) -> Applied:
    return Applied(detail="restored", undo=Undo(tool="remove", arguments={"item": item}))


async def _noted(what, request):
    boundary = numbered(f"body of {what}")
    reached(boundary, "before")
    seen = await request
    reached(boundary, "after")
    return seen


async def _look(item: str) -> Seen:
    async with httpx.AsyncClient(verify=False) as client:
        return Seen.model_validate_json((await client.get(_url(item))).content)


async def _post(item: str, key: str | None) -> None:
    async with httpx.AsyncClient(verify=False) as client:
        (await client.post(_url(item), headers={"Idempotency-Key": key} if key else {})).raise_for_status()


def _url(item: str) -> str:
    return f"{plan().target}/{plan().row}/{item}"
