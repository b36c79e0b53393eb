"""Names of tools of several sources, and calls side by side."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

import pytest

from nemo_evaluator.errors import ConfigError, InfraError
from nemo_evaluator.solvers.tool_calling.contract import Tool, ToolResult
from nemo_evaluator.solvers.tool_calling.toolbox import Call, Toolbox
from nemo_evaluator.steps import Step
from nemo_evaluator.types import Json


class Source:
    """Tools that wait, or fail."""

    def __init__(self, name: str, *tools: str, prefixes: bool = False) -> None:
        self.name, self.prefixes, self._tools = name, prefixes, tools
        self.running = self.most = 0
        self.events: list[str] = []

    async def open(self) -> Sequence[Tool]:
        self.events.append("open")
        if "broken" in self._tools:
            raise InfraError("no connection")
        return [Tool(name=name) for name in self._tools]

    async def call(self, name: str, arguments: Mapping[str, Json], seconds: float) -> ToolResult:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            async with asyncio.timeout(seconds):
                await asyncio.sleep(float(str(arguments.get("wait", 0))))
        except asyncio.CancelledError:
            self.events.append("cancelled")
            raise
        finally:
            self.running -= 1
        if name == "lost":
            raise InfraError("the sandbox is gone")
        return ToolResult(text=f"{name}{arguments.get('n', '')}")

    def details(self, steps: Sequence[Step]) -> Mapping[str, Json]:
        return {}

    async def close(self) -> None:
        self.events.append("close")


def box(*sources: Source, seconds: float = 5, at_once: int = 8) -> Toolbox:
    return Toolbox(sources, seconds=seconds, most_chars=100, at_once=at_once)


def call(name: str, **arguments: Json) -> Call:
    return Call(id="1", name=name, arguments=arguments)


async def test_calls_run_side_by_side_and_results_keep_their_order() -> None:
    source = Source("s", "f")
    calls = [call("f", n=n, wait=0.3 - n / 20) for n in range(5)]
    async with box(source) as tools:
        began = time.monotonic()
        results = await tools.run(calls, None)
        assert [result.text for result in results] == ["f0", "f1", "f2", "f3", "f4"]
        assert time.monotonic() - began < 0.8 and source.most == 5
    async with box(source, at_once=2) as tools:
        source.most = 0
        await tools.run(calls, None)
        assert source.most == 2


async def test_names_are_told_apart_or_refused() -> None:
    one, other = Source("one", "f", "g.h"), Source("two", "f", "k", prefixes=True)
    async with box(one, other) as tools:
        assert [tool.name for tool in tools.tools()] == ["f", "g_h", "two__f", "k"]
        [result] = await tools.run([call("two__f")], None)
        assert result.text == "f"
    with pytest.raises(ConfigError, match="one and three both have a tool 'f'"):
        async with box(one, Source("three", "f")):
            pass
    assert one.events[-1] == "close"


async def test_what_fails_to_open_closes_what_is_open() -> None:
    one, other = Source("one", "f"), Source("two", "broken")
    with pytest.raises(InfraError):
        async with box(one, other):
            pass
    assert one.events == other.events == ["open", "close"]


async def test_one_that_is_lost_ends_the_others() -> None:
    source = Source("s", "f", "lost")
    began = time.monotonic()
    async with box(source) as tools:
        with pytest.raises(InfraError, match="gone"):
            await tools.run([call("f", wait=5), call("lost")], None)
    assert time.monotonic() - began < 2 and "cancelled" in source.events


async def test_the_time_that_is_left_bounds_a_call() -> None:
    async with box(Source("s", "f")) as tools:
        [result] = await tools.run([call("f", wait=5)], 0.2)
        assert result.failed and "within 0.2 s" in result.text
