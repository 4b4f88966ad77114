"""How much one agent run may use, and how much it used."""

from prefect_healing.domain.record import Record
from prefect_healing.domain.usage import Usage
from prefect_healing.settings import Settings


class Budget(Record):
    """The limits of one agent run. Everything has a limit.

    `reply_tokens` is the longest reply, thinking included; it is halved, down to `reply_tokens_min`, where the dollars
    that are left would not pay for it.
    """

    turns: int
    tool_calls: int
    tokens: int
    cost_usd: float
    minutes: float
    output_chars: int
    identical_calls: int = 2
    reply_tokens: int = 8_192
    reply_tokens_min: int = 2_048

    @classmethod
    def of(cls, settings: Settings) -> "Budget":
        """Return the budget that the settings give."""
        return cls(
            turns=settings.turns,
            tool_calls=settings.tool_calls,
            tokens=settings.tokens,
            cost_usd=settings.cost_usd,
            minutes=settings.agent_minutes,
            output_chars=settings.output_chars,
        )


class Spent(Record):
    """What an agent run used so far, counted from what is persisted, so that a crash does not reset it.

    `lost_usd` is the most that calls can have cost whose replies were lost with a killed process.
    """

    usage: Usage = Usage()
    lost_usd: float = 0.0
    seconds: float = 0.0
    model_calls: int = 0
    tool_calls: int = 0

    @property
    def cost_usd(self) -> float:
        """Return the dollars used, at most."""
        return self.usage.cost_usd + self.lost_usd

    @property
    def tokens(self) -> int:
        """Return the tokens used, in and out."""
        used = self.usage
        return used.input_tokens + used.cache_read_tokens + used.cache_write_tokens + used.output_tokens

    def beyond(self, budget: Budget, next_cost_usd: float) -> str | None:
        """Say which limit the next call would pass, None where it may be made."""
        if self.cost_usd + next_cost_usd > budget.cost_usd:
            spent = f"${self.cost_usd:.3f} of ${budget.cost_usd:.2f} are spent"
            return f"{spent} and the next call may cost ${next_cost_usd:.3f}."
        if self.tokens >= budget.tokens:
            return f"{self.tokens} of {budget.tokens} tokens are used."
        if self.seconds >= budget.minutes * 60:
            return f"{self.seconds / 60:.1f} of {budget.minutes:g} minutes are used."
        return None
