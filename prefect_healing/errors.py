"""Errors by who must act.

HealingError
├── ConfigurationError      the operator: fail at start, name the setting and the remedy; never retried
├── StorageUnavailable      Prefect: the result storage did not answer; nothing is done until it does
├── GateFailed              the flow stops: its data is wrong, and healing did not change that; read the incident
├── ModelError
│   ├── ModelUnavailable    Prefect: retried with back-off
│   └── ModelMisbehaved     nobody: recorded, then escalated
├── ToolError
│   ├── ToolFailed          the model: becomes an observation
│   └── ToolUnavailable     Prefect: retried, then an observation
└── RepairError
    ├── ActionInterrupted   carry_out: outcome unknown, look before acting again
    └── RollbackFailed      a person, now

Denied calls, exhausted budgets, failed verifications and escalations are values, not errors.
"""


class HealingError(Exception):
    """Something in prefect_healing went wrong."""


class ConfigurationError(HealingError):
    """A setting is missing or wrong."""


class StorageUnavailable(HealingError):
    """The result storage did not answer, so what was done before cannot be known."""


class ModelError(HealingError):
    """A model call failed."""


class ModelUnavailable(ModelError):
    """The model cannot be reached now.

    `retry_after_seconds` is what the service asked for, None where it did not say. `may_have_cost` is False where the
    service said no, so that nothing was generated; a call that was cut off may be billed.
    """

    def __init__(
        self,
        message: str = "The model cannot be reached now.",
        retry_after_seconds: float | None = None,
        may_have_cost: bool = True,  # noqa: FBT001, FBT002 - an exception is made anew from its arguments in order
    ) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        self.may_have_cost = may_have_cost

    def __reduce__(self) -> tuple[type["ModelUnavailable"], tuple[str, float | None, bool]]:
        return (type(self), (str(self), self.retry_after_seconds, self.may_have_cost))


class ModelMisbehaved(ModelError):
    """The model's answer breaks the protocol, or the service refuses the request for good."""


class ToolError(HealingError):
    """A tool could not do what it was asked."""


class ToolFailed(ToolError):
    """The answer is no; asking again will not help."""


class ToolUnavailable(ToolError):
    """The system behind the tool did not answer; asking again may help."""


class RepairError(HealingError):
    """An action of the repair went wrong."""


class ActionInterrupted(RepairError):
    """An action was begun and its outcome is unknown."""


class RollbackFailed(RepairError):
    """An action could not be undone."""
