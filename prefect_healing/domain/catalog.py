"""What is declared of the warehouse: tables, who loads them, what they are made from, what may be done to them."""

from collections.abc import Iterable
from typing import Literal

from pydantic import Field, field_validator, model_validator

from prefect_healing.domain.record import JsonObject, Record

Layer = Literal["staging", "intermediate", "gold"]
_NAME = r"^[A-Za-z_][A-Za-z0-9_]{0,62}(\.[A-Za-z_][A-Za-z0-9_]{0,62})?$"
OWN_PREFIX = "healing_"
"""How the names of the tables begin that the library itself keeps in the warehouse."""


class Loader(Record):
    """What loads a table: a deployment (`flow/deployment`), a flow (`path/file.py:flow`, `module:flow`), a dbt model.

    `parameter` is the parameter of deployment or flow that takes the partition, an ISO day.
    """

    deployment: str | None = Field(default=None, pattern=r"^[^/]+/[^/]+$")
    flow: str | None = Field(default=None, pattern=r"^.+:[^:]+$")
    dbt: str | None = None
    parameter: str = "day"

    @model_validator(mode="after")
    def _is_one(self) -> "Loader":
        if sum(each is not None for each in (self.deployment, self.flow, self.dbt)) != 1:
            raise ValueError("a loader is exactly one of deployment, flow and dbt")
        return self

    @property
    def name(self) -> str:
        """Return what is run, by its own name."""
        return self.deployment or self.flow or f"dbt {self.dbt}"


class Freshness(Record):
    """How old the newest value of a timestamp column may be."""

    column: str
    max_age_hours: float = Field(gt=0)


class Column(Record):
    """What is declared of one column. A sensitive one never leaves the warehouse, except for its counts."""

    sensitive: bool = False


class Gate(Record):
    """A checkpoint: one of a Great Expectations project, or expectations (type, kwargs, severity) as JSON.

    `suite` names expectations in code (`module:attribute`), which are read when the gate runs.
    """

    project: str | None = None
    checkpoint: str | None = None
    suite: str | None = Field(default=None, pattern=r"^.+:[^:]+$")
    expectations: tuple[JsonObject, ...] = ()

    @model_validator(mode="after")
    def _is_one(self) -> "Gate":
        if (self.project is None) != (self.checkpoint is None):
            raise ValueError("a checkpoint of a Great Expectations project needs both, project and checkpoint")
        if sum((self.project is not None, self.suite is not None, bool(self.expectations))) != 1:
            raise ValueError("a gate is exactly one of project with checkpoint, suite, and expectations")
        return self


class Upstream(Record):
    """A system outside the warehouse that tables are loaded from, and the manifest that it keeps of its data.

    `manifest` is asked with GET, `{partition}` in it replaced by an ISO day. The other fields are keys (dotted for
    nested objects) of the JSON that it answers: `rows` a count, `nulls` and `columns` objects by column (null counts,
    type names), `last_data` the newest data it has.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")
    manifest: str = Field(pattern=r"^https?://")
    rows: str = "rows"
    nulls: str | None = "nulls"
    columns: str | None = "columns"
    last_data: str | None = "last_data"


class Table(Record):
    """One table of the warehouse, as the people who own it declared it.

    `key` tells rows apart. `upstreams` are tables and sources. `rebuild` says whether a gold table may be rebuilt
    without a person, `new_columns` what a column that the source adds means, `share_rows` whether rows may be shown
    to a model and in reports. Above `copy_rows_max` rows no copy of a partition is taken, so a person is asked.
    """

    name: str = Field(pattern=_NAME)
    layer: Layer
    owner: str | None = None
    key: tuple[str, ...] = ()
    partition: str | None = Field(default=None, description="The column whose day is the partition.")
    loader: Loader | None = None
    upstreams: tuple[str, ...] = ()
    freshness: Freshness | None = None
    rebuild: Literal["ask", "allow"] = "ask"
    new_columns: Literal["escalate", "load"] = "escalate"
    share_rows: bool = False
    columns: dict[str, Column] = {}
    copy_rows_max: int = Field(default=1_000_000, ge=0)
    gate: Gate | None = None

    @field_validator("name")
    @classmethod
    def _is_theirs(cls, name: str) -> str:
        if name.rpartition(".")[2].casefold().startswith(OWN_PREFIX):
            raise ValueError(f"{name} is named as the tables that healing itself keeps; none of them can be declared")
        return name

    @property
    def sensitive(self) -> frozenset[str]:
        """Return the columns whose values never leave the warehouse."""
        return frozenset(name for name, column in self.columns.items() if column.sensitive)

    @property
    def needs_person(self) -> str | None:
        """Say why only a person may have the table rebuilt, None where code may."""
        if self.layer == "gold" and self.rebuild != "allow":
            return f"{self.name} is a gold table, and its catalog entry does not say `rebuild: allow`"
        return None


class Catalog(Record):
    """The declared tables and sources. `tables` come in the order of loading: upstreams first."""

    tables: tuple[Table, ...] = ()
    sources: tuple[Upstream, ...] = ()

    def table(self, name: str) -> Table | None:
        """Return the table `name`, None where none is declared so."""
        return next((each for each in self.tables if each.name == name), None)

    def source(self, name: str) -> Upstream | None:
        """Return the source `name`, None where none is declared so."""
        return next((each for each in self.sources if each.name == name), None)

    def loaded_by(self, *names: str) -> tuple[Table, ...]:
        """Return the tables that a deployment, flow or dbt model of one of these names loads."""
        return tuple(each for each in self.tables if each.loader and each.loader.name in names)

    def downstream_of(self, name: str) -> tuple[Table, ...]:
        """Return the tables made from `name`, directly or not, in the order of loading."""
        reached = {name}
        for each in self.tables:
            if reached.intersection(each.upstreams):
                reached.add(each.name)
        return tuple(each for each in self.tables if each.name in reached and each.name != name)

    def around(self, names: Iterable[str]) -> "Catalog":
        """Return what bears on these tables: themselves, all that they are made from, and what is loaded with those."""
        wanted: set[str] = set()
        left = list(names)
        while left:
            if (table := self.table(left.pop())) is None or table.name in wanted:
                continue
            wanted.add(table.name)
            left += table.upstreams
            left += [each.name for each in (self.loaded_by(table.loader.name) if table.loader else ())]
        tables = tuple(each for each in self.tables if each.name in wanted)
        made_from = {name for each in tables for name in each.upstreams}
        return Catalog(tables=tables, sources=tuple(each for each in self.sources if each.name in made_from))
