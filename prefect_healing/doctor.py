"""Look whether everything is there that healing needs."""

from collections.abc import Awaitable, Callable
from typing import Literal
from uuid import uuid4

from prefect_healing.domain.record import Record
from prefect_healing.errors import ConfigurationError, HealingError
from prefect_healing.settings import settings


class Finding(Record):
    """One check: `ok`, `note` (works, but know this), or `failed` with what to do about it."""

    check: str
    status: Literal["ok", "note", "failed"]
    detail: str
    remedy: str = ""


class Probe(Record):
    """What doctor writes into the result storage and reads again."""

    value: str


_REMEDIES = {
    "Prefect API": "Start it with `prefect server start`, or correct PREFECT_API_URL.",
    "result storage": "Make it writable: PREFECT_LOCAL_STORAGE_PATH, or PREFECT_DEFAULT_RESULT_STORAGE_BLOCK.",
    "policy": "Correct the file; until then incidents are opened, and not healed.",
    "tools": "Correct PREFECT_HEALING_TOOLS.",
    "model": "Correct PREFECT_HEALING_MODEL, the key or the address.",
    "heal deployment": "Repair the Prefect API first.",
    "hooks": "Repair the Prefect API first.",
}


async def examine() -> list[Finding]:
    """Return one finding for each part that healing needs, whatever state the others are in."""
    try:
        settings()
    except ConfigurationError as error:
        remedy = "Every other check needs them."
        return [Finding(check="settings", status="failed", detail=str(error), remedy=remedy)]
    return [
        await _examined("Prefect API", _prefect),
        await _examined("result storage", _storage),
        await _examined("policy", _policy),
        await _examined("tools", _tools),
        await _examined("model", _model),
        await _examined("heal deployment", _deployment),
        await _examined("hooks", _hooks),
    ]


async def _examined(check: str, look: Callable[[], Awaitable[Finding]]) -> Finding:
    try:
        return await look()
    except HealingError as error:
        return Finding(check=check, status="failed", detail=str(error), remedy=_REMEDIES.get(check, ""))
    except Exception as error:  # noqa: BLE001 - one part that is broken must not hide the others
        detail = f"{type(error).__name__}: {error}"
        return Finding(check=check, status="failed", detail=detail, remedy=_REMEDIES.get(check, ""))


async def _prefect() -> Finding:
    from prefect.settings import get_current_settings

    from prefect_healing.tools.prefect_api import prefect_client

    url = get_current_settings().api.url
    async with prefect_client() as client:
        failure = await client.api_healthcheck()
    where = url or "a temporary server in this process"
    if failure is not None:
        return Finding(
            check="Prefect API", status="failed", detail=f"{where}: {failure}", remedy=_REMEDIES["Prefect API"]
        )
    if url is None:
        remedy = "Set PREFECT_API_URL, so that incidents outlive the process."
        return Finding(check="Prefect API", status="note", detail=where, remedy=remedy)
    return Finding(check="Prefect API", status="ok", detail=where)


async def _storage() -> Finding:
    from prefect_healing.journal import open_journal

    journal, probe = await open_journal("doctor"), Probe(value=uuid4().hex)
    await journal.write("probe", probe)
    read = await journal.read("probe", Probe)
    if read != probe:
        remedy = "Use a storage that returns what was last written."
        return Finding(check="result storage", status="failed", detail="It returned something else.", remedy=remedy)
    return Finding(check="result storage", status="ok", detail="written and read again")


async def _policy() -> Finding:
    from prefect_healing.guardrails.find_policy import TEAM_FILE, find_policy
    from prefect_healing.guardrails.policy import effective_mode
    from prefect_healing.tools.toolset import known_tools

    name = settings().policy
    policy = find_policy(name, known_tools(settings()))
    which = name or (str(TEAM_FILE) if TEAM_FILE.is_file() else "built-in")
    mode = effective_mode(policy, None, settings().mode)
    return Finding(
        check="policy",
        status="ok",
        detail=f"{which}: {len(policy.rules)} rules, mode {mode}, version {policy.version[:8]}",
    )


async def _tools() -> Finding:
    from prefect_healing.tools.toolset import default_toolset

    return Finding(check="tools", status="ok", detail=", ".join(default_toolset(settings()).names))


async def _model() -> Finding:
    from prefect_healing.errors import ModelError
    from prefect_healing.models.choose import choose_model
    from prefect_healing.models.model import Request

    model = choose_model(settings())
    if model.id.startswith("rules"):
        remedy = "Set ANTHROPIC_API_KEY to let Claude investigate."
        return Finding(check="model", status="note", detail="rules: no key is set, none is needed", remedy=remedy)
    request = Request(
        system="Answer with the word ok.",
        tools=(),
        messages=({"role": "user", "content": [{"type": "text", "text": "Are you there?"}]},),
        max_tokens=64,
    )
    try:
        reply = await model.reply(request)
    except (ModelError, ConfigurationError) as error:
        remedy = "Correct the key or the address; until then the rules investigate."
        return Finding(check="model", status="failed", detail=f"{model.id}: {error}", remedy=remedy)
    return Finding(check="model", status="ok", detail=f"{reply.model} answered for ${reply.usage.cost_usd:.4f}")


async def _deployment() -> Finding:
    from prefect.exceptions import ObjectNotFound

    from prefect_healing.tools.prefect_api import prefect_client

    name = settings().heal_deployment
    async with prefect_client() as client:
        try:
            deployment = await client.read_deployment_by_name(name)
        except ObjectNotFound:
            remedy = "Deploy it (`prefect deploy`), so that healing outlives the failing process."
            detail = f"There is no {name}; healing runs inline, in the failing process."
            return Finding(check="heal deployment", status="note", detail=detail, remedy=remedy)
    if getattr(deployment.status, "value", deployment.status) != "READY":
        remedy = f"Start a worker for {deployment.work_pool_name or 'it'}, or serve it."
        return Finding(check="heal deployment", status="failed", detail=f"Nobody polls {name}.", remedy=remedy)
    return Finding(check="heal deployment", status="ok", detail=f"{name} is polled")


async def _hooks() -> Finding:
    """Look for incidents: one shows that a hook came through; without one nothing is known."""
    from prefect_healing.api import incidents

    found = await incidents()
    if not found:
        remedy = "Put @self_healing above @flow; the first failure shows here."
        return Finding(check="hooks", status="note", detail="No hook has raised an incident yet.", remedy=remedy)
    dead = [line.incident_id for line in found if line.status == "dead"]
    if dead:
        remedy = f"Go on with: prefect-healing heal {dead[0]}"
        return Finding(check="hooks", status="failed", detail=f"Cut off: {', '.join(dead)}", remedy=remedy)
    return Finding(check="hooks", status="ok", detail=f"{len(found)} incidents, newest {found[0].incident_id}")
