"""`watch-freshness`: look at the age of every table that has a limit, and have those healed that are beyond it."""

import asyncio
from datetime import datetime
from uuid import UUID

from prefect import flow, get_run_logger
from pydantic import AwareDatetime

from prefect_healing.catalog import catalog_of
from prefect_healing.clock import now
from prefect_healing.data_alerts import Settled, asettle
from prefect_healing.domain.alert import FreshnessAlert
from prefect_healing.domain.catalog import Catalog, Table
from prefect_healing.domain.lineage import catalog_graph
from prefect_healing.domain.options import HealingOptions
from prefect_healing.domain.record import Record, digest
from prefect_healing.errors import ConfigurationError, ToolFailed
from prefect_healing.settings import Settings, settings
from prefect_healing.warehouse.connection import reading
from prefect_healing.warehouse.freshness import age_of


class Watched(Record):
    """One table with a limit on its age. `stale` is None where it could not be looked at; `problem` says why."""

    table: str
    last_update: AwareDatetime | None = None
    age_hours: float | None = None
    max_age_hours: float
    stale: bool | None
    problem: str = ""

    @property
    def line(self) -> str:
        """Return the table in one line."""
        if self.stale is None:
            return f"{self.table}: cannot be looked at: {self.problem}"
        age = "never updated" if self.age_hours is None else f"{self.age_hours:.1f} h old"
        return f"{self.table}: {'STALE' if self.stale else 'fresh'}, {age}, {self.max_age_hours:g} h allowed"


class Incidents(Record):
    """What a round of watching saw, and the incidents that the alerts went to."""

    watched: tuple[Watched, ...]
    settled: tuple[Settled, ...] = ()


@flow(name="watch-freshness", persist_result=False)
async def watch_freshness() -> Incidents:
    """Check the age of the catalog's tables, and raise one alert for each chain of stale ones.

    Healing happens where the heal deployment runs, else here. Fails, after that, where a table cannot be looked at,
    and at once where nothing is declared to be watched.
    """
    logger = get_run_logger()
    watched = await look_at_ages(settings(), now())
    logger.info("Ages of %d tables:\n%s", len(watched), "\n".join(each.line for each in watched))
    alerts = breaches(catalog_of(settings()), watched, *_current_run())
    settled = await asyncio.gather(*(asettle(alert, HealingOptions()) for alert in alerts))
    for alert, done in zip(alerts, settled, strict=True):
        outcome = done.report.outcome if done.report else done.action
        logger.warning("%s is stale: %s (incident %s). %s", alert.table, outcome, done.incident_id, done.reason)
    if unseen := [each.line for each in watched if each.stale is None]:
        raise ToolFailed("; ".join(unseen))
    return Incidents(watched=watched, settled=tuple(settled))


async def look_at_ages(settings: Settings, at: datetime) -> tuple[Watched, ...]:
    """Return the age of every table that the catalog sets a limit for.

    One that cannot be read does not hide the others. Raises ConfigurationError where there is none to look at.
    """
    tables = [table for table in catalog_of(settings).tables if table.freshness]
    if not tables:
        raise ConfigurationError(
            "There is no table to watch: set PREFECT_HEALING_CATALOG to a catalog in which tables have `freshness`."
        )
    return tuple([await _look(settings, table, at) for table in tables])


def breaches(
    catalog: Catalog, watched: tuple[Watched, ...], flow_run_id: UUID, flow_name: str
) -> tuple[FreshnessAlert, ...]:
    """Return the alerts: of stale tables that are made from each other only the last, whose readers suffer."""
    stale = [each for each in watched if each.stale]
    graph = catalog_graph(catalog)
    explained = {above for each in stale for above in graph.upwards(each.table) if above != each.table}
    return tuple(
        FreshnessAlert(
            flow_run_id=flow_run_id,
            flow_name=flow_name,
            fingerprint=digest("stale", each.table),
            table=each.table,
            last_update=each.last_update,
            max_age_hours=each.max_age_hours,
        )
        for each in stale
        if each.table not in explained
    )


async def _look(settings: Settings, table: Table, at: datetime) -> Watched:
    assert table.freshness is not None  # noqa: S101 - whoever asks has looked
    allowed = table.freshness.max_age_hours
    try:
        age = await reading(settings, lambda connection: age_of(connection, table, at))
    except ToolFailed as error:
        return Watched(table=table.name, max_age_hours=allowed, stale=None, problem=str(error))
    return Watched(
        table=table.name,
        last_update=age.last_update,
        age_hours=age.hours(at),
        max_age_hours=allowed,
        stale=age.breaches(table, at),
    )


def _current_run() -> tuple[UUID, str]:
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    if context is None or context.flow_run is None or context.flow is None:
        raise ConfigurationError("An alert names the flow run that found the fault; call this inside of one.")
    return context.flow_run.id, context.flow.name
