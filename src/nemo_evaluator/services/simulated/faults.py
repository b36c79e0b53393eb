"""The error responses of the simulated model."""

from __future__ import annotations

from ...config.services import FaultsConfig
from .model import Fault, Turn

NOT_JSON = b"<html><body>502 Bad Gateway</body></html>"


def error_response(
    turn: Turn, faults: FaultsConfig
) -> tuple[int, dict[str, object], dict[str, str]]:
    """Status, body and headers of a 429, a 500 or a 503."""
    if turn.fault is Fault.RATE_LIMIT:
        message = "rate limit reached: too many requests per minute (simulated)"
        return 429, error_body(message), {"retry-after": f"{faults.retry_after_s:g}"}
    status = 503 if turn.variant else 500
    return status, error_body("the server failed (simulated)"), {}


def error_body(message: str) -> dict[str, object]:
    """An error in OpenAI's form."""
    return {"error": {"message": message, "type": "simulated", "param": None, "code": None}}
