"""What went to a model, put together again from what was written before it was sent."""

from prefect_healing.agent.ask import Sending
from prefect_healing.domain.record import JsonObject, Record
from prefect_healing.journal import Journal


class Models(Record):
    """The models that were asked in a round, in order, with the agent's name: where their requests are kept.

    `model` and `triage_model` are the settings that the round began with. It goes on with them in a process that has
    others: another model could not continue its transcript.
    """

    model: str
    triage_model: str
    folders: tuple[str, ...] = ()


def models_key(round_number: int) -> str:
    """Return where the journal keeps a round's Models."""
    return f"round-{round_number}/models"


async def requests_of(journal: Journal, round_number: int) -> list[JsonObject]:
    """Return the requests of one round: model, system prompt, tools and all messages of each."""
    asked = await journal.read(models_key(round_number), Models)
    requests: list[JsonObject] = []
    for folder in asked.folders if asked else ():
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
