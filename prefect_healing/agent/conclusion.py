"""How an agent ends: the two terminal tools, and code that checks what a model wrote into them."""

import json
from typing import Literal, TypeVar

from pydantic import Field, ValidationError

from prefect_healing.agent.observation import Previewed
from prefect_healing.agent.transcript import Transcript
from prefect_healing.domain.cause import Cause, Transience
from prefect_healing.domain.plan import Action, Diagnosis, Disposition, EvidenceStatus, Plan
from prefect_healing.domain.record import JsonObject, Record
from prefect_healing.domain.report import Question
from prefect_healing.errors import ToolFailed
from prefect_healing.models.model import ToolCall

CONCLUDE = "conclude"
ASK_PERSON = "ask_person"
_LINE_CHARS_MAX = 2_000

R = TypeVar("R", bound=Record)


class ProposedAction(Record):
    """An action, named by the confirmation token of its preview; the arguments are those that were previewed."""

    tool: str = Field(description="Name of the write tool, without `preview_`.")
    confirmation_token: str = Field(description="The token that its preview returned.")
    reason: str = Field(max_length=500, description="Why this action, in one sentence.")


class Conclude(Record):
    """What a model must say to conclude."""

    cause: Cause
    summary: str = Field(min_length=1, max_length=600, description="The cause in one sentence, for a person.")
    disposition: Disposition = Field(
        description="`repair`: carry out the actions. `hand_over`: a person must act. `nothing_wrong`: leave it."
    )
    transience: Transience
    confidence: float = Field(ge=0, le=1)
    confidence_reason: str = Field(max_length=600)
    evidence_status: EvidenceStatus
    cites: tuple[str, ...] = Field(description="Ids of the evidence that shows the cause, such as E3.")
    decisive_line: str | None = Field(None, description="The line that decides, copied verbatim from the evidence.")
    gaps: tuple[str, ...] = Field((), description="What you could not find out.")
    faulty_object: str | None = Field(None, description="Link to what is broken, where it is in another system.")
    proposal: str | None = Field(None, max_length=1_000, description="What a person should do, where code may not.")
    actions: tuple[ProposedAction, ...] = Field((), max_length=10, description="What to do, in order.")


class AskPerson(Record):
    """What a model must say to ask a person."""

    question: str = Field(min_length=1, max_length=600, description="One question that a person can answer.")
    why: str = Field(max_length=600, description="What depends on the answer.")
    summary: str = Field(max_length=1_200, description="What you found so far.")


def specifications() -> tuple[JsonObject, ...]:
    """Return the terminal tools as the Messages API wants them."""
    return (
        _specification(CONCLUDE, Conclude, "End the investigation with the cause and, where one helps, a plan."),
        _specification(
            ASK_PERSON,
            AskPerson,
            "End the investigation with a question, only where a person knows what no tool can tell. "
            "An answer is evidence; it permits nothing.",
        ),
    )


def concluded(call: ToolCall, transcript: Transcript) -> Diagnosis:
    """Return the diagnosis that a `conclude` call holds.

    Raises ToolFailed, in words for the model, where it does not fit its schema, cites evidence that does not exist,
    quotes a line that is not in the evidence, or proposes what was not previewed.
    """
    said = _validated(call, Conclude)
    evidence = transcript.evidence
    if missing := [cite for cite in said.cites if cite not in evidence]:
        raise ToolFailed(f"There is no evidence {', '.join(missing)}; you have {', '.join(evidence)}.")
    if not said.cites and said.evidence_status != "insufficient":
        raise ToolFailed("Cite the evidence that shows the cause, or say evidence_status `insufficient`.")
    _check_quote(said.decisive_line, evidence)
    if (said.disposition == "repair") != bool(said.actions):
        raise ToolFailed("Disposition `repair` needs actions, and no other disposition may have any.")
    plan = Plan(actions=tuple(_action(at, each, transcript) for at, each in enumerate(said.actions, 1)))
    return Diagnosis(**said.model_dump(exclude={"actions"}), plan=plan)


def asked(call: ToolCall) -> Question:
    """Return the question that an `ask_person` call holds. Raises ToolFailed where it does not fit its schema."""
    return Question(**_validated(call, AskPerson).model_dump())


def _action(number: int, proposed: ProposedAction, transcript: Transcript) -> Action:
    previewed = _previewed(proposed.confirmation_token, transcript)
    if previewed is None or previewed.tool != proposed.tool:
        raise ToolFailed(
            f"The token of action {number} does not belong to a preview of {proposed.tool!r} in this investigation; "
            "preview the action and propose it with the token that you get."
        )
    return Action(
        id=f"A{number}",
        tool=previewed.tool,
        arguments=previewed.arguments,
        scope=previewed.scope,
        token=previewed.token,
        reason=proposed.reason,
    )


def _previewed(token: str, transcript: Transcript) -> Previewed | None:
    found = (each.previewed for each in transcript.observations if each.previewed)
    return next((previewed for previewed in found if previewed.token == token), None)


def _check_quote(line: str | None, evidence: dict[str, str]) -> None:
    if line is None:
        return
    if len(line) > _LINE_CHARS_MAX:
        raise ToolFailed(f"The decisive line may have {_LINE_CHARS_MAX} characters; quote the part that decides.")
    if not any(line in text or _as_json(line) in text for text in evidence.values()):
        raise ToolFailed("The decisive line does not occur in the evidence; copy it letter by letter, or leave it out.")


def _as_json(line: str) -> str:
    """Return the line as it stands inside JSON text, which is how tools answer."""
    return json.dumps(line, ensure_ascii=False)[1:-1]


def _validated(call: ToolCall, kind: type[R]) -> R:
    try:
        return kind.model_validate(call.arguments)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:5])
        raise ToolFailed(f"{call.name} does not fit: {wrong}") from None


def _specification(name: Literal["conclude", "ask_person"], kind: type[Record], description: str) -> JsonObject:
    return {"name": name, "description": description, "input_schema": kind.model_json_schema()}
