"""Adaptive concurrency: bounded, fair, never frozen, never stuck."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual import now, run_virtually

from nemo_evaluator.traffic.limiter import MAX_PAUSE_SECONDS, Limiter, Share


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


def test_retry_after_pauses_everybody_and_ends() -> None:
    async def scenario() -> float:
        limiter = Limiter(4, clock=now)
        await call(limiter, always, pause=100)
        await run(limiter, 6, never)
        assert limiter.waiting == 0
        return now()

    assert run_virtually(scenario()) == pytest.approx(100)


def test_a_pause_begins_before_the_slot_is_given_away() -> None:
    async def scenario() -> None:
        limiter = Limiter(1, start=1, clock=now)
        first = asyncio.create_task(call(limiter, always, pause=20))
        second = asyncio.create_task(limiter.acquire())
        await first
        await asyncio.sleep(19)
        assert not second.done()
        await second
        assert now() == pytest.approx(20)

    run_virtually(scenario())


def test_a_pause_is_bounded() -> None:
    async def scenario() -> float:
        limiter = Limiter(2, clock=now)
        await call(limiter, always, pause=1e9)
        await call(limiter, never)
        return now()

    assert run_virtually(scenario()) == pytest.approx(MAX_PAUSE_SECONDS)


class Served:
    """A service that takes ``capacity`` requests, each of ``answer`` seconds, and refuses what is
    more ``refusal`` seconds after it came."""

    def __init__(self, capacity: int, *, answer: float, refusal: float, cap: int) -> None:
        self.capacity, self.answer, self.refusal = capacity, answer, refusal
        self.limiter = Limiter(cap, clock=now)
        self.inside = self.refused = self.done = 0
        self.limits: list[int] = []

    async def run(self, seconds: float) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(2 * self.limiter.cap):
                group.create_task(self._work(random.Random(number), seconds))
            while now() < seconds:
                self.limits.append(self.limiter.limit)
                await asyncio.sleep(1)

    async def _work(self, rng: random.Random, until: float) -> None:
        tries = 0
        while now() < until:
            if await self._ask(rng):
                self.done += 1
                tries = 0
            else:
                self.refused += 1
                tries += 1
                await asyncio.sleep(2 ** min(tries, 6) * rng.random())

    async def _ask(self, rng: random.Random) -> bool:
        await self.limiter.acquire()
        began, full = now(), self.inside >= self.capacity
        self.inside += 1
        await asyncio.sleep(self.refusal if full else self.answer * rng.uniform(0.8, 1.2))
        self.inside -= 1
        if full:
            self.limiter.overloaded(after=now() - began)
        else:
            self.limiter.succeeded()
        self.limiter.release()
        return not full


@pytest.mark.parametrize("answer", [0.2, 10, 600])
@pytest.mark.parametrize("cap", [64, 512])
def test_nothing_pushes_back_the_cap_is_reached_within_seconds(answer: float, cap: int) -> None:
    served = Served(10**6, answer=answer, refusal=0, cap=cap)
    run_virtually(served.run(10))
    assert served.limits[7] == cap


@pytest.mark.parametrize("refusal", [0.05, 60], ids=["refused at once", "timing out"])
def test_a_slow_service_is_used_and_not_stormed(refusal: float) -> None:
    served = Served(32, answer=600, refusal=refusal, cap=256)
    run_virtually(served.run(2 * 3600))
    settled = served.limits[1800:]
    assert 20 <= sum(settled) / len(settled) <= 36
    assert max(settled) <= 48
    assert served.done >= 0.8 * 32 * 2 * 6
    assert served.refused <= 3 * 256  # once all that the ramp lets in; later a few at each try


def test_a_service_that_refuses_slowly_for_good_is_left_alone() -> None:
    served = Served(0, answer=1, refusal=5, cap=64)
    run_virtually(served.run(600))
    assert max(served.limits[300:]) <= 4


def test_a_service_that_pushed_back_once_is_used_fully_again() -> None:
    """Slow answers must not keep the limit low for hours after one bad moment."""

    async def scenario() -> int:
        served = Served(10**6, answer=600, refusal=0, cap=64)
        async with asyncio.TaskGroup() as group:
            group.create_task(served.run(400))
            await asyncio.sleep(2)
            served.limiter.overloaded()
            assert served.limiter.limit < 64
        return served.limiter.limit

    assert run_virtually(scenario()) == 64


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


async def test_nobody_enters_before_those_who_wait() -> None:
    limiter = Limiter(1)
    share = limiter.share("")
    assert limiter.enter(share)
    assert not limiter.enter(share)
    waiting = asyncio.create_task(limiter.acquire())
    await asyncio.sleep(0)
    limiter.release()
    assert not limiter.enter(share)
    await waiting
    limiter.release()
    assert limiter.enter(share)


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


async def hold(limiter: Limiter, share: Share, admitted: list[Share]) -> None:
    await limiter.acquire(share)
    admitted.append(share)
    await asyncio.sleep(0)
    limiter.release(share)


async def test_the_lowest_rank_is_admitted_first() -> None:
    limiter = Limiter(1)
    late, early = limiter.set_share("b", 1, 1), limiter.set_share("a", 0, 1)
    others = limiter.share("")
    await limiter.acquire()
    admitted: list[Share] = []
    tasks = [
        asyncio.create_task(hold(limiter, share, admitted))
        for share in (late, early, late, others, early)
    ]
    await asyncio.sleep(0)
    limiter.release()
    await asyncio.gather(*tasks)
    assert admitted == [others, early, early, late, late]


async def test_a_full_share_leaves_the_rest_to_others() -> None:
    limiter = Limiter(8)
    narrow, wide = limiter.set_share("a", 0, 2), limiter.set_share("b", 1, 8)
    admitted: list[Share] = []
    held = [asyncio.create_task(limiter.acquire(narrow)) for _ in range(5)]
    await asyncio.sleep(0)
    assert (narrow.in_flight, limiter.waiting) == (2, 3)
    await asyncio.wait_for(hold(limiter, wide, admitted), 1)
    for _ in range(5):
        limiter.release(narrow)
        await asyncio.sleep(0)
    await asyncio.wait_for(asyncio.gather(*held), 1)
    assert (limiter.in_flight, narrow.in_flight, wide.in_flight) == (0, 0, 0)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ok", "refused", "paused", "failed", "cancel"]),
        st.integers(0, 3),
        st.sampled_from(["", "a", "b"]),
    ),
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(cap=st.integers(1, 20), steps=STEPS)
def test_the_limit_is_kept_whatever_happens(cap: int, steps: list[tuple[str, int, str]]) -> None:
    async def scenario() -> None:
        limiter = Limiter(cap, clock=now)
        limiter.set_share("a", 0, max(1, cap // 2))
        limiter.set_share("b", 1, cap)

        async def one(kind: str, turns: int, benchmark: str) -> None:
            share = limiter.share(benchmark)
            await limiter.acquire(share)
            try:
                assert limiter.in_flight <= cap and share.in_flight <= share.cap
                for _ in range(turns):
                    await asyncio.sleep(0)
                if kind == "ok":
                    limiter.succeeded()
                elif kind in ("refused", "paused"):
                    limiter.overloaded(0.001 if kind == "paused" else None)
                assert 1 <= limiter.limit <= cap
            finally:
                limiter.release(share)

        tasks = []
        for kind, turns, benchmark in steps:
            tasks.append(asyncio.create_task(one(kind, turns, benchmark)))
            if kind == "cancel":
                for _ in range(turns):
                    await asyncio.sleep(0)
                tasks[-1].cancel()
        done = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
        wrong = [x for x in done if x and not isinstance(x, asyncio.CancelledError)]
        assert not wrong
        assert (limiter.in_flight, limiter.waiting) == (0, 0)
        await asyncio.wait_for(limiter.acquire(), 5)

    run_virtually(scenario())
