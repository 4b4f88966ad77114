"""What the rules need to know of each model."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Traits:
    """What sets a model apart.

    `always_thinks`: thinking can be neither disabled nor given a budget, and no tool can be forced. `binds_thinking`:
    a thinking block is good only for this model and after exactly the messages it came after.
    """

    always_thinks: bool = False
    binds_thinking: bool = False
    takes_prefill: bool = False
    takes_budget: bool = False
    output_tokens_max: int = 128_000


MODELS = {
    "claude-fable-5-1": Traits(always_thinks=True, binds_thinking=True),
    "claude-opus-5-5": Traits(always_thinks=True, binds_thinking=True),
    "claude-sonnet-5-5": Traits(binds_thinking=True),
    "claude-haiku-5-5": Traits(binds_thinking=True),
    "claude-opus-5": Traits(),
    "claude-sonnet-5": Traits(),
    "claude-opus-4-8": Traits(),
    "claude-opus-4-7": Traits(),
    "claude-opus-4-6": Traits(takes_budget=True),
    "claude-sonnet-4-6": Traits(takes_budget=True),
    "claude-haiku-4-5": Traits(takes_budget=True, takes_prefill=True, output_tokens_max=64_000),
}
