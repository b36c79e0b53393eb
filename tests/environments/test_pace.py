"""A synchronous scorer cannot stop the event loop; a quick one does not pay for a thread."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

from nemo_evaluator.environments.pace import SLOW_SECONDS, TRIAL_CALLS, Pace


def thread_of(_: Any) -> str:
    return threading.current_thread().name


async def test_a_quick_function_moves_to_the_loop_after_its_trial() -> None:
    pace = Pace()
    here = threading.current_thread().name
    threads = [await pace.run(thread_of, None) for _ in range(1 + TRIAL_CALLS)]
    assert here not in threads
    assert pace.quick
    assert await pace.run(thread_of, None) == here


async def test_a_function_that_waits_stays_in_threads() -> None:
    pace = Pace()
    await pace.run(thread_of, None)
    await pace.run(time.sleep, SLOW_SECONDS * 1.5)
    for _ in range(TRIAL_CALLS + 1):
        await pace.run(thread_of, None)
    assert not pace.quick


async def test_a_first_call_that_loads_a_library_is_not_held_against_a_function() -> None:
    pace = Pace()
    await pace.run(time.sleep, SLOW_SECONDS * 1.5)
    for _ in range(TRIAL_CALLS):
        await pace.run(thread_of, None)
    assert pace.quick


async def test_a_function_that_turns_slow_is_sent_back_for_good() -> None:
    pace = Pace()
    for _ in range(1 + TRIAL_CALLS):
        await pace.run(thread_of, None)
    await pace.run(time.sleep, SLOW_SECONDS * 1.5)
    assert not pace.quick
    assert await pace.run(thread_of, None) != threading.current_thread().name


async def test_declared_quick_is_believed() -> None:
    pace = Pace(quick=True)
    assert await pace.run(thread_of, None) == threading.current_thread().name


async def test_sync_scorer_off_loop(environment: Any) -> None:
    """The loop goes on while scorers sleep."""
    from nemo_evaluator.environments.contract import VerifyTools
    from nemo_evaluator.types import Solution

    def sleepy(sample: Any) -> bool:
        time.sleep(0.2)
        return True

    tried = environment(sleepy)
    await tried.prepare()
    problem = await tried.seed(0)
    longest, done = 0.0, asyncio.Event()

    async def watch() -> None:
        nonlocal longest
        while not done.is_set():
            started = time.perf_counter()
            await asyncio.sleep(0.005)
            longest = max(longest, time.perf_counter() - started)

    watcher = asyncio.create_task(watch())
    solution = Solution(response="4")
    scores = await asyncio.gather(
        *(tried.verify(problem, solution, VerifyTools()) for _ in range(3))
    )
    done.set()
    await watcher
    assert [score.correct for score in scores] == [True] * 3
    assert longest < 0.15
