"""What a failure of the Messages API means here: try again, give up, or put the configuration right."""

import re
import time
from collections.abc import Iterable, Mapping
from email.utils import mktime_tz, parsedate_tz
from typing import TYPE_CHECKING, Final

from prefect_healing.errors import ConfigurationError, ModelMisbehaved, ModelUnavailable

if TYPE_CHECKING:
    from anthropic import APIStatusError

_WORTH_RETRYING: Final = (408, 409, 429)
_SERVER_ERROR: Final = 500
_DETAIL_CHARS: Final = 200

_REMEDIES: Final = {
    401: "Check ANTHROPIC_API_KEY: it is missing, mistyped, expired or revoked.",
    403: "Check in the Claude Console that the key of ANTHROPIC_API_KEY may use this model.",
    404: "Check the model's id (PREFECT_HEALING_TRIAGE_MODEL) and, where it is set, ANTHROPIC_BASE_URL.",
}
_SPENT: Final = "Raise the limit in the Claude Console, or wait until it is reset."


def translated(error: Exception, model_id: str, secrets: Iterable[str | None]) -> Exception:
    """Return the error to raise for one that a call through the SDK raised; a foreign error is returned as it is.

    The text that the service sent is quoted, shortened, and without any of `secrets`.
    """
    import anthropic

    if isinstance(error, anthropic.APIStatusError):
        return _of_status(error, model_id, list(secrets))
    if isinstance(error, anthropic.APIConnectionError):
        return _of_connection(error, model_id, list(secrets))
    if isinstance(error, anthropic.CredentialsError) or "authentication method" in str(error):
        return ConfigurationError(f"There is no key to call {model_id} with. Set ANTHROPIC_API_KEY.")
    if isinstance(error, UnicodeEncodeError):  # The body was made encodable before; only a header is left.
        return ConfigurationError(
            f"The key for {model_id} holds characters that no key has. Check ANTHROPIC_API_KEY and "
            "ANTHROPIC_CUSTOM_HEADERS."
        )
    if isinstance(error, ValueError):
        return ModelMisbehaved(
            f"The request to {model_id} cannot be put into JSON: {_quoted(str(error), [])}. "
            "Look for a value in it that is no JSON."
        )
    return error


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Return how long a service asks to wait, None where it does not say; never negative."""
    for header, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[header]) * unit)
        except (KeyError, ValueError):
            continue
    date = parsedate_tz(headers.get("retry-after", ""))
    return None if date is None else max(0.0, mktime_tz(date) - time.time())


def _of_status(error: "APIStatusError", model_id: str, secrets: list[str | None]) -> Exception:
    said = _quoted(error.api_message or error.response.text, secrets)
    kind = f" {error.type}" if error.type else ""
    what = f"{model_id} answered {error.status_code}{kind} (request {error.request_id or 'without an id'}): {said}."
    if _is_spent(error):
        return ModelMisbehaved(f"{what} {_SPENT}")
    if _is_worth_retrying(error):
        wait = retry_after_seconds(error.response.headers)
        return ModelUnavailable(f"{what} Trying again may help.", wait, may_have_cost=False)
    if (remedy := _REMEDIES.get(error.status_code)) is not None:
        return ConfigurationError(f"{what} {remedy}")
    return ModelMisbehaved(f"{what} The same request will not fare better.")


def _is_worth_retrying(error: "APIStatusError") -> bool:
    retryable = error.status_code in _WORTH_RETRYING or error.status_code >= _SERVER_ERROR
    return retryable and error.response.headers.get("x-should-retry") != "false"


def _is_spent(error: "APIStatusError") -> bool:
    # Not ramp_limit_exceeded: that one bounds how fast usage grows, and passes after its retry-after.
    return error.status_code == 402 or "spend_limit" in (error.error_code or "")  # noqa: PLR2004 - Payment Required


def _of_connection(error: Exception, model_id: str, secrets: list[str | None]) -> Exception:
    import httpx2

    cause = error.__cause__
    if isinstance(cause, (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError)):
        return ConfigurationError(
            f"No request for {model_id} can be sent: {type(cause).__name__}. Check that ANTHROPIC_BASE_URL is a URL "
            "and that ANTHROPIC_API_KEY holds no line break."
        )
    why = _quoted(f"{type(cause or error).__name__} {cause or error}", secrets)
    return ModelUnavailable(f"{model_id} cannot be reached: {why}. Trying again may help; else check the network.")


def _quoted(text: str, secrets: list[str | None]) -> str:
    for secret in secrets:
        if secret and secret.strip():
            text = text.replace(secret.strip(), "(key)")
    text = re.sub(r"\s+", " ", text).strip().rstrip(".")
    return text if len(text) <= _DETAIL_CHARS else text[:_DETAIL_CHARS] + "..."
