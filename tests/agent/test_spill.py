"""An answer that is too long is cut in the middle, and can be read to the end."""

import json
import re

from prefect_healing.agent.loop import run_agent
from prefect_healing.models.scripted import Scripted, last_result, result_text
from prefect_healing.tools.evidence import read_more
from prefect_healing.tools.tool import tool
from tests.agent.benches import CONCLUDES, Heard, Told, agent_of, bench_of

LONG = "".join(f"line {number} of a long log\n" for number in range(2_000))


@tool(effect="read", retries=0)
async def long_log() -> Told:
    """Read a long log."""
    return Told(text=LONG)


async def test_head_and_tail_are_shown_and_what_was_cut_is_said(tmp_path):
    """The first and the last line are there, the size holds, and the note says where to read on."""
    model = Heard([Scripted.calls(("long_log", {})), CONCLUDES])

    ending = await run_agent(agent_of(model, output_chars=1_000), bench_of(tmp_path, long_log, read_more))

    shown = result_text(model.requests[1], "toolu_0_0")
    assert "line 0 " in shown
    assert "line 1999 " in shown
    assert len(shown) < 1_200
    assert re.search(r"characters cut; read on with read_more\(evidence_id='E2', offset=666\)", shown)
    assert ending.observations[0].spilled_chars > len(LONG)


async def test_the_whole_is_had_by_reading_on(tmp_path):
    """From offset to offset nothing is missing and nothing comes twice."""
    parts = []

    def reads_on(request):
        if len(request.messages) == 1:
            return Scripted.calls(("long_log", {}))
        offset = 0
        if len(request.messages) > 3:
            seen = json.loads(last_result(request, "read_more").partition("\n")[2])
            parts.append(seen["text"])
            if (offset := seen.get("next_offset")) is None:
                return CONCLUDES
        return Scripted.calls(("read_more", {"evidence_id": "E2", "offset": offset, "limit": 6_000}))

    await run_agent(agent_of(Heard(reads_on), tool_calls=20), bench_of(tmp_path, long_log, read_more))

    assert json.loads("".join(parts)) == {"text": LONG}


async def test_evidence_of_another_incident_cannot_be_read(tmp_path):
    """What one incident's agent spilled is, to the next one's, evidence that does not exist."""
    one = Heard([Scripted.calls(("long_log", {})), CONCLUDES])
    other = Heard([Scripted.calls(("read_more", {"evidence_id": "E2"})), CONCLUDES])
    await run_agent(agent_of(one), bench_of(tmp_path, long_log, read_more))

    ending = await run_agent(agent_of(other), bench_of(tmp_path, long_log, read_more))

    assert ending.observations[0].status == "failed"
    assert "line" not in ending.observations[0].text


async def test_what_is_spilled_is_redacted_before(tmp_path):
    """A secret in the part that is not shown is in no file either."""

    @tool(effect="read", retries=0)
    async def leaks() -> Told:
        """Read a log with a secret in the middle."""
        return Told(text=f"{LONG}correct-horse-battery\n{LONG}")

    bench = bench_of(tmp_path, leaks, read_more, secrets=["correct-horse-battery"])

    await run_agent(agent_of(Heard([Scripted.calls(("leaks", {})), CONCLUDES])), bench)

    written = [file.read_text() for file in tmp_path.rglob("*.json")]
    assert any("line 1999" in text for text in written)
    assert not any("correct-horse" in text for text in written)
