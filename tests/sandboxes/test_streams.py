"""Bounded reading of what untrusted programs print."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.sandboxes.finishing import finish
from nemo_evaluator.sandboxes.streams import CHUNK, PAUSE, Flow, Kept


@given(st.lists(st.binary(max_size=30), max_size=10), st.integers(0, 100))
def test_the_beginning_is_kept(chunks: list[bytes], limit: int) -> None:
    async def keep() -> Kept:
        kept = Kept(limit)
        for chunk in chunks:
            await kept.take(chunk)
        return kept

    kept, whole = asyncio.run(keep()), b"".join(chunks)
    assert bytes(kept.data) == whole[:limit]
    assert kept.truncated == (len(whole) > limit)


async def test_what_is_dropped_is_dropped_slowly_and_takes_no_memory() -> None:
    kept, begin = Kept(10), time.monotonic()
    for _ in range(20):
        await kept.take(b"x" * CHUNK)
    assert len(kept.data) == 10
    assert time.monotonic() - begin >= 20 * PAUSE * 0.9


async def test_small_pieces_cost_rest_too() -> None:
    kept, begin = Kept(0), time.monotonic()
    for _ in range(2560):
        await kept.take(b"x")
    assert 9 * PAUSE < time.monotonic() - begin < 2


async def test_finish_ends_its_work_whatever_comes() -> None:
    done = []

    async def work() -> None:
        await asyncio.sleep(0.05)
        done.append(True)

    task = asyncio.create_task(finish(work()))
    for _ in range(3):
        await asyncio.sleep(0.005)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == [True]


async def test_finish_passes_errors_on() -> None:
    async def work() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await finish(work())


@given(st.lists(st.binary(max_size=30), max_size=10), st.integers(0, 100))
def test_of_what_runs_on_the_end_is_kept(chunks: list[bytes], limit: int) -> None:
    async def flow() -> tuple[str, bytes]:
        flow = Flow(limit)
        for chunk in chunks:
            await flow.take(chunk)
        flow.end()
        return flow.text, b"".join([chunk async for chunk in flow])

    (text, followed), whole = asyncio.run(flow()), b"".join(chunks)
    end = whole[max(0, len(whole) - limit) :]
    assert followed == end and text == end.decode("utf-8", "replace")


async def test_all_who_follow_see_everything() -> None:
    flow = Flow(1000)

    async def follow() -> bytes:
        return b"".join([chunk async for chunk in flow])

    followers = [asyncio.create_task(follow()) for _ in range(3)]
    for n in range(5):
        await flow.take(b"%d" % n)
        await asyncio.sleep(0)
    flow.end()
    assert await asyncio.gather(*followers) == [b"01234"] * 3
