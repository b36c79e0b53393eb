"""Deadlines by sweep: the clock starts with the request, an overrun names phase and peer."""

from __future__ import annotations

import asyncio
import contextlib

from virtual import now, run_virtually

from nemo_evaluator.engine.watchdog import Activity, Watchdog
from nemo_evaluator.types import Failure, Phase, RolloutKey

KEY = RolloutKey(12, 0)


def test_an_overrun_is_cancelled_and_says_where_it_hung() -> None:
    async def scenario() -> Activity:
        async with Watchdog(interval=1, clock=now) as watchdog:
            activity = watchdog.begin(KEY, Phase.SOLVE, 600, started=False)
            activity.on_wait("http://host")
            try:
                await asyncio.sleep(5000)
            except asyncio.CancelledError:
                assert activity.overrun and 600 <= now() <= 602
                assert activity.task is not None and activity.task.uncancel() == 0
            watchdog.end(activity)
        return activity

    error = run_virtually(scenario()).timeout_error()
    assert error.info.kind is Failure.SOLVE_TIMEOUT and error.info.peer == "http://host"
    assert str(error) == "solve of 12/0 took longer than 600 s waiting for http://host"


def test_waiting_for_a_slot_does_not_count() -> None:
    async def scenario() -> int:
        async with Watchdog(interval=1, clock=now) as watchdog:
            activity = watchdog.begin(KEY, Phase.SOLVE, 30, started=False)
            await asyncio.sleep(100)
            assert not activity.overrun and watchdog.stalled() == []
            activity.on_wait("http://host")
            await asyncio.sleep(20)
            assert watchdog.stalled() == ["12/0 in solve for 20 s (http://host)"]
            activity.so_far = lambda: "7 turns, 12,345 tokens"
            [told] = watchdog.stalled()
            assert told == "12/0 in solve for 20 s (http://host), 7 turns, 12,345 tokens"
            watchdog.end(activity)
        return watchdog.in_flight

    assert run_virtually(scenario()) == 0


def test_time_in_which_the_process_did_not_run_does_not_count() -> None:
    stopped = 0.0

    async def scenario() -> None:
        nonlocal stopped
        async with Watchdog(interval=1, clock=lambda: now() + stopped) as watchdog:
            activity = watchdog.begin(KEY, Phase.SOLVE, 30, started=True)
            await asyncio.sleep(10)
            stopped = 3600.0
            await asyncio.sleep(15)
            assert not activity.overrun and 25 <= activity.elapsed <= 26
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(100)
            assert activity.overrun and 30 <= now() <= 32
            assert activity.task is not None and activity.task.uncancel() == 0
            watchdog.end(activity)

    run_virtually(scenario())


def test_time_that_calls_are_held_back_is_added() -> None:
    async def scenario() -> None:
        watchdog = Watchdog(interval=60, clock=now)
        activity = watchdog.begin(KEY, Phase.SOLVE, 10.0, started=False)
        assert activity.deadline() is None and activity.waiting
        activity.start()
        assert activity.deadline() == 10.0 and activity.waiting
        for held in (True, True, False):  # two calls wait at the same time
            activity.on_hold(held)
        await asyncio.sleep(7)
        activity.on_hold(False)
        assert activity.deadline() == 17.0
        activity.on_wait("http://host")
        assert not activity.waiting
        watchdog.end(activity)

    run_virtually(scenario())
