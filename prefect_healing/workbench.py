"""What the stages of one heal run work with: configuration and handles, never records of what happened."""

from collections.abc import Collection
from dataclasses import dataclass

from prefect_healing.clock import now
from prefect_healing.domain.call import Call
from prefect_healing.domain.incident import Incident
from prefect_healing.domain.mandate import Decision
from prefect_healing.domain.plan import Scope
from prefect_healing.domain.record import JsonObject
from prefect_healing.domain.repair import Repair
from prefect_healing.guardrails.policy import Policy
from prefect_healing.guardrails.redaction import redact
from prefect_healing.guardrails.tokens import confirmation_token
from prefect_healing.journal import Journal
from prefect_healing.settings import Settings
from prefect_healing.tools.tool import AnyTool, ToolContext
from prefect_healing.tools.toolset import Toolset


@dataclass(frozen=True)
class Workbench:
    """One incident's handles: its journal, the policy it began with, the tools, the secrets to be masked."""

    incident: Incident
    journal: Journal
    settings: Settings
    policy: Policy
    toolset: Toolset
    token_key: bytes
    secrets: Collection[str] = ()

    def context(self, *, effect_key: str | None = None, scope: Scope | None = None) -> ToolContext:
        """Return what tools are given beside their arguments."""
        return ToolContext(
            incident=self.incident, journal=self.journal, settings=self.settings, effect_key=effect_key, scope=scope
        )

    def redacted(self, text: str) -> str:
        """Return `text` without secrets."""
        return redact(text, self.secrets)

    def decide(self, tool: AnyTool, arguments: JsonObject, scope: Scope | None, taken: tuple[Call, ...]) -> Decision:
        """Return the policy's verdict on one call, now."""
        call = Call(tool=tool.name, effect=tool.effect, arguments=arguments, scope=scope)
        return self.policy.decide(call, self.incident, taken, now())

    def token(self, round_number: int, tool: str, arguments: JsonObject, scope: Scope) -> str:
        """Return the confirmation token of a previewed call."""
        return confirmation_token(
            self.token_key,
            incident_id=self.incident.id,
            round=round_number,
            tool=tool,
            arguments=arguments,
            scope=scope,
            policy_version=self.incident.policy_version,
        )

    async def taken(self, before_round: int) -> tuple[Call, ...]:
        """Return the writes of the rounds before, for limits that accumulate over the incident."""
        calls: list[Call] = []
        for number in range(1, before_round):
            calls += await self._taken_in(number)
        return tuple(calls)

    async def _taken_in(self, number: int) -> list[Call]:
        from prefect_healing.domain.mandate import Mandate

        mandate = await self.journal.read(f"round-{number}/mandate", Mandate)
        repair = await self.journal.read(f"round-{number}/repair", Repair)
        begun = {each.action_id for each in repair.receipts if each.status != "refused"} if repair else set[str]()
        return [
            Call(tool=each.tool, effect="write", arguments=each.arguments, scope=each.scope)
            for each in (mandate.actions if mandate else ())
            if each.id in begun
        ]
