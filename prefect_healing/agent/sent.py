"""What went to a model, put together again from what was written before it was sent."""

from prefect_healing.agent.ask import Sending
from prefect_healing.domain.record import JsonObject, Record
from prefect_healing.journal import Journal


class Models(Record):
    """The models that were asked in a round, in order, with the agent's name: where their requests are kept."""

    folders: tuple[str, ...] = ()


async def requests_of(journal: Journal, round_number: int) -> list[JsonObject]:
    """Return the requests of one round: model, system prompt, tools and all messages of each."""
    asked = await journal.read(f"round-{round_number}/models", Models) or Models()
    requests: list[JsonObject] = []
    for folder in asked.folders:
        requests += await _requests_in(journal, f"round-{round_number}/sent/{folder}")
    return requests


async def _requests_in(journal: Journal, folder: str) -> list[JsonObject]:
    requests: list[JsonObject] = []
    opening = await journal.read(f"{folder}/0", Sending)
    sending, messages = opening, list[JsonObject]()
    while opening is not None and sending is not None:
        messages = [*messages, *sending.messages]
        requests.append(
            {
                "model": opening.model,
                "system": opening.system,
                "tools": list(opening.tools or ()),
                "messages": list(messages),
                "sent_times": sending.attempts,
            }
        )
        sending = await journal.read(f"{folder}/{len(requests)}", Sending)
    return requests
