"""What this process and its Prefect server hold secret is known by value."""

import pytest

from prefect_healing.guardrails.redaction import redact
from prefect_healing.guardrails.secrets import collect_secrets, environment_secrets

VALUE = "Correct-Horse" + "-42"


def test_variables_with_secret_names_are_collected():
    """Names tell: values of passwords and keys are taken, others are not."""
    environment = {"DB_PASSWORD": VALUE, "HOME": "/home/etl", "REGION": "eu-west-1", "API_KEY_FILE": "/run/key"}

    assert environment_secrets(environment) == {VALUE}


def test_passwords_in_urls_are_collected():
    """A connection string is secret in one place only."""
    assert environment_secrets({"DATABASE": f"postgresql://etl:{VALUE}@db/x"}) == {VALUE}


async def test_an_unreachable_server_costs_only_its_blocks(monkeypatch: pytest.MonkeyPatch):
    """Without Prefect the environment's secrets are known still."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        assert await collect_secrets({"DB_PASSWORD": VALUE}, timeout_seconds=1) == {VALUE}


async def test_the_values_of_prefect_blocks_are_collected(prefect_server: str):
    """Secret blocks, and secret fields within other blocks, are redacted by value wherever they turn up."""
    from prefect.blocks.system import Secret
    from prefect.blocks.webhook import Webhook

    await Secret(value={"user": "etl-user", "nested": VALUE}).save("vendor", overwrite=True)
    await Webhook(method="POST", url="https://x.acme.io/" + VALUE).save("hook", overwrite=True)

    secrets = await collect_secrets({})

    assert {VALUE, "https://x.acme.io/" + VALUE} <= secrets
    assert VALUE not in redact(f"vendor said {VALUE} is wrong", secrets)
