"""Calls through the whole pipeline: parameters, retries, errors, slots, cost."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopback import FAULTS, Loopback, answer, drawn, error, number_of

from nemo_evaluator.config.services import ApiService
from nemo_evaluator.errors import ConfigError, InfraError, ModelError, PermanentError
from nemo_evaluator.traffic import retry
from nemo_evaluator.traffic.client import Load, ModelClient
from nemo_evaluator.traffic.errors import CannotPassThrough
from nemo_evaluator.traffic.open import open_http_model
from nemo_evaluator.traffic.price import Price, cost
from nemo_evaluator.traffic.settings import ModelSettings
from nemo_evaluator.traffic.transport import RawRequest, RawResponse
from nemo_evaluator.traffic.types import CallContext, ModelRequest, ModelResponse
from nemo_evaluator.types import Failure, Generation, Image, Usage

Open = Callable[..., ModelClient]
HERE = CallContext(session="b/0/0")


async def ask(model: ModelClient, prompt: str = "2 + 2?", **more: Any) -> Generation:
    return await model.generate(prompt=prompt, **{"context": HERE, **more})


# -- what is asked --------------------------------------------------------------------------------


async def test_an_answer(loopback: Loopback, open_model: Open) -> None:
    model = open_model(loopback.url, price={"prompt": 1.0, "completion": 2.0})
    generation = await ask(model)
    assert generation.text == f"The answer is {number_of('2 + 2?')}"
    assert (generation.finish_reason, generation.tries, generation.model) == ("stop", 1, "loopback")
    assert generation.usage == Usage(prompt_tokens=2, completion_tokens=5)
    assert generation.cost_usd == pytest.approx(12e-6)
    assert generation.latency_ms > 0


async def test_parameters_are_merged(loopback: Loopback, open_model: Open) -> None:
    model = open_model(
        loopback.url,
        generation={"temperature": 0.1, "max_tokens": 9, "extra_body": {"top_a": 1}},
        proxy={"extra_body": {"temperature": 2, "user": "u"}, "extra_headers": {"X-Org": "we"}},
    )
    await ask(model, params={"temperature": 0.7, "stop": ["\n"]})
    call = loopback.calls[0]
    assert {key: call.body[key] for key in call.body if key not in ("model", "messages")} == {
        "temperature": 0.7,
        "max_tokens": 9,
        "top_a": 1,
        "user": "u",
        "stop": ["\n"],
    }
    assert call.headers["x-org"] == "we"


async def test_the_service_name_stands_for_a_model_that_is_not_set(
    loopback: Loopback, open_model: Open
) -> None:
    await ask(open_model(loopback.url, model=None))
    assert loopback.calls[0].body["model"] == "service"


async def test_repeats_send_different_seeds(loopback: Loopback, open_model: Open) -> None:
    model = open_model(loopback.url, generation={"seed": 40})
    for repeat in range(3):
        await ask(model, context=CallContext(repeat=repeat))
    await ask(model, params={"seed": 7}, context=CallContext(repeat=1))
    assert [call.body["seed"] for call in loopback.calls] == [40, 41, 42, 8]
    await ask(open_model(loopback.url), context=CallContext(repeat=2))
    assert "seed" not in loopback.calls[-1].body


async def test_system_prompt_reaches_wire(loopback: Loopback, open_model: Open) -> None:
    turns = [{"role": "system", "content": "old"}, {"role": "user", "content": "2 + 2?"}]
    await ask(open_model(loopback.url), messages=turns, system="new")
    assert loopback.calls[0].body["messages"][0] == {"role": "system", "content": "new"}


async def test_images_are_sent(loopback: Loopback, open_model: Open, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    await ask(open_model(loopback.url), images=[Image(path=str(path))], image_detail="high")
    part = loopback.calls[0].body["messages"][0]["content"][0]
    assert part["image_url"]["url"].startswith("data:image/png;base64,")
    assert part["image_url"]["detail"] == "high"


@pytest.mark.parametrize("protocol", ["chat_completions", "completions", "responses"])
@pytest.mark.parametrize("stream", [False, True])
async def test_every_protocol(
    loopback: Loopback, open_model: Open, protocol: str, stream: bool
) -> None:
    generation = await ask(open_model(loopback.url, protocol=protocol, stream=stream))
    assert generation.text == f"The answer is {number_of('2 + 2?')}"
    assert generation.usage.completion_tokens == 5
    assert (generation.ttft_ms is not None) is stream


# -- what comes back ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "text", "reasoning", "finish"),
    [
        ("null_content", "", "The answer is 7", "stop"),
        ("length", "The answer", None, "length"),
        ("unclosed_think", "<think>Let me see, 1 + 1", None, "length"),
    ],
)
async def test_odd_answers_are_answers(
    loopback: Loopback,
    open_model: Open,
    fault: str,
    text: str,
    reasoning: str | None,
    finish: str,
) -> None:
    loopback.script(FAULTS[fault])
    got = await ask(open_model(loopback.url))
    assert (got.text, got.reasoning, got.finish_reason) == (text, reasoning, finish)


RETRIED = (
    "request_timeout rate_limit rate_limit_bare server_error overloaded reset cut drop not_http"
    " empty_choices invalid_json truncated_json"
)


@pytest.mark.parametrize("fault", RETRIED.split())
async def test_faults_are_retried(loopback: Loopback, open_model: Open, fault: str) -> None:
    loopback.script(FAULTS[fault], FAULTS[fault], answer)
    model = open_model(loopback.url)
    generation = await ask(model)
    assert generation.text == f"The answer is {number_of('2 + 2?')}"
    assert (generation.tries, loopback.count("2 + 2?")) == (3, 3)
    assert sum(model.stats().failed_tries.values()) == 2


@pytest.mark.parametrize("fault", ["sse_cut", "sse_short", "reset"])
async def test_broken_streams_are_retried(loopback: Loopback, open_model: Open, fault: str) -> None:
    loopback.script(FAULTS[fault], answer)
    assert (await ask(open_model(loopback.url, stream=True))).tries == 2


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("unauthorized", Failure.AUTH),
        ("forbidden", Failure.AUTH),
        ("not_found", Failure.NOT_FOUND),
        ("quota", Failure.QUOTA),
    ],
)
async def test_what_no_retry_can_help_is_asked_once(
    loopback: Loopback, open_model: Open, fault: str, kind: Failure
) -> None:
    loopback.script(FAULTS[fault])
    with pytest.raises(PermanentError) as caught:
        await ask(open_model(loopback.url))
    assert caught.value.info.kind is kind
    assert loopback.count("2 + 2?") == 1


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("context_window", Failure.CONTEXT_WINDOW),
        ("content_filter", Failure.CONTENT_FILTER),
        ("bad_request", Failure.BAD_REQUEST),
    ],
)
async def test_refusals_belong_to_the_model_and_are_asked_once(
    loopback: Loopback, open_model: Open, fault: str, kind: Failure
) -> None:
    loopback.script(FAULTS[fault])
    with pytest.raises(ModelError) as caught:
        await ask(open_model(loopback.url))
    assert (caught.value.info.kind, caught.value.info.status) == (kind, 400)
    assert loopback.count("2 + 2?") == 1


async def test_out_of_tries(loopback: Loopback, open_model: Open) -> None:
    loopback.script(FAULTS["server_error"])
    with pytest.raises(InfraError) as caught:
        await ask(open_model(loopback.url, proxy={"max_retries": 2}))
    info = caught.value.info
    assert info.message == "HTTP 500: Internal server error (gave up; tries: 3)"
    assert (info.kind, info.status) == (Failure.SERVER_ERROR, 500)
    assert info.peer == loopback.url.removesuffix("/v1")
    assert not isinstance(caught.value, PermanentError)
    assert loopback.count("2 + 2?") == 3


async def test_a_status_that_is_not_to_be_retried_is_not(
    loopback: Loopback, open_model: Open
) -> None:
    loopback.script(FAULTS["server_error"])
    with pytest.raises(InfraError):
        await ask(open_model(loopback.url, proxy={"retry_on_status": [429]}))
    assert loopback.count("2 + 2?") == 1


async def test_secrets_never_reach_an_error_text(loopback: Loopback, open_model: Open) -> None:
    key, cookie = "sk-very-secret", "cookie-monster"
    told = f"key {key} and {cookie} are wrong "
    told += "x" * (293 - len("HTTP 400: ") - len(told)) + key  # the cut at 300 is inside the key
    loopback.script(error(400, told))
    model = open_model(
        loopback.url,
        api_key=key,
        proxy={"extra_headers": {"X-Api-Key": f"Bearer {cookie}", "X-Org": "are wrong"}},
    )
    with pytest.raises(ModelError) as caught:
        await ask(model)
    text = str(caught.value)
    assert "sk-" not in text
    assert cookie not in text
    assert "are wrong" in text
    assert len(text) <= 300


# -- waiting --------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["rate_limit_date", "rate_limit"])
async def test_retry_after_is_honoured(loopback: Loopback, open_model: Open, fault: str) -> None:
    loopback.script(FAULTS[fault], answer)
    started = time.monotonic()
    await ask(open_model(loopback.url))
    waited = time.monotonic() - started
    assert waited < 5
    if fault == "rate_limit":
        assert waited >= 0.05  # a date has whole seconds: the second may be over already


async def test_a_wait_beyond_the_deadline_fails_now(loopback: Loopback, open_model: Open) -> None:
    loopback.script(error(429, "slow down", {"Retry-After": "30"}))
    with pytest.raises(InfraError) as caught:
        await ask(open_model(loopback.url), context=CallContext(deadline=time.monotonic() + 5))
    assert caught.value.info.kind is Failure.RATE_LIMIT
    assert "no time left for another try; tries: 1" in str(caught.value)


async def test_a_wait_of_hours_fails_now(loopback: Loopback, open_model: Open) -> None:
    loopback.script(error(429, "slow down", {"Retry-After": "7200"}))
    with pytest.raises(InfraError, match="asked to wait 7200 s; tries: 1"):
        await ask(open_model(loopback.url))


async def test_backoff_releases_slot(
    loopback: Loopback, open_model: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "BASE_SECONDS", 0.6)
    loopback.script(FAULTS["server_error"], answer)
    model = open_model(loopback.url, max_concurrent=1)
    slow = asyncio.create_task(ask(model, "slow"))
    while model.stats().failed_tries.get(Failure.SERVER_ERROR) != 1:
        await asyncio.sleep(0.001)
    await ask(model, "fast")
    assert not slow.done()
    assert model.stats().in_flight == 0
    assert (await slow).tries == 2


async def test_no_more_requests_than_the_caps_allow(open_model: Open) -> None:
    async with Loopback(latency=0.005) as server:
        model = open_model(server.url, max_concurrent=32, proxy={"max_concurrent_upstream": 5})
        await asyncio.gather(*(ask(model, str(n)) for n in range(60)))
        assert server.peak == 5


async def test_refusals_lower_the_limit(loopback: Loopback, open_model: Open) -> None:
    loopback.script(*[FAULTS["rate_limit_bare"]] * 40, answer)
    model = open_model(loopback.url)
    before = model.stats().limit
    tasks = [asyncio.create_task(ask(model, str(n))) for n in range(40)]
    lowest = before
    while not all(task.done() for task in tasks):
        lowest = min(lowest, model.stats().limit)
        await asyncio.sleep(0.001)
    await asyncio.gather(*tasks)
    assert lowest < before
    assert (model.stats().in_flight, model.stats().waiting) == (0, 0)


async def test_a_timeout_is_retried_and_counts_as_overload(
    loopback: Loopback, open_model: Open
) -> None:
    loopback.script(FAULTS["hang"], answer)
    model = open_model(loopback.url, timeouts={"total": 0.1})
    assert (await ask(model)).tries == 2
    assert model.stats().failed_tries == {Failure.TIMEOUT: 1}


async def test_the_watchdog_learns_whom_a_call_waits_for(
    loopback: Loopback, open_model: Open
) -> None:
    loopback.script(FAULTS["server_error"], answer)
    told: list[str | None] = []
    await ask(open_model(loopback.url), context=CallContext(on_wait=told.append))
    peer = loopback.url.removesuffix("/v1")
    assert told == [peer, peer, None]


async def test_a_cancelled_call_gives_its_slot_back(loopback: Loopback, open_model: Open) -> None:
    loopback.script(FAULTS["hang"], answer)
    model = open_model(loopback.url, max_concurrent=1)
    told: list[str | None] = []
    call = asyncio.create_task(ask(model, context=CallContext(on_wait=told.append)))
    await asyncio.sleep(0.05)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    assert told[-1] is not None  # the error that is about to be recorded names the peer
    assert (await asyncio.wait_for(ask(model, "next"), 5)).tries == 1


async def test_all_answers_come_through_a_bad_endpoint(open_model: Open) -> None:
    faults = {"rate_limit": 0.1, "server_error": 0.05, "drop": 0.03, "invalid_json": 0.02}
    async with Loopback(drawn(faults, seed=1)) as server:
        model = open_model(server.url)
        answers = await asyncio.gather(*(ask(model, f"problem {n}") for n in range(300)))
        for n, generation in enumerate(answers):
            assert generation.text == f"The answer is {number_of(f'problem {n}')}"
            # A drop of a kept connection is asked again at once and is not a try.
            assert generation.tries <= server.count(f"problem {n}") <= 2 * generation.tries
            assert server.answered[f"problem {n}"] == 1
        assert sum(generation.tries > 1 for generation in answers) > 20


# -- other doors ----------------------------------------------------------------------------------


class Recovering:
    """A transport of its own kind: fails once, then answers with the target."""

    own_headers: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self.statuses = iter([503, 200])

    async def __call__(self, request: ModelRequest) -> ModelResponse:
        message = {"content": request.context.target}
        body = {"choices": [{"message": message, "finish_reason": "stop"}]}
        return ModelResponse(next(self.statuses), body, {"Retry-After": "0.001"})

    def pass_through(self, request: RawRequest) -> AbstractAsyncContextManager[RawResponse]:
        raise CannotPassThrough

    async def check(self, model: str) -> str | None:
        return None

    async def close(self) -> None:
        pass


async def test_any_transport_will_do(quick_retries: None) -> None:
    model = ModelClient(ModelSettings(model="m", peer="here", max_concurrent=4), Recovering())
    generation = await ask(model, context=CallContext(target="42"))
    assert (generation.text, generation.tries) == ("42", 2)
    assert await model.check() is None
    await model.close()


async def test_the_seam_is_open_to_other_http_libraries() -> None:
    opened: list[tuple[str, str, dict[str, Any]]] = []

    def transport(url: str, protocol: str, **options: Any) -> Recovering:
        opened.append((url, protocol, options))
        return Recovering()

    fields = {"url": "http://h/v1", "protocol": "chat_completions", "api_key": "key-123456"}
    fields |= {"model": "m", "proxy": {"extra_headers": {"X-Org": "we"}}}
    service = ApiService.model_validate(fields)
    model = open_http_model("s", service, max_concurrent=4, transport=transport)
    [(url, protocol, options)] = opened
    assert (url, protocol) == ("http://h/v1", "chat_completions")
    assert options["api_key"] == "key-123456" and options["headers"] == {"X-Org": "we"}
    assert options["max_connections"] == 4 and options["timeouts"].total is None
    assert model.endpoint.peer == "http://h"
    await model.close()


def test_a_client_needs_no_pydantic() -> None:
    code = "import sys, nemo_evaluator.traffic.client; print('pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


async def test_stats_add_up(loopback: Loopback, open_model: Open) -> None:
    model = open_model(loopback.url, max_concurrent=4)
    for _ in range(3):
        await ask(model)
    stats = model.stats()
    assert (stats.answers, stats.prompt_tokens, stats.completion_tokens) == (3, 6, 15)
    assert (stats.in_flight, stats.waiting, stats.failed_tries) == (0, 0, {})
    assert model.load() == Load(0, stats.limit)


async def test_close_may_be_called_twice(loopback: Loopback, open_model: Open) -> None:
    model = open_model(loopback.url)
    await ask(model)
    await model.close()
    await model.close()


async def test_pre_flight_through_the_client(loopback: Loopback, open_model: Open) -> None:
    assert await open_model(loopback.url).check() is None
    warning = await open_model(loopback.url, model="other").check()
    assert warning == "the endpoint does not list the model 'other'; it lists m, loopback"
    loopback.models_reply = FAULTS["unauthorized"]
    loopback.script(FAULTS["unauthorized"])
    with pytest.raises(ConfigError, match="requires an api_key"):
        await open_model(loopback.url).check()


def test_a_key_that_cannot_be_sent_is_the_users_error() -> None:
    fields = {"url": "http://h/v1", "protocol": "chat_completions", "api_key": "a\nb"}
    with pytest.raises(ConfigError, match="the api_key has a line break"):
        open_http_model("m", ApiService.model_validate(fields), max_concurrent=1)


# -- cost -----------------------------------------------------------------------------------------


def test_cost_of_the_documented_example() -> None:
    usage = Usage(prompt_tokens=1000, cached_tokens=400, completion_tokens=200)
    price = Price(prompt=2.0, completion=8.0, cached=1.0)
    assert cost(usage, price) == pytest.approx(0.0032)


def test_cost_is_unknown_where_price_or_tokens_are() -> None:
    price = Price(prompt=2.0, completion=8.0)
    assert cost(Usage(prompt_tokens=1, completion_tokens=1), None) is None
    assert cost(Usage(prompt_tokens=1), price) is None
    assert cost(Usage(completion_tokens=1), price) is None


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_cached_tokens_cost_the_prompt_price_unless_told(a: int, b: int, cached: int) -> None:
    price = Price(prompt=2.0, completion=8.0)
    usage = Usage(prompt_tokens=a, completion_tokens=b, cached_tokens=min(cached, a))
    assert cost(usage, price) == pytest.approx((2 * a + 8 * b) / 1e6)
