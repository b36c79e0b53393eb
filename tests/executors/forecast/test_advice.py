"""Whether a job's time limit holds the work, and what is said where it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nemo_evaluator.executors.forecast.advice import Limits, Verdict, forecast, walltime, words
from nemo_evaluator.executors.forecast.expected import Expected, Work, expect
from nemo_evaluator.executors.forecast.past import Past, Timed
from nemo_evaluator.types import BenchmarkPlan

PLAN = BenchmarkPlan(
    name="sums", slug="sums", service="model", model="m", simulated=False, solver="simple",
    dataset_size=1000, n_problems=50, repeats=1, identity={"benchmark": "sums"},
)  # fmt: skip


def past(seconds: Any = 10.0, **more: Any) -> Past:
    durations = np.full(50, seconds) if isinstance(seconds, float) else np.asarray(seconds)
    told: dict[str, Any] = {
        "directory": Path("pilot"),
        "benchmarks": {"sums": Timed(PLAN, durations, 0.0)},
        "slowdown": 1.0,
        "per_second": 0.8,
        "places": 8,
        "startup": 30.0,
        "closing": 0.0,
    }
    return Past(**{**told, **more})


def work(of: Past, rollouts: int = 1000, places: int = 8) -> list[Work]:
    return [Work("sums", "model", rollouts, places, 1800.0, of.benchmarks["sums"].durations)]


def test_what_fits_is_said_to_fit() -> None:
    pilot = past()
    found = forecast(pilot, work(pilot), Limits(walltime=3600))
    assert found.verdict is Verdict.FITS and found.advice == ()
    assert found.expected.seconds.middle == pytest.approx(1250)
    assert any("holds it" in line for line in words(found))


def test_what_takes_several_jobs_needs_so_many_follow_ups() -> None:
    pilot = past()
    limits = Limits(walltime=600, jobs=4)  # 510 s of work in each: 1,250 s are three jobs
    found = forecast(pilot, work(pilot), limits)
    assert found.verdict is Verdict.SEVERAL_JOBS
    assert found.expected.jobs is not None and found.expected.jobs.high == 3


def test_too_few_follow_ups_are_a_warning_with_what_helps() -> None:
    pilot = past()
    found = forecast(pilot, work(pilot), Limits(walltime=600, jobs=1, own_endpoint=True))
    assert found.verdict is Verdict.TOO_LONG
    assert found.advice == (
        "cluster.walltime: 00:30:00 (one job)",
        "cluster.auto_resume: true with max_retries: 2 (3 jobs)",
        "cluster.shards: 3",
    )
    enough = Limits(walltime=600, jobs=1, shards=3, own_endpoint=True)
    assert forecast(pilot, work(pilot), enough).verdict is Verdict.FITS


def test_the_limit_of_all_jobs_together_counts() -> None:
    pilot = past()
    limits = Limits(walltime=600, jobs=4, all_jobs=1200)
    found = forecast(pilot, work(pilot), limits)
    assert found.verdict is Verdict.TOO_LONG
    assert "max_walltime at least 00:30:00" in found.advice[1]


def test_a_job_that_cannot_hold_the_slowest_rollout_never_ends_the_run() -> None:
    pilot = past([*[1.0] * 49, 700.0])
    found = forecast(pilot, work(pilot), Limits(walltime=600, jobs=100))
    assert found.verdict is Verdict.NEVER
    assert "no job can finish it" in "\n".join(words(found))


def test_servers_that_may_take_long_to_start_leave_no_time() -> None:
    pilot = past()
    found = forecast(pilot, work(pilot), Limits(walltime=600, jobs=100, starting=600))
    assert found.verdict is Verdict.NEVER
    assert any("startup_timeout" in line for line in found.advice)


def test_more_requests_at_one_endpoint_than_were_measured_are_no_promise() -> None:
    pilot = past()
    found = forecast(pilot, work(pilot), Limits(walltime=900, shards=8))
    assert found.expected.seconds.high < 200 and found.unmeasured == pytest.approx(1250)
    assert found.verdict is Verdict.TOO_LONG
    assert "64 at once were not measured, only 8" in "\n".join(words(found))
    own = forecast(pilot, work(pilot), Limits(walltime=900, shards=8, own_endpoint=True))
    assert own.verdict is Verdict.FITS


def test_few_rollouts_seen_make_a_wide_range() -> None:
    random = np.random.default_rng(3)
    ranges = []
    for seen in (10, 1000):
        pilot = past(random.lognormal(2, 0.5, seen))
        seconds = expect(work(pilot, 4000)).seconds
        ranges.append((seconds.high - seconds.low) / seconds.middle)
    assert ranges[0] > 3 * ranges[1]


@pytest.mark.slow
def test_a_range_covers_the_truth_as_often_as_it_says() -> None:
    """A pilot of 40 rollouts of a heavy-tailed benchmark, again and again: nine of ten ranges."""
    random = np.random.default_rng(7)
    covered = 0
    for number in range(60):
        pilot = past(random.lognormal(0, 0.8, 40))
        said = expect(work(pilot, 400), seed=number).seconds
        truth = expect(work(past(random.lognormal(0, 0.8, 20_000)), 400), seed=number).seconds
        covered += said.low <= truth.middle <= said.high
    assert covered >= 48  # of 54 expected


def test_no_rollout_is_expected_to_take_longer_than_its_timeout() -> None:
    pilot = past(np.random.default_rng(1).lognormal(2, 1.5, 30))
    capped = [Work("sums", "model", 5000, 8, 100.0, pilot.benchmarks["sums"].durations)]
    assert expect(capped).slowest.high <= max(100.0, pilot.benchmarks["sums"].durations.max())


def test_many_shards_end_with_the_slowest_of_them() -> None:
    pilot = past(np.random.default_rng(2).lognormal(0, 1, 200))
    few: Expected = expect(work(pilot, 8 * 200), shards=8)
    many = expect(work(pilot, 512 * 200), shards=512)
    assert few.seconds.middle < many.seconds.middle < 2 * few.seconds.middle


def test_limits_are_rounded_up_to_quarters_of_an_hour() -> None:
    assert walltime(1) == "00:15:00" and walltime(86_401) == "1-00:15:00"
