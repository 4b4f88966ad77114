"""The scripted model of each scenario, which notes what it is asked."""

import re

from prefect_healing.domain.record import digest
from prefect_healing.models.model import Reply, Request
from prefect_healing.models.scripted import Scripted, Turn, last_result
from tests.crash.trap import numbered, plan, reached


def _previews(*tools: str) -> Turn:
    return Scripted.calls(("look_at_target", {}), *((f"preview_{tool}", {"item": "seat 7"}) for tool in tools))


def _concludes(request: Request, *tools: str) -> Turn:
    return Scripted.calls(
        (
            "conclude",
            {
                "cause": "upstream_unavailable",
                "summary": "The vendor was down.",
                "disposition": "repair",
                "transience": "transient",
                "confidence": 0.9,
                "confidence_reason": "It says so.",
                "evidence_status": "confirmed",
                "cites": ["E1"],
                "actions": [
                    {"tool": tool, "confirmation_token": _token(request, tool), "reason": "It helps."} for tool in tools
                ],
            },
        )
    )


def _token(request: Request, tool: str) -> str:
    found = re.search(r"confirmation token: (\w+)", last_result(request, f"preview_{tool}"))
    assert found, "The preview gave no token."
    return found[1]


def _asks() -> Turn:
    said = {"question": "Is seat 7 free?", "why": "Else it would be booked twice.", "summary": "The vendor was down."}
    return Scripted.calls(("ask_person", said))


SCRIPTS = {
    "healed": (_previews("book", "restore"), lambda request: _concludes(request, "book", "restore")),
    "undone": (_previews("book", "restore"), lambda request: _concludes(request, "book", "restore")),
    "second_round": (_previews("book", "restore"), lambda request: _concludes(request, "book", "restore")),
    "letter": (_previews("send_letter"), lambda request: _concludes(request, "send_letter")),
    "asked": (_asks(), _previews("book"), lambda request: _concludes(request, "book")),
}
"""One repair; one that is undone; one that is undone and made again; one that nobody can look at; a question first."""


class Noting:
    """A Model. Each reply's wire id is the digest of its conversation, so that replies and requests can be matched."""

    id = "crash-1"

    def cost_ceiling_usd(self, request: Request) -> float:
        return 0.0

    async def reply(self, request: Request) -> Reply:
        asked = digest(list(request.messages))[:16]
        boundary = numbered("model")
        reached(boundary, "before")
        with plan().asked.open("a") as file:
            file.write(asked + "\n")
        reply = await Scripted(SCRIPTS[plan().scenario]).reply(request)
        reached(boundary, "after")
        return reply.model_copy(update={"wire_id": asked})


model = Noting()
