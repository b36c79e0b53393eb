"""The live display: true numbers, plain lines without a terminal, a table that fits on one."""

from __future__ import annotations

import asyncio
import io
import sys
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from nemo_evaluator.cli.live import TableScreen, TerminalObserver, table
from nemo_evaluator.engine.progress import BenchmarkProgress, Tally
from nemo_evaluator.executors import progress_text as say
from nemo_evaluator.executors.progress_display import Lines, LiveDisplay
from nemo_evaluator.executors.progress_text import Pace, PaceMeter
from nemo_evaluator.results.collect import Collector
from nemo_evaluator.results.journal import ProblemSeeded, Scored
from nemo_evaluator.results.rows import RolloutRecord
from nemo_evaluator.traffic.client import Load
from nemo_evaluator.types import (
    BenchmarkPlan,
    ErrorInfo,
    Failure,
    Outcome,
    RolloutKey,
    Score,
    Solution,
    Usage,
)

SOLUTION = Solution(response="x", usage=Usage(prompt_tokens=10, completion_tokens=5), cost_usd=0.01)


def tally(right: int, wrong: int, *, total: int = 1319, **more: object) -> Tally:
    made = Tally(label="gsm8k", total=total, **more)  # type: ignore[arg-type]
    made.start()
    rewards = [1.0] * right + [0.0] * wrong
    for number, reward in enumerate(rewards):
        made.scored(Score(reward=reward, correct=reward == 1), SOLUTION, number // made.repeats)
    return made


def progress(**changes: object) -> BenchmarkProgress:
    return replace(tally(411, 229).snapshot(), **changes)  # type: ignore[arg-type]


def test_a_line_says_it_all() -> None:
    running = tally(411, 229, simulated=True)
    for _ in range(3):
        running.errored(Failure.RATE_LIMIT)
    running.errored(Failure.TIMEOUT)
    running.ended_by.update(turns=2, time=1)
    running.start(lambda: ["12/0 in solve for 65 s (http://host)"])
    running.traffic = lambda: Load(32, 64, failed_tries=5)
    assert say.line(running.snapshot(), Pace(812.4, 130)) == (
        "gsm8k (simulated) 640/1319 (48.5 %) pass@1 0.642 [0.604, 0.679] 812 output tok/s "
        "32/64 in flight 5 retries ended by turns 2, time 1 failed: 4 (rate_limit 3, timeout 1) "
        "$6.40 eta 2m10s "
        "slowest: 12/0 in solve for 65 s (http://host)"
    )
    running.finish()
    text = say.line(running.snapshot(), Pace())
    assert "in flight" not in text and "slowest" not in text and "eta" not in text


def test_the_score_is_the_share_of_right_verdicts_where_all_are_yes_or_no() -> None:
    mixed = Tally(label="drop", total=10)
    mixed.scored(Score(reward=0.8, correct=False), SOLUTION, 0)
    mixed.scored(Score(reward=1.0, correct=True), SOLUTION, 1)
    assert say.score(mixed.snapshot()).startswith("0.500 [")
    assert say.measure(mixed.snapshot()) == "pass@1"
    mixed.scored(Score(reward=0.0), SOLUTION, 2)
    assert say.score(mixed.snapshot()).startswith("0.600 [")
    assert say.measure(mixed.snapshot()) == "mean reward"
    assert say.score(Tally(label="x", total=1).snapshot()) == ""


@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize("repeats", [1, 3])
@pytest.mark.parametrize("binary", [False, True])
def test_the_live_interval_is_the_expected_one(clustered: bool, repeats: int, binary: bool) -> None:
    """From the same verdicts, also where only some repeats of a problem are done."""
    made = Tally(label="b", total=60, repeats=repeats)
    plan = BenchmarkPlan(
        name="b",
        slug="b",
        service=None,
        model=None,
        simulated=False,
        solver="simple",
        dataset_size=20,
        n_problems=20,
        repeats=repeats,
        identity={},
    )
    final = Collector(plan)
    for number in range(20 * repeats - 1):
        key = RolloutKey(number // repeats, number % repeats)
        right = (number * 7) % 3 == 0
        score = Score(reward=float(right) if binary else 0.4 + 0.1 * right, correct=right)
        if not binary:
            score = Score(reward=score.reward)
        cluster = f"c{key.problem_idx // 4}" if clustered else None
        made.scored(score, SOLUTION, key.problem_idx, cluster)
        problem = ProblemSeeded(problem_idx=key.problem_idx, digest="", cluster=cluster)
        scored = Scored(
            problem_idx=key.problem_idx,
            repeat=key.repeat,
            attempt=1,
            at=0.0,
            outcome=Outcome.SCORED,
            score=score,
        )
        final.add(RolloutRecord(key, 1, problem, None, scored, scored))
    estimate = final.finish().score
    live = made.snapshot().score
    assert live is not None and estimate is not None
    expected = [estimate.value, estimate.ci_lower, estimate.ci_upper]
    assert [live.value, live.lower, live.upper] == pytest.approx(expected, abs=1e-12)


def test_an_interval_is_not_computed_all_the_time() -> None:
    made = tally(3000, 0, total=4000)
    first = made.snapshot().score
    made.scored(Score(reward=0.0, correct=False), SOLUTION, 9999)
    assert made.snapshot().score is first
    made.finish()
    assert made.snapshot().score != first


@given(
    st.lists(st.floats(0, 1, width=16), min_size=1, max_size=60),
    st.integers(1, 5),
    st.booleans(),
)
def test_an_interval_contains_its_score(rewards: list[float], repeats: int, binary: bool) -> None:
    made = Tally(label="b", total=100, repeats=repeats)
    for number, reward in enumerate(rewards):
        correct = reward > 0.5 if binary else None
        made.scored(Score(reward=reward, correct=correct), SOLUTION, number // repeats)
    text = say.score(made.snapshot())
    if "[" in text:
        mean, lower, upper = (float(part.strip("[],")) for part in text.split())
        assert lower <= mean <= upper


def test_a_share_is_100_percent_only_at_the_end() -> None:
    assert say.share(progress(done=99_999, total=100_000)) == "99999/100000 (99.9 %)"
    assert say.share(progress(done=5, total=5)) == "5/5 (100.0 %)"
    assert say.share(progress(done=0, total=0)) == "0/0"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (12.4, "12s"),
        (59.6, "1m00s"),
        (2712, "45m12s"),
        (3599.7, "1h00m"),
        (4980, "1h23m"),
    ],
)
def test_durations_are_short_texts(seconds: float, text: str) -> None:
    assert say.duration(seconds) == text


@pytest.mark.parametrize(("usd", "text"), [(0, "$0.00"), (0.0042, "$0.0042"), (12.344, "$12.34")])
def test_costs_have_as_many_digits_as_they_need(usd: float, text: str) -> None:
    assert say.cost(usd) == text


def test_requests_in_flight_belong_to_what_is_running() -> None:
    at = progress(load=Load(3, 8))
    assert say.in_flight(at) == "3/8"
    assert say.in_flight(replace(at, started_at=None)) == ""  # its service serves another one
    assert say.in_flight(replace(at, finished=True)) == ""


def test_truncated_answers_are_counted_of_this_invocation() -> None:
    made = Tally(label="b", total=10)
    made.restore(Score(reward=1, correct=True), 0)
    made.scored(Score(reward=1, correct=True), SOLUTION)
    made.scored(Score(reward=0), Solution(response="", finish_reason="length"))
    assert say.truncated(made.snapshot()) == "50.0 %"
    assert say.truncated(progress()) == ""


def test_the_pace_is_that_of_the_last_seconds() -> None:
    meter, start = PaceMeter(), 1000.0
    at = progress(started_at=start, done=0, errored={}, output_tokens=0, total=100)
    assert meter.measure(at, start) == Pace()
    for second in range(1, 61):  # a minute of nothing, as far as rollouts go
        meter.measure(replace(at, output_tokens=second), start + second)
    for second in range(61, 91):
        pace = meter.measure(
            replace(at, done=second - 60, output_tokens=60 + 200 * (second - 60)), start + second
        )
    assert pace.tokens_per_s == pytest.approx(200)
    assert pace.eta_s == pytest.approx(70)


def test_what_was_restored_says_nothing_about_the_pace() -> None:
    at = progress(started_at=100.0, done=900, restored=900, output_tokens=0, total=1000)
    meter = PaceMeter()
    assert meter.measure(at, 110.0) == Pace()
    pace = meter.measure(replace(at, done=910, output_tokens=500), 120.0)
    assert pace.eta_s == pytest.approx(180)  # 10 in 20 s, 90 left
    assert pace.tokens_per_s == pytest.approx(25)


def test_a_finished_benchmark_keeps_its_pace() -> None:
    at = progress(started_at=100.0, finished=True, finished_at=110.0, output_tokens=500)
    assert PaceMeter().measure(at, 10_000.0) == Pace(50.0, None)


def test_a_tally_costs_microseconds() -> None:
    made, score = Tally(label="b", total=10**6), Score(reward=1.0, correct=True)
    started = time.perf_counter()
    for _ in range(20_000):
        made.scored(score, SOLUTION)
    assert (time.perf_counter() - started) / 20_000 < 20e-6


async def test_lines_come_at_intervals_and_once_at_the_end() -> None:
    written: list[str] = []
    first, second = tally(3, 1, total=4), Tally(label="later", total=9)
    async with LiveDisplay([first, second], Lines(written.append), 0.05):
        await asyncio.sleep(0.12)
        running = len(written)
        assert running >= 1 and all(text.startswith("gsm8k 4/4") for text in written)
        first.finish()
        second.start()
        await asyncio.sleep(0.12)
    assert [text.split()[0] for text in written].count("gsm8k") == running + 1
    assert written[-1].startswith("later 0/9 (0.0 %)")


async def test_without_a_terminal_there_are_plain_lines_on_stderr(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with TerminalObserver(60).watching({"sums": tally(1, 1, total=2)}):
        pass
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert err.startswith("gsm8k 2/2 (100.0 %) pass@1 0.500 [") and "\x1b" not in err


class Terminal(io.StringIO):
    """A terminal; ``gone`` when its window was closed."""

    gone = False

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if self.gone:
            raise OSError(5, "Input/output error")
        return super().write(text)


async def test_on_a_terminal_there_is_a_table_that_goes_away() -> None:
    terminal = Terminal()
    console = Console(file=terminal, force_terminal=True, width=120, height=20)
    async with LiveDisplay([tally(3, 1, total=9)], TableScreen(console), 0.02):
        await asyncio.sleep(0.1)
        drawn = terminal.getvalue()
        print("from elsewhere", file=sys.stdout)
    assert "pass@1 so far" in drawn and "4/9" in drawn
    assert terminal.getvalue().rstrip().endswith("\x1b[2K")  # the last thing is to erase it
    assert "from elsewhere" in terminal.getvalue()


async def test_a_terminal_that_goes_away_does_not_stop_a_run() -> None:
    terminal = Terminal()
    console = Console(file=terminal, force_terminal=True, width=120, height=20)
    async with LiveDisplay([tally(3, 1, total=9)], TableScreen(console), 0.02):
        await asyncio.sleep(0.05)
        terminal.gone = True
        await asyncio.sleep(0.05)
    terminal.gone = False


async def test_a_display_that_fails_says_so_and_does_not_stop_a_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Broken(Lines):
        def show(self, rows: object) -> None:
            raise ZeroDivisionError("oh")

    written: list[str] = []
    async with LiveDisplay([tally(1, 0, total=2)], Broken(written.append), 0.01):
        await asyncio.sleep(0.05)
    assert capsys.readouterr().err == "the live display failed: ZeroDivisionError: oh\n"
    assert len(written) == 1


def drawn(rows: list[BenchmarkProgress], width: int, height: int = 24) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height)
    with console.capture() as capture:
        console.print(
            table([(row, Pace(812.0, 130.0)) for row in rows], width=width, height=height)
        )
    return capture.get().splitlines()


@pytest.mark.parametrize("width", [80, 100, 160])
def test_the_table_fits_and_keeps_the_numbers_whole(width: int) -> None:
    row = progress(
        label="mmlu_pro",
        load=Load(32, 64),
        errored={"rate_limit": 3},
        stalled=("12/0 in solve for 65 s (http://host)",),
        total=12_032,
        simulated=True,
    )
    lines = drawn([row], width)
    assert all(len(text) <= width for text in lines)
    text = "\n".join(lines)
    for piece in ("640/12032", "0.642 [0.604, 0.679]", "812", "32/64", "2m10s", "$6.40"):
        assert piece in text
    assert ("(5.3 %)" in text) is (width >= 100)
    assert "failed: 3 (rate_limit 3)" in text and "slowest: 12/0 in solve" in text
    if width >= 100:
        assert "mmlu_pro (simulated)" in text


def test_what_runs_is_shown_where_the_terminal_is_too_small_for_all() -> None:
    waiting = [progress(label=f"w{n}", started_at=None, done=0, score=None) for n in range(30)]
    ended = [progress(label=f"e{n}", finished=True) for n in range(30)]
    lines = drawn([*ended, progress(label="running"), *waiting], 100, height=14)
    names = [text.split()[0] for text in lines[1:-1]]
    assert names == [*(f"e{n}" for n in range(22, 30)), "running"]
    assert lines[-1].strip() == "and 52 more" and len(lines) <= 14


def test_the_whole_run_has_an_eta() -> None:
    running = progress(label="a", total=740)
    later = progress(label="b", started_at=None, done=0, score=None, total=300)
    assert say.run_eta([(running, Pace(per_s=2.0)), (later, Pace())]) == 200
    assert say.run_eta([(running, Pace()), (later, Pace())]) is None
    written: list[str] = []
    Lines(written.append).show([(running, Pace(eta_s=50, per_s=2.0)), (later, Pace())])
    assert len(written) == 1 and written[0].endswith("eta 50s run eta 3m20s")


def test_an_outage_is_said_and_promises_no_end() -> None:
    outage = "endpoint unreachable since 03:34 (Connection refused), retrying"
    running = tally(3, 1, total=9)
    running.traffic = lambda: Load(0, 8, 12, outage)
    at = running.snapshot()
    text = say.line(at, PaceMeter().measure(at, (at.started_at or 0) + 10))
    assert outage in text and "eta" not in text
    assert outage in "\n".join(drawn([at], 100))


def test_refusals_stand_beside_the_score() -> None:
    made = tally(3, 0, total=9)
    refusal = ErrorInfo(kind=Failure.BAD_REQUEST, message="HTTP 400: no")
    made.scored(Score(reward=0.0, correct=False), Solution(response="", error=refusal), 7)
    assert "refused 25.0 %" in say.line(made.snapshot(), Pace())
