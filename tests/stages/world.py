"""A world that counts what is done to it, and write tools that do it."""

from collections import defaultdict
from pathlib import Path

from prefect_healing.domain.mandate import Authorized, Decision, Mandate
from prefect_healing.domain.plan import Action, Scope
from prefect_healing.domain.record import JsonObject
from prefect_healing.domain.repair import Receipt, Undo
from prefect_healing.domain.verification import Check
from prefect_healing.guardrails.policy import Policy
from prefect_healing.guardrails.rules import allow
from prefect_healing.guardrails.yaml_policy import policy_to_yaml
from prefect_healing.journal import open_journal
from prefect_healing.stages.open_incident import PolicyText, TokenKey, open_workbench
from prefect_healing.tools.tool import AnyTool, Applied, ToolContext, tool
from prefect_healing.workbench import Workbench
from tests.agent.benches import bench_of, incident

EVERYTHING = Policy(allow("*"), mode="heal", name="everything")
YES = Decision(verdict="allow", rule="test", reason="yes")


class Killed(BaseException):
    """The process is gone."""


class World:
    """What was done, counted here. `before` and `after` hold what goes wrong next, by tool, around the effect."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.tried: list[str] = []
        self.before = defaultdict[str, list[BaseException]](list)
        self.after = defaultdict[str, list[BaseException]](list)
        self.looking: list[BaseException] = []
        self.previewing: list[BaseException] = []
        self.checking: list[Exception] = []
        self.basis = "as it was"
        self.status = "passed"
        self._keys: set[str | None] = set()

    def tool(
        self, name: str, *, takes_key: bool = False, looks: bool = False, undo: str | None = None, retries: int = 0
    ) -> AnyTool:
        """Return a write tool that does `name` to the world."""

        async def act(ctx: ToolContext, item: str = "x") -> Applied:
            """Do it."""
            self.tried.append(name)
            _raise_next(self.before[name])
            if not (takes_key and ctx.effect_key in self._keys):
                self.done.append(name)
                self._keys.add(ctx.effect_key)
            _raise_next(self.after[name])
            return Applied(detail=f"{name} {item}", undo=Undo(tool=undo, arguments={"item": item}) if undo else None)

        act.__name__ = name
        made = tool(effect="write", takes_key=takes_key, retries=retries)(act)

        @made.preview
        async def preview(ctx: ToolContext, item: str = "x") -> Scope:
            _raise_next(self.previewing)
            return Scope(summary=f"{name} {item}", days=("2013-01-01",), basis=self.basis)

        @made.check
        async def check(ctx: ToolContext, receipt: Receipt) -> Check:
            _raise_next(self.checking)
            return Check(name=name, status=self.status, detail=f"{name} was looked at")

        if looks:

            @made.already_done
            async def look(ctx: ToolContext, item: str = "x") -> Applied | None:
                _raise_next(self.looking)
                return Applied(detail="it is there") if name in self.done else None

        return made


def action(bench: Workbench, name: str, number: int = 1, **arguments: str) -> Action:
    """Return an action as a preview of the world as it was gave it."""
    given: JsonObject = {"item": "x", **arguments}
    scope = Scope(summary=f"{name} {given['item']}", days=("2013-01-01",), basis="as it was")
    token = bench.token(bench.incident.round, name, given, scope)
    return Action(id=f"A{number}", tool=name, arguments=given, scope=scope, token=token, reason="why")


def granted(*actions: Action) -> Mandate:
    return Mandate(decisions=tuple(Authorized(action=each, decision=YES) for each in actions))


def workbench(folder: Path, *tools: AnyTool, policy: Policy = EVERYTHING, **changes: object) -> Workbench:
    """Return a workbench of a round, for stages that open none of their own."""
    return bench_of(folder, *tools, policy=policy, **changes)


async def opened(policy: Policy = EVERYTHING, **changes: object) -> Workbench:
    """Open an incident where the `repair` flow finds it; the tools are those of `healing(tools=...)`."""
    made = incident(policy_version=policy.version, **changes)
    journal = await open_journal(made.id)
    await journal.write("incident", made)
    await journal.write("policy", PolicyText(yaml=policy_to_yaml(policy)))
    await journal.write("token-key", TokenKey(hexadecimal="00" * 32))
    return await open_workbench(made.id)


def _raise_next(errors: list) -> None:
    if errors:
        raise errors.pop(0)
