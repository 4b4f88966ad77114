"""What the local Messages API answers: scripts, faults, the cache's accounts, and a process of its own."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anthropic
import pytest

from tests.messages_api import Answer, Fault, MessagesApi, calls, says
from tests.messages_api.caching import PromptCache
from tests.messages_api.fixtures import ApiProcess

USER: Any = {"role": "user", "content": "Why did it fail?"}
MARK = {"cache_control": {"type": "ephemeral"}}
LONG = "word " * 2_000


@pytest.fixture
async def client(messages_api: MessagesApi) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(max_retries=0, timeout=5) as client:
        yield client


async def create(client: anthropic.AsyncAnthropic, *messages: Any, **more: Any) -> anthropic.types.Message:
    return await client.messages.create(model="claude-opus-5-5", max_tokens=10, messages=messages or [USER], **more)


async def test_the_turn_decides_which_answer_comes(client: anthropic.AsyncAnthropic, messages_api: MessagesApi):
    """A request that is repeated gets the same answer, so a client may be killed and come back."""
    messages_api.script = [says("one"), lambda body: says(f"two of {len(body['messages'])}")]
    later = [USER, {"role": "assistant", "content": "one"}, USER]

    replies = [await create(client), await create(client), await create(client, *later)]

    assert [each.content[0].to_dict()["text"] for each in replies] == ["one", "one", "two of 3"]
    with pytest.raises(anthropic.BadRequestError, match="asked for number 3"):
        await create(client, *later, {"role": "assistant", "content": "two"}, USER)


async def test_every_request_is_recorded_with_its_headers(client: anthropic.AsyncAnthropic, messages_api: MessagesApi):
    messages_api.faults = [Fault.of_status(529)]
    with pytest.raises(anthropic.APIStatusError):
        await create(client)

    (request,) = messages_api.requests
    assert request.body["messages"] == [USER]
    assert request.headers["anthropic-version"] == "2026-10-21"
    assert request.status == 529


@pytest.mark.parametrize(
    ("status", "kind", "error"),
    [
        (429, "rate_limit_error", anthropic.RateLimitError),
        (500, "api_error", anthropic.InternalServerError),
        (529, "overloaded_error", anthropic.InternalServerError),
    ],
)
async def test_injected_errors_are_what_the_sdk_knows(
    client: anthropic.AsyncAnthropic,
    messages_api: MessagesApi,
    status: int,
    kind: str,
    error: type[anthropic.APIStatusError],
):
    messages_api.faults = [Fault.of_status(status, retry_after=3)]

    with pytest.raises(error) as caught:
        await create(client)

    assert caught.value.type == kind
    assert caught.value.response.headers["retry-after"] == "3"
    assert "x-should-retry" not in caught.value.response.headers


async def test_a_spend_limit_is_the_sdks_own_class(client: anthropic.AsyncAnthropic, messages_api: MessagesApi):
    messages_api.faults = [Fault.of_status(429, error_code="enforced_spend_limit_reached")]

    with pytest.raises(anthropic.RateLimitError) as caught:
        await create(client)

    assert type(caught.value).__name__ == "EnforcedSpendLimitReachedError"


async def test_faults_go_by_request_and_then_answers_come(client: anthropic.AsyncAnthropic, messages_api: MessagesApi):
    messages_api.script = [says("ok")]
    messages_api.faults = [None, Fault("cut")]

    assert (await create(client)).stop_reason == "end_turn"
    with pytest.raises(anthropic.APIConnectionError):
        await create(client)
    assert (await create(client)).stop_reason == "end_turn"


async def test_models_can_be_looked_up(client: anthropic.AsyncAnthropic, messages_api: MessagesApi):
    assert (await client.models.retrieve("claude-opus-5-5")).id == "claude-opus-5-5"
    assert "claude-haiku-5-5" in [each.id async for each in client.models.list()]
    with pytest.raises(anthropic.NotFoundError):
        await client.models.retrieve("claude-2")


def body_of(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"model": "claude-opus-5-5", "messages": list(messages), **more}


def test_nothing_is_cached_without_a_breakpoint():
    cache = PromptCache()

    assert [cache.usage(body_of({"role": "user", "content": LONG})).read for _ in range(2)] == [0, 0]


def test_a_prefix_up_to_a_breakpoint_is_read_and_the_rest_is_paid():
    cache = PromptCache()
    system = [{"type": "text", "text": LONG, **MARK}]
    first = cache.usage(body_of(USER, system=system))

    second = cache.usage(body_of({"role": "user", "content": "Something else entirely?"}, system=system))

    assert (first.read, first.written > 2_000, first.full > 0) == (0, True, True)
    assert (second.read, second.written, second.full > 0) == (first.written, 0, True)


def test_the_automatic_breakpoint_moves_with_the_conversation():
    cache = PromptCache()
    first = cache.usage(body_of({"role": "user", "content": LONG}, **MARK))
    more = [{"role": "user", "content": LONG}, {"role": "assistant", "content": "x"}, USER]

    second = cache.usage(body_of(*more, **MARK))

    assert (first.full, second.full) == (0, 0)
    assert second.read == first.written


@pytest.mark.parametrize("change", [{"system": "Other."}, {"tools": [{"name": "x"}]}, {"model": "claude-opus-5"}])
def test_a_change_before_the_breakpoint_loses_the_cache(change: dict[str, Any]):
    cache = PromptCache()
    body = body_of({"role": "user", "content": LONG}, system="Heal.", **MARK)
    cache.usage(body)

    assert cache.usage(body).read > 0
    assert cache.usage({**body, **change}).read == 0


@pytest.mark.parametrize(("blocks", "is_found"), [(19, True), (20, False)])
def test_the_search_for_a_prefix_goes_back_twenty_blocks(blocks: int, is_found: bool):
    cache = PromptCache()
    long = {"role": "user", "content": LONG}
    cache.usage(body_of(long, **MARK))
    more = {"role": "assistant", "content": [{"type": "text", "text": f"{number}"} for number in range(blocks)]}

    assert (cache.usage(body_of(long, more, **MARK)).read > 0) is is_found


def test_short_prefixes_are_not_cached():
    cache = PromptCache()

    assert [cache.usage(body_of(USER, **MARK)).written for _ in range(2)] == [0, 0]


async def test_a_process_of_its_own_serves_and_records(messages_api_process: Callable[..., ApiProcess]):
    """It outlives the clients that a crash test kills, and signatures hold across its own restarts."""
    server = messages_api_process([calls(("read_logs", {})), says("done")], [Fault.of_status(529), None])
    environment = server.environment
    async with anthropic.AsyncAnthropic(
        api_key=environment["ANTHROPIC_API_KEY"], base_url=environment["ANTHROPIC_BASE_URL"], max_retries=0
    ) as client:
        with pytest.raises(anthropic.InternalServerError):
            await create(client)
        reply = await create(client)
        answered = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_0_0", "content": "503"}]}
        last = await create(
            client, USER, {"role": "assistant", "content": [each.to_dict() for each in reply.content]}, answered
        )

    assert last.stop_reason == "end_turn"
    assert [each["status"] for each in server.requests()] == [529, 200, 200]
    assert "authorization" not in json.dumps(server.requests())


def test_a_record_file_holds_bodies_and_no_key(tmp_path: Path):
    path = tmp_path / "requests.jsonl"
    with MessagesApi([Answer(says("ok").content)], record=path) as api:
        client = anthropic.Anthropic(api_key="sk-ant-api03-for-the-local-server-only", base_url=api.url, max_retries=0)
        with client:
            client.messages.create(model="claude-opus-5-5", max_tokens=5, messages=[USER])

    (line,) = path.read_text().splitlines()
    assert json.loads(line)["body"]["messages"] == [USER]
    assert "sk-ant" not in line
