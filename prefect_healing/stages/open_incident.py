"""Opening an incident, and coming back to it."""

import secrets
from dataclasses import replace
from datetime import timedelta

from prefect_healing.catalog import catalog_of
from prefect_healing.clock import now
from prefect_healing.domain.alert import Alert, incident_id
from prefect_healing.domain.incident import Attempt, Incident
from prefect_healing.domain.options import HealingOptions
from prefect_healing.domain.record import Record
from prefect_healing.errors import HealingError
from prefect_healing.guardrails.find_policy import find_policy
from prefect_healing.guardrails.policy import Policy, effective_mode
from prefect_healing.guardrails.secrets import collect_secrets
from prefect_healing.guardrails.yaml_policy import load_policy, policy_to_yaml
from prefect_healing.journal import Journal, open_journal
from prefect_healing.settings import settings
from prefect_healing.stages.gather import gather
from prefect_healing.tools.toolset import default_toolset, known_tools
from prefect_healing.workbench import Workbench


class PolicyText(Record):
    """The policy that an incident began with, word for word."""

    yaml: str


class TokenKey(Record):
    """What confirmation tokens of an incident are made with; never leaves the journal."""

    hexadecimal: str


async def open_incident(alert: Alert, options: HealingOptions) -> Incident:
    """Return the incident, as it was first opened: its evidence, mode and policy are read once and kept."""
    journal = await open_journal(incident_id(alert))

    async def chosen() -> PolicyText:
        tools = known_tools(settings())
        return PolicyText(yaml=policy_to_yaml(find_policy(options.policy or settings().policy, tools)))

    policy = load_policy((await journal.once("policy", PolicyText, chosen)).yaml)
    await journal.keep("token-key", TokenKey(hexadecimal=secrets.token_hex(32)))
    return await journal.once("incident", Incident, lambda: _opened(journal, alert, options, policy))


async def open_workbench(identity: str, round_number: int = 1) -> Workbench:
    """Return the workbench of an incident that was opened before, as the given round (from 1) sees it.

    Raises HealingError where there is no such incident in the result storage.
    """
    journal = await open_journal(identity)
    incident = await journal.read("incident", Incident)
    policy = await journal.read("policy", PolicyText)
    key = await journal.read("token-key", TokenKey)
    if incident is None or policy is None or key is None:
        raise HealingError(f"There is no incident {identity} in this result storage; see `prefect-healing incidents`.")
    bench = Workbench(
        incident=incident,
        journal=journal,
        settings=settings(),
        policy=load_policy(policy.yaml),
        toolset=default_toolset(settings()),
        token_key=bytes.fromhex(key.hexadecimal),
        secrets=await collect_secrets(),
    )
    for number in range(1, round_number):
        bench = await next_round(bench, number)
    return bench


async def next_round(bench: Workbench, number: int) -> Workbench:
    """Return the workbench as the round after `number` sees it."""
    attempt = await bench.journal.read(f"round-{number}/attempt", Attempt)
    return bench if attempt is None else replace(bench, incident=bench.incident.after(attempt))


async def _opened(journal: Journal, alert: Alert, options: HealingOptions, policy: Policy) -> Incident:
    gathered = await gather(alert, catalog_of(settings()), await collect_secrets())
    opened_at = now()
    return Incident(
        id=journal.incident_id,
        alert=alert,
        options=options,
        subject=gathered.subject,
        classification=gathered.classification,
        evidence=gathered.evidence,
        catalog=gathered.catalog,
        still_failed=gathered.failed,
        mode=effective_mode(policy, options.mode, settings().mode),
        policy_name=policy.name,
        policy_version=policy.version,
        opened_at=opened_at,
        deadline_at=opened_at + timedelta(minutes=settings().deadline_minutes),
    )
