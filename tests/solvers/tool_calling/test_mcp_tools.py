"""Tools of MCP servers: started here, started in the workspace, running elsewhere."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from mcp.server.mcpserver import Context, MCPServer

from nemo_evaluator.config.agent_solvers import McpServerConfig
from nemo_evaluator.errors import ConfigError, InfraError
from nemo_evaluator.sandboxes import Sandbox
from nemo_evaluator.solvers.tool_calling.mcp_tools import McpTools

from .conftest import calling, solve

PROGRAM = Path(__file__).resolve().parents[2] / "support" / "mcp_server.py"
HOST = {"command": [sys.executable, str(PROGRAM)]}


def running(mark: str) -> int:
    found = subprocess.run(["pgrep", "-fc", mark], capture_output=True, text=True)
    return int(found.stdout)


async def test_a_server_that_is_started_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GIVEN_TOKEN", "a-secret-of-mine")
    monkeypatch.setenv("NOT_GIVEN", "x")
    program = tmp_path / "started_here.py"
    program.write_text(PROGRAM.read_text())
    server = {"command": [sys.executable, str(program)], "env": ["GIVEN_TOKEN"]}
    several = calling(
        ("add", {"a": 2, "b": 3}),
        ("picture", {}),
        ("variable", {"name": "GIVEN_TOKEN"}),
        ("variable", {"name": "NOT_GIVEN"}),
        ("fail", {}),
        ("count", {}),
        ("count", {}),
    )
    ran = await solve([several, "done"], mcp_servers={"calc": server}, parallel_tool_calls=False)
    assert ran.results[:2] == ["5", "[image, image/png]"]
    assert ran.results[2:5] == ["a-secret-of-mine", "unset", "no luck"]
    assert ran.results[5:] == ["1", "2"]
    assert ran.solution.details["failed_tool_calls"] == 1
    [picture] = [m for m in ran.told(-1) if m["role"] == "user" and m["content"] != "Do it."]
    assert picture["content"][1]["image_url"]["url"].startswith("data:image/png;base64,")
    offered = {t["function"]["name"]: t["function"] for t in ran.requests[0].body["tools"]}
    assert len(offered) == 9 and offered["add"]["parameters"]["properties"]["a"]
    assert running(str(program)) == 0


async def test_servers_share_names_and_offer_what_is_wanted(one: Sandbox) -> None:
    servers: dict[str, Any] = {
        "a": {**HOST, "tools": ["bash", "add"]},
        "b": {**HOST, "tools": ["add"]},
    }
    several = calling(
        ("bash", {"command": "echo mine"}),
        ("a__bash", {"command": "x"}),
        ("b__add", {"a": 1, "b": 1}),
    )
    ran = await solve([several, "done"], one, mcp_servers=servers)
    assert ran.results == ["mine\n", "another bash: x", "2"]
    names = {tool["function"]["name"] for tool in ran.requests[0].body["tools"]}
    assert {"bash", "a__bash", "a__add", "b__add"} < names and "add" not in names
    with pytest.raises(ConfigError, match=r"no tool 'addd'.*'add'"):
        await solve(["x"], mcp_servers={"a": {**HOST, "tools": ["addd"]}})


async def test_a_server_in_the_workspace(sandbox: Sandbox) -> None:
    await sandbox.upload("server.py", PROGRAM)
    server = {"command": ["python3", "server.py"], "where": "workspace"}
    several = calling(("where", {}), ("add", {"a": 20, "b": 3}), ("picture", {}))
    said = [several, calling(("die", {})), calling(("count", {})), "x"]
    ran = await solve(said, sandbox, mcp_servers={"w": server})
    assert ran.results[:3] == ["/workspace", "23", "[image, image/png]"]
    assert "started again" in ran.results[3] and ran.results[4] == "1"


async def test_a_long_answer_of_a_server_in_the_workspace(sandbox: Sandbox) -> None:
    await sandbox.upload("server.py", PROGRAM)
    server = {"command": ["python3", "server.py"], "where": "workspace", "tools": ["bash"]}
    text = "".join(f"{n:07} " for n in range(400_000))  # 3 MB in one line
    config = McpServerConfig.model_validate(server)
    tools = McpTools("w", config, sandbox, set())
    await tools.open()
    result = await tools.call("bash", {"command": text}, 60)
    assert result.text == f"another bash: {text}"
    await tools.close()


async def test_a_server_that_dies_is_started_again_or_an_error(tmp_path: Path) -> None:
    ran = await solve(
        [calling(("count", {})), calling(("die", {})), calling(("count", {})), "done"],
        mcp_servers={"a": HOST},
    )
    assert ran.results[0] == "1" and ran.results[2] == "1"
    assert "started again" in ran.results[1]
    several = calling(("wait", {"seconds": 0.2}), ("die", {}), ("count", {}), ("wait", {}))
    ran = await solve([several, calling(("count", {})), "done"], mcp_servers={"a": HOST})
    assert ran.results[-1] == "1"  # started again once for all
    once = {"command": [*HOST["command"], "--die-once", str(tmp_path / "used")]}
    with pytest.raises(InfraError, match=r"MCP server 'a'.*already used"):
        await solve([calling(("die", {})), "done"], mcp_servers={"a": once})


async def test_a_server_that_never_worked_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    dying = {"command": [*HOST["command"], "--die-at-start"]}
    with pytest.raises(ConfigError, match=r"mcp_servers.a.*no such licence"):
        await solve(["x"], mcp_servers={"a": dying})
    mute = {"command": [*HOST["command"], "--die-at-list"]}
    with pytest.raises(ConfigError, match="it does not tell its tools"):
        await solve(["x"], mcp_servers={"a": mute})
    deaf = {"command": ["sleep", "100"], "startup_timeout": 0.5}
    began = time.monotonic()
    with pytest.raises(ConfigError, match=r"nothing was heard of it within 0.5 s"):
        await solve(["x"], mcp_servers={"a": deaf})
    assert time.monotonic() - began < 15
    with pytest.raises(ConfigError, match="no program 'no-such-thing'"):
        await solve(["x"], mcp_servers={"a": {"command": ["no-such-thing"]}})
    with pytest.raises(ConfigError, match="variable MISSING is not set"):
        await solve(["x"], mcp_servers={"a": {**HOST, "env": ["MISSING"]}})
    with pytest.raises(ConfigError, match="cannot be used"):
        await solve(["x"], mcp_servers={"a": {"url": "http://127.0.0.1:1/mcp"}})


async def test_a_call_that_takes_too_long(one: Sandbox) -> None:
    ran = await solve(
        [calling(("wait", {"seconds": 20})), "done"], mcp_servers={"a": HOST}, tool_timeout=0.5
    )
    assert "not finished within 0.5 s" in ran.results[0]


async def test_a_running_server(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str | None] = []
    served = MCPServer("running")

    @served.tool()
    async def shout(text: str, context: Context) -> str:
        """Say it loudly."""
        seen.append(context.headers.get("authorization") if context.headers else None)
        return text.upper()

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        server = uvicorn.Server(uvicorn.Config(served.streamable_http_app(), log_level="error"))
        task = asyncio.create_task(server.serve([listener]))
        while not server.started:
            await asyncio.sleep(0.05)
        monkeypatch.setenv("MY_HEADER", "Bearer given")
        config = {
            "url": f"http://127.0.0.1:{port}/mcp",
            "headers_env": {"Authorization": "MY_HEADER"},
        }
        ran = await solve([calling(("shout", {"text": "hi"})), "done"], mcp_servers={"r": config})
        server.should_exit = True
        await task
    assert ran.results == ["HI"] and seen == ["Bearer given"]
