"""Reading Prefect: runs that really failed, on a real server."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from prefect import flow, get_client, get_run_logger, tags, task

from prefect_healing.errors import ToolFailed
from prefect_healing.tools.prefect_api import bounded
from prefect_healing.tools.prefect_logs import LINE_CHARS_MAX, LogLine, read_flow_run_logs
from prefect_healing.tools.prefect_read import (
    find_similar_failures,
    read_flow_history,
    read_flow_run,
    read_task_runs,
    read_upstream,
)
from tests.tools.conftest import About, Fail, until

pytestmark = pytest.mark.usefixtures("prefect_server")


@task(persist_result=True)
def fetch(day: str) -> str:
    return day


@task(retries=1)
def load(day: str) -> str:
    raise ConnectionError(f"vendor hung up on {day}")


@task
def publish(day: str) -> str:
    return day


@flow(name="read-child")
def child() -> str:
    return "done"


@flow(name="read-nightly")
def nightly(day: str, *, broken: bool = True) -> None:
    fetched = fetch.submit(day)
    child()
    if not broken:
        return
    loaded = load.submit(fetched)
    published = publish.submit(loaded)
    published.wait()
    loaded.result()


@flow(name="read-parent")
def parent() -> None:
    nightly("2013-05-04")


async def test_a_flow_run_is_read_with_its_state_and_parameters(fail: Fail, about: About):
    run = await fail(nightly, day="2013-05-01")

    facts = await read_flow_run(about(run))

    assert (facts.id, facts.flow_name, facts.state_type) == (run.id, "read-nightly", "FAILED")
    assert "vendor hung up on 2013-05-01" in facts.message
    assert facts.parameters == {"day": "2013-05-01", "broken": True}
    assert facts.deployment is None
    assert facts.run_count == 1
    assert facts.url is not None
    assert str(run.id) in facts.url


async def test_a_run_that_does_not_exist_is_a_plain_no(about: About):
    with pytest.raises(ToolFailed, match="There is no flow run"):
        await read_flow_run(about(), uuid4())


async def test_task_runs_tell_what_failed_and_what_was_skipped_because_of_it(fail: Fail, about: About):
    run = await fail(nightly, day="2013-05-02")
    ctx = about(run)

    async def settled():
        tasks = await read_task_runs(ctx)
        return tasks if tasks.states.get("NotReady") and tasks.failed else None

    tasks = await until(settled)

    (failed,) = tasks.failed
    assert failed.startswith("load")
    assert tasks.task_runs[0].name == failed
    assert tasks.task_runs[0].attempts == 2
    assert tasks.task_runs[0].retries_declared == 1
    (skipped,) = tasks.skipped_downstream
    assert skipped.name.startswith("publish")
    assert skipped.because_of == failed
    kept = {each.name.rpartition("-")[0]: each.result_kept for each in tasks.task_runs}
    assert kept["fetch"] is True


async def test_history_tells_a_new_failure_from_a_known_one(fail: Fail, about: About):
    """The same message with other numbers is the same failure."""

    @flow(name=f"history-{uuid4().hex[:6]}")
    def daily(day: int, reason: str | None = None) -> None:
        if reason:
            raise ValueError(f"{reason} {day}")

    await asyncio.to_thread(daily, 1)
    await fail(daily, day=2, reason="bad column")
    again = await fail(daily, day=3, reason="bad column")
    other = await fail(daily, day=4, reason="no space left")

    known = await read_flow_history(about(again))
    new = await read_flow_history(about(other))

    assert (known.finished, known.completed, known.failed) == (4, 1, 3)
    assert known.success_rate == 0.25
    assert known.last_success is not None
    assert known.failures_since_last_success == 3
    assert (known.same_message_before, known.is_new) == (1, False)
    assert (new.same_message_before, new.is_new) == (0, True)


async def test_history_of_an_unknown_flow_is_a_plain_no(fail: Fail, about: About):
    run = await fail(nightly, day="2013-05-03")

    with pytest.raises(ToolFailed, match="no finished run"):
        await read_flow_history(about(run), flow_name="no-such-flow")


async def test_upstream_names_parent_subflows_and_task_inputs(fail: Fail, about: About):
    run = await fail(parent)
    ctx = about(run)
    above = await read_upstream(ctx)

    (called,) = above.subflows
    below = await read_upstream(ctx, called.id)

    assert called.flow_name == "read-nightly"
    assert below.parent is not None
    assert below.parent.id == run.id
    assert [each.flow_name for each in below.subflows] == ["read-child"]


async def test_upstream_says_plainly_that_nothing_is_known(fail: Fail, about: About):
    @flow(name="alone")
    def alone() -> None:
        raise RuntimeError("alone")

    upstream = await read_upstream(about(await fail(alone)))

    assert not upstream.known
    assert "Nothing is known upstream" in upstream.note


async def test_similar_failures_are_found_in_other_flows(fail: Fail, about: About):
    word = uuid4().hex[:8].translate(str.maketrans("0123456789", "ghijklmnop"))

    @flow(name="similar-one")
    def one() -> None:
        raise ConnectionError(f"{word} refused after 31 ms")

    @flow(name="similar-two")
    def two() -> None:
        raise ConnectionError(f"{word} refused after 7 ms")

    first, second = await fail(one), await fail(two)

    found = await find_similar_failures(about(first), hours=1)

    same = [each for each in found.similar if each.same_message]
    assert [(each.id, each.flow_name) for each in same] == [(second.id, "similar-two")]
    assert first.id not in {each.id for each in found.similar}


async def test_the_incident_s_own_re_runs_are_no_similar_failures(fail: Fail, about: About):
    run = await fail(nightly, day="2013-05-08")
    with tags(f"rerun-of:{run.id}"):
        again = await fail(nightly, day="2013-05-09")

    found = await find_similar_failures(about(run), hours=1)

    assert again.id not in {each.id for each in found.similar}


async def test_logs_show_errors_with_what_surrounds_them(fail: Fail, about: About):
    @flow(name="chatty")
    def chatty() -> None:
        logger = get_run_logger()
        for number in range(30):
            logger.info("before %s", number)
        logger.error("the decisive line")
        for number in range(30):
            logger.info("after %s", number)
        raise ValueError("in the end")

    run = await fail(chatty)
    ctx = about(run)

    async def logged():
        log = await read_flow_run_logs(ctx, around=2)
        return log if sum(line.level == "ERROR" for line in log.lines) >= 2 else None

    log = await until(logged)
    texts = [line.text for line in log.lines]

    at = texts.index("the decisive line")
    assert texts[at - 2 : at + 3] == ["before 28", "before 29", "the decisive line", "after 0", "after 1"]
    assert "before 3" not in texts
    assert any("Traceback" in text and "ValueError: in the end" in text for text in texts)


async def test_logs_are_paged_from_either_end(fail: Fail, about: About):
    run = await fail(nightly, day="2013-05-05")
    ctx = about(run)
    await _post(run.id, [f"line {number}" for number in range(7)], level=50)

    first = await read_flow_run_logs(ctx, show="all", min_level="error", limit=5)
    rest = await read_flow_run_logs(ctx, show="all", min_level="error", limit=200, offset=5)
    tail = await read_flow_run_logs(ctx, show="tail", min_level="error", limit=2)

    assert first.next_offset == 5
    assert rest.next_offset is None
    assert not {line.text for line in first.lines} & {line.text for line in rest.lines}
    assert [line.text for line in tail.lines] == ["line 5", "line 6"]


async def test_a_huge_line_is_bounded_and_both_its_ends_survive(fail: Fail, about: About):
    run = await fail(nightly, day="2013-05-06")
    await _post(run.id, ["first" + "x" * 50_000_000 + "last \ufffd"], level=50)

    log = await read_flow_run_logs(about(run), show="tail", limit=1)

    (line,) = log.lines
    assert line.text.startswith("firstxxx")
    assert line.text.endswith("last \ufffd")
    assert "characters cut" in line.text
    assert len(line.text) < LINE_CHARS_MAX + 100
    assert line.model_dump_json()


async def test_bytes_that_are_no_text_are_survived_and_explained(fail: Fail, about: About):
    """Prefect loses the lines that it would have sent together with an undecodable one; the message remains."""

    @flow(name="undecodable")
    def undecodable() -> None:
        get_run_logger().error(b"caf\xe9 is no UTF-8".decode(errors="surrogateescape"))
        raise ValueError("after the undecodable line")

    ctx = about(await fail(undecodable))

    log = await read_flow_run_logs(ctx)
    facts = await read_flow_run(ctx)

    assert log.lines or "no valid Unicode" in log.note
    assert "after the undecodable line" in facts.message


def test_any_text_can_be_handed_on_as_json():
    text = bounded("caf\udce9 " + "x" * 10_000, 100)

    assert text.startswith("caf? xxx")
    assert len(text) < 200
    assert LogLine(at=datetime.now(UTC), level="ERROR", task_run_id=None, text=text).model_dump_json()


async def test_a_run_without_logs_says_so(fail: Fail, about: About):
    log = await read_flow_run_logs(about(await fail(nightly, day="2013-05-07")), show="all", offset=10_000)

    assert log.lines == ()
    assert "No such line" in log.note


async def _post(flow_run_id, messages: list[str], level: int) -> None:
    at = datetime.now(UTC)
    async with get_client() as client:
        await client.create_logs(
            [
                {
                    "name": "prefect.flow_runs",
                    "level": level,
                    "message": message,
                    "timestamp": at.replace(year=at.year + 1, microsecond=number).isoformat(),
                    "flow_run_id": str(flow_run_id),
                }
                for number, message in enumerate(messages)
            ]
        )
