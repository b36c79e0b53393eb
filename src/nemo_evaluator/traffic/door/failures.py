"""How a failed call is reported to a client: status, body and headers, so that its SDK does the
right thing: retries transient failures, and no others."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ...errors import BudgetExceeded, ModelError, NelError, PermanentError
from ...types import Failure
from ..retry import error_message
from ..types import ModelResponse

NO_RETRY = {"x-should-retry": "false"}
"""Honoured by the SDKs of OpenAI and Anthropic."""
STATUS = {
    Failure.TIMEOUT: 504,
    Failure.CONNECTION: 502,
    Failure.INVALID_RESPONSE: 502,
    Failure.SERVER_ERROR: 502,
    Failure.RATE_LIMIT: 429,
    Failure.QUOTA: 429,
    Failure.AUTH: 401,
    Failure.NOT_FOUND: 404,
    Failure.BAD_REQUEST: 400,
    Failure.CONTEXT_WINDOW: 400,
    Failure.CONTENT_FILTER: 400,
}
TYPES = {400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error"}
TYPES |= {413: "request_too_large", 429: "rate_limit_error", 502: "upstream_error", 504: "timeout"}
RELAYED = ("retry-after", "retry-after-ms", "x-request-id", "request-id")


@dataclass(frozen=True, slots=True)
class Told:
    """An answer that is an error."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def message(self) -> str:
        """What went wrong."""
        return error_message(self.body)


def told(error: NelError) -> Told:
    """An upstream's own error is passed on with its status and body; ours are put in its form."""
    if isinstance(error, BudgetExceeded):
        body = error_body(429, str(error), "session_budget_exhausted", "invalid_request_error")
        return Told(429, body, dict(NO_RETRY))
    upstream = getattr(error, "upstream", None)
    permanent = dict(NO_RETRY) if isinstance(error, PermanentError | ModelError) else {}
    if isinstance(upstream, ModelResponse) and 400 <= upstream.status <= 599:
        kept = {name: value for name, value in upstream.headers.items() if name.lower() in RELAYED}
        return Told(upstream.status, upstream.body, kept | permanent)
    info = getattr(error, "info", None)
    status = STATUS.get(info.kind, 500) if info else 500
    return Told(
        status, error_body(status, str(error), info.kind.value if info else None), permanent
    )


def error_body(
    status: int, message: str, code: str | None = None, kind: str | None = None
) -> dict[str, Any]:
    """An error in OpenAI's form."""
    kind = kind or TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}
