"""dbt's manifest: what a project is made of, by the names that the warehouse and the catalog know."""

import json
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from prefect_healing.dbt.project import DbtProject, scratch
from prefect_healing.domain.catalog import Catalog, Table

Kind = Literal["model", "seed", "snapshot", "source", "test", "unit_test", "operation", "analysis", "function", "other"]
STORED: tuple[Kind, ...] = ("model", "seed", "snapshot", "source")
"""Kinds of nodes that are tables or views, unless they are ephemeral."""

_KINDS: dict[str, Kind] = {each: each for each in get_args(Kind)}
MANIFEST = "manifest.json"
_DEFAULT_SCHEMAS = ("main", "public")  # Of DuckDB and of PostgreSQL: tables there are named without a schema.
_WORD = re.compile(r"\w+")


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _DependsOn(_Read):
    nodes: tuple[str, ...] = ()


class _Checksum(_Read):
    checksum: str = ""


class _Config(_Read):
    materialized: str | None = None
    store_failures: bool | None = None
    store_failures_as: str | None = None
    unique_key: JsonValue = None
    incremental_strategy: str | None = None
    pre_hook: tuple[JsonValue, ...] = Field(default=(), alias="pre-hook")
    post_hook: tuple[JsonValue, ...] = Field(default=(), alias="post-hook")


class _TestMetadata(_Read):
    name: str = ""
    kwargs: dict[str, JsonValue] = {}


class Node(_Read):
    """One node of a project: a model, source, seed, snapshot, test or hook, as the manifest has it."""

    unique_id: str
    name: str
    resource_type: str
    database: str | None = None
    schema_name: str | None = Field(default=None, alias="schema")
    alias: str | None = None
    identifier: str | None = None
    original_file_path: str = ""
    raw_code: str = ""
    checksum: _Checksum = _Checksum()
    config: _Config = _Config()
    depends_on: _DependsOn = _DependsOn()
    columns: dict[str, JsonValue] = {}
    column_name: str | None = None
    test_metadata: _TestMetadata | None = None

    @property
    def kind(self) -> Kind:
        """Return what the node is."""
        return kind_of(self.unique_id)

    @property
    def is_stored(self) -> bool:
        """Say whether the node is a table or view of the warehouse."""
        return self.kind in STORED and self.config.materialized != "ephemeral"

    @property
    def table(self) -> str | None:
        """Return the name of the node's table or view: bare in a database's default schema, else with its schema."""
        if not self.is_stored:
            return None
        name = self.identifier or self.alias or self.name
        return name if self.schema_name in (*_DEFAULT_SCHEMAS, None) else f"{self.schema_name}.{name}"

    @property
    def stores_failures(self) -> bool:
        """Say whether running the test writes the rows that fail it into a table."""
        return bool(self.config.store_failures) or self.config.store_failures_as in ("table", "view")

    @property
    def has_hooks(self) -> bool:
        """Say whether statements run before or after the node is built."""
        return bool(self.config.pre_hook or self.config.post_hook)

    @property
    def may_repeat_rows(self) -> bool:
        """Say whether building the node twice may add the same rows twice."""
        incremental = self.config.materialized == "incremental"
        replaces = self.config.incremental_strategy in ("insert_overwrite", "microbatch")
        return incremental and not self.config.unique_key and not replaces


class _Macro(_Read):
    macro_sql: str = ""


class _Metadata(_Read):
    adapter_type: str | None = None
    project_name: str | None = None


class Manifest(_Read):
    """A project as dbt parsed it."""

    metadata: _Metadata = _Metadata()
    nodes: dict[str, Node] = {}
    sources: dict[str, Node] = {}
    unit_tests: dict[str, Node] = {}
    macros: dict[str, _Macro] = {}

    def node(self, name: str) -> Node | None:
        """Return the node of this unique id, None where there is none."""
        return self.nodes.get(name) or self.sources.get(name) or self.unit_tests.get(name)

    def stored_parents(self, node: Node) -> tuple[Node, ...]:
        """Return the tables and views that a node reads, through ephemeral models to what those read."""
        return tuple({each.unique_id: each for each in self._stored_parents(node, frozenset())}.values())

    def _stored_parents(self, node: Node, seen: frozenset[str]) -> Iterator[Node]:
        for name in node.depends_on.nodes:
            parent = self.node(name)
            if parent is None or name in seen:
                continue
            if parent.is_stored:
                yield parent
            else:
                yield from self._stored_parents(parent, seen | {name})

    @property
    def operations(self) -> tuple[Node, ...]:
        """Return the hooks that run at the begin and end of every command."""
        return tuple(each for each in self.nodes.values() if each.kind == "operation")

    @cached_property
    def words(self) -> frozenset[str]:
        """Return every word that the project's authors wrote, and every name of its tables and columns."""
        return frozenset(word for text in self._texts() for word in _WORD.findall(text))

    def _texts(self) -> Iterator[str]:
        yield from (each.macro_sql for each in self.macros.values())
        for each in (*self.nodes.values(), *self.sources.values()):
            yield each.raw_code
            yield " ".join((each.name, each.original_file_path, each.database or "", each.schema_name or ""))
            yield " ".join((each.alias or "", each.identifier or "", each.column_name or "", *each.columns))
            if each.test_metadata is not None:
                yield json.dumps(each.test_metadata.kwargs, ensure_ascii=False)


def kind_of(unique_id: str) -> Kind:
    """Return what a node is, which its unique id begins with."""
    return _KINDS.get(unique_id.partition(".")[0], "other")


def read_manifest(path: Path) -> Manifest | None:
    """Return the manifest in a file, None where there is none that is whole."""
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def known_manifest(project: DbtProject) -> Manifest | None:
    """Return the newest manifest that dbt left, in the project's own target folder or in ours; runs nothing."""
    found = (Path(project.folder) / "target" / MANIFEST, scratch(project) / MANIFEST)
    there = sorted((each for each in found if each.is_file()), key=lambda each: each.stat().st_mtime, reverse=True)
    return next((manifest for each in there if (manifest := read_manifest(each)) is not None), None)


def dbt_edges(manifest: Manifest) -> tuple[tuple[str, str], ...]:
    """Return, by the names of tables, what each table of the project is made from: pairs of parent and child."""
    found = {
        (parent.table, child.table): None
        for child in manifest.nodes.values()
        if child.is_stored
        for parent in manifest.stored_parents(child)
    }
    return tuple((parent, child) for parent, child in found if parent is not None and child is not None)


def dbt_kinds(manifest: Manifest) -> dict[str, Kind]:
    """Return the kind of each table of the project, by its name: model, seed, snapshot or source."""
    everything = (*manifest.sources.values(), *manifest.nodes.values())
    return {each.table: each.kind for each in everything if each.table is not None}


def declared_table(catalog: Catalog, name: str) -> Table | None:
    """Return the catalog entry of a table of the project, with or without its default schema; None without one."""
    schema, _, table = name.rpartition(".")
    names = [name] if schema else [f"{each}.{table}" for each in _DEFAULT_SCHEMAS]
    return next(filter(None, map(catalog.table, [name, *names])), None)


def tables_of(manifest: Manifest, node: Node) -> tuple[str, ...]:
    """Return the table that a node is, or those that a test reads."""
    nodes: Iterable[Node] = (node,) if node.is_stored else manifest.stored_parents(node)
    return tuple(each.table for each in nodes if each.table is not None)
