"""``nat``: what an agent of NeMo Agent Toolkit streams, as steps, an answer, and what it used."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from gyms import routed
from hypothesis import given
from hypothesis import strategies as st
from runs import BENCH, rows
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from nemo_evaluator import NatSolver, SeedResult, evaluate_async
from nemo_evaluator.results.trajectory_row import read_trajectories
from nemo_evaluator.solvers.nat_events import NatEvents
from nemo_evaluator.solvers.question import question_of
from nemo_evaluator.types import Problem, Usage


def step(event: str, **fields: Any) -> str:
    payload = json.dumps({"event_type": event, **fields})
    return f"intermediate_data: {json.dumps({'type': event, 'payload': payload})}"


def said(text: str, tokens: tuple[int, int] | None = None) -> str:
    used = {}
    if tokens is not None:
        used = {"token_usage": {"prompt_tokens": tokens[0], "completion_tokens": tokens[1]}}
    return step("LLM_END", name="llama", data={"output": text}, usage_info=used)


def events(*lines: str) -> NatEvents:
    found = NatEvents()
    found.feed("\n\n".join(lines).encode())
    found.close()
    return found


def test_a_turn_with_a_tool() -> None:
    found = events(
        said("think"),
        step("TOOL_START", name="calc", data={"input": "2+2"}),
        step("TOOL_END", name="calc", data={"output": "4"}),
        'data: {"value": "four"}',
    )
    [one] = found.steps
    assert found.answer == "four" and one.message == "think" and one.model_name == "llama"
    assert [(c.tool_call_id, c.function_name, c.arguments) for c in one.tool_calls] == [
        ("call_1", "calc", {"raw": "2+2"})
    ]
    assert one.observation is not None and one.observation.results[0].content == "4"
    # What the server does not tell is not made up.
    assert found.usage == Usage() and one.metrics is None


def test_tools_side_by_side_are_told_apart() -> None:
    found = events(
        said("two at once", (10, 3)),
        step("TOOL_START", name="a", UUID="x", data={"input": {"n": 1}}),
        step("TOOL_START", name="b", UUID="y", data={"input": '{"n": 2}'}),
        step("TOOL_END", name="b", UUID="y", data={"output": {"value": "B"}}),
        step("TOOL_END", name="a", UUID="x", data={"output": ["A"]}),
        step("TOOL_END", name="a", UUID="unknown", data={"output": "?"}),
        said("done", (20, 4)),
    )
    first, second = found.steps
    assert [(c.tool_call_id, c.arguments) for c in first.tool_calls] == [
        ("call_1", {"n": 1}),
        ("call_2", {"n": 2}),
    ]
    assert first.observation is not None
    results = [(r.source_call_id, r.content) for r in first.observation.results]
    assert results == [("call_2", "B"), ("call_1", '["A"]')]
    assert found.answer == "done" and found.calls == 2
    assert found.usage == Usage(prompt_tokens=30, completion_tokens=7)
    assert second.metrics is not None and second.metrics.completion_tokens == 4


@pytest.mark.parametrize(
    ("lines", "answer"),
    [
        (['data: {"output": "x"}'], "x"),
        (['data: {"response": {"value": "x"}}'], "x"),
        (['data: "x"'], "x"),
        (['data: {"value": 3}'], "3"),
        (['data: {"value": "a"}', 'data: {"value": "b"}', "data: [DONE]"], "b"),
        ([": comment", "data: not json", "observability_trace: {}", said("x")], "x"),
        ([], None),
    ],
)
def test_the_answer(lines: list[str], answer: str | None) -> None:
    assert events(*lines).answer == answer


def test_an_error_in_the_stream() -> None:
    assert events('data: {"error": "no tool"}').error == "no tool"
    assert events('error: {"code": 500}').error == '{"code": 500}'
    assert events("error: it broke").error == "it broke"


@given(st.lists(st.binary(max_size=60) | st.sampled_from([said("x").encode(), b"data: {}\n"])))
def test_nothing_that_is_streamed_raises(pieces: list[bytes]) -> None:
    found = NatEvents()
    for piece in pieces:
        found.feed(piece)
    found.close()


def test_a_problem_as_one_text() -> None:
    messages = ({"role": "user", "content": [{"type": "text", "text": "A?"}]},)
    assert question_of(Problem(idx=0, messages=messages, system="S"), "it") == "S\n\nA?"
    assert question_of(Problem(idx=0, prompt="P", messages=messages), "it") == "P"


# -- whole runs -----------------------------------------------------------------------------------


@asynccontextmanager
async def agent(tmp_path: Path, lines: list[str], status: int = 200) -> AsyncIterator[Any]:
    (tmp_path / "sums.py").write_text(BENCH % {"size": 3})
    asked: list[dict[str, Any]] = []

    async def generate(request: Request) -> Response:
        body = await request.json()
        asked.append(body)
        if status != 200:
            return JSONResponse({"detail": "no workflow"}, status)
        number = next(word for word in body["input_message"].split() if word.isdigit())

        async def streamed() -> AsyncIterator[str]:
            for line in lines:
                yield line.replace("NUMBER", number) + "\n\n"
                await asyncio.sleep(0)

        return StreamingResponse(streamed(), media_type="text/event-stream")

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "healthy"})

    routes = Route("/health", health), Route("/generate/full", generate, methods=["POST"])
    async with routed(*routes) as url:
        document = {
            "services": {"n": {"type": "nat", "url": url}},
            "benchmarks": [
                {
                    "name": str(tmp_path / "sums.py"),
                    "solver": {"type": "nat", "service": "n"},
                    "max_system_retries": 1,
                }
            ],
            "output": {"dir": str(tmp_path / "run"), "report": []},
        }
        yield document, asked


async def test_an_agent_is_run(tmp_path: Path) -> None:
    lines = [said("let me see", (7, 2)), 'data: {"value": "It is NUMBER"}']
    async with agent(tmp_path, lines) as (document, asked):
        result = await evaluate_async(document)
    assert result.exit_code == 0 and len(asked) == 3
    found = rows(tmp_path / "run/sums")
    assert [row["reward"] for row in found] == [1.0] * 3 and {row["tokens"] for row in found} == {9}
    for row in read_trajectories(tmp_path / "run/sums"):
        assert [one.source for one in row.steps] == ["user", "agent"]


async def test_the_class_of_the_known_system(tmp_path: Path) -> None:
    lines = [said("let me see", (7, 2)), 'data: {"value": "It is NUMBER"}']
    async with agent(tmp_path, lines) as (document, asked):
        solver = NatSolver(document["services"]["n"]["url"], timeout=5)
        told = await solver.solve(SeedResult(prompt="How much is 3 modulo 50?"))
        await solver.close()
    assert told.response == "It is 3" and told.trajectory[0]["message"] == "let me see"
    assert told.model_response is not None and told.model_response.total_tokens == 9
    assert asked == [{"input_message": "How much is 3 modulo 50?"}]


NAT = """#!{python}
import http.server, json, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.reply(b"{{}}" if self.path == "/health" else None)
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["input_message"]
        number = next(word for word in asked.split() if word.isdigit())
        told = {{"value": number, "at": os.environ["OPENAI_BASE_URL"]}}
        self.reply(b"data: " + json.dumps(told).encode() + b"\\n\\n")
    def reply(self, data):
        self.send_response(404 if data is None else 200)
        self.end_headers()
        self.wfile.write(data or b"")
    def log_message(self, *words):
        pass
given = dict(zip(sys.argv[2::2], sys.argv[3::2]))
assert sys.argv[1] == "serve" and given["--config_file"] == {config!r}
print("nat is up", flush=True)
where = given["--host"], int(given["--port"])
http.server.ThreadingHTTPServer(where, Handler).serve_forever()
"""


@pytest.mark.process
async def test_a_server_is_started_and_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sums.py").write_text(BENCH % {"size": 3})
    (tmp_path / "workflow.yml").write_text("llms: {}")
    program, config = tmp_path / "bin/nat", str(tmp_path / "workflow.yml")
    program.parent.mkdir()
    program.write_text(NAT.format(python=sys.executable, config=config))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    result = await evaluate_async(
        {
            "services": {
                "m": {"type": "simulated"},
                "n": {"type": "nat", "nat_config_file": config, "model": "m"},
            },
            "benchmarks": [
                {"name": str(tmp_path / "sums.py"), "solver": {"type": "nat", "service": "n"}}
            ],
            "output": {"dir": str(tmp_path / "run"), "report": []},
        }
    )
    assert result.exit_code == 0, result.messages
    found = rows(tmp_path / "run/sums")
    assert [row["reward"] for row in found] == [1.0] * 3
    assert {row["tokens"] for row in found} == {None}  # the server does not tell them
    assert "nat is up" in (tmp_path / "run/service_n.log").read_text()


@pytest.mark.parametrize(
    ("lines", "status", "message"),
    [
        ([": nothing"], 200, "the answer of /generate/full ended without an answer"),
        (['data: {"error": "no key"}'], 200, "tells of an error: no key"),
        ([], 500, "/generate/full was answered with 500: no workflow"),
    ],
)
async def test_what_goes_wrong_there_is_no_score(
    lines: list[str], status: int, message: str, tmp_path: Path
) -> None:
    async with agent(tmp_path, lines, status) as (document, _):
        result = await evaluate_async(document)
    assert result.exit_code != 0
    for row in rows(tmp_path / "run/sums"):
        assert row["reward"] is None and message in row["scoring_details"]["error"]
