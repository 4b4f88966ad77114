"""The one way in which a rule says no."""

_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class Rejected(Exception):
    """The request breaks a rule; `status` and `kind` are those of the real service."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind_of(status)


def kind_of(status: int) -> str:
    """Return the error type that goes with a status."""
    return _KINDS.get(status, "api_error" if status >= 500 else "invalid_request_error")
