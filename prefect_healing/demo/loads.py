"""What loads the demo's `flights` and `daily_delays`, alone and behind their quality gates.

The loaders take "nothing yet" for an answer: they leave the table as it is and complete. It is the gates that notice.
"""

from datetime import date

from prefect import flow, get_run_logger

from prefect_healing import self_healing
from prefect_healing.demo import pipeline
from prefect_healing.demo.contract import NewColumns
from prefect_healing.demo.pipeline import VENDOR, LoadMode
from prefect_healing.quality_gate import quality_gate


@self_healing(sources=[VENDOR], rerun="safe")
@flow(name="load-flights", flow_run_name="load-flights-of-{day}", persist_result=True)
def load_flights(day: date, mode: LoadMode = "replace") -> int:
    """Replace one day of `flights` by what the vendor delivers; `append` adds it. Return how many rows were loaded."""
    return load_day(day, mode)


@self_healing(sources=[VENDOR])
@flow(name="gated-flights", flow_run_name="gated-flights-of-{day}", persist_result=True)
def gated_flights(day: date, mode: LoadMode = "replace") -> int:
    """Load one day, hold it against its gate, and build the daily table from it. Raises GateFailed."""
    loaded = load_day(day, mode)
    quality_gate("flights", day, raises=True)
    pipeline.build_daily_delays(day, "origin")
    return loaded


@flow(name="build-daily-delays", flow_run_name="daily-delays-of-{day}", persist_result=True)
def build_daily_delays(day: date) -> int:
    """Replace one day of `daily_delays` by what `flights` says; return how many rows it has."""
    return pipeline.build_daily_delays(day, "origin")


@self_healing
@flow(name="publish-delays", flow_run_name="publish-delays-of-{day}", persist_result=True)
def publish_delays(day: date, airports: tuple[str, ...] | None = None) -> int:
    """Build one day of `daily_delays`, of these airports or all, and hold it against its gate. Raises GateFailed."""
    built = pipeline.build_daily_delays(day, "origin", airports)
    quality_gate("daily_delays", day, raises=True)
    return built


def load_day(day: date, mode: LoadMode = "replace") -> int:
    """Extract, check and load one day; return how many rows were loaded, 0 where there is nothing yet."""
    rows = pipeline.extract_delivery(day)
    if not rows:
        get_run_logger().warning("Nothing of %s was loaded: flights stays as it is", day)
        return 0
    return pipeline.load_flights(day, pipeline.check_columns(rows, _new_columns("flights")), mode)


def _new_columns(table: str) -> NewColumns:
    from prefect_healing.catalog import catalog_of
    from prefect_healing.settings import settings

    declared = catalog_of(settings()).table(table)
    return declared.new_columns if declared else "escalate"
