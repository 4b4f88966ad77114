"""What the local Messages API refuses, through the real SDK: the rest of the tests is worth what this file is."""

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import pytest

from tests.messages_api import Answer, MessagesApi, calls, says
from tests.messages_api.server import KEY

Block = dict[str, Any]

USER: Block = {"role": "user", "content": "Why did it fail?"}
TOOL: Block = {"name": "read_logs", "description": "Read logs.", "input_schema": {"type": "object", "properties": {}}}
MARK = {"cache_control": {"type": "ephemeral"}}


@pytest.fixture
async def client(messages_api: MessagesApi) -> AsyncIterator[anthropic.AsyncAnthropic]:
    messages_api.script = [says("done")] * 3
    http = anthropic.DefaultAsyncHttpxClient(verify=False)  # Loading certificates for loopback takes most of a test.
    async with anthropic.AsyncAnthropic(max_retries=0, timeout=10, http_client=http) as client:
        yield client


def asked(call_id: str = "toolu_1") -> Block:
    return {"role": "assistant", "content": [{"type": "tool_use", "id": call_id, "name": "read_logs", "input": {}}]}


def answered(*call_ids: str) -> Block:
    return {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": each, "content": "x"} for each in call_ids],
    }


async def send(client: anthropic.AsyncAnthropic, **request: Any) -> Any:
    """Send a request that is right but for what is given; what the SDK's types forbid goes in too."""
    body = {"model": "claude-opus-5-5", "max_tokens": 100, "messages": [USER], **request}
    given = {key: value for key, value in body.items() if value is not ...}
    headers = given.pop("extra_headers", {})
    return await client.post("/v1/messages", body=given, cast_to=object, options={"headers": headers})


async def refusal(client: anthropic.AsyncAnthropic, **request: Any) -> anthropic.APIStatusError:
    with pytest.raises(anthropic.APIStatusError) as caught:
        await send(client, **request)
    return caught.value


async def test_a_right_request_is_answered(client: anthropic.AsyncAnthropic):
    reply = await client.messages.create(
        model="claude-opus-5-5", max_tokens=10, messages=[{"role": "user", "content": "?"}]
    )

    assert reply.stop_reason == "end_turn"
    assert [block.type for block in reply.content] == ["text"]
    assert reply.usage.input_tokens > 0


async def test_a_refusal_has_the_envelope_and_the_headers_of_the_real_one(client: anthropic.AsyncAnthropic):
    error = await refusal(client, model=...)

    assert error.type == "invalid_request_error"
    assert error.request_id is not None
    assert error.request_id.startswith("req_")
    assert error.body == {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": "model: Field required"},
        "request_id": error.request_id,
    }
    assert error.response.headers["x-should-retry"] == "false"
    assert error.response.headers["anthropic-ratelimit-requests-limit"]


@pytest.mark.parametrize("key", [anthropic.Omit(), "Bearer sk-ant-wrong"])
async def test_a_wrong_key_is_refused(client: anthropic.AsyncAnthropic, key: Any):
    error = await refusal(client, extra_headers={"authorization": key})

    assert (error.status_code, error.type, error.api_message) == (401, "authentication_error", "invalid x-api-key")


async def test_x_api_key_is_taken_before_bearer(client: anthropic.AsyncAnthropic):
    headers = {"x-api-key": KEY, "authorization": "Bearer wrong"}

    assert (await send(client, extra_headers=headers))["type"] == "message"
    assert (await refusal(client, extra_headers={"x-api-key": "wrong"})).status_code == 401


@pytest.mark.parametrize("version", [anthropic.Omit(), "2019-01-01"])
async def test_an_unknown_or_missing_version_is_refused(client: anthropic.AsyncAnthropic, version: Any):
    error = await refusal(client, extra_headers={"anthropic-version": version})

    assert (error.status_code, str(error.api_message)[:17]) == (400, "anthropic-version")


async def test_an_unknown_model_is_not_found(client: anthropic.AsyncAnthropic):
    error = await refusal(client, model="claude-2")

    assert (error.status_code, error.type, error.api_message) == (404, "not_found_error", "model: claude-2")


async def test_an_unknown_path_is_not_found(client: anthropic.AsyncAnthropic):
    with pytest.raises(anthropic.NotFoundError):
        await client.post("/v1/complete", body={}, cast_to=object)


async def test_a_body_over_the_limit_is_too_large(client: anthropic.AsyncAnthropic):
    content = "x" * (33 * 1024 * 1024)

    error = await refusal(client, messages=[{"role": "user", "content": content}])

    assert (error.status_code, error.response.json()["error"]["type"]) == (413, "request_too_large")


async def test_a_body_that_is_not_json_is_refused(client: anthropic.AsyncAnthropic):
    with pytest.raises(anthropic.BadRequestError, match="not valid JSON"):
        await client.post("/v1/messages", content=b"{", cast_to=object)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"max_tokens": ...}, "max_tokens: Field required"),
        ({"messages": ...}, "messages: Field required"),
        ({"model": ...}, "model: Field required"),
        ({"max_tokens": "many"}, "max_tokens: Input should be a valid integer"),
        ({"max_tokens": 200_000}, "max_tokens: 200000 > 128000"),
        ({"temperature": 1.0}, "temperature: Extra inputs are not permitted"),
        ({"top_p": 0.9}, "top_p: Extra inputs are not permitted"),
        ({"top_k": 5}, "top_k: Extra inputs are not permitted"),
        ({"betas": []}, "betas: Extra inputs are not permitted"),
        ({"output_config": {"effort": "huge"}}, "output_config.effort: Input should be"),
        ({"system": [{"type": "text", "text": " "}]}, "system: text content blocks must be non-empty"),
        (
            {"tools": [{**TOOL, "name": "read logs"}]},
            "tools.0.custom.name: String should match pattern '^[a-zA-Z0-9_-]",
        ),
        ({"tools": [{**TOOL, "name": "x" * 129}]}, "tools.0.custom.name: String should match pattern"),
        ({"tools": [TOOL, TOOL]}, "tools: Tool names must be unique."),
        ({"tools": [{**TOOL, "input_schema": {}}]}, "tools.0.custom.input_schema.type: Input should be 'object'"),
        ({"tools": [{**TOOL, "effect": "read"}]}, "tools.0.custom.effect: Extra inputs are not permitted"),
        ({"tools": [{"name": "x"}]}, "tools.0.custom.input_schema: Field required"),
        ({"thinking": {"type": "disabled"}}, '"thinking.type.disabled" is not supported for this model.'),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, '"thinking.type.enabled" is not supported'),
        ({"tools": [TOOL], "tool_choice": {"type": "any"}}, '"tool_choice.type.any" is not supported'),
        ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "read_logs"}}, '"tool_choice.type.tool" is not'),
    ],
)
async def test_a_wrong_field_is_refused(client: anthropic.AsyncAnthropic, request_: Block, message: str):
    error = await refusal(client, **request_)

    assert error.status_code == 400
    assert str(error.api_message).startswith(message)


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([], "messages: at least one message is required"),
        ([{"role": "assistant", "content": "x"}, USER], 'messages: first message must use the "user" role'),
        ([{"role": "tool", "content": "x"}], "messages.0.role: Input should be"),
        ([{**USER, "id": "x"}], "messages.0.id: Extra inputs are not permitted"),
        ([USER, {"role": "assistant", "content": []}, USER], "messages.1: all messages must have non-empty content"),
        ([{"role": "user", "content": ""}], "messages.0: all messages must have non-empty content"),
        ([{"role": "user", "content": " \n"}], "messages: text content blocks must be non-empty"),
        ([USER, {"role": "assistant", "content": "The cause is"}], "This model does not support assistant message pre"),
        (
            [USER, asked(), USER],
            "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after:",
        ),
        (
            [USER, asked()],
            "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: toolu_1",
        ),
        (
            [
                USER,
                asked(),
                {"role": "user", "content": [{"type": "text", "text": "So:"}, *answered("toolu_1")["content"]]},
            ],
            "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: toolu_1",
        ),
        (
            [USER, asked(), answered("toolu_1", "toolu_2")],
            "messages.2.content.1: unexpected `tool_use_id` found in `tool_",
        ),
        (
            [USER, asked(), answered("toolu_1", "toolu_1")],
            "messages.2.content.1: each tool_use must have a single result",
        ),
        (
            [USER, asked(), answered("toolu_1"), asked(), answered("toolu_1")],
            "messages.3.content.0: `tool_use` ids must be unique",
        ),
        (
            [USER, asked("toolu 1"), answered("toolu 1")],
            "messages.1.content.0.tool_use.id: String should match pattern",
        ),
    ],
)
async def test_a_wrong_conversation_is_refused(client: anthropic.AsyncAnthropic, messages: list[Block], message: str):
    error = await refusal(client, messages=messages)

    assert error.status_code == 400
    assert str(error.api_message).startswith(message)


async def test_all_calls_without_a_result_are_listed(client: anthropic.AsyncAnthropic):
    both = {"role": "assistant", "content": [*asked("toolu_1")["content"], *asked("toolu_2")["content"]]}

    error = await refusal(client, messages=[USER, both, USER])

    assert "immediately after: toolu_1, toolu_2." in str(error.api_message)


@pytest.mark.parametrize(
    ("role", "block", "message"),
    [
        ("user", {"type": "hologram"}, "messages.0.content.0: Input tag 'hologram' found using 'type'"),
        ("user", {"type": "text"}, "messages.0.content.0.text.text: Field required"),
        (
            "user",
            {"type": "text", "text": "x", "id": 1},
            "messages.0.content.0.text.id: Extra inputs are not permitted",
        ),
        ("user", {"type": "text", "text": "x", "citations": [{}]}, "messages.0.content.0.text.citations: Extra inputs"),
        ("user", {"type": "text", "text": "x", "cache_control": {"type": "x"}}, "cache_control: Input should be"),
        (
            "user",
            {
                "type": "search_result",
                "source": "s",
                "title": "t",
                "content": [{"type": "text", "text": "x", "citations": [1]}],
            },
            "messages.0.content.0.search_result.content.0.text.citations: Extra inputs",
        ),
        ("assistant", {"type": "document", "source": {}}, "messages.1.content.0: `document` blocks are not allowed"),
        (
            "assistant",
            {"type": "tool_use", "id": "x", "name": "y", "input": []},
            "messages.1.content.0.tool_use.input:",
        ),
        (
            "assistant",
            {"type": "tool_use", "id": "x", "name": "y", "input": {}, "caller": None},
            "messages.1.content.0.tool_use.caller: Input should be",
        ),
        (
            "assistant",
            {"type": "thinking", "thinking": "I made this up.", "signature": "mine"},
            "messages.1.content.0: Invalid `signature` in `thinking` block",
        ),
    ],
)
async def test_a_wrong_block_is_refused(client: anthropic.AsyncAnthropic, role: str, block: Block, message: str):
    messages = (
        [{"role": role, "content": [block]}] if role == "user" else [USER, {"role": role, "content": [block]}, USER]
    )

    error = await refusal(client, messages=messages)

    assert error.status_code == 400
    assert str(error.api_message).startswith(message)


async def test_an_error_result_must_say_something(client: anthropic.AsyncAnthropic):
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "", "is_error": True}

    error = await refusal(client, messages=[USER, asked(), {"role": "user", "content": [result]}])

    assert "content cannot be empty if `is_error` is true" in str(error.api_message)


async def test_a_fifth_breakpoint_is_refused(client: anthropic.AsyncAnthropic):
    tools = [{**TOOL, **MARK}, {**TOOL, "name": "b", **MARK}]
    system = [{"type": "text", "text": "Heal.", **MARK}]
    messages = [{"role": "user", "content": [{"type": "text", "text": "?", **MARK}]}]

    assert (await send(client, tools=tools, system=system, messages=messages))["type"] == "message"
    error = await refusal(client, tools=tools, system=system, messages=messages, **MARK)
    assert error.api_message == "A maximum of 4 blocks with cache_control may be provided. Found 5."


async def thought(client: anthropic.AsyncAnthropic, api: MessagesApi) -> list[Block]:
    """Return a conversation with a thinking block that the server signed, ready to be sent on."""
    api.script = [calls(("read_logs", {})), says("done")]
    reply = await send(client, tools=[TOOL])
    return [USER, {"role": "assistant", "content": reply["content"]}, answered("toolu_0_0")]


async def test_thinking_is_taken_back_as_it_was(client: anthropic.AsyncAnthropic, messages_api: MessagesApi):
    messages = await thought(client, messages_api)

    assert (await send(client, messages=messages, tools=[TOOL]))["stop_reason"] == "end_turn"


async def test_altered_thinking_is_refused(client: anthropic.AsyncAnthropic, messages_api: MessagesApi):
    messages = await thought(client, messages_api)
    messages[1]["content"][0]["thinking"] = "Something else."

    error = await refusal(client, messages=messages, tools=[TOOL])

    assert error.api_message == "messages.1.content.0: Invalid `signature` in `thinking` block"


async def test_thinking_after_other_messages_is_refused(client: anthropic.AsyncAnthropic, messages_api: MessagesApi):
    messages = await thought(client, messages_api)

    error = await refusal(client, messages=[{**USER, "content": "Edited."}, *messages[1:]], tools=[TOOL])

    assert str(error.api_message).startswith("messages.1.content.0: `thinking` block was issued for another model")


async def test_thinking_of_another_model_is_refused(client: anthropic.AsyncAnthropic, messages_api: MessagesApi):
    messages = await thought(client, messages_api)

    error = await refusal(client, messages=messages, tools=[TOOL], model="claude-fable-5-1")

    assert str(error.api_message).startswith("messages.1.content.0: `thinking` block was issued for another model")


async def test_unknown_blocks_are_taken_back_only_as_they_were(
    client: anthropic.AsyncAnthropic, messages_api: MessagesApi
):
    messages_api.script = [Answer([{"type": "hologram", "light": {"nm": 532}}]), says("done")]
    content = (await send(client))["content"]

    assert (await send(client, messages=[USER, {"role": "assistant", "content": content}, USER]))["type"] == "message"
    content[0]["light"]["nm"] = 533
    error = await refusal(client, messages=[USER, {"role": "assistant", "content": content}, USER])
    assert "Input tag 'hologram'" in str(error.api_message)


async def test_a_paused_turn_may_end_a_conversation_only_unchanged(
    client: anthropic.AsyncAnthropic, messages_api: MessagesApi
):
    messages_api.script = [says("Let me search.", stop_reason="pause_turn"), says("done")]
    content = (await send(client))["content"]

    assert (await send(client, messages=[USER, {"role": "assistant", "content": content}]))["type"] == "message"
    error = await refusal(client, messages=[USER, {"role": "assistant", "content": "Let me search"}])
    assert "prefill" in str(error.api_message)


async def test_what_only_some_models_refuse_the_others_take(client: anthropic.AsyncAnthropic):
    prefilled = [USER, {"role": "assistant", "content": "The cause is"}]
    forced = {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "read_logs"}}

    assert (await send(client, model="claude-haiku-4-5", messages=prefilled))["type"] == "message"
    assert (await send(client, model="claude-sonnet-5-5", thinking={"type": "disabled"}, **forced))["type"] == "message"
