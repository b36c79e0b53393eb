"""``gym://``: what another program serves, asked and scored as the benchmark itself would be."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from gyms import ROWS, prepared, routed, serving, sums, talk
from runs import BENCH, rows
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from nemo_evaluator import evaluate_async
from nemo_evaluator.environments.contract import Environment, VerifyTools
from nemo_evaluator.environments.gym.address import Protocol, read_address
from nemo_evaluator.environments.gym.environment import GymEnvironment, open_gym
from nemo_evaluator.errors import ConfigError, InfraError
from nemo_evaluator.services.gym_wire import GYM_SESSION
from nemo_evaluator.testing.environments import EnvironmentContract
from nemo_evaluator.types import Failure, Problem, Solution

TOOLS = VerifyTools()


@asynccontextmanager
async def opened(url: str, query: str = "", **params: Any) -> AsyncIterator[GymEnvironment]:
    [environment] = open_gym(f"gym://{url.removeprefix('http://')}{query}", params)
    try:
        await environment.prepare()
        yield environment
    finally:
        await environment.close()


class TestServed(EnvironmentContract):
    """A benchmark over HTTP promises what it promises here."""

    @pytest.fixture
    async def environment(self) -> AsyncIterator[Environment]:
        async with serving() as (url, _), opened(url) as environment:
            yield environment

    def right(self, problem: Problem) -> str:
        return str(problem.target)


@pytest.mark.parametrize("definition", [sums, talk])
async def test_problems_and_verdicts_are_those_of_the_benchmark(definition: Any) -> None:
    own = await prepared(definition)
    async with serving(definition) as (url, _), opened(url) as gym:
        assert (gym.name, await gym.size()) == (own.name, await own.size())
        assert gym.identity() == own.identity()
        for idx in range(await own.size()):
            here, there = await own.seed(idx), await gym.seed(idx)
            for name in ("prompt", "messages", "system", "target", "metadata", "cluster"):
                assert getattr(here, name) == getattr(there, name)
            assert len(here.images) == len(there.images)
        for text, reason in (
            (f"It is {here.target}", "stop"),
            ("It is 5", "stop"),
            ("", "length"),
            ("<think>so 3 then", "length"),
            ("<think>so 3</think>It is 9", "stop"),
        ):
            said = Solution(response=text, finish_reason=reason)
            assert await gym.verify(there, said, TOOLS) == await own.verify(here, said, TOOLS)
    await own.close()


async def test_two_clients_at_once_get_what_is_theirs() -> None:
    async with serving() as (url, _), opened(url) as one, opened(url) as two:

        async def score(gym: GymEnvironment, idx: int, off: int) -> float:
            problem = await gym.seed(idx)
            said = Solution(response=str(problem.target + off))
            return (await gym.verify(problem, said, TOOLS)).reward

        scores = [score(one, i, 0) for i in range(60)] + [score(two, i, 1) for i in range(60)]
        assert await asyncio.gather(*scores) == [1.0] * 60 + [0.0] * 60


async def test_a_published_server_says_less_and_scores_the_same() -> None:
    """One that knows neither ``idx`` nor batches, and says nothing of itself in /health."""
    asked: list[dict[str, Any]] = []

    async def health(request: Request) -> Response:
        told = {"status": "ok", "benchmark": "b", "dataset_size": 3, "protocol": "evaluator"}
        return JSONResponse(told)

    async def size(request: Request) -> Response:
        return JSONResponse({"size": 3})

    async def seed(request: Request) -> Response:
        row = ROWS[(await request.json())["idx"]]
        told = {"prompt": f"{row['a']}?", "expected_answer": row["target"], "metadata": row}
        return JSONResponse(told)

    async def verify(request: Request) -> Response:
        asked.append(body := await request.json())
        right = str(body["expected"]) == body["response"]
        told = {"reward": float(right), "extracted_answer": body["response"]}
        return JSONResponse({**told, "scoring_details": {"how": "exact"}, "metadata": {}})

    routes = (
        Route("/health", health),
        Route("/dataset_size", size),
        Route("/seed_session", seed, methods=["POST"]),
        Route("/verify", verify, methods=["POST"]),
    )
    async with routed(*routes) as url, opened(url) as gym:
        assert gym.identity()["dataset_rows"] == 3 and gym.identity()["dataset_digest"]
        problem = await gym.seed(2)
        score = await gym.verify(problem, Solution(response="6"), TOOLS)
        assert (score.reward, score.extracted, score.details) == (1.0, "6", {"how": "exact"})
        assert asked == [{"response": "6", "expected": 6, "metadata": ROWS[2]}]


@pytest.mark.parametrize(
    ("verdict", "message"),
    [
        ({"reward": "high"}, "a reward is a number, not 'high'"),
        ({"reward": None}, "a reward is a number, not None"),
        ({"score": 1}, 'the verdict has no reward; it has \\["score"\\]'),
        ([1], "Expected `object`, got `array`"),
    ],
)
async def test_what_is_no_verdict_is_no_reward(verdict: Any, message: str) -> None:
    async def wrong(request: Request) -> Response:
        return JSONResponse(verdict)

    async def health(request: Request) -> Response:
        return JSONResponse({"dataset_size": 1, "benchmark": "b", "size": 1, "identity": {"x": 1}})

    routes = [Route(f"/{path}", health) for path in ("health", "dataset_size")]
    routes.append(Route("/verify", wrong, methods=["POST"]))
    async with routed(*routes) as url, opened(url) as gym:
        with pytest.raises(InfraError, match=message) as error:
            await gym.verify(Problem(idx=0), Solution(response="1"), TOOLS)
    assert error.value.info.kind is Failure.VERIFIER


# -- servers of NeMo Gym --------------------------------------------------------------------------


def counter(sessions: dict[str, int], *, agent: bool = False) -> list[Route]:
    """A resources server whose state is bound to a cookie: it wants as many calls as expected."""

    async def seed(request: Request) -> Response:
        name = f"s{len(sessions)}"
        sessions[name] = 0
        response = JSONResponse({})
        response.set_cookie("Counter___c", name)
        return response

    async def count(request: Request) -> Response:
        sessions[request.cookies["Counter___c"]] += 1
        return JSONResponse({})

    async def verify(request: Request) -> Response:
        body = await request.json()
        counted = sessions[request.cookies["Counter___c"]]
        return JSONResponse(
            {**body, "reward": float(counted == body["expected_answer"]), "n": counted}
        )

    async def described(request: Request) -> Response:
        own = ["/run", "/v1/responses"] if agent else ["/seed_session", "/verify", "/count"]
        return JSONResponse({"paths": {path: {"post": {}} for path in own}})

    async def root(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    return [
        Route("/", root),
        Route("/openapi.json", described),
        Route("/seed_session", seed, methods=["POST"]),
        Route("/count", count, methods=["POST"]),
        Route("/verify", verify, methods=["POST"]),
    ]


def data_file(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    inputs = [{"role": "developer", "content": "Count."}, {"role": "user", "content": "To two."}]
    row = {"responses_create_params": {"input": inputs, "tools": []}, "expected_answer": 2}
    path.write_text("\n".join(json.dumps({**row, "id": i}) for i in range(3)))
    return path


async def test_a_resources_server_grades_in_the_session_of_the_answer(tmp_path: Path) -> None:
    sessions: dict[str, int] = {}
    async with routed(*counter(sessions)) as url, opened(url, data=str(data_file(tmp_path))) as gym:
        assert await gym.size() == 3 and gym.identity()["gym"] == "native"
        problem = await gym.seed(1)
        assert problem.messages == (
            {"role": "system", "content": "Count."},
            {"role": "user", "content": "To two."},
        )
        assert problem.target == 2 and problem.metadata["id"] == 1
        fresh = await gym.verify(problem, Solution(response="done"), TOOLS)
        assert fresh.reward == 0.0 and fresh.details == {"n": 0}
        sessions["mine"] = 2
        kept = {"server": url, "cookies": {"Counter___c": "mine"}, "output": []}
        said = Solution(response="done", details={GYM_SESSION: kept})
        assert (await gym.verify(problem, said, TOOLS)).reward == 1.0


async def counting(request: Request) -> Response:
    """A model that calls the tool twice, and is done."""
    body = await request.json()
    turns = sum(message["role"] == "assistant" for message in body["messages"])
    call = {"id": f"c{turns}", "type": "function", "function": {"name": "count", "arguments": "{}"}}
    said = {"content": "done"} if turns == 2 else {"content": None, "tool_calls": [call]}
    choice = {"index": 0, "message": {"role": "assistant", **said}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    return JSONResponse({"id": "x", "model": "m", "choices": [choice], "usage": usage})


async def test_a_gym_grades_the_state_that_its_tools_left(tmp_path: Path) -> None:
    sessions: dict[str, int] = {}
    model = Route("/v1/chat/completions", counting, methods=["POST"])
    async with routed(*counter(sessions), model) as url:
        api = {"type": "api", "url": f"{url}/v1/chat/completions", "model": "m"}
        solver = {"type": "tool_calling", "service": "m", "resource_service": "g"}
        gym = f"gym://{url[7:]}?data={data_file(tmp_path)}"
        result = await evaluate_async(
            {
                "services": {
                    "m": {**api, "protocol": "chat_completions"},
                    "g": {"type": "gym", "url": url},
                },
                "benchmarks": [{"name": gym, "solver": solver, "repeats": 4}],
                "output": {"dir": str(tmp_path / "run"), "report": []},
            }
        )
    assert result.exit_code == 0, result.messages
    [folder] = (path for path in (tmp_path / "run").iterdir() if path.is_dir())
    found = rows(folder)
    assert [row["reward"] for row in found] == [1.0] * 12
    # Twelve rollouts, each in a session of its own, which the verdict was asked for in.
    assert list(sessions.values()) == [2] * 12
    assert not any("Counter___c" in str(row) for row in found)


async def test_an_agent_server_grades_nothing(tmp_path: Path) -> None:
    data = str(data_file(tmp_path))
    async with routed(*counter({}, agent=True)) as url, opened(url, data=data) as gym:
        assert gym.identity()["gym"] == "agent"
        with pytest.raises(ConfigError, match=r"agent server.*trust_reward: true"):
            await gym.verify(await gym.seed(0), Solution(response="x"), TOOLS)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"a": 1}', r"rows.jsonl:1: the row has no responses_create_params"),
        ('{"responses_create_params": {}}', "responses_create_params has no input"),
        (
            '{"responses_create_params": {"input": [{"type": "reasoning"}]}}',
            "an item of type 'reasoning', no message",
        ),
    ],
)
async def test_rows_that_ask_nothing_are_named(line: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(line)
    async with routed(*counter({})) as url:
        with pytest.raises(ConfigError, match=message):
            async with opened(url, f"?protocol=native&data={tmp_path}/rows.jsonl"):
                pass


async def test_a_gym_without_problems_says_what_to_give() -> None:
    async with routed(*counter({})) as url:
        with pytest.raises(ConfigError, match=r"no problems of its own.*\?data=FILE"):
            async with opened(url):
                pass
        with pytest.raises(ConfigError, match="does not speak the protocol of `nel serve`"):
            async with opened(url, "?protocol=evaluator"):
                pass


# -- addresses ------------------------------------------------------------------------------------


def test_an_address_says_which_server_and_protocol() -> None:
    running = read_address("gym://127.0.0.1:9?protocol=native", {"data": "x.jsonl"})
    assert running.service.url == "http://127.0.0.1:9" and running.name == "gym-127.0.0.1:9"
    assert running.protocol is Protocol.NATIVE and running.data == Path("x.jsonl")
    assert read_address("gym://h:1?protocol=gym", {}).protocol is Protocol.NATIVE
    assert read_address("gym://https://h/x", {}).service.url == "https://h/x"
    assert read_address("gym://gsm8k", {}).service.benchmark == "gsm8k"
    command = read_address("gym://cmd:./my gym.sh", {})
    assert command.service.server_cmd == "./my gym.sh" and command.name == "my"
    module = read_address("gym://module:my.gym", {})
    assert f"{sys.executable} -m my.gym" in str(module.service.server_cmd)
    assert module.service.listens_on is None


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("gym://", "names no gym"),
        ("gym://cmd:", "names no cmd"),
        ("gym://h:1?protocol=x", "unknown protocol 'x'"),
        ("gym://h:1?dta=x", "unknown parameter 'dta' — did you mean 'data'?"),
        ("gym://h:1?protocol=evaluator&data=x", "data has no effect"),
        ("gym://h:1?token_env=NEL_NO_SUCH", "the variable NEL_NO_SUCH is not set"),
        ("gym://h:99999", "port"),
    ],
)
def test_addresses_that_cannot_be(uri: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_address(uri, {})
    assert message in str(error.value)


async def test_a_token_is_sent_where_the_server_wants_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEL_GYM_TOKEN", "sesame")
    async with serving(token="sesame") as (url, _), opened(url) as gym:
        assert (await gym.seed(3)).prompt == "How much is 3 + 6?"


async def test_a_token_that_is_missing_is_told_before_the_run() -> None:
    async with serving(token="sesame") as (url, _):
        with pytest.raises(ConfigError, match=r"401: this server requires.*NEL_GYM_TOKEN"):
            async with opened(url):
                pass


async def test_hidden_answers_are_graded_all_the_same() -> None:
    async with serving(hidden=True) as (url, _), opened(url) as gym:
        problem = await gym.seed(7)
        assert problem.target is None and problem.category == "1"
        scores = [await gym.verify(problem, Solution(response=t), TOOLS) for t in ("21", "20")]
        assert [score.reward for score in scores] == [1.0, 0.0]


# -- whole runs -----------------------------------------------------------------------------------


@pytest.mark.process
async def test_a_run_over_a_gym_has_the_rows_of_a_direct_run(tmp_path: Path) -> None:
    (tmp_path / "sums.py").write_text(BENCH % {"size": 20})

    def document(name: str, out: str) -> dict[str, Any]:
        return {
            "services": {"m": {"type": "simulated", "accuracy": 0.5}},
            "benchmarks": [{"name": name, "repeats": 2}],
            "output": {"dir": str(tmp_path / out), "report": []},
        }

    direct = await evaluate_async(document(str(tmp_path / "sums.py"), "direct"))
    started = await evaluate_async(document(f"gym://{tmp_path / 'sums.py'}", "gym"))
    assert direct.exit_code == started.exit_code == 0
    ours, theirs = (rows(tmp_path / name / "sums") for name in ("direct", "gym"))
    for row in (*ours, *theirs):
        row.pop("latency_ms")
    assert ours == theirs and {row["reward"] for row in ours} == {0.0, 1.0}
    plans = [json.loads((tmp_path / n / "plan.lock").read_text()) for n in ("direct", "gym")]
    identities = [plan["benchmarks"][0]["identity"] for plan in plans]
    assert identities[0].pop("benchmark") != identities[1].pop("benchmark")
    assert identities[0] == identities[1]
    # Everything is there: a resumed run asks and starts nothing.
    again = await evaluate_async(document(f"gym://{tmp_path / 'sums.py'}", "gym"), resume=True)
    assert again.exit_code == 0


@pytest.mark.parametrize("native", [False, True])
async def test_a_gym_verifies_in_the_place_of_the_benchmark(native: bool, tmp_path: Path) -> None:
    """The gym says that only the answer to 3 is right, whatever the benchmark would."""
    (tmp_path / "sums.py").write_text(BENCH % {"size": 6})
    asked: list[dict[str, Any]] = []

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok"} | ({} if native else {"dataset_size": 6}))

    async def seed(request: Request) -> Response:
        response = JSONResponse({})
        response.set_cookie("Gym___g", "session")
        return response

    async def verify(request: Request) -> Response:
        body = await request.json()
        asked.append({**body, "cookies": dict(request.cookies)})
        target = body["expected_answer" if native else "expected"]
        return JSONResponse({"reward": float(target == 3)})

    posts = [("seed_session", seed), ("verify", verify)]
    routes = [Route(f"/{path}", handler, methods=["POST"]) for path, handler in posts]
    async with routed(Route("/health", health), *routes) as url:
        result = await evaluate_async(
            {
                "services": {"m": {"type": "simulated"}, "v": {"type": "gym", "url": url}},
                "benchmarks": [{"name": str(tmp_path / "sums.py"), "verifier": "v"}],
                "output": {"dir": str(tmp_path / "run"), "report": []},
            }
        )
    assert result.exit_code == 0 and len(asked) == 6
    rewards = {row["expected_answer"]: row["reward"] for row in rows(tmp_path / "run/sums")}
    assert rewards == {0: 0.0, 1: 0.0, 2: 0.0, 3: 1.0, 4: 0.0, 5: 0.0}
    [plan] = json.loads((tmp_path / "run/plan.lock").read_text())["benchmarks"]
    assert plan["identity"]["environment.scorer"] == "verifier:v"
    if native:
        assert {str(one["cookies"]) for one in asked} == {"{'Gym___g': 'session'}"}
        assert all(one["response"]["object"] == "response" and one["a"] >= 0 for one in asked)


async def test_a_server_that_is_gone_is_an_error_before_anything_is_paid(tmp_path: Path) -> None:
    document = {
        "services": {"m": {"type": "simulated"}},
        "benchmarks": [{"name": "gym://127.0.0.1:9"}],
        "output": {"dir": str(tmp_path / "out")},
    }
    with pytest.raises(ConfigError, match=r"gym://127.0.0.1:9: does not answer: .*refused"):
        await evaluate_async(document)


async def test_what_a_served_benchmark_needs_is_given_to_its_server() -> None:
    gym = GymEnvironment(read_address("gym://xstest", {}))
    try:
        with pytest.raises(ConfigError, match="needs a judge") as error:
            await gym.prepare()
    finally:
        await gym.close()
    assert "gym://cmd:nel serve -b xstest --judge-url URL" in str(error.value)


async def test_a_server_that_redirects_says_which_address_to_give() -> None:
    """Nothing is sent to an address that was not configured."""

    async def elsewhere(request: Request) -> Response:
        return RedirectResponse("https://ann:hunter2pass@gym.example/health?token=abcdef123456")

    async with routed(Route("/health", elsewhere)) as url:
        with pytest.raises(ConfigError, match=r"with 307: it redirects to .*gym\.example") as e:
            async with opened(url):
                pass
    assert "hunter2pass" not in str(e.value) and "abcdef123456" not in str(e.value)
