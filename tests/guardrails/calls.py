"""Incidents and calls for tests of policies."""

from datetime import UTC, datetime
from uuid import UUID

from prefect_healing.domain.alert import FlowRunAlert
from prefect_healing.domain.call import Call
from prefect_healing.domain.classification import Classification
from prefect_healing.domain.incident import Incident, Subject
from prefect_healing.domain.mandate import Decision, Verdict
from prefect_healing.domain.options import HealingOptions
from prefect_healing.domain.plan import Scope
from prefect_healing.guardrails.policy import Policy

RUN = UUID(int=1)
OTHER_RUN = UUID(int=2)
DEPLOYMENT = UUID(int=3)
NOW = datetime(2013, 1, 2, 12, 0, tzinfo=UTC)  # A Wednesday.


def incident(**changes: object) -> Incident:
    subject = Subject(
        flow_run_id=RUN,
        flow_run_name="wise-owl",
        flow_name="nightly-flights",
        deployment_id=DEPLOYMENT,
        deployment_name="nightly-flights/prod",
        state_name="Failed",
    )
    whole = Incident(
        id="7F3KQ2XA",
        alert=FlowRunAlert(flow_run_id=RUN, flow_name="nightly-flights", fingerprint="f", deployment_id=DEPLOYMENT),
        options=HealingOptions(),
        subject=subject,
        classification=Classification(
            cause="rate_limited", transience="transient", confidence=0.9, decisive_line="429", rerun_helps=True
        ),
        evidence=(),
        mode="heal",
        policy_name="default",
        policy_version="0",
        opened_at=NOW,
        deadline_at=NOW,
    )
    return whole.model_copy(update=changes)


def read_logs() -> Call:
    return Call(tool="read_flow_run_logs", effect="read", arguments={"flow_run_id": str(OTHER_RUN)})


def notify() -> Call:
    return Call(tool="post_note", effect="notify", arguments={"text": "looking"})


def drop_table() -> Call:
    return Call(tool="drop_table", effect="destroy", arguments={"table": "flights"}, scope=Scope(summary="all"))


def retry(run: UUID = RUN, **scope: object) -> Call:
    return write("retry_flow_run", {"flow_run_id": str(run)}, flow_runs=(str(run),), **scope)


def pause(deployment: str = "nightly-flights/prod") -> Call:
    return write("pause_deployment", {"deployment": deployment}, deployments=(deployment,))


def resume(deployment: str = "nightly-flights/prod") -> Call:
    return write("resume_deployment", {"deployment": deployment}, deployments=(deployment,))


def run_deployment(deployment: str = "nightly-flights/prod") -> Call:
    return write("run_deployment", {"deployment": deployment, "parameters": {}}, deployments=(deployment,))


def write(tool: str, arguments: dict[str, object] | None = None, **scope: object) -> Call:
    return Call.model_validate(
        {"tool": tool, "effect": "write", "arguments": arguments or {}, "scope": {"summary": "", **scope}}
    )


def decide(
    policy: Policy, call: Call, taken: tuple[Call, ...] = (), now: datetime = NOW, **changes: object
) -> Decision:
    return policy.decide(call, incident(**changes), taken, now)


def verdict(policy: Policy, call: Call, *taken: Call, now: datetime = NOW, **changes: object) -> Verdict:
    return decide(policy, call, taken, now, **changes).verdict


def rule(policy: Policy, call: Call, *taken: Call, **changes: object) -> str:
    return decide(policy, call, taken, **changes).rule
