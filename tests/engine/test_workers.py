"""As many workers as are wanted, which may change while they work."""

from __future__ import annotations

import asyncio

import pytest

from nemo_evaluator.engine.workers import Workers


async def test_the_number_of_workers_follows_what_is_wanted() -> None:
    at_work, go = 0, asyncio.Event()

    async def work() -> None:
        nonlocal at_work
        at_work += 1
        while not workers.too_many and not go.is_set():
            await asyncio.sleep(0)
        at_work -= 1

    workers = Workers(work, 3)
    for size in (3, 7, 2, 5):
        workers.size = size
        workers.fill()
        for _ in range(10):
            await asyncio.sleep(0)
        assert at_work == size
    go.set()
    await workers.finish()
    assert at_work == 0 and not workers.at_work


async def test_where_one_fails_all_end() -> None:
    begun: list[int] = []
    ended: list[int] = []

    async def work() -> None:
        begun.append(1)
        last = len(begun) == 4
        try:
            await asyncio.sleep(0 if last else 60)
            raise ValueError("broken")
        finally:
            ended.append(1)

    workers = Workers(work, 4)
    workers.fill()
    with pytest.raises(ValueError, match="broken"):
        await workers.finish()
    assert len(ended) == 4 and not workers.at_work
