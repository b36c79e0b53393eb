"""Faults happen below the retries, as often as asked, and the same in every drill."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from steps import configured

from nemo_evaluator.config.simulated import FAULTS
from nemo_evaluator.errors import ConfigError, InfraError, NelError
from nemo_evaluator.traffic.dialects import DIALECTS
from nemo_evaluator.traffic.endpoint import Endpoint
from nemo_evaluator.traffic.errors import TransportError
from nemo_evaluator.traffic.interceptors.fault import Fault
from nemo_evaluator.traffic.interceptors.opening import open_interceptors
from nemo_evaluator.traffic.limiter import Limiter
from nemo_evaluator.traffic.pipeline import Pipeline
from nemo_evaluator.traffic.sse import encode_event
from nemo_evaluator.traffic.types import CallContext, ModelRequest, ModelResponse
from nemo_evaluator.types import Failure

pytestmark = pytest.mark.usefixtures("quick_retries")

Body = dict[str, Any]
ANSWERS: dict[str, Body] = {
    "chat_completions": {
        "choices": [
            {
                "message": {"role": "assistant", "content": "12345678", "tool_calls": [{}]},
                "finish_reason": "stop",
            }
        ]
    },
    "completions": {"choices": [{"text": "12345678", "finish_reason": "stop"}]},
    "responses": {
        "status": "completed",
        "output": [
            {"type": "message", "content": [{"type": "output_text", "text": "12345678"}]},
            {"type": "function_call", "name": "f", "arguments": "{}"},
        ],
    },
}


class Drill:
    """A pipeline whose transport is made faulty, with or without retries."""

    def __init__(self, *, retries: int | None = None, **config: Any) -> None:
        steps = open_interceptors([configured("fault", config)])
        [(_, fault)] = steps
        assert isinstance(fault, Fault)
        self.fault, self.asked = fault, 0
        endpoint = None if retries is None else Endpoint("peer", Limiter(8), max_retries=retries)
        self.pipeline = Pipeline(steps, self._transport, endpoint)

    async def ask(
        self, number: int = 0, protocol: str = "chat_completions", *, live: bool = False
    ) -> ModelResponse:
        context = CallContext("s", "b", number)
        request = ModelRequest(protocol, {"q": number}, stream=live, live=live, context=context)
        return await self.pipeline(request)

    async def outcome(self, number: int) -> str:
        try:
            response = await self.ask(number)
        except TransportError as error:
            return f"{error.kind} {error}"
        return f"{response.status} {response.body}"

    async def _transport(self, request: ModelRequest) -> ModelResponse:
        self.asked += 1
        if request.live:
            return ModelResponse(200, {}, chunks=self._chunks())
        return ModelResponse(200, ANSWERS[request.protocol])

    async def _chunks(self) -> AsyncGenerator[bytes]:
        events = ({"choices": [{"index": 0, "delta": {"content": letter}}]} for letter in "ab")
        yield b"".join(encode_event(event) for event in events)
        yield b"data: [DONE]\n\n"


async def test_without_rates_nothing_happens() -> None:
    drill = Drill()
    for number in range(50):
        assert (await drill.ask(number)).body == ANSWERS["chat_completions"]
    assert drill.asked == 50 and not drill.fault.injected


@pytest.mark.parametrize(
    ("kind", "failure"),
    [
        ("drop", Failure.CONNECTION),
        ("hang", Failure.TIMEOUT),
        ("invalid_json", Failure.INVALID_RESPONSE),
        ("truncated_json", Failure.INVALID_RESPONSE),
    ],
)
async def test_broken_tries(kind: str, failure: Failure) -> None:
    drill = Drill(**{kind: 1.0}, hang_s=0.01)
    with pytest.raises(TransportError, match="injected") as raised:
        await drill.ask()
    assert raised.value.kind is failure and drill.asked == 0


async def test_a_hang_takes_its_time() -> None:
    started = asyncio.get_running_loop().time()
    with pytest.raises(TransportError):
        await Drill(hang=1.0, hang_s=0.1).ask()
    assert asyncio.get_running_loop().time() - started >= 0.09


async def test_faults_have_their_statuses_and_headers() -> None:
    limited = await Drill(rate_limit=1.0, retry_after_s=0.25).ask()
    assert (limited.status, limited.headers["retry-after"]) == (429, "0.25")
    drill = Drill(server_error=1.0)
    assert {(await drill.ask(number)).status for number in range(30)} == {500, 503}


@pytest.mark.parametrize("protocol", ANSWERS)
@pytest.mark.parametrize("live", [False, True])
async def test_spoilt_answers(protocol: str, live: bool) -> None:
    parse = DIALECTS[protocol].parse
    cut = parse((await Drill(length=1.0).ask(protocol=protocol, live=live)).body)
    assert (cut.text, cut.finish_reason, cut.tool_calls) == ("1234", "length", ())
    empty = parse((await Drill(empty=1.0).ask(protocol=protocol, live=live)).body)
    assert (empty.text, empty.finish_reason, empty.tool_calls) == ("", "stop", ())
    assert parse(ANSWERS[protocol]).text == "12345678"


async def test_a_live_stream_is_dropped_in_the_middle() -> None:
    response = await Drill(drop=1.0).ask(live=True)
    assert response.chunks is not None
    assert b'"a"' in (first := await anext(response.chunks)) and b'"b"' not in first
    with pytest.raises(InfraError, match="broke off"):
        await anext(response.chunks)


async def test_the_retries_get_through() -> None:
    drill = Drill(retries=30, server_error=0.2, drop=0.2, invalid_json=0.2)
    responses = [await drill.ask(number) for number in range(100)]
    assert all(response.body == ANSWERS["chat_completions"] for response in responses)
    tries = sum(response.tries for response in responses)
    assert tries == 100 + drill.fault.injected.total() > 150
    hopeless = Drill(retries=3, server_error=1.0)
    with pytest.raises(NelError, match="tries: 4"):
        await hopeless.ask()


async def test_a_drill_can_be_repeated() -> None:
    rates = {**dict.fromkeys(FAULTS, 0.1), "hang_s": 0.001}
    first, again, other = Drill(**rates), Drill(**rates), Drill(**rates, seed=1)
    runs = [[await drill.outcome(n) for n in range(80)] for drill in (first, again, other)]
    assert runs[0] == runs[1] != runs[2]
    assert [await again.outcome(n) for n in range(80)] != runs[1]  # these are second tries
    for number in range(80):
        again.pipeline.end_session(CallContext("s", "b", number))
    assert [await again.outcome(n) for n in range(80)] == runs[1]


async def test_rates_are_kept() -> None:
    drill = Drill(rate_limit=0.25, server_error=0.25)
    counts = Counter([(await drill.ask(number)).status == 200 for number in range(2000)])
    assert 900 < counts[True] < 1100
    assert 400 < drill.fault.injected["rate_limit"] < 600


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"drop": 0.6, "hang": 0.6}, "together exceed 1"),
        ({"drop": -0.1}, "drop"),
        ({"dorp": 0.1}, "dorp"),
    ],
)
def test_what_cannot_be(config: Body, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        Drill(**config)
