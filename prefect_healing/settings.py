"""Settings from the environment, `PREFECT_HEALING_*`."""

from functools import cache

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from prefect_healing.domain.alert import Mode
from prefect_healing.errors import ConfigurationError


class Settings(BaseSettings):
    """How healing runs on this machine. Every field is an environment variable `PREFECT_HEALING_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix="PREFECT_HEALING_", frozen=True, extra="ignore")

    mode: Mode | None = Field(default=None, description="Overrides the mode of policy and decorator.")
    policy: str | None = Field(default=None, description="Path of a policy file, or `default`.")
    model: str = Field(
        default="auto", description="`auto`, `claude`, `rules`, or `module:attribute` of a Model of your own."
    )
    triage_model: str = Field(default="claude-opus-5-5", description="Claude model id for triage.")
    tools: str = Field(default="", description="Modules whose @tool functions are offered too, comma-separated.")
    catalog: str | None = Field(default=None, description="Path of the catalog of tables, such as catalog.yaml.")
    warehouse: str | None = Field(
        default=None,
        description="SQLAlchemy URL of the warehouse, or secret:NAME for a Prefect Secret block that holds it.",
    )
    dbt_project: str | None = Field(default=None, description="Folder of the dbt project that builds the tables.")
    heal_deployment: str = Field(
        default="heal/heal",
        pattern="^[^/]+/[^/]+$",
        description="Deployment that heals, as flow/deployment; without it healing runs inline.",
    )
    dispatch_seconds: float = Field(default=10, gt=0, description="Most that a failing run waits for dispatch.")
    inline_seconds: float = Field(default=300, gt=0, description="Most that an inline heal may take.")
    verify_seconds: float = Field(default=600, gt=0, description="Most that verification waits for a re-run to end.")
    source_wait_minutes: float = Field(
        default=10, ge=0, description="Longest that a repair waits for data that its source does not have yet."
    )
    deadline_minutes: float = Field(default=30, gt=0, description="After this an incident is a person's.")
    retention_days: float = Field(
        default=30, ge=1, description="How long a closed incident is kept; never under 24 hours."
    )
    attempts: int = Field(default=2, ge=1, description="Rounds of triage and repair in one incident.")
    tool_calls: int = Field(default=15, ge=1, description="Tool calls in one agent run.")
    turns: int = Field(default=20, ge=1, description="Model calls in one agent run.")
    tokens: int = Field(default=400_000, ge=1, description="Tokens, in and out, of one agent run.")
    cost_usd: float = Field(default=0.50, gt=0, description="Dollars that one agent run may cost.")
    agent_minutes: float = Field(default=10, gt=0, description="Minutes that one agent run may take.")
    output_chars: int = Field(
        default=8_000, ge=500, description="Characters of one tool's answer that a model is shown."
    )
    model_timeout_seconds: float = Field(default=120, gt=0, description="Longest wait for one model reply.")


@cache
def settings() -> Settings:
    """Return the settings of this process, read once. Raises ConfigurationError where a variable makes no sense."""
    try:
        return Settings()
    except ValidationError as error:
        wrong = [f"PREFECT_HEALING_{str(each['loc'][0]).upper()}: {each['msg']}" for each in error.errors()]
        raise ConfigurationError(f"Settings are wrong. {'; '.join(wrong)}. Correct or unset what is named.") from error
