"""Tools of gyms: how they are found, called, and kept apart from one rollout to the next."""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from commands import Nel
from hypothesis import given
from hypothesis import strategies as st
from nemo_gym import nemo_gym
from runs import rows
from scripted_server import ScriptedServer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from nemo_evaluator.errors import ConfigError, InfraError
from nemo_evaluator.sandboxes import Sandbox
from nemo_evaluator.services.json_server import JsonServer
from nemo_evaluator.solvers.tool_calling.openapi import operations
from nemo_evaluator.types import Problem

from .conftest import calling, solve

__all__ = ["nemo_gym"]
MCP_SERVER = Path(__file__).resolve().parents[2] / "support" / "mcp_server.py"

COOKIE = "Gym___test"
BODY = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Args"}}}}


def described(**paths: Any) -> dict[str, Any]:
    return {
        "openapi": "3.1.0",
        "paths": {f"/{path.replace('__', '/')}": {"post": about} for path, about in paths.items()},
        "components": {
            "schemas": {
                "Args": {
                    "title": "Args",
                    "type": "object",
                    "required": ["tree"],
                    "properties": {
                        "title": {"type": "string", "title": "Title"},
                        "tree": {"$ref": "#/components/schemas/Tree"},
                    },
                },
                "Tree": {
                    "type": "object",
                    "properties": {
                        "children": {
                            "type": "array",
                            "items": {"$ref": "#/components/schemas/Tree"},
                        },
                        "other": {"$ref": "#/components/schemas/Missing"},
                    },
                },
            }
        },
    }


class Double:
    """A small gym: a counter for each session, as NeMo Gym keeps them."""

    def __init__(self) -> None:
        self.counters: dict[str, int] = {}
        self.calls: list[str] = []
        number = {"type": "object", "properties": {"by": {"type": "integer"}}}
        body = {"content": {"application/json": {"schema": number}}}
        self.document = described(
            counter__increment={"summary": "Increment", "requestBody": body},
            counter__read={"description": "Read the counter."},
            fail={"summary": "Fail"},
            slow={"summary": "Slow"},
            **{
                name: {"summary": "no tool"}
                for name in ("seed_session", "verify", "run", "aggregate_metrics", "mcp")
            },
        )
        self.document["paths"]["/items/{item}"] = {
            "post": {
                "summary": "One item",
                "parameters": [
                    {"name": "item", "in": "path", "required": True, "schema": {"type": "string"}},
                    {"name": "size", "in": "query", "schema": {"type": "integer"}},
                ],
            }
        }
        self.document["paths"]["/only_get"] = {"get": {}}
        self.app = Starlette(
            routes=[
                Route("/openapi.json", self.openapi),
                Route("/{path:path}", self.answer, methods=["POST"]),
            ]
        )

    async def openapi(self, request: Request) -> Response:
        return JSONResponse(self.document)

    async def answer(self, request: Request) -> Response:
        path, session = request.path_params["path"], request.cookies.get(COOKIE, "")
        given = json.loads(await request.body() or b"{}")
        self.calls.append(path)
        if path == "seed_session":
            answer = JSONResponse({})
            session = secrets.token_hex(4)
            self.counters[session] = given.get("initial_count", 0)
            answer.set_cookie(COOKIE, session)
            return answer
        if session not in self.counters:
            return JSONResponse({"detail": "no session"}, 400)
        match path.split("/"):
            case ["counter", "increment"]:
                self.counters[session] += given["by"]
                return JSONResponse({"success": True})
            case ["counter", "read"]:
                return JSONResponse({"count": self.counters[session]})
            case ["items", item]:
                return PlainTextResponse(f"{item} {request.query_params.get('size')} {given}")
            case ["slow"]:
                await asyncio.sleep(5)
            case ["busy"]:
                return JSONResponse({}, 503)
        return JSONResponse({"detail": "x" * 9000}, 422)


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[JsonServer]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        task = asyncio.create_task(server.serve([listener]))
        while not server.started:
            await asyncio.sleep(0.02)
        calls = JsonServer(f"http://127.0.0.1:{port}")
        try:
            yield calls
        finally:
            await calls.close()
            server.should_exit = True
            await task


def row(start: int, **more: Any) -> Problem:
    return Problem(idx=start, prompt="Count.", metadata={"initial_count": start, **more})


GYM = {"resource_service": "gym"}


async def test_every_rollout_has_a_session_of_its_own_also_side_by_side() -> None:
    double = Double()
    async with serving(double.app) as calls:

        async def one(start: int) -> Any:
            said = [
                calling(("counter_increment", {"by": 1})),
                calling(("counter_increment", {"by": 2}), ("counter_read", {})),
                "done",
            ]
            return await solve(said, problem=row(start), gym=calls, **GYM)

        rans = await asyncio.gather(*(one(start) for start in range(0, 100, 10)))
    assert sorted(double.counters.values()) == [start + 3 for start in range(0, 100, 10)]
    for ran in rans:
        kept = ran.solution.details["gym_session"]
        assert kept["server"] == calls.url
        assert kept["cookies"][COOKIE] in double.counters
        kinds = [item["type"] for item in kept["output"]]
        assert kinds.count("function_call") == kinds.count("function_call_output") == 3
        assert kinds[-1] == "message"


async def test_tools_are_operations_by_post_with_their_whole_path() -> None:
    double = Double()
    async with serving(double.app) as calls:
        several = calling(
            ("items_item", {"item": "a b", "size": 3}),
            ("fail", {}),
            ("slow", {}),
            ("counter_increment", {"by": "one"}),
        )
        ran = await solve([several, "x"], problem=row(0), gym=calls, tool_timeout=0.5, **GYM)
    offered = {tool["function"]["name"] for tool in ran.requests[0].body["tools"]}
    assert offered == {"counter_increment", "counter_read", "fail", "slow", "items_item"}
    assert ran.results[0] == "a b 3 {}"
    assert ran.results[1].startswith("Error: HTTP 422: ") and len(ran.results[1]) < 4200
    assert "not finished within 0.5 s" in ran.results[2]
    assert "of type integer" in ran.results[3]


async def test_tools_of_all_sources_at_once(one: Sandbox) -> None:
    double = Double()
    server = {"command": [sys.executable, str(MCP_SERVER)]}
    async with serving(double.app) as calls:
        several = calling(
            ("bash", {"command": "echo hi > a"}),
            ("counter_read", {}),
            ("mcp__bash", {"command": "x"}),
            ("add", {"a": 1, "b": 2}),
            ("file_read", {"path": "a"}),
        )
        more = {"mcp_servers": {"mcp": server}, **GYM}
        ran = await solve([several, "x"], one, problem=row(3), gym=calls, **more)
    assert ran.results == ["(no output)", '{"count":3}', "another bash: x", "3", "hi\n"]


async def test_rows_describe_the_tools_they_offer() -> None:
    double = Double()
    tool = {"type": "function", "name": "counter_read", "description": "of the row"}
    params = {"input": [{"role": "user", "content": "x"}], "tools": [tool]}
    async with serving(double.app) as calls:
        problem = row(5, responses_create_params=params)
        ran = await solve([calling(("counter_read", {})), "x"], problem=problem, gym=calls, **GYM)
        [offered] = ran.requests[0].body["tools"]
        assert offered["function"]["description"] == "of the row"
        assert json.loads(ran.results[0]) == {"count": 5}
        wrong = row(5, responses_create_params={**params, "tools": [{**tool, "name": "reed"}]})
        with pytest.raises(ConfigError, match="reed"):
            await solve(["x"], problem=wrong, gym=calls, **GYM)


async def test_a_server_that_cannot_serve_is_no_result() -> None:
    double = Double()
    double.document["paths"]["/busy"] = {"post": {}}
    async with serving(double.app) as calls:
        with pytest.raises(InfraError, match="503"):
            await solve([calling(("busy", {})), "x"], problem=row(0), gym=calls, **GYM)
        double.document["paths"] = {"/verify": {"post": {}}}
        with pytest.raises(ConfigError, match="has no tools"):
            await solve(["x"], problem=row(0), gym=calls, **GYM)
    gone = JsonServer("http://127.0.0.1:9")
    with pytest.raises(InfraError):
        await solve(["x"], problem=row(0), gym=gone, **GYM)


def test_schemas_without_references_but_those_that_lead_back() -> None:
    document = described(plant={"requestBody": BODY})
    [found] = operations(document)
    schema = dict(found.tool.parameters)
    assert schema["required"] == ["tree"]
    assert schema["properties"]["title"] == {"type": "string"}  # a field, not an annotation
    items = schema["properties"]["tree"]["properties"]["children"]["items"]
    assert items == {"$ref": "#/$defs/Tree"}
    assert schema["$defs"]["Tree"]["properties"]["children"]["items"] == items
    assert "title" not in schema
    whole = {"content": {"application/json": {"schema": {"type": "array", "items": {}}}}}
    [listed] = operations(described(plant={"requestBody": whole}))
    assert listed.whole_body and listed.tool.parameters["required"] == ["body"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(
                ["$ref", "paths", "post", "schema", "type", "properties", "items", "name"]
            )
            | st.text(),
            inner | st.sampled_from(["#/paths", "#/", "#/a/b", "object"]),
        )
    ),
    max_leaves=20,
)


@given(JSON, JSON)
def test_any_document_gives_schemas(body: Any, other: Any) -> None:
    media = {"content": {"application/json": {"schema": body}}}
    document = {**described(one={"requestBody": media}, two=other or {}), "a": other}
    for found in operations(document):
        assert json.dumps(found.tool.parameters)
        assert found.tool.parameters["type"] == "object"


@pytest.mark.slow
async def test_tools_and_verdict_of_nemo_gym_itself(nemo_gym: str) -> None:
    calls = JsonServer(nemo_gym)

    async def one(start: int) -> tuple[Any, Any]:
        params = {"input": [{"role": "user", "content": "Add 4."}]}
        more = {"expected_count": start + 4, "responses_create_params": params}
        said = [
            calling(("increment_counter", {"count": 4})),
            calling(("get_counter_value", {})),
            "!",
        ]
        ran = await solve(said, problem=row(start, **more), gym=calls, **GYM)
        session = calls.session()
        session.cookies.update(ran.solution.details["gym_session"]["cookies"])
        response = {
            "id": "r",
            "created_at": 0,
            "model": "m",
            "object": "response",
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "output": ran.solution.details["gym_session"]["output"],
        }
        row_ = {"initial_count": start, **more, "response": response}
        return ran, await session.post("/verify", row_)

    for start, (ran, verdict) in enumerate(await asyncio.gather(*(one(n) for n in range(3)))):
        names = {tool["function"]["name"] for tool in ran.requests[0].body["tools"]}
        assert names == {"increment_counter", "get_counter_value"}
        assert json.loads(ran.results[1]) == {"count": start + 4}
        assert verdict["reward"] == 1.0
    await calls.close()


@pytest.mark.slow
def test_a_benchmark_of_nemo_gym_by_the_command_line(
    nemo_gym: str, nel: Nel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verdict is on the session in which the tools were called: the counter stands there."""
    monkeypatch.chdir(tmp_path)
    asked = {"input": [{"role": "user", "content": "Add 4."}]}
    wanted = [4, 11, 99]  # the last one is not what the model will do
    lines = [
        json.dumps({"initial_count": n, "expected_count": w, "responses_create_params": asked})
        for n, w in zip((0, 7, 14), wanted, strict=True)
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    script = [[["increment_counter", {"count": 4}]], "Added."]
    with ScriptedServer(script) as server:
        service = {"type": "api", "url": server.url, "model": "m", "protocol": "chat_completions"}
        config = {
            "services": {"m": service, "counter": {"type": "gym", "url": nemo_gym}},
            "solver": {"type": "tool_calling", "service": "m", "resource_service": "counter"},
            "benchmarks": [{"name": f"gym://{nemo_gym[7:]}?data=rows.jsonl", "repeats": 2}],
        }
        (tmp_path / "eval.json").write_text(json.dumps(config))
        code, _, err = nel("eval", "run", "eval.json", "-o", "out", "--no-progress")
    assert code == 0, err
    [folder] = [path.parent for path in (tmp_path / "out").glob("*/results.jsonl")]
    assert [row["reward"] for row in rows(folder)] == [1.0] * 4 + [0.0] * 2
    assert "cookie" not in (folder / "results.jsonl").read_text()
