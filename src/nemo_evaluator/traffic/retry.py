"""What to do about a failed try: pure decisions, no I/O.

401, 403, 404 and used-up quotas are permanent; 408, 409, 425, 429, 5xx and broken connections are
tried again; every other 4xx is the model's answer, classified by what its message says.
"""

from __future__ import annotations

import datetime
import email.utils
import enum
import random
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ..types import Failure

BASE_SECONDS = 0.5
MAX_SECONDS = 60.0
MAX_RETRY_AFTER = 600.0
"""An endpoint that asks for a longer wait has effectively refused."""
MESSAGE_CHARS = 300

CONTEXT = re.compile(
    r"context[ _](window|length)|maximum context|too many (input )?tokens|max_model_len"
    r"|prompt is too long|reduce the length",
    re.IGNORECASE,
)
FILTER = re.compile(r"content[ _-]?(filter|policy)|guardrail|safety system", re.IGNORECASE)
QUOTA = re.compile(r"insufficient_quota|quota|billing|credit balance|payment", re.IGNORECASE)
RATE = re.compile(r"per (minute|second|hour|day)|rate.?limit|rpm|tpm", re.IGNORECASE)


class Action(enum.Enum):
    """What to do next."""

    ACCEPT = enum.auto()
    RETRY = enum.auto()
    MODEL = enum.auto()
    PERMANENT = enum.auto()


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision about one response."""

    action: Action
    kind: Failure = Failure.BUG
    message: str = ""


ACCEPTED = Verdict(Action.ACCEPT)


def classify(status: int, body: Any, retry_on: Collection[int]) -> Verdict:
    """The decision about a status and a parsed body."""
    if 200 <= status < 300:
        return ACCEPTED
    message = error_message(body)[:MESSAGE_CHARS]
    if status == 402 or (status == 429 and is_quota(body)):
        return Verdict(Action.PERMANENT, Failure.QUOTA, f"quota exhausted: {message}")
    if status in (401, 403):
        return Verdict(Action.PERMANENT, Failure.AUTH, f"HTTP {status}: {message}")
    if status == 404:
        return Verdict(Action.PERMANENT, Failure.NOT_FOUND, f"HTTP 404: {message}")
    if status in retry_on:
        return Verdict(Action.RETRY, _transient_kind(status), f"HTTP {status}: {message}")
    if status >= 500:
        return Verdict(Action.RETRY, Failure.SERVER_ERROR, f"HTTP {status}: {message}")
    return Verdict(Action.MODEL, _model_kind(message), f"HTTP {status}: {message}")


def is_quota(body: Any) -> bool:
    """Whether a 429 says that waiting will not help: a quota, not a rate."""
    error = body.get("error") if isinstance(body, dict) else None
    code = str(error.get("code") or error.get("type") or "") if isinstance(error, dict) else ""
    if "insufficient_quota" in code:
        return True
    message = error_message(body)
    return bool(QUOTA.search(message)) and not RATE.search(f"{message} {code}")


def error_message(body: Any) -> str:
    """The text of an error body in any of the common shapes."""
    if isinstance(body, dict):
        error = body.get("error", body.get("detail", body.get("message")))
        if isinstance(error, dict):
            error = error.get("message") or error
        return " ".join(str(error if error is not None else body).split())
    return " ".join(str(body).split())


def retry_after(headers: Mapping[str, str], now: datetime.datetime | None = None) -> float | None:
    """Seconds from ``retry-after-ms`` or ``Retry-After`` (seconds or an HTTP date); else None."""
    lowered = {name.lower(): value.strip() for name, value in headers.items()}
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            return max(0.0, float(lowered[name]) / unit)
        except (KeyError, ValueError):
            continue
    if text := lowered.get("retry-after"):
        try:
            date = email.utils.parsedate_to_datetime(text)
        except (TypeError, ValueError, IndexError, OverflowError):
            return None
        if date.tzinfo is None:
            date = date.replace(tzinfo=datetime.UTC)
        return max(0.0, (date - (now or datetime.datetime.now(datetime.UTC))).total_seconds())
    return None


def backoff(tries: int, rng: random.Random | None = None) -> float:
    """Seconds before the next try: doubling from half a second to a minute, times 0.5 to 1.5."""
    factor = (rng or random).uniform(0.5, 1.5)
    return min(MAX_SECONDS, BASE_SECONDS * 2.0 ** min(tries - 1, 20)) * factor


def _transient_kind(status: int) -> Failure:
    if status == 429:
        return Failure.RATE_LIMIT
    return Failure.TIMEOUT if status == 408 else Failure.SERVER_ERROR


def _model_kind(message: str) -> Failure:
    if CONTEXT.search(message):
        return Failure.CONTEXT_WINDOW
    return Failure.CONTENT_FILTER if FILTER.search(message) else Failure.BAD_REQUEST
