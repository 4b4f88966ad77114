"""The tools that an agent is offered, by the name it is offered them under."""

from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import cast

from prefect_healing.domain.record import JsonObject
from prefect_healing.errors import ConfigurationError
from prefect_healing.settings import Settings
from prefect_healing.tools.tool import PREVIEW_PREFIX, AnyTool, Tool

DEFAULT_MODULES = (
    "prefect_healing.tools.prefect_read",
    "prefect_healing.tools.prefect_logs",
    "prefect_healing.tools.evidence",
    "prefect_healing.tools.sources",
    "prefect_healing.tools.code",
    "prefect_healing.tools.prefect_write",
)
WAREHOUSE_MODULES = (
    "prefect_healing.tools.freshness",
    "prefect_healing.tools.lineage",
    "prefect_healing.tools.warehouse_read",
    "prefect_healing.tools.warehouse_query",
    "prefect_healing.tools.gate",
    "prefect_healing.tools.warehouse_write",
)
"""Offered where a catalog and a warehouse are configured."""

DBT_MODULES = ("prefect_healing.tools.dbt",)
"""Offered where a dbt project is configured."""


class Toolset:
    """A frozen set of tools. Reads are offered by their name, writes as `preview_<name>` only."""

    def __init__(self, tools: Iterable[AnyTool]) -> None:
        self._offered: dict[str, AnyTool] = {}
        for each in tools:
            name = offered_name(each)
            if self._offered.setdefault(name, each) is not each:
                raise ConfigurationError(f"Two tools are offered as {name}; rename one of them.")

    def get(self, name: str) -> AnyTool | None:
        """Return the tool offered as `name`, None where there is none: `preview_x` finds x, `x` itself does not."""
        return self._offered.get(name)

    def writer(self, name: str) -> AnyTool | None:
        """Return the write tool `name`, by its own name, for carrying out and undoing."""
        return self._offered.get(PREVIEW_PREFIX + name)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the offered names, in order."""
        return tuple(self._offered)

    def specifications(self) -> tuple[JsonObject, ...]:
        """Return the tools as the Messages API wants them, always in the same order, so that caches hold."""
        return tuple(each.specification() for each in self._offered.values())

    def __iter__(self) -> Iterator[AnyTool]:
        return iter(self._offered.values())

    def __len__(self) -> int:
        return len(self._offered)

    def __contains__(self, name: object) -> bool:
        return name in self._offered


def offered_name(each: AnyTool) -> str:
    """Return the name under which a tool is offered."""
    return PREVIEW_PREFIX + each.name if each.writes else each.name


def default_toolset(settings: Settings) -> Toolset:
    """Return the tools of this package and those of the modules that `settings.tools` names.

    Raises ConfigurationError where a module cannot be imported, holds no tool, or two tools share a name. A tool of
    effect `destroy` is never offered, and none for a warehouse or a dbt project that is not configured.
    """
    warehouse = WAREHOUSE_MODULES if settings.catalog and settings.warehouse else ()
    dbt = DBT_MODULES if settings.dbt_project else ()
    modules = (*DEFAULT_MODULES, *warehouse, *dbt, *_own(settings))
    found = [each for module in modules for each in _tools_in(module)]
    return Toolset(each for each in dict.fromkeys(found) if each.effect != "destroy")


def known_tools(settings: Settings) -> list[str]:
    """Return the names that a policy may use: of all tools there are, whether offered here or not."""
    modules = (*DEFAULT_MODULES, *WAREHOUSE_MODULES, *DBT_MODULES, *_own(settings))
    return sorted({each.name for module in modules for each in _tools_in(module)})


def _own(settings: Settings) -> list[str]:
    return [name for each in settings.tools.split(",") if (name := each.strip())]


def _tools_in(module_name: str) -> list[AnyTool]:
    try:
        module = import_module(module_name)
    except Exception as error:
        raise ConfigurationError(
            f"PREFECT_HEALING_TOOLS names {module_name}, which cannot be imported: {type(error).__name__}: {error}"
        ) from error
    found = [cast("AnyTool", each) for each in vars(module).values() if isinstance(each, Tool)]
    if not found:
        raise ConfigurationError(f"PREFECT_HEALING_TOOLS names {module_name}, which holds no @tool function.")
    return found
