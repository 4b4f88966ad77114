"""The catalog as people write it: `catalog.yaml`, read and held against itself."""

import os
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ValidationError

from prefect_healing.domain.catalog import Catalog, Column, Freshness, Gate, Loader, Table, Upstream
from prefect_healing.guardrails.strict_yaml import Place, StrictYaml, content_of, unknown
from prefect_healing.settings import Settings

_BYTES_MAX = 500_000
_REMEDY = "set PREFECT_HEALING_CATALOG to a readable file, or unset it"
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_NESTED: dict[str, type[BaseModel]] = {"loader": Loader, "freshness": Freshness, "gate": Gate}


def load_catalog(path: str | Path) -> Catalog:
    """Read a catalog file; its tables come in the order of loading.

    `${VARIABLE}` in the manifest of a source is replaced from the environment. Raises ConfigurationError, naming file,
    line and remedy, for whatever is wrong.
    """
    text = content_of(Path(path), kind="catalog", bytes_max=_BYTES_MAX, remedy=_REMEDY)
    named = tuple(sorted(set(_VARIABLE.findall(text))))
    return _read(str(path), text, tuple((name, os.environ.get(name)) for name in named))


def catalog_of(settings: Settings) -> Catalog:
    """Return the catalog that the settings name; an empty one where they name none."""
    return Catalog() if settings.catalog is None else load_catalog(settings.catalog)


@lru_cache(maxsize=8)
def _read(source: str, text: str, environment: tuple[tuple[str, str | None], ...]) -> Catalog:
    # Every gate and every heal asks for the catalog; the text is the key, so that an edited file is a new catalog.
    return _Reader(source, text, dict(environment)).catalog()


class _Reader:
    """Turns one text into a catalog."""

    def __init__(self, source: str, text: str, environment: Mapping[str, str | None]) -> None:
        self.yaml = StrictYaml(source, text, what="a catalog", fields=tuple(Catalog.model_fields))
        self.environment = environment

    def catalog(self) -> Catalog:
        """Return the catalog, or raise ConfigurationError."""
        entries = {
            name: self.yaml.named(self.yaml.fields.get(name), (name,), f"a {name[:-1]}") for name in self.yaml.fields
        }
        tables = {name: self._table(name, entry) for name, entry in entries.get("tables", {}).items()}
        sources = tuple(self._source(name, entry) for name, entry in entries.get("sources", {}).items())
        self._refuse_namesakes([*tables, *(each.name for each in sources)])
        self._refuse_strangers(tables, {each.name for each in sources})
        return Catalog(tables=self._in_loading_order(tables), sources=sources)

    def _table(self, name: str, entry: object) -> Table:
        place: Place = ("tables", name)
        fields = self.yaml.mapping(entry, place, _fields_of(Table), f"table {name}")
        for part, model in _NESTED.items():
            if part in fields:
                self.yaml.mapping(fields[part], (*place, part), _fields_of(model), f"{part} of {name}")
        columns = (*place, "columns")
        for column, said in self.yaml.named(fields.get("columns"), columns, "a column").items():
            self.yaml.mapping(said, (*columns, column), _fields_of(Column), f"column {column} of {name}")
        try:
            table = Table.model_validate({"name": name, **fields})
        except ValidationError as error:
            self.yaml.refuse_invalid(error, place)
        self._refuse_unnamed_parameter(table, fields.get("loader"))
        self._refuse_shown_secrets(table)
        return table

    def _refuse_unnamed_parameter(self, table: Table, loader: object) -> None:
        if table.loader is None or table.loader.dbt is not None:
            return
        said = isinstance(loader, dict) and "parameter" in loader
        if not table.loader.parameter or (table.loader.deployment is not None and not said):
            problem = f"the loader of {table.name} does not say which parameter takes the partition"
            self.yaml.refuse(("tables", table.name, "loader"), f"{problem}; add it, such as `parameter: day`")

    def _refuse_shown_secrets(self, table: Table) -> None:
        shown = {"partition": table.partition, "freshness": table.freshness and table.freshness.column}
        for field, column in shown.items():
            if column in table.sensitive:
                problem = f"column {column} of {table.name} is sensitive, and {field} would tell its values"
                self.yaml.refuse(("tables", table.name, field), f"{problem}; name another column")

    def _source(self, name: str, entry: object) -> Upstream:
        place: Place = ("sources", name)
        fields = self.yaml.mapping(entry, place, _fields_of(Upstream), f"source {name}")
        if isinstance(manifest := fields.get("manifest"), str):
            fields["manifest"] = self._replaced(manifest, (*place, "manifest"))
        try:
            return Upstream.model_validate({"name": name, **fields})
        except ValidationError as error:
            self.yaml.refuse_invalid(error, place)

    def _replaced(self, text: str, place: Place) -> str:
        def value_of(found: re.Match[str]) -> str:
            if not (value := self.environment.get(found[1])):
                self.yaml.refuse(place, f"{found[0]} is not in the environment; set it to what stands there")
            return value

        return _VARIABLE.sub(value_of, text)

    def _refuse_namesakes(self, names: list[str]) -> None:
        first: dict[str, str] = {}
        for name in names:
            if (other := first.get(name.casefold())) is not None:
                place: Place = ("sources" if name == other else "tables", name)
                self.yaml.refuse(place, f"{name!r} and {other!r} are one name to most databases; rename one of them")
            first[name.casefold()] = name

    def _refuse_strangers(self, tables: Mapping[str, Table], sources: set[str]) -> None:
        known = {*tables, *sources}
        for table in tables.values():
            for index, name in enumerate(table.upstreams):
                if name not in known:
                    place: Place = ("tables", table.name, "upstreams", index)
                    self.yaml.refuse(place, f"{table.name}: {unknown('table or source', name, known)}")

    def _in_loading_order(self, tables: Mapping[str, Table]) -> tuple[Table, ...]:
        ordered: dict[str, Table] = {}
        left = dict(tables)
        while left:
            ready = [each for each in left.values() if not any(name in left for name in each.upstreams)]
            if not ready:
                self._refuse_cycle(left)
            ordered |= {each.name: each for each in ready}
            left = {name: each for name, each in left.items() if name not in ordered}
        return tuple(ordered.values())

    def _refuse_cycle(self, left: Mapping[str, Table]) -> None:
        # Each of these waits for another of them, so whoever walks up comes by somewhere twice.
        walked = [next(iter(left))]
        while walked[-1] not in walked[:-1]:
            walked.append(next(name for name in left[walked[-1]].upstreams if name in left))
        cycle = walked[walked.index(walked[-1]) :]
        shown = " -> ".join(reversed(cycle))
        place: Place = ("tables", cycle[0], "upstreams")
        self.yaml.refuse(place, f"tables are made from each other in a cycle: {shown}; take one upstream out")


def _fields_of(model: type[BaseModel]) -> tuple[str, ...]:
    return tuple(name for name in model.model_fields if name != "name")
