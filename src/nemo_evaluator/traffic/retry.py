"""What to do about a failed try: pure decisions, no I/O.

A refusal is the model's only if the API itself says why: 400, 413, 422 or 451 (403 where a content
filter speaks) with a JSON error body, classified by what its message says. 401, 403, 404, 405,
redirects and used-up quotas are permanent. Everything else (the other 4xx, 5xx, an error page of
whatever stands between, a broken connection) is the endpoint's failure and is tried again; which
statuses is configurable, the others fail at once, but never as a model's answer.
"""

from __future__ import annotations

import datetime
import email.utils
import enum
import math
import random
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ..types import Failure
from .dialects.contract import as_dict, dicts, error_of_choice, has_failed
from .errors import NOT_JSON

BASE_SECONDS = 0.5
MAX_SECONDS = 60.0
MAX_RETRY_AFTER = 600.0
"""An endpoint that asks for a longer wait has effectively refused."""
MODELS = frozenset((400, 413, 422, 451))
"""Statuses by which an API refuses what it was asked."""
WORDS = ("error", "errors", "detail", "details", "message", "msg", "title")
"""Fields in which an API says what is wrong."""
TIMEOUTS = frozenset((408, 504))
NAMED = frozenset((408, 409, 429, 500, 502, 503, 504))
READ_CHARS = 4000
"""How much of an error text is looked at."""

CONTEXT = re.compile(
    r"context[ _-]?(window|length|size)|maximum (context|model) length|too many (input )?tokens"
    r"|max_model_len|(prompt|input) is too long|(prompt|input) (is )?longer than"
    r"|reduce the length|exceeds? the (maximum|available) (number of )?(input )?(tokens|context)",
    re.IGNORECASE,
)
FILTER = re.compile(
    r"content[ _-]?(filter|policy|management)|guardrail|safety system|responsible ai"
    r"|moderation|\bflagged\b",
    re.IGNORECASE,
)
QUOTA = re.compile(
    r"insufficient_quota|quota|billing|credit balance|insufficient (credits|funds|balance)"
    r"|payment|per day\b|daily|\brpd\b",
    re.IGNORECASE,
)
RATE = re.compile(r"per[ _]?(minute|second|hour)|rate.?limit|\b[rt]p[ms]\b", re.IGNORECASE)
BAD_KEY = re.compile(
    r"\bapi[ _]?key\b.{0,20}\b(not valid|invalid|expired|not found|revoked)\b|api_key_invalid"
    r"|invalid_api_key|(invalid|incorrect|expired) api[ _]key\b",
    re.IGNORECASE,
)
USED_UP = re.compile(r"insufficient_quota|billing_not_active|credit balance", re.IGNORECASE)


class Action(enum.Enum):
    """What to do next."""

    ACCEPT = enum.auto()
    RETRY = enum.auto()
    FAIL = enum.auto()
    """Infrastructure failed, and the user does not want another try."""
    MODEL = enum.auto()
    PERMANENT = enum.auto()


@dataclass(frozen=True, slots=True)
class TryOutcome:
    """A decision about one try."""

    action: Action
    kind: Failure = Failure.BUG
    message: str = ""
    status: int | None = None
    wait: float | None = None
    """Seconds the endpoint asked to wait for."""
    unreachable: bool = False
    """No connection could be made."""


ACCEPTED = TryOutcome(Action.ACCEPT)


def classify(
    status: int, body: Any, headers: Mapping[str, str], retry_on: Collection[int]
) -> TryOutcome:
    """The decision about a status, a parsed body and the headers."""
    if 200 <= status < 300:
        return ACCEPTED
    message = error_message(body)
    text = f"HTTP {status}: {message}"
    if status < 400:
        where = _lowered(headers).get("location", "elsewhere").split("?")[0]
        text = f"HTTP {status}: redirected to {where}; set the service's url to that"
        return TryOutcome(Action.PERMANENT, Failure.NOT_FOUND, text, status)
    if status in (401, 403):
        if status == 403 and FILTER.search(message):
            return TryOutcome(Action.MODEL, Failure.CONTENT_FILTER, text, status)
        return TryOutcome(Action.PERMANENT, Failure.AUTH, text, status)
    if status in (404, 405):
        return TryOutcome(Action.PERMANENT, Failure.NOT_FOUND, text, status)
    wait = retry_after(headers)
    if status == 402 or (status == 429 and is_used_up(body, wait)):
        return TryOutcome(Action.PERMANENT, Failure.QUOTA, f"quota used up: {text}", status)
    if status in MODELS and status not in retry_on and says_why(body):
        return _refusal(status, body, text)
    if status in MODELS and not says_why(body):
        text = f"HTTP {status} without a JSON error, so not from the model: {message}"
    if status == 407:
        text += "; the HTTP proxy requires a user name and a password in its URL"
    action = Action.RETRY if _wanted(status, retry_on) else Action.FAIL
    return TryOutcome(action, _transient_kind(status), text, status, wait)


def says_why(body: object) -> bool:
    """Whether a body is an error as an API writes it, not an error page or nothing at all."""
    if not isinstance(body, dict) or as_dict(body.get("error")).get("type") == NOT_JSON:
        return False
    return any(body.get(name) for name in WORDS)


def _refusal(status: int, body: object, text: str) -> TryOutcome:
    """Some APIs refuse keys and used-up credit by a 400 too."""
    words = f"{_code(body)} {text}"
    if USED_UP.search(words):
        return TryOutcome(Action.PERMANENT, Failure.QUOTA, f"quota used up: {text}", status)
    if BAD_KEY.search(words):
        return TryOutcome(Action.PERMANENT, Failure.AUTH, text, status)
    kind = Failure.BAD_REQUEST
    if CONTEXT.search(words):
        kind = Failure.CONTEXT_WINDOW
    elif FILTER.search(words):
        kind = Failure.CONTENT_FILTER
    return TryOutcome(Action.MODEL, kind, text, status)


def error_in_body(body: Mapping[str, object], retry_on: Collection[int]) -> TryOutcome:
    """The decision about a 200 whose body has no answer: what its ``error`` says, if it has one."""
    error = body.get("error")
    choice = next(dicts(body.get("choices")), None)
    if not error and body.get("object") == "error":  # as vLLM wrote them
        return error_in_body({"error": dict(body)}, retry_on)
    if not error and choice is not None and has_failed(choice):
        return error_in_body({"error": error_of_choice(choice)}, retry_on)
    if not error:
        text = f"the response has no answer in it: {str(dict(body))[:80]}"
        return TryOutcome(Action.RETRY, Failure.INVALID_RESPONSE, text, 200)
    code = error.get("code", error.get("status")) if isinstance(error, dict) else None
    if isinstance(code, str) and code.isdecimal():
        code = int(code)
    if isinstance(code, int) and 400 <= code <= 599:
        return classify(code, body, {}, retry_on)
    message = f"HTTP 200 with an error: {error_message(body)}"
    text = f"{_code(body)} {message}"
    if CONTEXT.search(text):
        return TryOutcome(Action.MODEL, Failure.CONTEXT_WINDOW, message, 200)
    if FILTER.search(text):
        return TryOutcome(Action.MODEL, Failure.CONTENT_FILTER, message, 200)
    kind = Failure.RATE_LIMIT if RATE.search(text) else Failure.SERVER_ERROR
    return TryOutcome(Action.RETRY, kind, message, 200)


def is_used_up(body: object, wait: float | None = None) -> bool:
    """Whether a 429 says that waiting will not help: a quota, not a rate.

    A wait the endpoint asks for itself, and that we are ready to wait, speaks for a rate.
    """
    code, message = _code(body), error_message(body)
    if USED_UP.search(f"{code} {message}"):
        return True
    if wait is not None and wait <= MAX_RETRY_AFTER:
        return False
    return bool(QUOTA.search(f"{code} {message}")) and not RATE.search(f"{code} {message}")


def error_message(body: object) -> str:
    """The text of an error body in any of the common shapes, on one line."""
    if isinstance(body, dict):
        error = next(
            (body[name] for name in ("error", "detail", "message") if body.get(name)), body
        )
        if isinstance(error, dict):
            error = error.get("message") or error
        return " ".join(str(error)[:READ_CHARS].split())
    return " ".join(str(body)[:READ_CHARS].split())


def retry_after(headers: Mapping[str, str], now: datetime.datetime | None = None) -> float | None:
    """Seconds from ``retry-after-ms`` or ``Retry-After`` (seconds or an HTTP date); else None."""
    headers = _lowered(headers)
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) / unit
        except (KeyError, ValueError):
            continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    try:
        date = email.utils.parsedate_to_datetime(headers["retry-after"])
        if date.tzinfo is None:
            date = date.replace(tzinfo=datetime.UTC)
        return max(0.0, (date - (now or datetime.datetime.now(datetime.UTC))).total_seconds())
    except (KeyError, TypeError, ValueError, IndexError, OverflowError):
        return None


def backoff(tries: int, wait: float | None = None, rng: random.Random | None = None) -> float:
    """Seconds before the next try: half a second doubling to a minute, times 0.5 to 1.5.

    Never less than the wait asked for, and then spread over a tenth of it (at most five seconds),
    lest all come back at once.
    """
    source = rng or random
    own = min(MAX_SECONDS, BASE_SECONDS * 2.0 ** min(tries - 1, 20)) * source.uniform(0.5, 1.5)
    if wait is None:
        return own
    return max(own, wait + min(5.0, wait / 10) * source.random())


def _lowered(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _wanted(status: int, retry_on: Collection[int]) -> bool:
    """The outcome for a status; statuses that are not listed (425, 520, 529, ...) are treated like
    related ones."""
    relative = status if status in NAMED else 429 if status < 500 else 503
    return status in retry_on or relative in retry_on


def _code(body: object) -> str:
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return ""
    return " ".join(str(error[name]) for name in ("code", "type", "status") if error.get(name))


def _transient_kind(status: int) -> Failure:
    if status == 429:
        return Failure.RATE_LIMIT
    return Failure.TIMEOUT if status in TIMEOUTS else Failure.SERVER_ERROR
