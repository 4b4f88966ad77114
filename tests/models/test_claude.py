"""Claude through the real SDK, over HTTP, against a server that refuses what the real one refuses."""

import asyncio
import gc
import json
import pickle
import socket
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from prefect_healing.domain.record import JsonObject
from prefect_healing.errors import ConfigurationError, HealingError, ModelMisbehaved, ModelUnavailable
from prefect_healing.models.claude import Claude
from prefect_healing.models.model import Reply, Request
from prefect_healing.models.prices import PRICES
from prefect_healing.models.reply_steps import calls_of
from tests.messages_api import Answer, Fault, MessagesApi, calls, says
from tests.messages_api.server import KEY

OPUS = "claude-opus-5-5"
SYSTEM = "You find out why Prefect flows fail. " * 200
TOOL: JsonObject = {
    "name": "read_logs",
    "description": "Read a flow run's logs.",
    "input_schema": {"type": "object", "properties": {"page": {"type": "integer"}}},
}
USER: JsonObject = {"role": "user", "content": [{"type": "text", "text": "Flow run nightly-flights failed."}]}


@pytest.fixture
async def claude(messages_api: MessagesApi) -> AsyncIterator[Claude]:
    model = Claude(OPUS, timeout_seconds=10)
    yield model
    await model.aclose()


def request_of(*messages: JsonObject, system: str = SYSTEM, max_tokens: int = 1000) -> Request:
    return Request(system=system, tools=(TOOL,), messages=messages or (USER,), max_tokens=max_tokens)


def followed(request: Request, reply: Reply, *more: JsonObject) -> Request:
    """Return the request of the next turn: the reply verbatim, then a result for each of its calls."""
    messages: list[JsonObject] = [*request.messages, {"role": "assistant", "content": list(reply.content)}]
    results = [
        {"type": "tool_result", "tool_use_id": each.id, "content": "It says 503. " * 20} for each in calls_of(reply)
    ]
    if results or more:
        messages.append({"role": "user", "content": [*results, *more]})
    return Request(request.system, request.tools, tuple(messages), request.max_tokens)


async def failure(claude: Claude) -> HealingError:
    with pytest.raises(HealingError) as caught:
        await claude.reply(request_of())
    return caught.value


async def test_a_reply_is_the_wires_content_verbatim(claude: Claude, messages_api: MessagesApi):
    """What the service sent is kept as it is: order of keys, nulls, and blocks that nobody here knows."""
    content = [
        {"type": "hologram", "z": None, "a": {"nested": [1, 2.5, "x"]}},
        {"type": "text", "text": "Looking.", "citations": None},
        {
            "type": "tool_use",
            "id": "toolu_x",
            "name": "read_logs",
            "input": {"z": 1, "a": None},
            "caller": {"type": "direct"},
        },
    ]
    messages_api.script = [Answer(content)]

    reply = await claude.reply(request_of())

    assert json.dumps(reply.content) == json.dumps(content)
    assert reply.stop_reason == "tool_use"
    assert reply.model == OPUS
    assert reply.wire_id == messages_api.requests[0].answer["id"]
    assert reply.text == "Looking."


async def test_a_reply_can_be_sent_back_after_it_was_persisted(claude: Claude, messages_api: MessagesApi):
    """Signed thinking, unknown blocks and calls survive a round trip through storage; the strict server says so."""
    messages_api.script = [
        Answer(
            [{"type": "thinking", "thinking": ""}, {"type": "hologram", "x": None}, *calls(("read_logs", {})).content]
        ),
        calls(("read_logs", {"page": 2}), ("read_logs", {"page": 3})),
        says("A vendor outage."),
    ]
    request = request_of()
    for _ in range(2):
        reply = Reply.model_validate_json((await claude.reply(request)).model_dump_json())
        request = followed(request, reply)

    assert (await claude.reply(request)).text == "A vendor outage."


async def test_only_what_current_models_take_is_sent(claude: Claude, messages_api: MessagesApi):
    """No sampling parameters, no thinking switch, no forced tool: 5.5-class models refuse them all."""
    messages_api.script = [says("ok")] * 2

    await claude.reply(request_of())
    await Claude(OPUS, timeout_seconds=10, effort="high").reply(request_of())

    assert set(messages_api.requests[0].body) == {"model", "max_tokens", "system", "tools", "messages", "cache_control"}
    assert messages_api.requests[1].body["output_config"] == {"effort": "high"}


async def test_a_request_without_system_prompt_or_tools_is_right_too(claude: Claude, messages_api: MessagesApi):
    messages_api.script = [says("ok")]

    await claude.reply(Request(system="", tools=(), messages=(USER,), max_tokens=10))

    assert set(messages_api.requests[0].body) == {"model", "max_tokens", "messages", "cache_control"}


@pytest.mark.parametrize(
    "stop_reason",
    [
        "end_turn",
        "stop_sequence",
        "max_tokens",
        "pause_turn",
        "refusal",
        "model_context_window_exceeded",
        "new_in_2027",
    ],
)
async def test_every_stop_reason_arrives(claude: Claude, messages_api: MessagesApi, stop_reason: str):
    messages_api.script = [says("So far.", stop_reason=stop_reason)]

    assert (await claude.reply(request_of())).stop_reason == stop_reason


async def test_a_paused_turn_goes_on_when_it_is_sent_unchanged(claude: Claude, messages_api: MessagesApi):
    messages_api.script = [says("Searching.", stop_reason="pause_turn"), says("Found.")]
    request = request_of()

    paused = await claude.reply(request)

    assert (await claude.reply(followed(request, paused))).text == "Found."


async def test_a_turn_resends_nothing_at_full_price(claude: Claude, messages_api: MessagesApi):
    """All that an earlier turn sent is read from the cache, and what is new is written to it."""
    messages_api.script = [calls(("read_logs", {"page": page})) for page in range(6)]
    request = request_of()
    for _ in range(6):
        request = followed(request, await claude.reply(request))

    turns = messages_api.requests
    assert [each.usage["input_tokens"] for each in turns] == [0] * 6
    assert turns[0].usage["cache_read_input_tokens"] == 0
    assert [each.usage["cache_read_input_tokens"] for each in turns[1:]] == [each.input_tokens for each in turns[:-1]]


async def test_a_turn_of_many_calls_does_not_lose_the_cache(claude: Claude, messages_api: MessagesApi):
    """The service looks back 20 blocks; 15 calls and their results are 30, so the place before them is marked."""
    pages = [calls(*[("read_logs", {"page": page}) for page in range(15)]) for _ in range(2)]
    messages_api.script = [*pages, says("done")]
    request = request_of()
    for _ in range(3):
        request = followed(request, await claude.reply(request))

    turns = messages_api.requests
    assert [each.usage["cache_read_input_tokens"] for each in turns[1:]] == [each.input_tokens for each in turns[:-1]]


async def test_system_prompt_and_tools_are_cached_for_the_next_incident(claude: Claude, messages_api: MessagesApi):
    messages_api.script = [says("ok")]

    first = await claude.reply(request_of())
    other = await claude.reply(request_of({"role": "user", "content": "Another flow run failed."}))

    assert first.usage.cache_read_tokens == 0
    assert other.usage.cache_read_tokens > 0.9 * first.usage.cache_write_tokens


async def test_usage_and_cost_are_the_services_counts(claude: Claude, messages_api: MessagesApi):
    counts = {"input_tokens": 1_000, "output_tokens": 2_000}
    cached = {"cache_creation_input_tokens": 4_000, "cache_read_input_tokens": 10_000}
    messages_api.script = [Answer(says("ok").content, usage={**counts, **cached})]

    usage = (await claude.reply(request_of())).usage

    assert (usage.input_tokens, usage.output_tokens) == (1_000, 2_000)
    assert (usage.cache_write_tokens, usage.cache_read_tokens) == (4_000, 10_000)
    assert usage.cost_usd == pytest.approx((1_000 * 4 + 4_000 * 5 + 10_000 * 0.2 + 2_000 * 20) / 1e6)


@pytest.mark.parametrize("model_id", sorted(PRICES))
async def test_the_ceiling_is_above_what_a_call_costs(messages_api: MessagesApi, model_id: str):
    messages_api.script = [Answer(says("word " * 100).content, usage={"output_tokens": 1_000})]
    request = request_of()
    model = Claude(model_id, timeout_seconds=10)
    sent = await Claude(OPUS, timeout_seconds=10).reply(request)

    assert model.cost_ceiling_usd(request) > PRICES[model_id].of(sent.usage)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
async def test_what_may_pass_is_unavailable_and_not_retried_here(
    claude: Claude, messages_api: MessagesApi, status: int
):
    """A call is one request: who retries is decided above, where it is seen and paid for."""
    messages_api.faults = [Fault.of_status(status, retry_after=7)]

    error = await failure(claude)

    assert isinstance(error, ModelUnavailable)
    assert error.retry_after_seconds == 7
    assert str(status) in str(error)
    assert "req_0" in str(error)
    assert len(messages_api.requests) == 1


@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        ({"retry-after": "3600"}, 3600, 3600),
        ({"retry-after": "0.5"}, 0.5, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25, 0.25),
        ({"retry-after": format_datetime(datetime.now(UTC) + timedelta(days=1), usegmt=True)}, 80_000, 86_400),
        ({"retry-after": "-3"}, 0, 0),
    ],
)
async def test_retry_after_is_read_in_every_spelling(
    claude: Claude, messages_api: MessagesApi, headers: dict[str, str], least: float, most: float
):
    messages_api.faults = [Fault.of_status(429, headers=headers)]

    error = await failure(claude)

    assert isinstance(error, ModelUnavailable)
    assert error.retry_after_seconds is not None
    assert least <= error.retry_after_seconds <= most


@pytest.mark.parametrize("headers", [{}, {"retry-after": "soon"}])
async def test_without_a_retry_after_none_is_made_up(
    claude: Claude, messages_api: MessagesApi, headers: dict[str, str]
):
    messages_api.faults = [Fault.of_status(529, headers=headers)]

    error = await failure(claude)

    assert isinstance(error, ModelUnavailable)
    assert error.retry_after_seconds is None


@pytest.mark.parametrize("kind", ["hang", "drip", "cut", "cut_body"])
async def test_a_broken_exchange_is_unavailable(messages_api: MessagesApi, kind: Any):
    messages_api.faults = [Fault(kind)]
    model = Claude(OPUS, timeout_seconds=0.5)

    error = await failure(model)

    await model.aclose()
    assert isinstance(error, ModelUnavailable)
    assert error.retry_after_seconds is None


async def test_a_server_that_is_not_there_is_unavailable(monkeypatch: pytest.MonkeyPatch, claude: Claude):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    monkeypatch.setenv("ANTHROPIC_BASE_URL", f"http://127.0.0.1:{port}")

    assert isinstance(await failure(claude), ModelUnavailable)


async def test_after_a_fault_the_same_client_goes_on(claude: Claude, messages_api: MessagesApi):
    messages_api.script = [says("ok")]
    messages_api.faults = [Fault("cut"), Fault.of_status(529)]
    for _ in range(2):
        assert isinstance(await failure(claude), ModelUnavailable)

    assert (await claude.reply(request_of())).text == "ok"


@pytest.mark.parametrize(
    "fault",
    [
        Fault.of_status(400),
        Fault.of_status(402),
        Fault.of_status(413),
        Fault.of_status(422),
        Fault.of_status(529, headers={"x-should-retry": "false"}),
        Fault.of_status(429, error_code="enforced_spend_limit_reached", retry_after=5),
        Fault.of_status(429, error_code="contract_spend_limit_reached"),
        Fault.of_status(402, error_code="linked_organization_spend_limit_reached"),
    ],
)
async def test_what_cannot_pass_is_misbehaviour(claude: Claude, messages_api: MessagesApi, fault: Fault):
    """A spent limit is no rate limit, though it has the same status: waiting seconds does not help."""
    messages_api.faults = [fault]

    error = await failure(claude)

    assert isinstance(error, ModelMisbehaved)
    assert "req_0" in str(error)


async def test_growing_too_fast_passes(claude: Claude, messages_api: MessagesApi):
    messages_api.faults = [Fault.of_status(429, error_code="ramp_limit_exceeded", retry_after=20)]

    error = await failure(claude)

    assert isinstance(error, ModelUnavailable)
    assert error.retry_after_seconds == 20


@pytest.mark.parametrize(
    ("status", "remedy"),
    [(401, "ANTHROPIC_API_KEY"), (403, "ANTHROPIC_API_KEY"), (404, "PREFECT_HEALING_TRIAGE_MODEL")],
)
async def test_wrong_keys_and_models_are_for_the_operator(
    claude: Claude, messages_api: MessagesApi, status: int, remedy: str
):
    messages_api.faults = [Fault.of_status(status)]

    error = await failure(claude)

    assert isinstance(error, ConfigurationError)
    assert remedy in str(error)


async def test_an_unknown_model_is_for_the_operator(messages_api: MessagesApi):
    error = await failure(Claude("claude-2", timeout_seconds=10))

    assert isinstance(error, ConfigurationError)
    assert "model: claude-2" in str(error)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ANTHROPIC_API_KEY", None),
        ("ANTHROPIC_API_KEY", "sk-ant-\nbroken"),
        ("ANTHROPIC_API_KEY", "sk-ant-ö"),
        ("ANTHROPIC_BASE_URL", "api.anthropic.com"),
        ("ANTHROPIC_BASE_URL", "http://127.0.0.1:port"),
    ],
)
async def test_a_useless_environment_is_for_the_operator(
    monkeypatch: pytest.MonkeyPatch, claude: Claude, name: str, value: str | None
):
    monkeypatch.delenv(name)
    if value is not None:
        monkeypatch.setenv(name, value)

    error = await failure(claude)

    assert isinstance(error, ConfigurationError)
    assert name in str(error)
    assert "sk-ant" not in str(error)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>Bad gateway</html>",
        '{"type": "message", "content": [',
        "[]",
        '{"type": "message"}',
        '{"type": "message", "id": "m", "content": "text", "stop_reason": "end_turn", "usage": {}}',
        '{"type": "message", "id": "m", "content": ["text"], "stop_reason": "end_turn", "usage": {}}',
        '{"type": "message", "id": "m", "content": [], "stop_reason": null, "usage": {}}',
        '{"type": "message", "id": "m", "content": [], "stop_reason": "end_turn"}',
        '{"type": "message", "id": "m", "content": [], "stop_reason": "end_turn", "usage": {"input_tokens": -1}}',
        '{"type": "message", "id": "m", "content": [{"x": NaN}], "stop_reason": "end_turn", "usage": {}}',
        '{"type": "message", "id": "m", "content": [{"x": 1e999}], "stop_reason": "end_turn", "usage": {}}',
        '{"type": "message", "content": ' + "[" * 100_000,
        '{"type": "message", "content": [{"x": ' + "[" * 150 + "]" * 150 + "}]}",
    ],
)
async def test_an_answer_that_is_no_message_is_misbehaviour(claude: Claude, messages_api: MessagesApi, text: str):
    messages_api.faults = [Fault("malformed", text=text)]

    error = await failure(claude)

    assert isinstance(error, ModelMisbehaved)
    assert "is not a message" in str(error)
    assert len(str(error)) < 400


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 429, 529])
async def test_the_key_is_in_no_error(claude: Claude, messages_api: MessagesApi, status: int):
    """Also where the service or a proxy echoes it, in the message, its traceback, and what Prefect would store."""
    messages_api.faults = [Fault.of_status(status, message=f"your key {KEY} is no good " * 50)]

    error = await failure(claude)

    assert KEY not in "".join(traceback.format_exception(error))
    assert KEY.encode() not in pickle.dumps(error)
    assert len(str(error)) < 500


async def test_a_reply_nested_as_deep_as_is_allowed_can_be_stored(claude: Claude, messages_api: MessagesApi):
    deep: JsonObject = {}
    for _ in range(95):
        deep = {"a": deep}
    messages_api.script = [calls(("read_logs", deep))]

    reply = await claude.reply(request_of())

    assert Reply.model_validate_json(reply.model_dump_json()) == reply


async def test_long_replies_may_be_asked_for(claude: Claude, messages_api: MessagesApi):
    """The SDK refuses long replies without streaming unless a timeout is given, and here one always is."""
    messages_api.script = [says("ok")]

    assert (await claude.reply(request_of(max_tokens=128_000))).text == "ok"


async def test_a_request_that_is_no_json_is_misbehaviour(claude: Claude):
    with pytest.raises(ModelMisbehaved, match="cannot be put into JSON"):
        await claude.reply(request_of({"role": "user", "content": float("nan")}))


def test_the_sdk_is_loaded_only_when_claude_is_asked():
    program = (
        "import sys; from prefect_healing.models.claude import Claude; Claude('x', timeout_seconds=1);"
        "sys.exit('anthropic' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


async def test_lone_surrogates_break_neither_request_nor_reply(claude: Claude, messages_api: MessagesApi):
    """Logs and models can hold half a surrogate pair, and UTF-8 cannot."""
    messages_api.script = [says("half \udcff of it")]

    reply = await claude.reply(request_of({"role": "user", "content": "half \ud83d of it"}))

    assert messages_api.requests[0].body["messages"][0]["content"] == "half ? of it"
    assert reply.text == "half ? of it"
    assert Reply.model_validate_json(reply.model_dump_json()) == reply


@pytest.mark.parametrize("content", [[], [{"type": "text", "text": ""}], [{"type": "text", "text": "\n"}]])
async def test_an_empty_reply_does_not_break_the_conversation(
    claude: Claude, messages_api: MessagesApi, content: list[JsonObject]
):
    """The service may answer nothing and refuses to be sent nothing: what is blank is left out."""
    messages_api.script = [Answer(content, "end_turn")] * 2
    request = request_of()
    reply = await claude.reply(request)

    await claude.reply(followed(request, reply, {"type": "text", "text": "Please conclude."}))

    assert [each.status for each in messages_api.requests] == [200, 200]


def test_one_claude_serves_many_loops_and_closes_what_it_opened(messages_api: MessagesApi):
    """A heal may run in several threads, each with a loop: clients are not shared, and end with their loops."""
    messages_api.script = [says("ok")]
    model = Claude(OPUS, timeout_seconds=10)

    async def twice() -> Any:
        replies = [await model.reply(request_of()) for _ in range(2)]
        return [each.text for each in replies], model._clients[asyncio.get_running_loop()][0]

    with ThreadPoolExecutor(3) as pool:
        outcomes = list(pool.map(lambda _: asyncio.run(twice()), range(4)))

    assert [texts for texts, _ in outcomes] == [["ok", "ok"]] * 4
    assert len({id(client) for _, client in outcomes}) == 4
    assert all(client.is_closed() for _, client in outcomes)


async def test_calls_at_once_share_a_client_that_nobody_closes(claude: Claude, messages_api: MessagesApi):
    messages_api.script = [says("ok")]

    replies = await asyncio.gather(*[claude.reply(request_of()) for _ in range(5)])
    gc.collect()

    assert [each.text for each in replies] == ["ok"] * 5
    assert len(claude._clients) == 1
    assert (await claude.reply(request_of())).text == "ok"


async def test_a_conversation_goes_on_in_another_process(claude: Claude, messages_api: MessagesApi, tmp_path: Path):
    """What was persisted is all that is needed: signatures hold, the cache holds, nothing is asked for again."""
    messages_api.script = [calls(("read_logs", {})), says("A vendor outage.")]
    request = request_of()
    request = followed(request, Reply.model_validate_json((await claude.reply(request)).model_dump_json()))
    stored = tmp_path / "request.json"
    stored.write_text(json.dumps(asdict(request)))
    program = (
        "import asyncio, json, sys\n"
        "from prefect_healing.models.claude import Claude\n"
        "from prefect_healing.models.model import Request\n"
        "request = Request(**json.load(open(sys.argv[1])))\n"
        f"print(asyncio.run(Claude({OPUS!r}, timeout_seconds=30).reply(request)).text)\n"
    )

    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stored, stdout=subprocess.PIPE)
    said, _ = await process.communicate()

    assert said == b"A vendor outage.\n"
    first, second = messages_api.requests
    assert second.usage["cache_read_input_tokens"] == first.input_tokens


async def test_a_closed_claude_can_be_used_again(claude: Claude, messages_api: MessagesApi):
    messages_api.script = [says("ok")]
    await claude.reply(request_of())
    await claude.aclose()
    await claude.aclose()

    assert (await claude.reply(request_of())).text == "ok"
