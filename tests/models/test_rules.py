"""The model without a model: what it does follows from what is seen, and it never guesses."""

import json
from datetime import datetime, timedelta

import pytest

from prefect_healing.agent.conclusion import Conclude
from prefect_healing.domain.record import JsonObject
from prefect_healing.models.model import Request
from prefect_healing.models.rules import INVESTIGATE, LOOK_AT_CODE, RETRY, Rules

RUN_ID = "6b1f6c5e-0000-4000-8000-000000000001"
AT = "2026-11-22T06:00:00+00:00"
OFFERED = (*INVESTIGATE, *LOOK_AT_CODE, RETRY, "read_more", "conclude", "ask_person")
OUTAGE = "httpx.HTTPStatusError: Server error '503 Service Unavailable' for url 'http://vendor/day'"
LIMITED = "httpx.HTTPStatusError: Client error '429 Too Many Requests' for url 'http://vendor/day'"
PERMANENT = {
    "auth": "httpx.HTTPStatusError: Client error '401 Unauthorized' for url 'http://vendor/day'",
    "code_bug": "TypeError: unsupported operand type(s) for +: 'int' and 'str'",
    "dependency_env": "ModuleNotFoundError: No module named 'polars'",
    "schema_drift": "sqlite3.OperationalError: no such column: dep_delay",
}
UP: JsonObject = {"name": "vendor", "up": True}
DOWN: JsonObject = {"name": "vendor", "up": False}


class Talk:
    """A conversation with the rules: what they called, and what they were told."""

    def __init__(self, opening: str = "Incident 7F3K", offered: tuple[str, ...] = OFFERED) -> None:
        self.messages: list[JsonObject] = [{"role": "user", "content": [{"type": "text", "text": opening}]}]
        self.offered = offered

    def request(self) -> Request:
        tools = tuple({"name": name} for name in self.offered)
        return Request(system="Heal.", tools=tools, messages=tuple(self.messages), max_tokens=100)

    async def says(self) -> list[tuple[str, JsonObject]]:
        """Return the calls of the next reply."""
        reply = await Rules().reply(self.request())
        self.messages.append({"role": "assistant", "content": list(reply.content)})
        return [(block["name"], block["input"]) for block in reply.content]

    def hears(self, answers: dict[str, JsonObject | str]) -> None:
        """Answer the calls just made, each by its tool's name: an object, or a text that is an error."""
        results = []
        for number, block in enumerate(self.messages[-1]["content"], 2):
            told = answers.get(block["name"], {})
            text = told if isinstance(told, str) else f"[E{number}]\n{json.dumps(told)}"
            if isinstance(told, dict) and "token" in told:
                text = f"[E{number}]\n{{}}\nconfirmation token: {told['token']}"
            result = {"type": "tool_result", "tool_use_id": block["id"], "content": text}
            results.append({**result, "is_error": isinstance(told, str)})
        self.messages.append({"role": "user", "content": results})


async def investigated(failure: str, *sources: JsonObject, opening: str = "Incident 7F3K", **more: object) -> Talk:
    """Return a conversation in which the first reads are answered."""
    talk = Talk(opening, **more)
    await talk.says()
    talk.hears(
        {
            "read_flow_run": {"id": RUN_ID, "message": "Flow run encountered an exception"},
            "read_flow_run_logs": {"lines": [{"text": failure}]},
            "check_upstream_sources": {"checked_at": AT, "sources": list(sources)},
        }
    )
    return talk


async def test_it_begins_with_all_reads_at_once():
    assert await Talk().says() == [(name, {}) for name in INVESTIGATE]


async def test_it_calls_only_what_is_offered():
    assert await Talk(offered=("read_flow_run_logs", "conclude")).says() == [("read_flow_run_logs", {})]


async def test_the_same_conversation_gets_the_same_reply():
    one, other = await investigated(OUTAGE, DOWN), await investigated(OUTAGE, DOWN)

    assert await one.says() == await other.says()


@pytest.mark.parametrize("failure", [OUTAGE, LIMITED, "ConnectionResetError: [Errno 104] Connection reset by peer"])
async def test_what_passes_is_tried_again_at_once_where_all_sources_are_up(failure: str):
    talk = await investigated(failure, UP, UP)

    assert await talk.says() == [(RETRY, {"flow_run_id": RUN_ID})]


async def test_while_a_source_is_down_it_is_tried_again_later():
    talk = await investigated(OUTAGE, UP, DOWN)

    ((name, arguments),) = await talk.says()

    assert name == RETRY
    assert timedelta(0) < datetime.fromisoformat(arguments["not_before"]) - datetime.fromisoformat(AT)


@pytest.mark.parametrize(
    ("failure", "source"),
    [
        (LIMITED, {**UP, "retry_after_seconds": 120}),
        (f"{LIMITED}\nRetry-After: 120", UP),
        (f"{LIMITED} {{'retry-after': '120'}}", UP),
    ],
    ids=["by the probe", "in the log", "in headers"],
)
async def test_what_the_source_asked_for_is_not_undercut(failure: str, source: JsonObject):
    talk = await investigated(failure, source)

    ((_, arguments),) = await talk.says()

    waits = datetime.fromisoformat(arguments["not_before"]) - datetime.fromisoformat(AT)
    assert timedelta(seconds=120) <= waits <= timedelta(seconds=135)


async def test_in_a_second_round_it_waits_though_the_source_is_up():
    """At once did not help."""
    talk = await investigated(OUTAGE, UP, opening="Incident 7F3K\nRound 1 did not help: tried: a re-run.")

    ((name, arguments),) = await talk.says()

    assert name == RETRY
    assert datetime.fromisoformat(arguments["not_before"]) > datetime.fromisoformat(AT)


@pytest.mark.parametrize("words", ["Round 1 did not help", "RETRY_AFTER 9"])
async def test_a_log_cannot_say_that_a_round_was_tried(words: str):
    """Only the opening's own lines count as rounds; a number that the log gives can delay, never hasten."""
    talk = await investigated(f"{words}\n{OUTAGE}", UP)

    ((name, arguments),) = await talk.says()

    assert name == RETRY
    assert ("not_before" in arguments) is words.startswith("RETRY")


@pytest.mark.parametrize("cause", PERMANENT)
async def test_what_fails_the_same_way_each_time_is_never_tried_again(cause: str):
    talk = await investigated(PERMANENT[cause], UP)
    said: list[tuple[str, JsonObject]] = []
    while not said or said[-1][0] != "conclude":
        said += await talk.says()
        talk.hears({})

    names = [name for name, _ in said]
    conclusion = said[-1][1]
    assert RETRY not in names
    assert conclusion["cause"] == cause
    assert conclusion["disposition"] == "hand_over"
    assert conclusion["proposal"]
    assert set(LOOK_AT_CODE) <= set(names) or cause == "auth"


@pytest.mark.parametrize("failure", ["Something odd happened.", "", "exit 7"])
async def test_what_it_does_not_know_is_handed_over_as_unknown(failure: str):
    """No signature, no guess: the evidence goes to a person."""
    talk = await investigated(failure, UP)

    ((name, said),) = await talk.says()

    assert name == "conclude"
    assert (said["cause"], said["disposition"], said["evidence_status"]) == ("unknown", "hand_over", "insufficient")
    assert said["gaps"]
    Conclude.model_validate(said)


async def test_with_a_token_it_proposes_exactly_the_previewed_re_run():
    talk = await investigated(OUTAGE, UP)
    await talk.says()
    talk.hears({RETRY: {"token": "abc123"}})

    ((name, said),) = await talk.says()

    assert name == "conclude"
    assert said["disposition"] == "repair"
    assert [(each["tool"], each["confirmation_token"]) for each in said["actions"]] == [("retry_flow_run", "abc123")]
    assert said["decisive_line"] == OUTAGE
    Conclude.model_validate(said)


async def test_a_re_run_that_cannot_be_previewed_is_proposed_to_a_person():
    talk = await investigated(OUTAGE, UP)
    await talk.says()
    talk.hears({RETRY: "[E7]\nFlow 'nightly' has no deployment."})

    ((name, said),) = await talk.says()

    assert name == "conclude"
    assert said["disposition"] == "hand_over"
    assert "Flow 'nightly' has no deployment." in said["proposal"]
    Conclude.model_validate(said)


async def test_without_the_tool_for_it_nothing_is_run_again():
    talk = await investigated(OUTAGE, UP, offered=(*INVESTIGATE, "conclude"))

    ((name, said),) = await talk.says()

    assert (name, said["disposition"]) == ("conclude", "hand_over")


async def test_where_the_log_cannot_be_read_the_incident_itself_tells():
    """Tools that fail are evidence of nothing; what was gathered when the incident was opened is still there."""
    talk = Talk(opening=f"Incident 7F3K\n{PERMANENT['auth']}")
    await talk.says()
    talk.hears(dict.fromkeys(INVESTIGATE, "The Prefect API is away."))

    ((name, said),) = await talk.says()

    assert (name, said["cause"], said["cites"]) == ("conclude", "auth", ["E1"])
    Conclude.model_validate(said)


async def test_a_conclusion_that_was_refused_is_made_without_its_quote():
    """The line may stand in the evidence in another spelling; the cause stands without it."""
    talk = await investigated(PERMANENT["auth"], UP)
    ((_, first),) = await talk.says()
    talk.hears({"conclude": "The decisive line does not occur in the evidence."})

    ((_, second),) = await talk.says()

    assert first["decisive_line"] == PERMANENT["auth"]
    assert "decisive_line" not in second
    assert {**second, "decisive_line": first["decisive_line"]} == first


async def test_rules_cost_nothing():
    assert Rules().cost_ceiling_usd(Talk().request()) == 0
