"""Places of a service: bounded, the first benchmark served first, nobody left waiting."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st
from virtual import run_virtually

from nemo_evaluator.engine.places import Places, Seat


async def test_the_lowest_rank_gets_what_is_given_back() -> None:
    places, got = Places(1), []

    async def wait(rank: int) -> None:
        async with places.place(rank):
            got.append(rank)

    async with places.place(0), asyncio.TaskGroup() as group:
        for rank in (2, 1, 2, 0):
            group.create_task(wait(rank))
        await asyncio.sleep(0)
        places.give_back()
        await asyncio.sleep(0.01)
        await places.take(0)
    assert got == [0, 1, 2, 2]


async def test_who_was_given_a_place_and_cancelled_at_once_gives_it_back() -> None:
    places = Places(1)
    await places.take(0)
    waiter = asyncio.create_task(places.take(0))
    await asyncio.sleep(0)
    places.give_back()
    waiter.cancel()
    await asyncio.gather(waiter, return_exceptions=True)
    await asyncio.wait_for(places.take(0), 1)


async def test_a_benchmark_that_is_over_waits_no_more() -> None:
    places = Places(1)
    await places.take(0)
    over = [asyncio.create_task(places.take(1)) for _ in range(3)]
    other = asyncio.create_task(places.take(2))
    await asyncio.sleep(0)
    places.withdraw(1)
    await asyncio.wait_for(asyncio.gather(*over), 1)
    assert not other.done()
    for _ in over:
        places.give_back()
    await asyncio.sleep(0)
    assert not other.done(), "a place beyond the total went to somebody else"
    places.give_back()
    await asyncio.wait_for(other, 1)


async def test_a_seat_is_left_to_an_earlier_benchmark() -> None:
    places = Places(1)
    early, late = Seat(places, 0), Seat(places, 1)
    assert await late.taken() and await late.taken()
    waiting = asyncio.create_task(early.taken())
    await asyncio.sleep(0)
    again = asyncio.create_task(late.taken())
    assert await waiting is False, "what was true before the wait may not be any more"
    assert not again.done()
    early.leave()
    assert await again is False
    assert await late.taken()


@settings(max_examples=60)
@given(
    total=st.integers(1, 5),
    rollouts=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 9), st.booleans()), max_size=40),
)
def test_never_more_than_there_are_and_all_come_back(
    total: int, rollouts: list[tuple[int, int, bool]]
) -> None:
    async def scenario() -> None:
        places, held = Places(total), 0

        async def rollout(rank: int, seconds: int) -> None:
            nonlocal held
            async with places.place(rank):
                held += 1
                assert held <= total
                try:
                    await asyncio.sleep(seconds)
                finally:
                    held -= 1

        tasks = [asyncio.create_task(rollout(rank, seconds)) for rank, seconds, _ in rollouts]
        await asyncio.sleep(3)
        for task, (_, _, cancelled) in zip(tasks, rollouts, strict=True):
            if cancelled:
                task.cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError | None) for end in found)
        for _ in range(total):
            await places.take(0)
        assert not places.free

    run_virtually(scenario())
