"""The served model as real clients meet it: shapes, streams, and faults at the socket."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from other_server import under_uvicorn

from nemo_evaluator.config.endpoints import TimeoutsConfig
from nemo_evaluator.config.services import ApiService, SimulatedService
from nemo_evaluator.environments.contract import VerifyTools
from nemo_evaluator.environments.registry import resolve
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.services.open import open_model
from nemo_evaluator.services.simulated.model import SimulatedModel
from nemo_evaluator.services.simulated.server import create_app, serving
from nemo_evaluator.traffic.errors import TransportError
from nemo_evaluator.traffic.http import HttpTransport
from nemo_evaluator.traffic.types import CallContext, ModelRequest
from nemo_evaluator.types import Failure, Solution

CHAT = {"model": "m", "messages": [{"role": "user", "content": "What is 2+3?"}]}
BODIES = {
    "chat_completions": CHAT,
    "completions": {"model": "m", "prompt": "Be brief.\n\nWhat is 2+3?"},
    "responses": {"model": "m", "input": [{"role": "user", "content": "What is 2+3?"}]},
}
TARGETS = {"What is 2+3?": "5"}
Serve = Callable[..., Any]


async def post(url: str, body: Any, path: str = "/chat/completions") -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with aiohttp.ClientSession() as session, session.post(url + path, data=data) as response:
        return response.status, await response.json()


async def test_answers_have_the_shape_of_each_protocol(served: Serve) -> None:
    async with served(TARGETS, accuracy=1, reasoning=True) as url:
        _, chat = await post(url, CHAT)
        _, completion = await post(url, BODIES["completions"], "/completions")
        _, response = await post(url, BODIES["responses"], "/responses")
    for body in (chat, completion, response):
        assert body["system_fingerprint"] == "simulated" and body["model"] == "m"
    assert chat["object"] == "chat.completion" and chat["id"].startswith("chatcmpl-")
    assert chat["choices"][0]["message"]["content"].endswith("\nAnswer: 5")
    assert chat["choices"][0]["message"]["reasoning_content"]
    assert chat["choices"][0]["finish_reason"] == "stop"
    usage = chat["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert completion["choices"][0]["text"].startswith("<think>\n")
    assert completion["choices"][0]["text"].endswith("\nAnswer: 5")
    assert [item["type"] for item in response["output"]] == ["reasoning", "message"]
    assert response["output"][1]["content"][0]["text"].endswith("\nAnswer: 5")
    assert response["status"] == "completed" and response["usage"]["output_tokens"] > 0


@pytest.mark.parametrize("protocol", BODIES)
@pytest.mark.parametrize("tools", [False, True])
async def test_a_stream_adds_up_to_the_unstreamed_answer(
    protocol: str, tools: bool, served: Serve
) -> None:
    function = {"name": "f", "parameters": {"type": "object", "required": ["x"]}}
    more = {"tools": [{"type": "function", "function": function}]} if tools else {}
    body = {**BODIES[protocol], **more}
    async with served(TARGETS, reasoning=True, tool_call_rate=1) as url:
        transport = HttpTransport(url, protocol)
        whole = (await transport(ModelRequest(protocol, body))).body
        streamed = await transport(ModelRequest(protocol, body, stream=True))
        await transport.close()
    assert streamed.ttft_ms is not None

    def stripped(body: dict[str, Any]) -> Any:
        if protocol == "responses":
            return body["output"], body["usage"]
        choice = {name: v for name, v in body["choices"][0].items() if name != "logprobs"}
        if "message" in choice:
            choice["message"] = {n: v for n, v in choice["message"].items() if v}
        return choice, body["usage"]

    assert stripped(streamed.body) == stripped(whole)


async def test_events_are_spread_over_the_latency(served: Serve) -> None:
    first = []
    async with served(latency={"mean_ms": 120}) as url:
        transport = HttpTransport(url, "chat_completions")
        unstreamed = await transport(ModelRequest("chat_completions", CHAT))
        for _ in range(20):  # a busy machine delays some
            response = await transport(ModelRequest("chat_completions", CHAT, stream=True))
            assert response.ttft_ms is not None and response.latency_ms >= 115
            first.append(response.ttft_ms)
            if first[-1] < 60:
                break
        await transport.close()
    assert first[-1] < 60, first
    assert unstreamed.latency_ms >= 119


FAULTS = {
    "drop": Failure.CONNECTION,
    "hang": Failure.TIMEOUT,
    "invalid_json": Failure.INVALID_RESPONSE,
    "truncated_json": Failure.INVALID_RESPONSE,
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("stream", [False, True])
async def test_broken_connections_and_bodies_are_real(
    fault: str, stream: bool, served: Serve
) -> None:
    async with served(faults={fault: 1, "hang_s": 30}) as url:
        transport = HttpTransport(url, "chat_completions", timeouts=TimeoutsConfig(total=0.2))
        for seed in range(4):  # both forms of a drop
            body = {**CHAT, "seed": seed}
            with pytest.raises(TransportError) as caught:
                await transport(ModelRequest("chat_completions", body, stream=stream))
            assert caught.value.kind is FAULTS[fault]
        await transport.close()


async def test_error_statuses(served: Serve) -> None:
    async with (
        served(faults={"rate_limit": 1, "retry_after_s": 0.25}) as url,
        aiohttp.ClientSession() as session,
        session.post(url + "/chat/completions", json=CHAT) as response,
    ):
        assert response.status == 429 and response.headers["Retry-After"] == "0.25"
        assert "rate limit" in (await response.json())["error"]["message"]
    async with served(faults={"server_error": 1}) as url:
        statuses = {(await post(url, {**CHAT, "seed": seed}))[0] for seed in range(20)}
    assert statuses == {500, 503}


async def test_a_faulty_server_gives_the_answers_of_a_healthy_one(served: Serve) -> None:
    faults = {"rate_limit": 0.1, "server_error": 0.1, "drop": 0.1, "retry_after_s": 0}

    async def answers(url: str) -> list[str]:
        config = ApiService(url=url, protocol="chat_completions", model="m")
        model = open_model("m", config, max_concurrent=16)
        asked = [model.generate(prompt=f"{n}?", context=CallContext()) for n in range(40)]
        texts = [answer.text for answer in await asyncio.gather(*asked)]
        await model.close()
        return texts

    async with served(seed=3) as healthy, served(seed=3, faults=faults) as faulty:
        assert await answers(faulty) == await answers(healthy)


async def test_models_health_and_mistakes(served: Serve) -> None:
    async with served(model="sim-1") as url, aiohttp.ClientSession() as session:
        async with session.get(url + "/models") as response:
            assert [m["id"] for m in (await response.json())["data"]] == ["sim-1"]
        async with session.get(url.removesuffix("/v1") + "/healthz") as response:
            assert await response.json() == {"status": "ok", "simulated": True}
        assert (await post(url, b"{"))[0] == 400
        assert (await post(url, [1]))[0] == 400
        status, body = await post(url, {"model": "m"})
        assert status == 400 and body["error"]["message"] == "'messages' is missing or empty"
        status, body = await post(url, {**CHAT, "n": 2})
        assert status == 400 and "'n' must be 1" in body["error"]["message"]
        status, body = await post(url, CHAT, "/embeddings")
        assert status == 404 and "/v1/embeddings" in body["error"]["message"]


@pytest.mark.parametrize(
    "body", [{"messages": ["x", 3]}, {"messages": "x"}, {"messages": {"a": 1}}]
)
async def test_strange_requests_get_an_answer(body: dict[str, Any], served: Serve) -> None:
    async with served() as url:
        status, answer = await post(url, {**body, "max_tokens": "many", "stop": None})
    assert status == 200 and "Answer: " in answer["choices"][0]["message"]["content"]


async def test_a_port_in_use_is_a_user_error(served: Serve) -> None:
    async with served() as url:
        port = int(url.split(":")[2].removesuffix("/v1"))
        with pytest.raises(ConfigError, match=rf"^127.0.0.1:{port}: cannot listen: .*port"):
            async with serving(SimulatedModel(SimulatedService()), port=port):
                pass


def simulate(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "nemo_evaluator.cli", "simulate", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


async def test_the_command_says_where_it_listens_and_ends_cleanly() -> None:
    with simulate("--port", "0", "--accuracy", "0.5", "--faults", "empty=1,hang_s=2") as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        assert line.startswith("listening on http://127.0.0.1:") and line.endswith("/v1\n")
        _, body = await post(line.split()[-1], CHAT)
        assert body["choices"][0]["message"]["content"] == ""
        server.terminate()
        assert server.wait(60) == 0


async def test_the_command_knows_the_answers_of_a_benchmark_it_is_told() -> None:
    (environment,) = resolve("sample", params={})
    await environment.prepare()
    with simulate("--bench", "sample", "--accuracy", "1") as server:
        assert server.stdout is not None
        url = server.stdout.readline().split()[-1]
        for idx in range(0, await environment.size(), 6):
            problem = await environment.seed(idx)
            messages = [{"role": "system", "content": "Think."}]
            messages.append({"role": "user", "content": problem.prompt})
            _, chat = await post(url, {"messages": messages})
            text = {"prompt": f"Think.\n\n{problem.prompt}"}
            _, completion = await post(url, text, "/completions")
            answers = chat["choices"][0]["message"]["content"], completion["choices"][0]["text"]
            for answer in answers:
                solution = Solution(response=answer)
                score = await environment.verify(problem, solution, VerifyTools())
                assert score.correct, f"{problem.prompt} {answer}"
        server.terminate()
    await environment.close()


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        ("drp=0.1", "--faults: drp: Extra inputs are not permitted — known: rate_limit, "),
        ("drop=2", "--faults: drop: Input should be less than or equal to 1"),
        ("drop", "'drop' is not name=number"),
        ("drop=0.6,hang=0.6", "the probabilities of all faults together exceed 1"),
    ],
)
def test_faults_that_make_no_sense_are_refused(faults: str, message: str) -> None:
    with simulate("--faults", faults) as server:
        _, errors = server.communicate(timeout=20)
    assert server.returncode == 2 and message in errors


async def test_it_runs_under_another_server(caplog: pytest.LogCaptureFixture) -> None:
    model = SimulatedModel(SimulatedService(seed=1), TARGETS)
    async with under_uvicorn(create_app(model)) as url:
        status, chat = await post(url + "/v1", CHAT)
        assert status == 200 and chat["system_fingerprint"] == "simulated"
        assert (await post(url + "/v1", [1]))[0] == 400
    faulty = SimulatedService.model_validate({"faults": {"drop": 1}})
    async with under_uvicorn(create_app(SimulatedModel(faulty))) as url:
        for seed in range(4):
            for stream in (False, True):
                with pytest.raises(aiohttp.ClientError):
                    await post(url + "/v1", {**CHAT, "seed": seed, "stream": stream})
