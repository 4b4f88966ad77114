"""HTTP statuses, as clients print them."""
# ruff: noqa: E501 a row, and above all its pattern, reads best on one line

from prefect_healing.classify.signature import (
    COMES_AND_GOES,
    MAY_RETURN,
    OPEN,
    PASSES,
    STAYS,
    Outlook,
    Signature,
)
from prefect_healing.domain.cause import Cause

_SERVER_CLASS = 5


def _status(
    code: int, phrase: str, cause: Cause, outlook: Outlook, confidence: float, section: str, older: str = ""
) -> Signature:
    phrases = f"{phrase}|{older}" if older else phrase
    said = rf"(?<![\w.:/-]){code}(?:(?i:[ :,'\"()\]-]{{1,4}}(?:{phrases}))|(?: Server| Client) Error|, message=)"
    labelled = r"(?i:status(?:[ _-]?code)?|http(?:/[\d.]+)?|http error|returned error|error code|errorcode|server error|client error)"
    side = "Server" if code // 100 == _SERVER_CLASS else "Client"
    example = f"httpx.HTTPStatusError: {side} error '{code} {phrase}' for url 'https://vendor.example/v1'"
    pattern = rf"{said}|{labelled}[\"'\s:=(\[]{{1,4}}{code}(?![\w.])"
    return Signature(f"http.{code}", cause, outlook, confidence, pattern, str(code), section, example)


ROWS = (
    _status(400, "Bad Request", "code_bug", STAYS, 0.55, "RFC 9110 15.5.1"),
    _status(401, "Unauthorized", "auth", STAYS, 0.95, "RFC 9110 15.5.2"),
    _status(402, "Payment Required", "auth", STAYS, 0.7, "RFC 9110 15.5.3"),
    _status(403, "Forbidden", "auth", STAYS, 0.9, "RFC 9110 15.5.4"),
    _status(404, "Not Found", "missing_upstream_data", OPEN, 0.6, "RFC 9110 15.5.5"),
    _status(405, "Method Not Allowed", "code_bug", STAYS, 0.7, "RFC 9110 15.5.6"),
    _status(406, "Not Acceptable", "code_bug", STAYS, 0.6, "RFC 9110 15.5.7"),
    _status(407, "Proxy Authentication Required", "auth", STAYS, 0.9, "RFC 9110 15.5.8"),
    _status(408, "Request Timeout", "timeout", PASSES, 0.85, "RFC 9110 15.5.9"),
    _status(409, "Conflict", "concurrency_conflict", MAY_RETURN, 0.7, "RFC 9110 15.5.10"),
    _status(410, "Gone", "missing_upstream_data", STAYS, 0.8, "RFC 9110 15.5.11"),
    _status(412, "Precondition Failed", "concurrency_conflict", MAY_RETURN, 0.7, "RFC 9110 15.5.13"),
    _status(
        413, "Content Too Large", "config_error", STAYS, 0.6, "RFC 9110 15.5.14", "(?:Payload|Request Entity) Too Large"
    ),
    _status(414, "URI Too Long", "code_bug", STAYS, 0.7, "RFC 9110 15.5.15"),
    _status(415, "Unsupported Media Type", "code_bug", STAYS, 0.7, "RFC 9110 15.5.16"),
    _status(421, "Misdirected Request", "config_error", OPEN, 0.6, "RFC 9110 15.5.20"),
    _status(422, "Unprocessable Content", "code_bug", STAYS, 0.6, "RFC 9110 15.5.21", "Unprocessable Entity"),
    _status(423, "Locked", "concurrency_conflict", MAY_RETURN, 0.75, "RFC 4918 11.3"),
    _status(425, "Too Early", "concurrency_conflict", PASSES, 0.7, "RFC 8470 5.2"),
    _status(426, "Upgrade Required", "dependency_env", STAYS, 0.7, "RFC 9110 15.5.22"),
    _status(429, "Too Many Requests", "rate_limited", PASSES, 0.95, "RFC 6585 4"),
    _status(431, "Request Header Fields Too Large", "code_bug", STAYS, 0.65, "RFC 6585 5"),
    _status(451, "Unavailable For Legal Reasons", "auth", STAYS, 0.75, "RFC 7725 3"),
    _status(500, "Internal Server Error", "upstream_unavailable", MAY_RETURN, 0.75, "RFC 9110 15.6.1"),
    _status(501, "Not Implemented", "code_bug", STAYS, 0.65, "RFC 9110 15.6.2"),
    _status(502, "Bad Gateway", "upstream_unavailable", PASSES, 0.95, "RFC 9110 15.6.3"),
    _status(503, "Service Unavailable", "upstream_unavailable", PASSES, 0.95, "RFC 9110 15.6.4", "Service Temporarily"),
    _status(504, "Gateway Timeout", "upstream_unavailable", PASSES, 0.92, "RFC 9110 15.6.5", "Gateway Time-out"),
    _status(507, "Insufficient Storage", "resource_exhausted", MAY_RETURN, 0.8, "RFC 4918 11.5"),
    _status(511, "Network Authentication Required", "auth", STAYS, 0.88, "RFC 6585 6"),
    _status(520, "Web Server Returned an Unknown Error", "upstream_unavailable", COMES_AND_GOES, 0.8, "Cloudflare 5xx"),
    _status(521, "Web Server Is Down", "upstream_unavailable", PASSES, 0.85, "Cloudflare 5xx"),
    _status(522, "Connection Timed Out", "upstream_unavailable", PASSES, 0.85, "Cloudflare 5xx"),
    _status(523, "Origin Is Unreachable", "upstream_unavailable", PASSES, 0.85, "Cloudflare 5xx"),
    _status(524, "A Timeout Occurred", "upstream_unavailable", PASSES, 0.85, "Cloudflare 5xx"),
    _status(529, "Overloaded", "upstream_unavailable", PASSES, 0.85, "widespread use: site is overloaded"),
    Signature(
        "http.rate_limit",
        "rate_limited",
        PASSES,
        0.85,
        r"(?i)\btoo many requests\b|\brate.?limit(?:ed)?(?: was| is| has been)? ?(?:exceeded|reached|hit|error)|\bretry-after: ?\d",
        "requests rate ratelimit ratelimiterror limit retry",
        "RFC 6585 4; RFC 9110 10.2.3 Retry-After",
        "VendorError: rate limit exceeded, Retry-After: 30",
    ),
    Signature(
        "http.quota_used_up",
        "rate_limited",
        STAYS,
        0.97,
        r"(?i)insufficient_quota|exceeded your current quota|check your plan and billing|credit balance is too low",
        "insufficient_quota quota billing credit",
        "error bodies of metered APIs: the plan's limit, not the moment's",
        "openai.RateLimitError: Error code: 429 - {'error': {'code': 'insufficient_quota'}}",
    ),
    Signature(
        "http.credentials",
        "auth",
        STAYS,
        0.85,
        r"(?i)\b(?:invalid|expired|revoked|missing|incorrect|bad)[ _](?:api[ _-]?key|x-api-key|(?:access |bearer |auth |refresh )?token|credentials?|client[ _]secret|signature)\b"
        r"|\binvalid_grant\b|\binvalid_client\b|\b(?:token|api key|credentials?) (?:has |have |is |are |was )?(?:expired|revoked|invalid)\b|\bauthentication (?:failed|required|error)\b",
        "invalid expired revoked missing incorrect bad invalid_grant invalid_client authentication",
        "RFC 6749 5.2; RFC 6750 3.1",
        "oauthlib.oauth2.rfc6749.errors.InvalidGrantError: (invalid_grant) Token has been expired or revoked.",
    ),
    Signature(
        "http.service_unavailable",
        "upstream_unavailable",
        PASSES,
        0.8,
        r"(?i)\b(?:service (?:is )?(?:temporarily )?unavailable|bad gateway|gateway time-?out|temporarily unavailable for maintenance|under maintenance)\b",
        "unavailable gateway maintenance",
        "RFC 9110 15.6.3 to 15.6.5, reason phrases",
        "VendorError: the service is temporarily unavailable",
    ),
)
