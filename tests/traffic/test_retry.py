"""Which failures are whose, and how long to wait."""

from __future__ import annotations

import datetime
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nemo_evaluator.traffic.errors import NOT_JSON
from nemo_evaluator.traffic.retry import (
    ACCEPTED,
    MAX_RETRY_AFTER,
    NAMED,
    Action,
    backoff,
    classify,
    error_in_body,
    error_message,
    retry_after,
)
from nemo_evaluator.types import Failure

NOW = datetime.datetime(2026, 11, 23, 12, 0, 0, tzinfo=datetime.UTC)
CONTEXT_TEXT = "This model's maximum context length is 4096 tokens. However, you requested 5000"


NOT_THE_MODELS = (406, 407, 410, 411, 412, 414, 415, 416, 417, 418, 421, 423, 424, 426, 428, 431)


def body(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


@pytest.mark.parametrize(
    ("status", "message", "action", "kind"),
    [
        (401, "bad key", Action.PERMANENT, Failure.AUTH),
        (403, "no access", Action.PERMANENT, Failure.AUTH),
        (403, "your input was flagged", Action.MODEL, Failure.CONTENT_FILTER),
        (404, "no such model", Action.PERMANENT, Failure.NOT_FOUND),
        (405, "Method Not Allowed", Action.PERMANENT, Failure.NOT_FOUND),
        (402, "Insufficient credits", Action.PERMANENT, Failure.QUOTA),
        (429, "Rate limit reached for requests per minute", Action.RETRY, Failure.RATE_LIMIT),
        (429, "Too many requests", Action.RETRY, Failure.RATE_LIMIT),
        (429, "You exceeded your current quota", Action.PERMANENT, Failure.QUOTA),
        (429, "Limit of requests per day reached", Action.PERMANENT, Failure.QUOTA),
        (429, "Quota exceeded: 60 requests per minute", Action.RETRY, Failure.RATE_LIMIT),
        (408, "slow", Action.RETRY, Failure.TIMEOUT),
        (409, "conflict", Action.RETRY, Failure.SERVER_ERROR),
        (425, "too early", Action.RETRY, Failure.SERVER_ERROR),
        (500, "oops", Action.RETRY, Failure.SERVER_ERROR),
        (503, "overloaded", Action.RETRY, Failure.SERVER_ERROR),
        (504, "gateway", Action.RETRY, Failure.TIMEOUT),
        (524, "cloud", Action.RETRY, Failure.SERVER_ERROR),
        (529, "overloaded", Action.RETRY, Failure.SERVER_ERROR),
        (400, CONTEXT_TEXT, Action.MODEL, Failure.CONTEXT_WINDOW),
        (400, "prompt is too long: 210000 tokens > 200000", Action.MODEL, Failure.CONTEXT_WINDOW),
        (413, "Request too large: reduce the length", Action.MODEL, Failure.CONTEXT_WINDOW),
        (422, "max_tokens must be positive", Action.MODEL, Failure.BAD_REQUEST),
        (400, "violates our content policy", Action.MODEL, Failure.CONTENT_FILTER),
        (400, "Unsupported parameter: top_k", Action.MODEL, Failure.BAD_REQUEST),
        (451, "not in this country", Action.MODEL, Failure.BAD_REQUEST),
        (400, "API key not valid. Please pass a valid API key.", Action.PERMANENT, Failure.AUTH),
        (400, "Your credit balance is too low", Action.PERMANENT, Failure.QUOTA),
        *((status, "no", Action.RETRY, Failure.SERVER_ERROR) for status in NOT_THE_MODELS),
    ],
)
def test_a_failure_is_retried_or_not_by_its_kind(
    status: int, message: str, action: Action, kind: Failure
) -> None:
    outcome = classify(status, body(message), {}, NAMED)
    assert (outcome.action, outcome.kind, outcome.status) == (action, kind, status)
    assert message in outcome.message


@pytest.mark.parametrize("status", [400, 413, 422, 451])
@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"error": None},
        {"error": {"message": "<html>Bad Request</html>", "type": NOT_JSON}},
        {"error": {"message": "", "type": NOT_JSON}},
        [],
    ],
)
def test_a_refusal_without_a_json_error_is_not_the_models(status: int, answer: Any) -> None:
    outcome = classify(status, answer, {}, NAMED)
    assert (outcome.action, outcome.kind) == (Action.RETRY, Failure.SERVER_ERROR)
    assert "not from the model" in outcome.message


@pytest.mark.parametrize(
    "answer",
    [
        {"object": "error", "message": "wrong", "type": "BadRequestError", "code": 400},
        {"detail": [{"loc": ["body"], "msg": "wrong"}]},
        {"error": "wrong"},
        {"errors": ["wrong"]},
    ],
)
def test_errors_of_all_servers_are_the_models(answer: Any) -> None:
    outcome = classify(400, answer, {}, NAMED)
    assert (outcome.action, outcome.kind) == (Action.MODEL, Failure.BAD_REQUEST)


@pytest.mark.parametrize("reason", ["error", "network_error", "insufficient_system_resource"])
def test_a_generation_that_was_given_up_is_the_servers_failure(reason: str) -> None:
    choice = {"finish_reason": reason, "message": {"content": "The ans"}}
    outcome = error_in_body({"choices": [choice]}, NAMED)
    assert (outcome.action, outcome.kind) == (Action.RETRY, Failure.SERVER_ERROR)
    assert reason in outcome.message
    told = {**choice, "error": {"code": 401, "message": "No key"}}
    outcome = error_in_body({"choices": [told]}, NAMED)
    assert (outcome.action, outcome.kind) == (Action.PERMANENT, Failure.AUTH)
    assert "No key" in outcome.message


def test_success_is_accepted() -> None:
    assert classify(200, {}, {}, NAMED) is ACCEPTED


def test_codes_count_as_much_as_words() -> None:
    quota = classify(429, body("sorry", code="insufficient_quota"), {}, NAMED)
    assert quota.kind is Failure.QUOTA
    too_long = classify(400, body("sorry", code="context_length_exceeded"), {}, NAMED)
    assert too_long.kind is Failure.CONTEXT_WINDOW
    blocked = classify(400, body("sorry", type="content_filter"), {}, NAMED)
    assert blocked.kind is Failure.CONTENT_FILTER


def test_a_quota_that_names_a_short_wait_is_a_rate() -> None:
    text = body("Quota exceeded for this project")
    assert classify(429, text, {"Retry-After": "20"}, NAMED).kind is Failure.RATE_LIMIT
    assert classify(429, text, {"Retry-After": "86400"}, NAMED).kind is Failure.QUOTA


def test_a_redirect_says_where_to() -> None:
    outcome = classify(308, {}, {"Location": "https://new/v1?token=secret"}, NAMED)
    assert outcome.action is Action.PERMANENT
    expected = "HTTP 308: redirected to https://new/v1; set the service's url to that"
    assert outcome.message == expected


@pytest.mark.parametrize("status", [429, 500, 503, 529, 408])
def test_a_failure_the_user_does_not_want_retried_is_still_not_the_models(status: int) -> None:
    outcome = classify(status, body("x"), {}, [418])
    assert outcome.action is Action.FAIL


def test_a_status_the_user_adds_is_retried() -> None:
    assert classify(418, body("x"), {}, [418]).action is Action.RETRY


@pytest.mark.parametrize(
    ("answer", "action", "kind"),
    [
        ({"choices": []}, Action.RETRY, Failure.INVALID_RESPONSE),
        (body("Provider busy", code=502), Action.RETRY, Failure.SERVER_ERROR),
        (body("No key", code="401"), Action.PERMANENT, Failure.AUTH),
        (body("Rate limit exceeded"), Action.RETRY, Failure.RATE_LIMIT),
        (body(CONTEXT_TEXT), Action.MODEL, Failure.CONTEXT_WINDOW),
        (body("x", code="content_filter"), Action.MODEL, Failure.CONTENT_FILTER),
        (body("x", code="server_error"), Action.RETRY, Failure.SERVER_ERROR),
        ({"error": "plain"}, Action.RETRY, Failure.SERVER_ERROR),
        (
            {"object": "error", "message": CONTEXT_TEXT, "type": "BadRequestError", "code": 400},
            Action.MODEL,
            Failure.CONTEXT_WINDOW,
        ),
        ({"object": "error", "message": "dead"}, Action.RETRY, Failure.SERVER_ERROR),
    ],
)
def test_errors_inside_a_200(answer: dict[str, Any], action: Action, kind: Failure) -> None:
    outcome = error_in_body(answer, NAMED)
    assert (outcome.action, outcome.kind) == (action, kind)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ({"error": {"message": "a\n b"}}, "a b"),
        ({"error": "a"}, "a"),
        ({"detail": "a"}, "a"),
        ({"detail": [{"loc": ["body"], "msg": "wrong"}]}, "[{'loc': ['body'], 'msg': 'wrong'}]"),
        ({"message": "a"}, "a"),
        ({"object": "error"}, "{'object': 'error'}"),
        ("text", "text"),
    ],
)
def test_error_messages_of_all_shapes(answer: Any, text: str) -> None:
    assert error_message(answer) == text


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": " 0.25 "}, 0.25),
        ({"Retry-After": "-3"}, 0.0),
        ({"retry-after-ms": "1500", "Retry-After": "9"}, 1.5),
        ({"Retry-After": "Mon, 23 Nov 2026 12:00:30 GMT"}, 30.0),
        ({"Retry-After": "Mon, 23 Nov 2026 11:00:00 GMT"}, 0.0),
        ({"Retry-After": "Mon, 23 Nov 2026 13:00:30 +0100"}, 30.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": ""}, None),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOW) == seconds


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # first use of text()
@given(st.text(max_size=60))
def test_no_retry_after_breaks_the_reader(text: str) -> None:
    seconds = retry_after({"Retry-After": text}, NOW)
    assert seconds is None or 0 <= seconds < float("inf")


@given(st.integers(0, 10**9), st.booleans())
def test_dates_and_seconds_say_the_same(seconds: int, naive: bool) -> None:
    then = NOW + datetime.timedelta(seconds=seconds)
    text = then.strftime("%a, %d %b %Y %H:%M:%S") + (" -0000" if naive else " GMT")
    assert retry_after({"Retry-After": text}, NOW) == seconds


@given(tries=st.integers(1, 10_000), seed=st.integers())
def test_backoff_grows_and_is_bounded(tries: int, seed: int) -> None:
    wait = backoff(tries, rng=random.Random(seed))
    middle = min(60.0, 0.5 * 2.0 ** min(tries - 1, 20))
    assert 0.5 * middle <= wait <= 1.5 * middle


@given(asked=st.floats(0, MAX_RETRY_AFTER), seed=st.integers())
def test_backoff_is_never_shorter_than_what_was_asked_for(asked: float, seed: int) -> None:
    wait = backoff(1, asked, random.Random(seed))
    assert asked <= wait <= max(0.75, asked + min(5.0, asked / 10))


def test_waits_are_spread() -> None:
    rng = random.Random(1)
    waits = {backoff(1, 30.0, rng) for _ in range(20)}
    assert len(waits) == 20
    assert max(waits) - min(waits) > 1.0
