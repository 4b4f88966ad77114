"""Where the flow objects are: those that decorators named in this process, else those behind an entrypoint."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from prefect_healing.domain.options import HealingOptions

if TYPE_CHECKING:
    from prefect import Flow

_logger = logging.getLogger(__name__)
_flows: "dict[str, Flow[..., Any]]" = {}
_options: dict[str, HealingOptions] = {}

_NONE = HealingOptions()
F = TypeVar("F", bound="Flow[..., Any]")


def register(flow: F, options: HealingOptions = _NONE) -> F:
    """Remember a flow by its name, so that an inline heal can run it again; the latest of one name counts."""
    _flows[flow.name] = flow
    _options[flow.name] = options
    return flow


def options_of_flow(name: str) -> HealingOptions:
    """Return what the decorator of a flow of this process was given; the defaults where it has none."""
    return _options.get(name, _NONE)


def find_flow(name: str, entrypoint: str | None = None, root: str | None = None) -> "Flow[..., Any] | None":
    """Return the flow `name`, registered here or loaded from `entrypoint`; None where neither has it.

    `entrypoint` reads `path/file.py:flow` or `module:flow`; a relative path counts from `root` where it is there, else
    from the working directory. Loading runs the file's code. A flow of another name is not the one that was asked for.
    """
    if name in _flows:
        return _flows[name]
    found = _load(_anchored(entrypoint, root)) if entrypoint else None
    return found if found is not None and found.name == name else None


def _anchored(entrypoint: str, root: str | None) -> str:
    path, _, function = entrypoint.rpartition(":")
    if root is None or not path.endswith(".py") or Path(path).is_absolute():
        return entrypoint
    anchored = Path(root) / path
    return f"{anchored}:{function}" if anchored.is_file() else entrypoint


def _load(entrypoint: str) -> "Flow[..., Any] | None":
    from prefect.flows import load_flow_from_entrypoint

    try:
        loaded: Flow[..., Any] = load_flow_from_entrypoint(_as_prefect_reads(entrypoint), use_placeholder_flow=False)
    except Exception as error:  # noqa: BLE001  It runs the user's file: anything may come out of it.
        _logger.warning("Cannot load flow from %s: %s: %s", entrypoint, type(error).__name__, error)
        return None
    return loaded


def _as_prefect_reads(entrypoint: str) -> str:
    """Prefect reads `file.py:flow` and `module.flow`; ours may also be `module:flow`."""
    path, _, function = entrypoint.rpartition(":")
    return entrypoint if path.endswith(".py") or not path else f"{path}.{function}"
