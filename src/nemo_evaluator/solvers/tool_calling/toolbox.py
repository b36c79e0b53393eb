"""All tools of one rollout: their names, and the calls of one turn.

Invariants: a name stands for one tool; the results of a turn come in the order of its calls,
whatever ends first; a call that fails is a result, one that cannot be made for want of
infrastructure raises.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import NamedTuple

import msgspec

from ...errors import ConfigError, suggest
from ...types import Json, Record
from .contract import Tool, ToolResult, ToolSource, failed, limited

NAME = re.compile(r"[^A-Za-z0-9_-]+")
LONGEST_NAME = 64
"""What OpenAI takes as the name of a tool."""
TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}


class Call(Record, frozen=True, kw_only=True):
    """A call that the model made."""

    id: str
    name: str
    arguments: Mapping[str, Json] = {}
    problem: str | None = None
    """Why it cannot be made: its arguments are no JSON object, say."""

    @property
    def told(self) -> tuple[str, bytes]:
        """What makes two calls the same."""
        return self.name, msgspec.json.encode(self.arguments, order="sorted")


class _Place(NamedTuple):
    source: ToolSource
    tool: Tool
    """As the source knows it."""


class Toolbox:
    """The tools of several sources, open while its block lasts."""

    def __init__(
        self, sources: Sequence[ToolSource], *, seconds: float, most_chars: int, at_once: int
    ) -> None:
        """``seconds``: for one call; ``most_chars``: of one result; ``at_once``: calls."""
        self._sources, self._seconds, self._most = sources, seconds, most_chars
        self._slots = asyncio.Semaphore(at_once)
        self._places: dict[str, _Place] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Toolbox:
        found: list[_Place] = []
        try:
            for source in self._sources:
                self._stack.push_async_callback(source.close)
                found += [_Place(source, tool) for tool in await source.open()]
            self._places = named(found)
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._stack.aclose()

    def tools(self, wanted: Iterable[Tool] = ()) -> list[Tool]:
        """The tools as the model is told of them: all, or only those ``wanted``, as they are
        described there. Raises ConfigError for one that no source has."""
        chosen = list(wanted)
        for tool in chosen:
            if tool.name not in self._places:
                raise ConfigError(
                    f"the problem offers the tool {tool.name!r}, which nothing provides",
                    hint=suggest(tool.name, self._places),
                )
        return chosen or [
            msgspec.structs.replace(place.tool, name=name) for name, place in self._places.items()
        ]

    async def run(self, calls: Sequence[Call], left: float | None) -> list[ToolResult]:
        """The results of the calls of one turn, for at most the seconds that are ``left``. Raises
        InfraError."""
        tasks = [asyncio.create_task(self._within(call, left)) for call in calls]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            return [task.result() for task in _failed_first(tasks)]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _within(self, call: Call, left: float | None) -> ToolResult:
        async with self._slots:
            result = await self._run_call(call, left)
        return msgspec.structs.replace(
            result, text=limited(result.text, self._most, result.omitted), omitted=0
        )

    async def _run_call(self, call: Call, left: float | None) -> ToolResult:
        if call.problem is not None:
            return failed(call.problem)
        place = self._places.get(call.name)
        if place is None:
            return failed(f"there is no tool {call.name!r}: {suggest(call.name, self._places)}")
        if (wrong := unfit(place.tool.parameters, call.arguments)) is not None:
            return failed(wrong)
        seconds = self._seconds if left is None else min(self._seconds, left)
        try:
            return await place.source.call(place.tool.name, call.arguments, seconds)
        except TimeoutError:
            return failed(f"not finished within {seconds:g} s", timed_out=True)


def named(found: Sequence[_Place]) -> dict[str, _Place]:
    """The tools by the names they are offered under. One whose name is taken is offered as
    ``source__tool`` where its source permits. Raises ConfigError for a name that stays taken."""
    counts = Counter(_clean(tool.name) for _, tool in found)
    places: dict[str, _Place] = {}
    for place in found:
        name = _clean(place.tool.name)
        if counts[name] > 1 and place.source.prefixes:
            name = _clean(f"{place.source.name}__{name}")
        if name in places:
            one, other = places[name].source.name, place.source.name
            raise ConfigError(
                f"{one} and {other} both have a tool {name!r}",
                hint="leave one of the sources out",
            )
        places[name] = place
    return places


def unfit(schema: Mapping[str, Json], arguments: Mapping[str, Json]) -> str | None:
    """Why arguments do not fit a schema, by its first level; None if they do."""
    required = schema.get("required")
    for name in required if isinstance(required, list | tuple) else ():
        if name not in arguments:
            return f"the argument `{name}` is missing"
    properties = schema.get("properties")
    for name, value in arguments.items():
        about = properties.get(name) if isinstance(properties, dict) else None
        kind = about.get("type") if isinstance(about, dict) else None
        wanted = TYPES.get(kind) if isinstance(kind, str) else None
        if wanted is None:
            continue
        if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
            return f"the argument `{name}` is of type {kind}"
    return None


def _failed_first(tasks: Sequence[asyncio.Task[ToolResult]]) -> Sequence[asyncio.Task[ToolResult]]:
    """The tasks, or only the one that failed while others go on."""
    broken = [task for task in tasks if task.done() and task.exception() is not None]
    return broken[:1] or tasks


def _clean(name: str) -> str:
    return NAME.sub("_", name)[:LONGEST_NAME] or "tool"
