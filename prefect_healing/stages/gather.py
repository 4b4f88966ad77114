"""What can be known at once, before anybody investigates."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from prefect_healing.classify import classify
from prefect_healing.clock import now
from prefect_healing.domain.alert import Alert, FreshnessAlert, GateAlert
from prefect_healing.domain.catalog import Catalog
from prefect_healing.domain.classification import Classification
from prefect_healing.domain.evidence import Evidence
from prefect_healing.domain.incident import Subject
from prefect_healing.domain.record import Record
from prefect_healing.guardrails.redaction import redact
from prefect_healing.stages.gather_data import classification_of, data_facts
from prefect_healing.tools.prefect_api import (
    bounded,
    deployment_name_of,
    deployment_of,
    flow_of,
    prefect_client,
    run_of,
    url_of,
)

if TYPE_CHECKING:
    from prefect.client.schemas.filters import LogFilter
    from prefect.client.schemas.objects import FlowRun

_ERROR = 40  # logging.ERROR
_LOG_LINES = 20
_LOG_CHARS = 4_000


class Gathered(Record):
    """The failed run as it is now, and the first evidence: its state and the end of its error log.

    For an alert on data: the run that found the fault, and the fault.
    """

    subject: Subject
    failed: bool
    classification: Classification
    evidence: tuple[Evidence, ...]
    catalog: Catalog = Catalog()


async def gather(alert: Alert, catalog: Catalog, secrets: Collection[str]) -> Gathered:
    """Read the run that the alert names, and what of the catalog bears on it.

    Raises ToolFailed where there is no such run.
    """
    async with prefect_client() as client:
        run = await run_of(client, alert.flow_run_id)
        flow = await flow_of(client, run)
        deployment = await deployment_of(client, run)
        name = await deployment_name_of(client, deployment) if deployment else None
        logs = await client.read_logs(_errors_of(run), limit=_LOG_LINES, offset=0)
    message = redact(bounded(run.state.message if run.state else ""), secrets)
    errors = redact(bounded("\n".join(line.message for line in logs), _LOG_CHARS), secrets)
    state = (run.state.name if run.state else None) or "unknown"
    subject = _subject(run, flow.name, name, state, message)
    if alert.kind != "flow_run":
        return _of_data(alert, subject, catalog, secrets)
    return Gathered(
        subject=subject,
        failed=_failed(run),
        classification=classify(f"{errors}\n{message}"),
        evidence=_evidence(state, message, errors),
        catalog=catalog.around(each.name for each in catalog.loaded_by(name or "", alert.flow_name)),
    )


def _of_data(
    alert: GateAlert | FreshnessAlert, subject: Subject, catalog: Catalog, secrets: Collection[str]
) -> Gathered:
    """Return the fault that the run found; the run itself may be well."""
    around = catalog.around([alert.table])
    message, evidence = data_facts(alert, around, secrets)
    partition = alert.partition if alert.kind == "gate" else None
    return Gathered(
        subject=subject.model_copy(update={"message": message, "table": alert.table, "partition": partition}),
        failed=True,
        classification=classification_of(alert),
        evidence=evidence,
        catalog=around,
    )


def _subject(run: "FlowRun", flow_name: str, deployment_name: str | None, state: str, message: str) -> Subject:
    return Subject(
        flow_run_id=run.id,
        flow_run_name=run.name,
        flow_name=flow_name,
        deployment_id=run.deployment_id,
        deployment_name=deployment_name,
        state_name=state,
        state_id=run.state.id if run.state else None,
        message=message,
        url=url_of("flow-run", run.id),
        failed_at=run.state.timestamp if run.state else None,
    )


def _evidence(state: str, message: str, errors: str) -> tuple[Evidence, ...]:
    found = [Evidence(id="E1", source="state of the failed run", at=now(), text=f"{state}: {message}")]
    if errors:
        found.append(Evidence(id="E2", source="error log of the failed run", at=now(), text=errors))
    return tuple(found)


def _failed(run: "FlowRun") -> bool:
    return run.state is not None and (run.state.is_failed() or run.state.is_crashed())


def _errors_of(run: "FlowRun") -> "LogFilter":
    from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId, LogFilterLevel

    return LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run.id]), level=LogFilterLevel(ge_=_ERROR))
