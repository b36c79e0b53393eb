"""A served benchmark as clients see it: both protocols, several at once, and what is refused."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import pytest
import uvicorn
from gyms import prepared, serving, sums, talk

from nemo_evaluator import ScorerInput, benchmark, scorer
from nemo_evaluator.environments.gym.app import Guarded, gym_app
from nemo_evaluator.environments.gym.served import Served
from nemo_evaluator.errors import InfraError, ModelError
from nemo_evaluator.services.gym_wire import answer_object
from nemo_evaluator.services.json_server import JsonServer
from nemo_evaluator.types import Generation, Problem, Solution, Usage


async def post(calls: JsonServer, path: str, body: Any) -> Any:
    return await calls.session().post(path, body)


async def asked(calls: JsonServer, path: str, body: Any, method: str = "POST") -> tuple[int, str]:
    reply = await calls.session().asked(method, path, body, seconds=5)
    told = json.loads(reply.body)
    assert told["error"]["message"] == told["detail"]
    return reply.status, told["detail"]


async def test_what_is_served(calls: JsonServer) -> None:
    health: Any = await calls.session().get("/health")
    assert health["status"] == "ok" and health["benchmark"] == "sums"
    assert health["dataset_size"] == 230 and health["protocol"] == "evaluator"
    assert health["identity"]["dataset_rows"] == 230
    assert await calls.session().get("/dataset_size") == {"size": 230}
    described: Any = await calls.session().get("/openapi.json")
    # What answers to POST and is none of these is taken for a tool.
    known = {"/seed_session", "/verify", "/aggregate_metrics"}
    assert {path for path, what in described["paths"].items() if "post" in what} == known


async def test_a_problem_is_seeded_and_its_answer_graded(calls: JsonServer) -> None:
    seed = await post(calls, "/seed_session", {"idx": 7})
    assert seed["prompt"] == "How much is 7 + 14?" and seed["expected_answer"] == 21
    assert seed["metadata"] == {"a": 7, "b": 14, "level": 1, "category": 1}
    assert {seed[name] for name in ("messages", "system", "sandbox_spec")} == {None}
    published = {"expected": seed["expected_answer"], "metadata": seed["metadata"]}
    verdict = await post(calls, "/verify", {"response": "It is 21.", **published})
    assert set(verdict) >= {"reward", "extracted_answer", "scoring_details", "metadata"}
    assert verdict["reward"] == 1.0 and verdict["extracted_answer"] == "21"
    wrong = await post(calls, "/verify", {"response": "It is 22.", **published})
    assert wrong["reward"] == 0.0 and wrong["correct"] is False
    assert await post(calls, "/verify", {"response": "It is 21.", "idx": 7}) == verdict


async def test_a_row_of_the_benchmark_is_graded_by_its_own_target(calls: JsonServer) -> None:
    told = {"idx": 7, "response": "99", "expected": 99, "metadata": {}}
    assert (await post(calls, "/verify", told))["reward"] == 0.0
    # What is none of its rows is graded by what the client expects.
    own = {"response": "99", "expected": 99, "metadata": {"a": 0, "b": 99}}
    assert (await post(calls, "/verify", own))["reward"] == 1.0


async def test_the_protocol_of_nemo_gym(calls: JsonServer) -> None:
    session = calls.session()
    row = {"responses_create_params": {"input": "How much is 3 + 6?"}, "uuid": "sums-3"}
    assert await session.post("/seed_session", row) == {}
    assert list(session.cookies) == ["nel_session"]
    response = answer_object(Generation(text="So it is 9"))
    told: Any = await session.post(
        "/verify", {"responses_create_params": {"input": "x"}, "response": response}
    )
    assert told["reward"] == 1.0 and told["extracted_answer"] == "9"
    assert told["response"] == response and told["responses_create_params"] == {"input": "x"}
    # Another session knows nothing of it; the row's name, or what is expected, will do too.
    without = {"responses_create_params": {}, "response": response}
    assert (await asked(calls, "/verify", without))[0] == 400
    assert (await post(calls, "/verify", {**without, "uuid": "sums-3"}))["reward"] == 1.0
    expects = {**without, "expected_answer": 9, "metadata": {"a": 0, "b": 0}}
    assert (await post(calls, "/verify", expects))["reward"] == 1.0
    plain = {"response": "9", "expected_answer": 9, "metadata": {"a": 0}}
    told = await post(calls, "/verify", plain)
    assert told["reward"] == 1.0 and (told["expected_answer"], told["response"]) == (9, "9")
    fields = {"a": 3, "b": 6, "level": 0, "category": 0, "_ng_task_index": 9}
    beside = {**without, **fields, "expected_answer": 9}  # as agents send a row
    assert (await post(calls, "/verify", beside))["reward"] == 1.0
    session.cookies["nel_session"] = session.cookies["nel_session"].replace("3.", "4.", 1)
    with pytest.raises(InfraError, match="the session is none of this server"):
        await session.post("/verify", without)


async def test_the_answer_is_what_was_said_after_the_last_tool_call(calls: JsonServer) -> None:
    def message(text: str) -> dict[str, Any]:
        content = [{"type": "output_text", "text": text, "annotations": []}]
        return {"type": "message", "role": "assistant", "content": content}

    call = {"type": "function_call", "call_id": "1", "name": "add", "arguments": "{}"}
    seen = {"type": "function_call_output", "call_id": "1", "output": "12"}
    output = [message("I guess 1"), call, seen, message("It is 12")]
    body = {"idx": 4, "responses_create_params": {}, "response": {"output": output}}
    assert (await post(calls, "/verify", body))["reward"] == 1.0
    cut = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    body["response"] = {"output": [message("I think, so")], **cut}
    told = await post(calls, "/verify", body)
    assert told["reward"] == 0.0 and told["failure"] == "truncated"


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/seed_session", {"idx": 230}, 400, "idx 230 is out of range: 0 to 229"),
        ("/seed_session", {"idx": -1}, 400, "out of range"),
        ("/seed_session", {"idx": "7"}, 400, "idx must be a whole number, not '7'"),
        ("/seed_session", {"idx": True}, 400, "idx must be a whole number"),
        ("/seed_session", [7], 400, "the body is not a JSON object"),
        ("/verify", {"idx": 7}, 400, "the request has no response"),
        ("/verify", {"idx": 7, "response": {"a": 1}}, 400, "the response has no output; it has a"),
        ("/verify", {"response": "1"}, 400, "names no problem"),
        ("/verify", {"idx": 7, "response": "1", "answered": {"answers": 3}}, 400, "answers"),
        ("/verify", {"idx": 7, "response": "1" * 2_000_000}, 413, "larger than 1 MB"),
        ("/run", {"idx": 7}, 501, "this server has no model"),
        ("/seed_batch", {"idx": 7}, 400, "idx must be a list"),
        ("/aggregate_metrics", {"verify_responses": [{"reward": "a"}]}, 400, "no number"),
        ("/get_weather", {}, 404, "there is no POST /get_weather"),
    ],
)
async def test_what_cannot_be_answered(path: str, body: Any, status: int, message: str) -> None:
    async with serving() as (url, _):
        calls = JsonServer(url)
        code, told = await asked(calls, path, body)
        await calls.close()
    assert code == status and message in told


async def test_a_scorer_that_fails_is_an_error_and_no_reward() -> None:
    @benchmark(name="broken", dataset=[{"target": 1}], prompt="?")
    @scorer
    def broken(sample: ScorerInput) -> dict[str, Any]:
        raise RuntimeError("no such file")

    async with serving(broken) as (url, _):
        calls = JsonServer(url)
        status, told = await asked(calls, "/verify", {"idx": 0, "response": "1"})
        assert status == 503 and "no such file" in told
        await calls.close()


async def test_several_at_once_whole_or_as_they_come(calls: JsonServer) -> None:
    found = await post(calls, "/seed_batch", {"idx": [3, 999, 1]})
    assert [one.get("prompt") for one in found["problems"]] == [
        "How much is 3 + 6?",
        None,
        "How much is 1 + 2?",
    ]
    assert found["problems"][1]["error"]["status"] == 400
    part = await post(calls, "/seed_batch", {"start": 228})
    assert [one["idx"] for one in part["problems"]] == [228, 229]
    items = [{"idx": i, "response": str(3 * i)} for i in range(50)] + ["nonsense"]
    whole = (await post(calls, "/verify_batch", {"items": items}))["results"]
    assert [one["index"] for one in whole] == [*range(51)]
    assert [one["reward"] for one in whole[:50]] == [1.0] * 50 and "error" in whole[50]
    lines: list[bytes] = []
    async with calls.session().streamed(
        "/verify_batch", {"items": items[:5]}, seconds=5, accept="application/x-ndjson"
    ) as pieces:
        lines = b"".join([piece async for piece in pieces]).splitlines()
    assert {json.loads(line)["index"] for line in lines} == {*range(5)}
    async with calls.session().streamed(
        "/seed_batch", {"idx": [5]}, seconds=5, accept="text/event-stream"
    ) as pieces:
        data = b"".join([piece async for piece in pieces])
    assert data.startswith(b"data: {") and b"How much is 5 + 10?" in data


async def test_hidden_answers_are_in_nothing_that_is_told() -> None:
    """The row holds the answer under other names too: none of it is told, and it is found again."""
    async with serving(hidden=True) as (url, served):
        calls = JsonServer(url)
        seed = await post(calls, "/seed_session", {"idx": 7})
        assert seed["expected_answer"] is None
        assert seed["metadata"] == {"uuid": "sums-7", "category": "1"}
        published = {"response": "21", "expected": None, "metadata": seed["metadata"]}
        verdict = await post(calls, "/verify", published)
        assert verdict["reward"] == 1.0 and verdict["scoring_details"] == {}
        assert (await post(calls, "/verify", {"response": "21", "idx": 7}))["reward"] == 1.0
        wrong = await post(calls, "/verify", {**published, "response": "20"})
        assert wrong["reward"] == 0.0 and "21" not in json.dumps(wrong)
        status, told = await asked(calls, "/verify", {"response": "1", "expected": 1})
        assert status == 400 and "names no problem" in told
        row = await served.row(7)
        assert "expected_answer" not in row and row["metadata"] == seed["metadata"]
        await calls.close()


async def test_conversations_systems_and_images_go_along() -> None:
    async with serving(talk) as (url, served):
        calls = JsonServer(url)
        seed = await post(calls, "/seed_session", {"idx": 1})
        assert seed["messages"] == [{"role": "user", "content": "And 1?"}]
        assert seed["system"] == "Be brief." and seed["cluster"] == "c1"
        assert seed["images"][0].startswith("data:image/png;base64,")
        row: Any = await served.row(1)
        system, user = row["responses_create_params"]["input"]
        kinds = [part["type"] for part in user["content"]]
        assert system["content"] == "Be brief." and "input_image" in kinds
        assert row["uuid"] == "talk-1" and row["expected_answer"] == 3
        await calls.close()


async def test_whole_rollouts_by_the_servers_own_solver() -> None:
    async def solve(problem: Problem, name: str) -> Solution:
        if problem.idx == 9:
            raise ModelError("the context is too long")
        usage = Usage(prompt_tokens=5, completion_tokens=2)
        return Solution(response=f"{problem.target}", usage=usage, model="m")

    async with serving(solve=solve) as (url, _):
        calls = JsonServer(url)
        told = await post(calls, "/run", {"uuid": "sums-5", "responses_create_params": {}})
        assert told["reward"] == 1.0 and told["response"]["output"][0]["role"] == "assistant"
        assert told["response"]["usage"]["total_tokens"] == 7 and told["response"]["model"] == "m"
        assert (await post(calls, "/run", {"idx": 9}))["reward"] == 0.0
        described: Any = await calls.session().get("/openapi.json")
        assert "/run" in described["paths"]
        await calls.close()


async def test_verdicts_are_summed_up(calls: JsonServer) -> None:
    rewards = [(0, 1.0), (0, 0.0), (1, 1.0)]
    responses = [{"_ng_task_index": task, "reward": reward} for task, reward in rewards]
    told = await post(calls, "/aggregate_metrics", {"verify_responses": responses})
    assert told["key_metrics"] == {"mean/reward": 0.75}
    assert [group["n"] for group in told["group_level_metrics"]] == [2, 1]
    assert (await post(calls, "/aggregate_metrics", {"verify_responses": []}))["key_metrics"] == {}


# -- who may ask, and clients that leave ----------------------------------------------------------


async def test_strangers_are_turned_away() -> None:
    async with serving(token="sesame") as (url, _):
        calls = JsonServer(url)
        assert (await asked(calls, "/seed_session", {"idx": 1}))[0] == 401
        assert (await calls.session().asked("GET", "/health", None, seconds=5)).status == 200
        known = JsonServer(url, token="sesame")
        assert (await post(known, "/seed_session", {"idx": 1}))["idx"] == 1
        await known.close()
        for name, value, status in (
            ("host", "evil.example", b"421"),
            ("origin", "http://evil.example", b"403"),
        ):
            reader, writer = await asyncio.open_connection(*url[7:].split(":"))
            headers = {"host": url[7:], "authorization": "Bearer sesame", name: value}
            lines = "".join(f"{key}: {text}\r\n" for key, text in headers.items())
            writer.write(f"GET /dataset_size HTTP/1.1\r\n{lines}\r\n".encode())
            assert (await reader.readline()).split()[1] == status
            writer.close()
        await calls.close()


async def test_a_client_that_leaves_frees_what_it_held() -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    @benchmark(name="slow", dataset=[{"target": 1}], prompt="?")
    @scorer
    async def slow(sample: ScorerInput) -> bool:
        if sample.response == "wait":
            began.set()
            try:
                await asyncio.sleep(60)
            finally:
                ended.set()
        return True

    async with serving(slow, most=1) as (url, _):
        calls = JsonServer(url)
        _reader, writer = await asyncio.open_connection(*url[7:].split(":"))
        body = b'{"idx": 0, "response": "wait"}'
        head = f"POST /verify HTTP/1.1\r\nhost: {url[7:]}\r\ncontent-type: application/json\r\n"
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        await asyncio.wait_for(began.wait(), 5)
        other = asyncio.create_task(post(calls, "/verify", {"idx": 0, "response": "now"}))
        await asyncio.sleep(0.05)
        assert not other.done()  # the only place is taken
        writer.transport.abort()
        assert (await asyncio.wait_for(other, 5))["reward"] == 1.0
        await asyncio.wait_for(ended.wait(), 5)
        await calls.close()


async def test_it_runs_under_another_server_too() -> None:
    environment = await prepared(sums)
    app = Guarded(gym_app(Served(environment, 230), max_body_mb=1), None)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        app.open_at("127.0.0.1", port)
        config = uvicorn.Config(app, log_level="critical", lifespan="off")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            await asyncio.sleep(0.01)
        calls = JsonServer(f"http://127.0.0.1:{port}")
        assert (await post(calls, "/verify", {"idx": 7, "response": "21"}))["reward"] == 1.0
        too_large = {"idx": 7, "response": "1" * 2_000_000}
        assert (await asked(calls, "/verify", too_large))[0] == 413
        await calls.close()
        server.should_exit = True
        await serving
