"""The decorator that makes a typed async function a tool, with an honest effect."""

import inspect
import warnings
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, cast, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from prefect_healing.domain.call import Effect
from prefect_healing.domain.incident import Incident
from prefect_healing.domain.plan import Scope
from prefect_healing.domain.record import JsonObject, Record
from prefect_healing.domain.repair import Receipt, Undo
from prefect_healing.domain.verification import Check
from prefect_healing.errors import ConfigurationError, ToolFailed
from prefect_healing.journal import Journal
from prefect_healing.settings import Settings

P = ParamSpec("P")
R = TypeVar("R", bound=BaseModel)

PREVIEW_PREFIX = "preview_"
_ARGUMENT_CHARS_MAX = 20_000


@dataclass(frozen=True)
class ToolContext:
    """What code injects into a tool and a model never sees or sets.

    `effect_key` names the effect for targets that take an idempotency key; `scope` is what the preview found. Both
    are None outside the carrying out of an action.
    """

    incident: Incident
    journal: Journal
    settings: Settings
    effect_key: str | None = None
    scope: Scope | None = None


class Applied(Record):
    """What a write tool returns when it took effect; `data` is kept for its check and its undo."""

    detail: str
    data: JsonObject = {}
    undo: Undo | None = None


Preview = Callable[Concatenate[ToolContext, P], Awaitable[Scope]]
AlreadyDone = Callable[Concatenate[ToolContext, P], Awaitable[Applied | None]]
Verify = Callable[[ToolContext, Receipt], Awaitable[Check]]


class Tool(Generic[P, R]):
    """A tool: call it like the function it was made from.

    Read tools return any pydantic model. Write tools return `Applied`, must have a preview and a check, and say how
    they bear being killed half way: by an idempotency key (`takes_key`), by a look before acting again
    (`already_done`), or, with neither, by being done at most once and escalated as unknown.
    """

    def __init__(self, function: Callable[P, Awaitable[R]], effect: Effect, *, retries: int, takes_key: bool) -> None:
        self.function = function
        self.effect: Effect = effect
        self.retries = retries
        self.takes_key = takes_key
        self.name = function.__name__
        self.description = inspect.cleandoc(function.__doc__ or "")
        if not self.description:
            raise ConfigurationError(f"Tool {self.name} has no docstring; write one for the model that reads it.")
        self._preview: Callable[..., Awaitable[Scope]] | None = None
        self._already_done: Callable[..., Awaitable[Applied | None]] | None = None
        self._check: Verify | None = None

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function itself."""
        return await self.function(*args, **kwargs)

    def preview(self, function: Callable[P, Awaitable[Scope]]) -> Callable[P, Awaitable[Scope]]:
        """Register what the call would touch: same parameters, returns a Scope, changes nothing."""
        self._preview = cast("Callable[..., Awaitable[Scope]]", function)
        return function

    def already_done(self, function: Callable[P, Awaitable[Applied | None]]) -> Callable[P, Awaitable[Applied | None]]:
        """Register the look before acting again: same parameters, returns what was done or None."""
        self._already_done = cast("Callable[..., Awaitable[Applied | None]]", function)
        return function

    def check(self, function: Verify) -> Verify:
        """Register the proof that the action helped: takes context and receipt, returns a Check."""
        self._check = function
        return function

    @property
    def writes(self) -> bool:
        """Say whether the tool changes the world, so that a model may only preview it."""
        return self.effect in ("write", "destroy")

    @property
    def can_look(self) -> bool:
        """Say whether the tool can tell that it was done before."""
        return self._already_done is not None

    @cached_property
    def arguments_model(self) -> type[BaseModel]:
        """Return the pydantic model of the arguments, made from the signature; unknown arguments are refused."""
        hints = get_type_hints(self.function, include_extras=True)
        fields: dict[str, Any] = {
            name: (hints[name], ... if parameter.default is parameter.empty else parameter.default)
            for name, parameter in inspect.signature(self.function).parameters.items()
            if hints[name] is not ToolContext
        }
        with warnings.catch_warnings():
            # An argument may be called `copy` or `schema`: nobody calls these methods of the model.
            warnings.filterwarnings("ignore", "Field name .* shadows an attribute", UserWarning)
            return create_model(f"{self.name}_arguments", __config__=ConfigDict(extra="forbid"), **fields)

    @cached_property
    def takes_context(self) -> bool:
        """Say whether the function's first parameter is a ToolContext."""
        return ToolContext in get_type_hints(self.function).values()

    def specification(self) -> JsonObject:
        """Return the tool as the Messages API wants it; a write tool is offered as its preview only."""
        name, description = self.name, self.description
        if self.writes:
            name = PREVIEW_PREFIX + name
            description = (
                f"Preview {self.name}: show what it would touch and get the confirmation token to propose it with. "
                f"Changes nothing.\n\n{self.name}: {description}"
            )
        return {"name": name, "description": description, "input_schema": self.arguments_model.model_json_schema()}

    def canonical_arguments(self, arguments: Mapping[str, Any]) -> JsonObject:
        """Return `arguments` validated, with defaults filled in, as JSON values.

        Raises ToolFailed, in words for a model, where they do not fit.
        """
        if len(repr(arguments)) > _ARGUMENT_CHARS_MAX:
            raise ToolFailed(f"The arguments of {self.name} exceed {_ARGUMENT_CHARS_MAX} characters; send less.")
        try:
            return self.arguments_model.model_validate(arguments).model_dump(mode="json")
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:5])
            raise ToolFailed(f"The arguments of {self.name} do not fit: {wrong}") from None

    async def run(self, context: ToolContext, arguments: Mapping[str, Any]) -> R:
        """Call the function with arguments that a model or a plan gave."""
        return await self.function(**self._bound(context, arguments))  # pyright: ignore[reportCallIssue]

    async def run_preview(self, context: ToolContext, arguments: Mapping[str, Any]) -> Scope:
        """Return what the call would touch."""
        if self._preview is None:
            raise ConfigurationError(f"Write tool {self.name} has no preview; register one with @{self.name}.preview.")
        return await self._preview(**self._bound(context, arguments))

    async def look(self, context: ToolContext, arguments: Mapping[str, Any]) -> Applied | None:
        """Return what was already done, or None."""
        return None if self._already_done is None else await self._already_done(**self._bound(context, arguments))

    async def verify(self, context: ToolContext, receipt: Receipt) -> Check:
        """Look at the world after the action."""
        if self._check is None:
            return Check(name=self.name, status="inconclusive", detail=f"{self.name} has no check.")
        return await self._check(context, receipt)

    def _bound(self, context: ToolContext, arguments: Mapping[str, Any]) -> dict[str, Any]:
        validated = self.arguments_model.model_validate(arguments)
        bound = {name: getattr(validated, name) for name in type(validated).model_fields}
        return {self._context_name: context, **bound} if self.takes_context else bound

    @cached_property
    def _context_name(self) -> str:
        hints = get_type_hints(self.function)
        return next(name for name, hint in hints.items() if hint is ToolContext)


AnyTool = Tool[..., Any]


def tool(
    *, effect: Effect, retries: int = 2, takes_key: bool = False
) -> Callable[[Callable[P, Awaitable[R]]], Tool[P, R]]:
    """Make an async function a tool.

    `effect` has no default: none would be honest. `retries` is how often Prefect tries again when the function
    raises ToolUnavailable. `takes_key` says that a write passes `ctx.effect_key` on to its target.
    """

    def make(function: Callable[P, Awaitable[R]]) -> Tool[P, R]:
        return Tool(function, effect, retries=retries, takes_key=takes_key)

    return make
