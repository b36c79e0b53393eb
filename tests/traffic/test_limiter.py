"""Adaptive concurrency: bounded, fair, never frozen, never stuck."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nemo_evaluator.traffic import limiter as module
from nemo_evaluator.traffic.limiter import Limiter


async def call(limiter: Limiter, refused: Callable[[], bool], pause: float | None = None) -> None:
    await limiter.acquire()
    try:
        await asyncio.sleep(0)
        if refused():
            limiter.overloaded(pause)
        else:
            limiter.succeeded()
    finally:
        limiter.release()


async def run(limiter: Limiter, calls: int, refused: Callable[[], bool]) -> None:
    await asyncio.gather(*(call(limiter, refused) for _ in range(calls)))


def never() -> bool:
    return False


def always() -> bool:
    return True


async def test_starts_low_and_reaches_the_cap_within_tens_of_requests() -> None:
    limiter = Limiter(64)
    assert limiter.limit == 8
    await run(limiter, 56 + 64, never)  # one more per answer, and 64 under way at the end
    assert limiter.limit == 64


async def test_a_limit_that_is_not_used_does_not_grow() -> None:
    limiter = Limiter(64)
    for _ in range(100):
        await call(limiter, never)
    assert limiter.limit == 8


async def test_a_refused_round_trip_halves_once() -> None:
    limiter = Limiter(64, start=64)
    await run(limiter, 1, never)
    for _ in range(64):
        await limiter.acquire()
    limiter.succeeded()  # ends the window of one; the next one is the 64 that are under way
    for _ in range(64):
        limiter.overloaded()
    assert limiter.limit == 32
    for _ in range(64):
        limiter.release()


async def test_under_steady_refusal_falls_to_one_and_recovers() -> None:
    limiter = Limiter(64)
    await run(limiter, 200, never)
    await run(limiter, 500, always)
    assert limiter.limit == 1
    await run(limiter, 100, never)
    assert limiter.limit >= 32
    await run(limiter, 3000, never)
    assert limiter.limit == 64


async def test_sporadic_refusals_do_not_pin_it_down() -> None:
    rng = random.Random(1)
    limiter = Limiter(64)
    await run(limiter, 5000, lambda: rng.random() < 0.1)
    assert limiter.limit >= 12


async def test_finds_the_capacity_of_a_service() -> None:
    limiter = Limiter(64)
    await run(limiter, 200, never)
    limits = []
    for _ in range(60):
        await run(limiter, 64, lambda: limiter.in_flight > 10)
        limits.append(limiter.limit)
    assert 5 <= sum(limits[20:]) / len(limits[20:]) <= 20


async def test_retry_after_pauses_everybody_and_ends() -> None:
    limiter = Limiter(4)
    loop = asyncio.get_running_loop()
    await call(limiter, always, pause=0.15)
    started = loop.time()
    await run(limiter, 6, never)
    assert 0.14 <= loop.time() - started < 5
    assert limiter.waiting == 0


async def test_a_pause_begins_before_the_slot_is_given_away() -> None:
    limiter = Limiter(1, start=1)
    first = asyncio.create_task(call(limiter, always, pause=0.2))
    second = asyncio.create_task(limiter.acquire())
    await first
    await asyncio.sleep(0.05)
    assert not second.done()
    await second


async def test_a_pause_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PAUSE_SECONDS", 0.05)
    limiter = Limiter(2)
    await call(limiter, always, pause=1e9)
    await asyncio.wait_for(call(limiter, never), 5)


async def test_waiters_are_served_in_order() -> None:
    limiter = Limiter(1, start=1)
    served: list[int] = []

    async def wait(number: int) -> None:
        await limiter.acquire()
        served.append(number)
        await asyncio.sleep(0)
        limiter.release()

    await asyncio.gather(*(wait(number) for number in range(20)))
    assert served == list(range(20))


async def test_cancelled_as_it_is_admitted_gives_the_slot_back() -> None:
    limiter = Limiter(1, start=1)
    await limiter.acquire()
    waiter = asyncio.create_task(limiter.acquire())
    await asyncio.sleep(0)
    limiter.release()  # admits the waiter, which has not run yet
    waiter.cancel()
    await asyncio.gather(waiter, return_exceptions=True)
    await asyncio.wait_for(limiter.acquire(), 1)


async def test_a_newcomer_behind_a_cancelled_waiter_is_served() -> None:
    limiter = Limiter(1, start=1)
    await limiter.acquire()
    cancelled = asyncio.create_task(limiter.acquire())
    await asyncio.sleep(0)
    cancelled.cancel()
    limiter.release()  # the cancelled waiter is still in the queue, and has not run yet
    await asyncio.wait_for(limiter.acquire(), 1)
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert (limiter.in_flight, limiter.waiting) == (1, 0)


STEPS = st.lists(
    st.tuples(st.sampled_from(["ok", "refused", "paused", "failed", "cancel"]), st.integers(0, 3)),
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(cap=st.integers(1, 20), steps=STEPS)
def test_invariants(cap: int, steps: list[tuple[str, int]]) -> None:
    async def scenario() -> None:
        limiter = Limiter(cap)
        seen = 0

        async def one(kind: str, turns: int) -> None:
            nonlocal seen
            await limiter.acquire()
            try:
                seen = max(seen, limiter.in_flight)
                for _ in range(turns):
                    await asyncio.sleep(0)
                if kind == "ok":
                    limiter.succeeded()
                elif kind in ("refused", "paused"):
                    limiter.overloaded(0.001 if kind == "paused" else None)
                assert 1 <= limiter.limit <= cap
            finally:
                limiter.release()

        tasks = []
        for kind, turns in steps:
            tasks.append(asyncio.create_task(one(kind, turns)))
            if kind == "cancel":
                for _ in range(turns):
                    await asyncio.sleep(0)
                tasks[-1].cancel()
        done = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
        wrong = [x for x in done if x and not isinstance(x, asyncio.CancelledError)]
        assert not wrong
        assert (limiter.in_flight, limiter.waiting) == (0, 0)
        assert seen <= cap
        await asyncio.wait_for(limiter.acquire(), 5)

    asyncio.run(scenario())
