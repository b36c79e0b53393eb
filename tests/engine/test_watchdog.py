"""Deadlines by sweep: the clock starts with the request, an overrun names phase and peer."""

from __future__ import annotations

import asyncio

from nemo_evaluator.engine.watchdog import Watchdog
from nemo_evaluator.types import Failure, Phase, RolloutKey

KEY = RolloutKey(12, 0)


async def test_an_overrun_is_cancelled_and_says_where_it_hung() -> None:
    async with Watchdog(interval=0.02) as watchdog:
        activity = watchdog.begin(KEY, Phase.SOLVE, 0.05, started=False)
        activity.on_wait("http://host")
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            assert activity.overrun
            assert activity.task is not None and activity.task.uncancel() == 0
        watchdog.end(activity)
    error = activity.timeout_error()
    assert error.info.kind is Failure.SOLVE_TIMEOUT and error.info.peer == "http://host"
    assert str(error) == "solve of 12/0 took longer than 0.05 s waiting for http://host"


async def test_waiting_for_a_slot_does_not_count() -> None:
    async with Watchdog(interval=0.01) as watchdog:
        activity = watchdog.begin(KEY, Phase.SOLVE, 0.03, started=False)
        await asyncio.sleep(0.1)
        assert not activity.overrun and watchdog.stalled() == []
        activity.on_wait("http://host")
        await asyncio.sleep(0.02)
        assert watchdog.stalled() == ["12/0 in solve for 0 s (http://host)"]
        watchdog.end(activity)
    assert watchdog.in_flight == 0


async def test_time_that_calls_are_held_back_is_added() -> None:
    watchdog = Watchdog(interval=60)
    activity = watchdog.begin(KEY, Phase.SOLVE, 10.0, started=False)
    assert activity.deadline() is None and activity.waiting
    activity.start()
    before = activity.deadline()
    assert before is not None and activity.waiting
    for held in (True, True, False):  # two calls wait at the same time
        activity.on_hold(held)
    await asyncio.sleep(0.05)
    activity.on_hold(False)
    after = activity.deadline()
    assert after is not None and after - before >= 0.05
    activity.on_wait("http://host")
    assert not activity.waiting
    watchdog.end(activity)
