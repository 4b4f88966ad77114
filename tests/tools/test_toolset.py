"""What an agent is offered, and under which names."""

from pathlib import Path

import pytest

from prefect_healing.errors import ConfigurationError
from prefect_healing.settings import Settings
from prefect_healing.tools.prefect_write import retry_flow_run
from prefect_healing.tools.tool import Applied, ToolContext, tool
from prefect_healing.tools.toolset import Toolset, default_toolset

_OWN = '''
from prefect_healing.tools.tool import Applied, ToolContext, tool

@tool(effect="read")
async def ask_the_oracle(ctx: ToolContext) -> Applied:
    """Ask."""
    return Applied(detail="")

@tool(effect="destroy")
async def drop_everything(ctx: ToolContext) -> Applied:
    """Drop."""
    return Applied(detail="")
'''


def test_reads_are_offered_by_name_and_writes_as_previews_only():
    tools = default_toolset(Settings())

    assert {"read_flow_run", "read_flow_run_logs", "read_task_runs", "read_flow_history"} <= set(tools.names)
    assert {"check_upstream_sources", "read_source", "changes_since_last_success"} <= set(tools.names)
    assert tools.get("preview_retry_flow_run") is retry_flow_run
    assert tools.get("retry_flow_run") is None
    assert tools.writer("retry_flow_run") is retry_flow_run
    assert tools.writer("read_flow_run") is None


def test_every_write_can_be_previewed_checked_and_tells_how_it_bears_being_killed():
    for each in default_toolset(Settings()):
        if each.writes:
            assert each._preview is not None, each.name
            assert each._check is not None, each.name
            assert each.takes_key or each.can_look, each.name
            assert each.retries == 0, each.name


def test_specifications_are_the_same_every_time_and_never_show_the_context():
    first, second = default_toolset(Settings()).specifications(), default_toolset(Settings()).specifications()

    assert first == second
    assert all("ctx" not in str(each["input_schema"]) for each in first)
    assert len({str(each["name"]) for each in first}) == len(first)


def test_a_team_s_own_module_is_offered_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What destroys is never offered."""
    (tmp_path / "own_tools.py").write_text(_OWN)
    monkeypatch.syspath_prepend(tmp_path)

    tools = default_toolset(Settings(tools=" own_tools , "))

    assert "ask_the_oracle" in tools
    assert "preview_drop_everything" not in tools


@pytest.mark.parametrize(("modules", "reason"), [("no.such.module", "cannot be imported"), ("json", "holds no @tool")])
def test_a_module_that_is_of_no_use_is_a_configuration_error(modules: str, reason: str):
    with pytest.raises(ConfigurationError, match=reason):
        default_toolset(Settings(tools=modules))


def test_two_tools_of_one_name_are_refused():
    def make():
        @tool(effect="read")
        async def twin(ctx: ToolContext) -> Applied:
            """Read."""
            return Applied(detail="")

        return twin

    with pytest.raises(ConfigurationError, match="Two tools"):
        Toolset([make(), make()])
