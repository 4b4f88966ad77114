"""Confirmation tokens: only what was previewed, as it was previewed, can be carried out."""

import hashlib
import hmac
import secrets

from prefect_healing.domain.plan import Scope
from prefect_healing.domain.record import JsonObject, canonical
from prefect_healing.errors import ConfigurationError

_KEY_BYTES_MIN = 16
_TOKEN_DIGITS = 32


def new_token_key() -> bytes:
    """Return a new random key, 32 bytes, to be kept with the incident."""
    return secrets.token_bytes(32)


def confirmation_token(
    key: bytes,
    *,
    incident_id: str,
    round: int,  # noqa: A002  The domain's word.
    tool: str,
    arguments: JsonObject,
    scope: Scope,
    policy_version: str,
) -> str:
    """Return the token of one previewed call, 32 hexadecimal digits.

    Pass canonical arguments (`Tool.canonical_arguments`), else `{"n": 1}` and `{"n": 1.0}` are different calls.
    """
    if len(key) < _KEY_BYTES_MIN:
        raise ConfigurationError(f"The key for confirmation tokens has {len(key)} bytes; use new_token_key().")
    text = canonical(["confirmation", incident_id, round, tool, arguments, scope, policy_version])
    mac = hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256)
    return mac.hexdigest()[:_TOKEN_DIGITS]


def is_genuine(
    token: str,
    key: bytes,
    *,
    incident_id: str,
    round: int,  # noqa: A002  The domain's word.
    tool: str,
    arguments: JsonObject,
    scope: Scope,
    policy_version: str,
) -> bool:
    """Say whether `token` was given for exactly this call, in time that does not depend on the token."""
    expected = confirmation_token(
        key,
        incident_id=incident_id,
        round=round,
        tool=tool,
        arguments=arguments,
        scope=scope,
        policy_version=policy_version,
    )
    return hmac.compare_digest(expected.encode(), token.encode("utf-8", "surrogatepass"))
