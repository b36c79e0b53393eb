"""Sandboxes of several benchmarks of a run: never more at a time than one of them may have."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from types import SimpleNamespace
from typing import Any, cast

from engines import require

from nemo_evaluator.config.benchmark import BenchmarkConfig
from nemo_evaluator.config.sandboxes import LocalSandbox
from nemo_evaluator.engine.places import Places
from nemo_evaluator.engine.sandboxing import Turn, alive_at_once, open_sandboxes
from nemo_evaluator.environments.contract import Environment, Needs, Sandboxes
from nemo_evaluator.sandboxes import SandboxSpec

SPEC = SandboxSpec()
NEEDING = cast(Environment, SimpleNamespace(name="code", needs=Needs(sandbox=SPEC)))


def benchmark(**settings: Any) -> BenchmarkConfig:
    return BenchmarkConfig(name="code", sandbox=LocalSandbox(type="local", **settings))


def test_the_largest_wish_is_the_limit_of_all() -> None:
    assert alive_at_once([BenchmarkConfig(name="a"), benchmark(concurrency=2)]) == 4
    assert alive_at_once([benchmark(concurrency=2), benchmark(concurrency=1)]) == 2


async def test_benchmarks_take_turns() -> None:
    require("local")
    places, most, alive = Places(2), 0, 0

    async def use(sandboxes: Sandboxes) -> None:
        nonlocal most, alive
        async with sandboxes.acquire(SPEC):
            alive += 1
            most = max(most, alive)
            await asyncio.sleep(0.01)
            async with asyncio.timeout(30):
                while most < 2:  # however slowly the second one is started
                    await asyncio.sleep(0.01)
            alive -= 1

    async with AsyncExitStack() as stack:
        opened = [
            await open_sandboxes(benchmark(concurrency=2), NEEDING, stack, Turn(places, rank))
            for rank in range(3)
        ]
        await asyncio.gather(*(use(s) for s in opened if s is not None for _ in range(3)))
    assert len(opened) == 3 and None not in opened
    assert most == 2
