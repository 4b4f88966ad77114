"""The rules for data at fault: what source and counts say decides, and rows are moved last and few."""

import json

import pytest

from prefect_healing.agent.conclusion import Conclude
from prefect_healing.domain.record import JsonObject
from prefect_healing.models.data_rules import BACKFILL, QUARANTINE, RELOAD
from prefect_healing.models.model import Request
from prefect_healing.models.rules import Rules

GATE = "The quality gate of table flights, partition 2013-01-05, did not pass."
STALE = "Table board is stale."
OFFERED = (
    "compare_row_counts",
    "diff_schema",
    "find_duplicates",
    "table_statistics",
    "read_etl_job",
    "check_freshness",
    "walk_lineage",
    "conclude",
    RELOAD,
    BACKFILL,
    QUARANTINE,
)
ROWS = "V1 critical, violated: expect_table_row_count_to_be_between: 550 rows, expected 600 to 1100"
NULLS = "V1 critical, violated: expect_column_values_to_not_be_null on dep_time: 472 of 930 rows; 472 rows can be moved"
NEGATIVE = "V2 critical, violated: expect_column_values_to_be_between on distance: 5 of 900 rows; 5 rows can be moved"
ERRORED = "V1 critical, errored: expect_column_values_to_not_be_null on dep_delay: the column does not exist"
WHOLE: JsonObject = {"source": "vendor", "source_has_partition": True, "source_rows": 900, "target_rows": 900}
AT: JsonObject = {"table": "flights", "partition": "2013-01-05"}


class Talk:
    """A conversation with the rules."""

    def __init__(self, *lines: str) -> None:
        self.messages: list[JsonObject] = [
            {"role": "user", "content": [{"type": "text", "text": line} for line in lines]}
        ]

    async def says(self) -> list[tuple[str, JsonObject]]:
        """Return the calls of the next reply."""
        tools = tuple({"name": name} for name in OFFERED)
        request = Request(system="Heal.", tools=tools, messages=tuple(self.messages), max_tokens=100)
        reply = await Rules().reply(request)
        self.messages.append({"role": "assistant", "content": list(reply.content)})
        return [(block["name"], block["input"]) for block in reply.content]

    def hears(self, answers: dict[str, JsonObject | str]) -> None:
        """Answer the calls just made; a text is an error, and a preview without an answer gets a token."""
        results = []
        for number, block in enumerate(self.messages[-1]["content"], len(self.messages)):
            name = block["name"]
            told = answers.get(name, f"token {number}" if name.startswith("preview_") else {})
            text = told if isinstance(told, str) else f"[E{number}]\n{json.dumps(told)}"
            refused = isinstance(told, str) and name in answers
            if name.startswith("preview_") and not refused:
                text = f"[E{number}]\n{{}}\nconfirmation token: T{number}"
            results.append({"type": "tool_result", "tool_use_id": block["id"], "content": text, "is_error": refused})
        self.messages.append({"role": "user", "content": results})


async def looked(*lines: str, **answers: JsonObject | str) -> Talk:
    """Return a conversation in which the first reads are answered."""
    talk = Talk(*lines)
    await talk.says()
    talk.hears(answers)
    return talk


async def concluded(talk: Talk) -> Conclude:
    """Return the conclusion that the next reply is, previews answered."""
    calls = await talk.says()
    if calls[0][0].startswith("preview_"):
        talk.hears({})
        calls = await talk.says()
    assert [name for name, _ in calls] == ["conclude"]
    return Conclude.model_validate(calls[0][1])


async def test_it_looks_at_counts_schema_duplicates_figures_and_job_at_once():
    calls = await Talk(GATE, ROWS).says()

    assert [name for name, _ in calls] == list(OFFERED[:5])
    assert calls[0][1] == AT


async def test_a_partition_shorter_than_its_source_is_loaded_again():
    talk = await looked(GATE, ROWS, compare_row_counts={**WHOLE, "target_rows": 550})

    assert await talk.says() == [(RELOAD, AT)]
    talk.hears({})
    said = await concluded(talk)

    assert (said.cause, said.disposition) == ("data_quality", "repair")
    assert "550 rows of 2013-01-05; its source has 900" in said.summary
    assert said.decisive_line == ROWS


async def test_what_a_reload_did_not_change_is_handed_over():
    talk = await looked(GATE, "Round 1 did not help: tried: x", ROWS, compare_row_counts={**WHOLE, "target_rows": 550})

    said = await concluded(talk)

    assert (said.disposition, said.actions) == ("hand_over", ())


async def test_rows_loaded_twice_are_loaded_again():
    talk = await looked(
        GATE, ROWS, compare_row_counts={**WHOLE, "target_rows": 1800}, find_duplicates={"surplus_rows": 900}
    )

    assert await talk.says() == [(RELOAD, AT)]


async def test_duplicates_that_the_source_sent_are_not_loaded_again():
    """Another load would bring the same."""
    talk = await looked(GATE, ROWS, compare_row_counts=WHOLE, find_duplicates={"surplus_rows": 3})

    assert (await concluded(talk)).disposition == "hand_over"


async def test_a_few_bad_rows_that_the_source_has_too_are_moved():
    talk = await looked(GATE, NEGATIVE, compare_row_counts=WHOLE)

    assert await talk.says() == [(QUARANTINE, {**AT, "violation": "V2"})]


async def test_many_rows_are_never_moved():
    """The source has as many, so it is the day that was unusual."""
    nulls = {"source_nulls": {"dep_time": 472}, "target_nulls": {"dep_time": 472}}
    talk = await looked(GATE, NULLS, compare_row_counts={**WHOLE, **nulls})

    said = await concluded(talk)

    assert (said.cause, said.disposition) == ("data_quality", "nothing_wrong")
    assert said.proposal is not None
    assert "V1" in said.proposal


async def test_values_that_the_source_has_and_the_table_lacks_are_loaded_again():
    nulls = {"source_nulls": {"dep_time": 3}, "target_nulls": {"dep_time": 472}}
    talk = await looked(GATE, NULLS, compare_row_counts={**WHOLE, **nulls})

    assert await talk.says() == [(RELOAD, AT)]


async def test_data_that_is_not_there_yet_is_waited_for_once():
    late: JsonObject = {"source": "vendor", "source_has_partition": False, "source_last_data": "2013-01-04"}
    missing = "V1 critical, missing: partition: no rows"
    talk = await looked(GATE, missing, compare_row_counts=late)

    assert await talk.says() == [(RELOAD, {**AT, "wait_minutes": 10})]
    again = await concluded(await looked(GATE, "Round 1 did not help: x", missing, compare_row_counts=late))
    assert (again.cause, again.disposition) == ("missing_upstream_data", "hand_over")
    assert "the newest it has is of 2013-01-04" in again.summary


@pytest.mark.parametrize(
    ("schema", "cause"), [({"removed": ["dep_delay"]}, "schema_drift"), ({}, "config_error")], ids=["drift", "no drift"]
)
async def test_a_check_that_could_not_be_computed_says_nothing_of_the_data(schema: JsonObject, cause: str):
    talk = await looked(GATE, ERRORED, compare_row_counts={**WHOLE, "target_rows": 1}, diff_schema=schema)

    said = await concluded(talk)

    assert (said.cause, said.disposition) == (cause, "hand_over")


async def test_a_table_made_from_others_is_made_again():
    talk = await looked(GATE, ROWS, compare_row_counts={"source": None, "target_rows": 3})

    assert await talk.says() == [(RELOAD, AT)]


async def test_nothing_known_is_handed_over():
    said = await concluded(await looked(GATE, ROWS, compare_row_counts="The warehouse cannot answer now"))

    assert (said.disposition, said.confidence) == ("hand_over", 0.5)


async def test_the_first_broken_table_and_all_between_are_loaded_in_order():
    walked: JsonObject = {
        "first_broken": "raw",
        "rebuild_order": ["raw", "mid", "board"],
        "missing_days": ["2013-01-06", "2013-01-05"],
        "nodes": [{"name": "raw", "status": "stale"}],
    }
    talk = await looked(STALE, walk_lineage=walked)

    span = {"first": "2013-01-05", "last": "2013-01-06"}
    assert await talk.says() == [(BACKFILL, {"table": name, **span}) for name in ("raw", "mid", "board")]
    talk.hears({})
    said = await concluded(talk)
    assert [each.tool for each in said.actions] == ["backfill_partitions"] * 3
    assert "board is stale because raw, 2 hops up" in said.summary


async def test_a_source_without_new_data_is_handed_over():
    walked: JsonObject = {"first_broken": "vendor", "rebuild_order": ["vendor", "raw", "board"], "missing_days": []}

    assert (await concluded(await looked(STALE, walk_lineage=walked))).disposition == "hand_over"


async def test_a_plan_of_which_one_preview_is_refused_is_not_proposed():
    """Later actions rely on earlier ones."""
    walked: JsonObject = {"first_broken": "raw", "rebuild_order": ["raw", "board"], "missing_days": ["2013-01-05"]}
    talk = await looked(STALE, walk_lineage=walked)
    await talk.says()
    talk.hears({BACKFILL: "There is no loader"})

    said = await concluded(talk)

    assert said.disposition == "hand_over"
    assert said.proposal is not None
    assert "There is no loader" in said.proposal
