"""Which model investigates."""

import os
from importlib import import_module
from typing import cast

from prefect_healing.errors import ConfigurationError
from prefect_healing.models.model import Model
from prefect_healing.models.rules import Rules
from prefect_healing.settings import Settings

_KEYS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")


def choose_model(settings: Settings) -> Model:
    """Return the model that the settings name; with `auto`, Claude where there is a key, else the rules.

    Raises ConfigurationError where the name means nothing.
    """
    name = chosen_name(settings)
    if name == "rules":
        return Rules()
    if name == "claude":
        from prefect_healing.models.claude import Claude

        return Claude(settings.triage_model, timeout_seconds=settings.model_timeout_seconds)
    return _imported(name)


def chosen_name(settings: Settings) -> str:
    """Return the name of the model that the settings mean: theirs, or what `auto` comes to here and now."""
    if settings.model != "auto":
        return settings.model
    return "claude" if any(os.environ.get(key) for key in _KEYS) else "rules"


def _imported(name: str) -> Model:
    module, _, attribute = name.partition(":")
    try:
        return cast("Model", getattr(import_module(module), attribute))
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(
            f"PREFECT_HEALING_MODEL={name!r} cannot be loaded: {error}. Use auto, claude, rules, or module:attribute."
        ) from error
