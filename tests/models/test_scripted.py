"""The public test double: a script in, replies in wire form out."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import JsonValue

from prefect_healing.domain.record import JsonObject
from prefect_healing.domain.usage import Usage
from prefect_healing.errors import ModelMisbehaved, ModelUnavailable
from prefect_healing.models.model import Model, Reply, Request
from prefect_healing.models.reply_steps import MalformedCall, calls_of
from prefect_healing.models.scripted import Scripted, Turn, last_result, recorded, result_text

USER: JsonObject = {"role": "user", "content": [{"type": "text", "text": "Flow run nightly-flights failed."}]}


def request_of(*messages: JsonObject) -> Request:
    return Request(system="Heal.", tools=(), messages=(USER, *messages), max_tokens=100)


def assistant(reply: Reply) -> JsonObject:
    return {"role": "assistant", "content": list(reply.content)}


def result(call_id: str, content: JsonValue) -> JsonObject:
    return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call_id, "content": content}]}


async def test_a_script_is_followed_turn_by_turn():
    model: Model = Scripted([Scripted.calls(("read_logs", {"page": 1}), says="Looking."), Scripted.says("An outage.")])

    first = await model.reply(request_of())
    second = await model.reply(request_of(assistant(first), result("toolu_0_0", "503")))

    assert first.content == (
        {"type": "text", "text": "Looking."},
        {"type": "tool_use", "name": "read_logs", "input": {"page": 1}, "id": "toolu_0_0"},
    )
    assert (first.stop_reason, second.stop_reason) == ("tool_use", "end_turn")
    assert second.text == "An outage."


async def test_ids_say_turn_and_index():
    model = Scripted([Scripted.says("a"), Scripted.calls(("x", {}), ("y", {}), says="b")])
    first = await model.reply(request_of())

    second = await model.reply(request_of(assistant(first), USER))

    assert [call.id for call in calls_of(second)] == ["toolu_1_0", "toolu_1_1"]


async def test_another_process_goes_on_where_the_first_one_was():
    """Only the conversation says which turn is next: a model made anew answers the same."""
    script = [Scripted.says("a"), Scripted.says("b")]
    request = request_of(assistant(await Scripted(script).reply(request_of())), USER)

    assert await Scripted(script).reply(request) == await Scripted(script).reply(request)
    assert (await Scripted(script).reply(request)).text == "b"


async def test_a_turn_may_read_an_earlier_result():
    """A script can take the confirmation token out of a preview, as a model would."""

    def propose(request: Request) -> Turn:
        token = json.loads(last_result(request, "preview_retry"))["token"]
        return Scripted.calls(("conclude", {"token": token}))

    model = Scripted([Scripted.calls(("preview_retry", {})), propose])
    first = await model.reply(request_of())

    second = await model.reply(request_of(assistant(first), result("toolu_0_0", '{"token": "t-1"}')))

    assert calls_of(second)[0].arguments == {"token": "t-1"}


@pytest.mark.parametrize("content", ["503", [{"type": "text", "text": "503"}]])
def test_a_results_text_is_found_in_both_spellings(content: JsonValue):
    assert result_text(request_of(result("toolu_0_0", content)), "toolu_0_0") == "503"


def test_a_result_that_is_not_there_is_a_key_error():
    with pytest.raises(KeyError):
        result_text(request_of(), "toolu_0_0")
    with pytest.raises(KeyError):
        last_result(request_of(), "read_logs")


async def test_one_function_can_be_the_whole_script():
    """For a model that never ends."""
    model = Scripted(lambda _: Scripted.calls(("read_logs", {})))
    messages: list[JsonObject] = []
    for turn in range(5):
        reply = await model.reply(request_of(*messages))
        messages += [assistant(reply), result(f"toolu_{turn}_0", "503")]

    assert calls_of(await model.reply(request_of(*messages)))[0].id == "toolu_5_0"


async def test_a_turn_may_fail_as_a_model_may():
    def unavailable(request: Request) -> Turn:
        raise ModelUnavailable("overloaded", 3)

    with pytest.raises(ModelUnavailable):
        await Scripted([unavailable]).reply(request_of())


async def test_past_its_end_a_script_misbehaves():
    with pytest.raises(ModelMisbehaved, match="has 0 turns and was asked for turn 1"):
        await Scripted([]).reply(request_of())


async def test_malformed_blocks_can_be_scripted():
    model = Scripted([Scripted.wire({"type": "tool_use", "name": 7, "input": None}, stop_reason="tool_use")])

    (call,) = calls_of(await model.reply(request_of()))

    assert isinstance(call, MalformedCall)
    assert call.id == "toolu_0_0"


async def test_a_turn_that_could_not_be_read_again_is_refused():
    deep: JsonObject = {}
    for _ in range(200):
        deep = {"a": deep}

    with pytest.raises(ModelMisbehaved, match="nests too deep"):
        await Scripted([Scripted.calls(("x", deep))]).reply(request_of())


async def test_stop_reason_usage_and_ceiling_can_be_scripted():
    model = Scripted([Scripted.says("...", stop_reason="refusal", usage=Usage(cost_usd=0.2))], ceiling_usd=0.3)

    reply = await model.reply(request_of())

    assert (reply.stop_reason, reply.usage.cost_usd) == ("refusal", 0.2)
    assert model.cost_ceiling_usd(request_of()) == 0.3
    assert reply.model == model.id == "scripted-1"


def test_every_request_is_recorded_before_it_is_answered_in_every_process(tmp_path: Path):
    """Also one that is never answered: a process that is killed in between has asked."""
    path = tmp_path / "calls.jsonl"
    program = (
        "import asyncio, os, sys, pathlib\n"
        "from prefect_healing.models.scripted import Scripted\n"
        "from prefect_healing.models.model import Request\n"
        "model = Scripted(lambda request: os.kill(os.getpid(), 9), record=pathlib.Path(sys.argv[1]))\n"
        "asyncio.run(model.reply(Request('', (), (), 1)))\n"
    )
    assert recorded(path) == []

    killed = subprocess.run([sys.executable, "-c", program, path], check=False)
    asyncio.run(Scripted([Scripted.says("a")], record=path).reply(request_of()))

    assert killed.returncode == -9
    assert [(line["turn"], line["messages"]) for line in recorded(path)] == [(0, 0), (0, 1)]
    assert len({line["pid"] for line in recorded(path)}) == 2
