"""Who investigates: a name, a prompt, a model, a budget. Triage and a specialist differ in nothing but this."""

from dataclasses import dataclass

from prefect_healing.agent.budget import Budget
from prefect_healing.domain.record import Record, digest
from prefect_healing.models.model import Model


@dataclass(frozen=True)
class Agent:
    """An agent. `prompt_version` belongs to every key, so that a new prompt never continues an old transcript."""

    name: str
    prompt: str
    prompt_version: str
    model: Model
    budget: Budget


@dataclass(frozen=True)
class Position:
    """A place in an incident: round (from 1), turn and index (from 0). No two calls share one."""

    round: int
    turn: int
    index: int = 0


def key_of(incident_id: str, agent: Agent, at: Position, what: str | Record) -> str:
    """Return the key of a task's result: a pure function of incident, agent, model, prompt, position and call."""
    place = digest(incident_id, agent.name, agent.model.id, agent.prompt_version, at.round, at.turn, at.index, what)
    return f"healing-{incident_id}-{place}"
