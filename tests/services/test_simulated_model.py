"""What is decided by hashing: the same in any order, at any concurrency, after any retries."""

from __future__ import annotations

import asyncio
import json
import math
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.config.services import SimulatedService
from nemo_evaluator.errors import InfraError
from nemo_evaluator.services.open import open_model
from nemo_evaluator.services.simulated.draws import lognormal
from nemo_evaluator.services.simulated.model import SimulatedModel
from nemo_evaluator.services.simulated.tools import example, tool_call
from nemo_evaluator.services.simulated.transport import SimulatedTransport
from nemo_evaluator.traffic.errors import TransportError
from nemo_evaluator.traffic.types import CallContext, ModelRequest
from nemo_evaluator.types import Failure

Ask = Callable[..., ModelRequest]
BROKEN = {"rate_limit": 0.2, "server_error": 0.2, "drop": 0.1, "invalid_json": 0.1}


def service(**config: Any) -> SimulatedService:
    return SimulatedService.model_validate(config)


async def text(transport: SimulatedTransport, request: ModelRequest) -> str:
    """The answer, tried again until there is one."""
    while True:
        try:
            response = await transport(request)
        except TransportError:
            continue
        if response.status == 200:
            return str(response.body["choices"][0]["message"]["content"])


async def texts(transport: SimulatedTransport, requests: list[ModelRequest]) -> list[str]:
    return await asyncio.gather(*(text(transport, request) for request in requests))


async def test_order_concurrency_and_faults_do_not_change_an_answer(ask: Ask) -> None:
    requests = [ask(i, repeat=r, target=str(i)) for i in range(100) for r in range(3)]
    plain = SimulatedTransport(service(seed=5))
    one_by_one = [await text(plain, request) for request in requests]
    shuffled = list(enumerate(requests))
    random.Random(1).shuffle(shuffled)
    faulty = SimulatedTransport(service(seed=5, faults={**BROKEN, "hang": 0.05, "hang_s": 0.001}))
    answers = await texts(faulty, [request for _, request in shuffled])
    assert dict(zip((i for i, _ in shuffled), answers, strict=True)) == dict(enumerate(one_by_one))
    other = SimulatedTransport(service(seed=6))
    assert await texts(other, requests) != one_by_one
    assert len(set(one_by_one)) > 100  # repeats of a problem differ


async def test_an_answer_does_not_depend_on_the_attempt_or_on_fields_of_the_wire(ask: Ask) -> None:
    transport = SimulatedTransport(service())
    first = await text(transport, ask(1, target="7"))
    assert await text(transport, ask(1, target="7", attempt=3)) == first
    assert await text(transport, ask(1, target="7", user="u", metadata={"a": 1})) == first
    changed = [await text(transport, ask(1, target="7", seed=seed)) for seed in range(5)]
    assert set(changed) != {first}


async def test_faults_pass_on_a_retry_and_come_anew_with_each_attempt(ask: Ask) -> None:
    async def statuses(attempt: int) -> list[int]:
        transport = SimulatedTransport(service(faults={"server_error": 0.5}))
        return [(await transport(ask(i, attempt=attempt))).status for i in range(60)]

    first = await statuses(1)
    assert first == await statuses(1)
    assert first != await statuses(2)
    assert {200, 500, 503} <= set(first)


@pytest.mark.parametrize("accuracy", [0.0, 0.3, 0.7, 1.0])
async def test_accuracy_is_what_was_asked_for(accuracy: float, ask: Ask) -> None:
    n = 3000
    transport = SimulatedTransport(service(accuracy=accuracy))
    requests = [ask(i, target=str(i)) for i in range(n)]
    answers = await texts(transport, requests)
    share = sum(a.endswith(f"Answer: {i}") for i, a in enumerate(answers)) / n
    # four standard errors of a binomial share
    assert abs(share - accuracy) <= 4 * math.sqrt(accuracy * (1 - accuracy) / n)


async def test_each_fault_comes_as_often_as_asked(ask: Ask) -> None:
    rates = {"rate_limit": 0.1, "server_error": 0.08, "drop": 0.05, "invalid_json": 0.04}
    rates |= {"truncated_json": 0.03, "empty": 0.06, "length": 0.07}
    transport = SimulatedTransport(service(faults={**rates, "retry_after_s": 1.5}))
    n, seen = 6000, Counter[str]()
    for i in range(n):
        try:
            response = await transport(ask(i, target="42"))
        except TransportError as error:
            seen[error.kind] += 1
            continue
        if response.status == 429:
            assert response.headers["retry-after"] == "1.5"
        if response.status != 200:
            seen[str(response.status)] += 1
            continue
        choice = response.body["choices"][0]
        seen["empty"] += choice["message"]["content"] == ""
        seen["length"] += choice["finish_reason"] == "length"
        assert choice["finish_reason"] == "stop" or "Answer" not in choice["message"]["content"]
    answered = 1 - 0.3
    expected = {
        "429": 0.1,
        Failure.CONNECTION: 0.05,
        Failure.INVALID_RESPONSE: 0.07,
        "empty": 0.06 * answered,
        "length": 0.07 * answered,
    }
    for name, rate in expected.items():
        assert abs(seen[name] / n - rate) < 4 * math.sqrt(rate / n), name
    assert abs((seen["500"] + seen["503"]) / n - 0.08) < 4 * math.sqrt(0.08 / n)


async def test_a_hang_takes_its_time_and_ends_in_a_dropped_connection(ask: Ask) -> None:
    transport = SimulatedTransport(service(faults={"hang": 1, "hang_s": 0.05}))
    started = time.perf_counter()
    with pytest.raises(TransportError) as caught:
        await transport(ask(1))
    assert caught.value.kind is Failure.CONNECTION
    assert time.perf_counter() - started >= 0.05


async def test_the_real_retries_get_through_and_give_up(ask: Ask) -> None:
    config = service(faults={"rate_limit": 0.5, "retry_after_s": 0}, proxy={"max_retries": 20})
    model = open_model("m", config, max_concurrent=8)
    assert model.name == "simulated"
    request = ask(3, target="9")
    # the backoff of the client is real; find a question that is refused exactly once
    probe = SimulatedTransport(config)
    idx = 0
    while [(await probe(ask(idx, target="9"))).status for _ in range(2)] != [429, 200]:
        idx += 1
        probe = SimulatedTransport(config)
    request = ask(idx, target="9")
    answer = await model.generate(
        prompt=f"Question {idx}?", context=request.context, params={"model": "m"}
    )
    assert answer.tries >= 1 and "Answer: " in answer.text
    hopeless = service(faults={"drop": 1}, proxy={"max_retries": 0})
    with pytest.raises(InfraError) as caught:
        await open_model("m", hopeless, max_concurrent=1).generate(
            prompt="?", context=CallContext()
        )
    assert caught.value.info.kind is Failure.CONNECTION
    assert caught.value.info.peer == "simulated"


def test_repeats_without_a_rollout_vary_only_where_asked_for() -> None:
    body = {"messages": [{"role": "user", "content": "?"}]}
    same = SimulatedModel(service())
    assert len({same.turn(body, CallContext()).key for _ in range(5)}) == 1
    varied, again = (SimulatedModel(service(), vary_repeats=True) for _ in range(2))
    keys = [varied.turn(body, CallContext()).key for _ in range(5)]
    assert len(set(keys)) == 5
    assert keys == [again.turn(body, CallContext()).key for _ in range(5)]
    faulty = SimulatedModel(service(faults={"drop": 0.5}), vary_repeats=True)
    turns = [faulty.turn(body, CallContext()) for _ in range(30)]
    assert [t.key for t in turns if t.fault is None][:5] == keys  # a fault consumes no answer


def test_memory_does_not_grow_with_answered_questions(ask: Ask) -> None:
    model = SimulatedModel(service(faults={"drop": 0.3}))
    for i in range(300):
        request = ask(i)
        while model.turn(request.body, request.context).fault is not None:
            pass
    assert not model._tries


async def test_latency_is_real_and_streams_have_a_first_token(ask: Ask) -> None:
    transport = SimulatedTransport(service(latency={"mean_ms": 40}))
    response = await transport(ask(1, stream=True))
    assert response.latency_ms >= 39
    assert response.ttft_ms is not None and 9 <= response.ttft_ms < response.latency_ms
    assert (await transport(ask(1))).ttft_ms is None


def seconds(**latency: Any) -> list[float]:
    model = SimulatedModel(service(latency=latency))
    context = CallContext()
    return [
        model.seconds(model.turn({"messages": [], "seed": i}, context).key) for i in range(4000)
    ]


def test_latency_distributions() -> None:
    assert set(seconds(mean_ms=20)) == {0.02}
    uniform = seconds(distribution="uniform", mean_ms=20, sigma=0.5)
    assert min(uniform) >= 0.01 and max(uniform) <= 0.03
    assert statistics.fmean(uniform) == pytest.approx(0.02, rel=0.03)
    heavy = seconds(distribution="lognormal", mean_ms=20, sigma=0.5)
    assert statistics.fmean(heavy) == pytest.approx(0.02, rel=0.05)
    assert statistics.median(heavy) == pytest.approx(0.02 * math.exp(-0.125), rel=0.05)
    assert max(seconds(distribution="lognormal", mean_ms=20, sigma=1, max_ms=30)) == 0.03


@given(st.integers(0, 2**64 - 1))
def test_lognormal_is_positive_and_finite(number: int) -> None:
    assert 0 < lognormal(number, 100, 2) < math.inf


async def test_tokens_follow_the_text_and_the_configured_mean(ask: Ask) -> None:
    transport = SimulatedTransport(service(completion_tokens={"mean": 200, "sigma": 0.4}))
    counts = []
    for i in range(1500):
        body = (await transport(ask(i, target="42"))).body
        content, usage = body["choices"][0]["message"]["content"], body["usage"]
        assert usage["completion_tokens"] == math.ceil(len(content) / 4)
        counts.append(usage["completion_tokens"])
    assert statistics.fmean(counts) == pytest.approx(200, rel=0.05)
    assert statistics.pstdev(counts) > 40
    assert usage["prompt_tokens"] == math.ceil(len("Question 1499?") / 4)


async def test_a_token_limit_cuts_reasoning_first_then_the_text(ask: Ask) -> None:
    transport = SimulatedTransport(service(reasoning=True, completion_tokens={"mean": 30}))
    whole = (await transport(ask(1))).body
    full = whole["usage"]["completion_tokens"]
    thought = whole["usage"]["completion_tokens_details"]["reasoning_tokens"]
    assert 0 < thought < full and whole["choices"][0]["finish_reason"] == "stop"
    for limit in (1, thought - 1, thought + 3, full - 1):
        body = (await transport(ask(1, max_tokens=limit))).body
        assert body["choices"][0]["finish_reason"] == "length"
        assert body["usage"]["completion_tokens"] <= limit
        assert (body["choices"][0]["message"]["content"] == "") is (limit <= thought)
    enough = (await transport(ask(1, max_tokens=10_000))).body
    assert enough["choices"][0]["finish_reason"] == "stop"


async def test_stop_texts_end_the_answer(ask: Ask) -> None:
    transport = SimulatedTransport(service(accuracy=1))
    assert await text(transport, ask(1, target="7", stop=["\n\n"])) == "Answer: 7"
    assert await text(transport, ask(1, target="7", stop=": ")) == "Answer"
    assert (await text(transport, ask(1, target="7", stop=["Question:"]))).endswith("Answer: 7")


TOOL = {
    "type": "function",
    "function": {
        "name": "look_up",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer", "minimum": 2},
                "unit": {"enum": ["C", "F"]},
                "note": {"type": "string"},
            },
            "required": ["city", "days", "unit"],
        },
    },
}


async def test_tool_calls_come_as_often_as_asked_and_fit_their_schema(ask: Ask) -> None:
    transport = SimulatedTransport(service(tool_call_rate=0.4))
    called = 0
    for i in range(1000):
        choice = (await transport(ask(i, tools=[TOOL]))).body["choices"][0]
        if choice["finish_reason"] == "tool_calls":
            called += 1
            function = choice["message"]["tool_calls"][0]["function"]
            assert function["name"] == "look_up" and choice["message"]["content"] is None
            arguments = json.loads(function["arguments"])
            assert arguments == {"city": "simulated", "days": 2, "unit": "C"}
    assert abs(called / 1000 - 0.4) < 4 * math.sqrt(0.24 / 1000)
    never = await transport(ask(1, tools=[TOOL], tool_choice="none"))
    assert never.body["choices"][0]["finish_reason"] == "stop"
    assert (await transport(ask(1))).body["choices"][0]["finish_reason"] == "stop"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["type", "properties", "required", "items", "enum", "anyOf"]), inner
            )
        ),
        max_leaves=12,
    )
)
def test_no_tool_schema_breaks_the_model(schema: Any) -> None:
    example(schema)
    call = tool_call([{"type": "function", "name": "f", "parameters": schema}], 3)
    assert isinstance(json.loads(call["function"]["arguments"]), dict)
