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

from nemo_evaluator.cli import progress_text as say
from nemo_evaluator.cli.live import Lines, LiveDisplay, TableScreen, table, watcher
from nemo_evaluator.cli.progress_text import Pace, PaceMeter
from nemo_evaluator.engine.progress import BenchmarkProgress, Tally
from nemo_evaluator.types import Failure, Score, Solution, Usage

SOLUTION = Solution(response="x", usage=Usage(prompt_tokens=10, completion_tokens=5), cost_usd=0.01)


def tally(right: int, wrong: int, *, total: int = 1319, **more: object) -> Tally:
    made = Tally(label="gsm8k", total=total, **more)  # type: ignore[arg-type]
    made.start()
    for reward in [1.0] * right + [0.0] * wrong:
        made.scored(Score(reward=reward, correct=reward == 1), SOLUTION)
    return made


def progress(**changes: object) -> BenchmarkProgress:
    return replace(tally(411, 229).snapshot(), **changes)  # type: ignore[arg-type]


def test_a_line_says_it_all() -> None:
    running = tally(411, 229, simulated=True)
    for _ in range(3):
        running.errored(Failure.RATE_LIMIT)
    running.errored(Failure.TIMEOUT)
    running.traffic = lambda: (32, 64)
    running.stalled = lambda: ["12/0 in solve for 65 s (http://host)"]
    assert say.line(running.snapshot(), Pace(812.4, 130)) == (
        "gsm8k (simulated) 644/1319 (48.8 %) score 0.642 [0.604, 0.678] 812 tok/s 32/64 in flight "
        "errors: rate_limit 3, timeout 1 $6.40 eta 2m10s "
        "waiting: 12/0 in solve for 65 s (http://host)"
    )
    running.finish()
    text = say.line(running.snapshot(), Pace())
    assert "in flight" not in text and "waiting" not in text and "eta" not in text


def test_the_score_is_the_share_of_right_verdicts_where_all_are_yes_or_no() -> None:
    mixed = Tally(label="drop", total=10)
    mixed.scored(Score(reward=0.8, correct=False), SOLUTION)
    mixed.scored(Score(reward=1.0, correct=True), SOLUTION)
    assert say.score(mixed.snapshot()).startswith("0.500 [")
    mixed.scored(Score(reward=0.0), SOLUTION)
    assert say.score(mixed.snapshot()).startswith("0.600 [")
    assert say.score(Tally(label="x", total=1).snapshot()) == ""


def test_repeats_of_a_problem_do_not_narrow_the_interval() -> None:
    assert say.score(progress(repeats=1)) == "0.642 [0.604, 0.678]"
    once, four = (tally(n, n, repeats=r).snapshot() for n, r in ((50, 1), (200, 4)))
    assert say.score(once) == say.score(four)


@given(
    st.lists(st.floats(0, 1, width=16), min_size=1, max_size=60),
    st.integers(1, 5),
    st.booleans(),
)
def test_an_interval_contains_its_score(rewards: list[float], repeats: int, binary: bool) -> None:
    made = Tally(label="b", total=100, repeats=repeats)
    for reward in rewards:
        correct = reward > 0.5 if binary else None
        made.scored(Score(reward=reward, correct=correct), SOLUTION)
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
def test_durations(seconds: float, text: str) -> None:
    assert say.duration(seconds) == text


@pytest.mark.parametrize(("usd", "text"), [(0, "$0.00"), (0.0042, "$0.0042"), (12.344, "$12.34")])
def test_costs(usd: float, text: str) -> None:
    assert say.cost(usd) == text


def test_requests_in_flight_belong_to_what_is_running() -> None:
    at = progress(in_flight=3, limit=8)
    assert say.in_flight(at) == "3/8"
    assert say.in_flight(replace(at, started_at=None)) == ""  # its service serves another one
    assert say.in_flight(replace(at, finished=True)) == ""


def test_truncated_answers_are_counted_of_this_invocation() -> None:
    made = Tally(label="b", total=10)
    made.restore(Score(reward=1, correct=True))
    made.scored(Score(reward=1, correct=True), SOLUTION)
    made.scored(Score(reward=0), Solution(response="", finish_reason="length"))
    assert say.truncated(made.snapshot()) == "50.0 %"
    assert say.truncated(progress()) == ""


def test_the_pace_is_that_of_the_last_seconds() -> None:
    meter, start = PaceMeter(), 1000.0
    at = progress(started_at=start, done=0, tokens=0, total=100)
    assert meter.measure(at, start) == Pace()
    for second in range(1, 61):  # a minute of nothing, as far as rollouts go
        meter.measure(replace(at, tokens=second), start + second)
    for second in range(61, 91):
        pace = meter.measure(
            replace(at, done=second - 60, tokens=60 + 200 * (second - 60)), start + second
        )
    assert pace.tokens_per_s == pytest.approx(200)
    assert pace.eta_s == pytest.approx(70)


def test_what_was_restored_says_nothing_about_the_pace() -> None:
    at = progress(started_at=100.0, done=900, restored=900, tokens=0, total=1000)
    meter = PaceMeter()
    assert meter.measure(at, 110.0) == Pace()
    pace = meter.measure(replace(at, done=910, tokens=500), 120.0)
    assert pace.eta_s == pytest.approx(180)  # 10 in 20 s, 90 left
    assert pace.tokens_per_s == pytest.approx(25)


def test_a_finished_benchmark_keeps_its_pace() -> None:
    at = progress(started_at=100.0, finished=True, finished_at=110.0, tokens=500)
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
    async with watcher(60)([tally(1, 1, total=2)]):
        pass
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert err.startswith("gsm8k 2/2 (100.0 %) score 0.500 [") and "\x1b" not in err


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
    assert "score so far" in drawn and "4/9" in drawn
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
        in_flight=32,
        limit=64,
        errored={"rate_limit": 3},
        stalled=("12/0 in solve for 65 s (http://host)",),
        total=12_032,
        simulated=True,
    )
    lines = drawn([row], width)
    assert all(len(text) <= width for text in lines)
    text = "\n".join(lines)
    for piece in ("640/12032", "0.642 [0.604, 0.678]", "812", "32/64", "2m10s", "$6.40"):
        assert piece in text
    assert ("(5.3 %)" in text) is (width >= 100)
    assert "errors: rate_limit 3" in text and "waiting: 12/0 in solve" in text
    if width >= 100:
        assert "mmlu_pro (simulated)" in text


def test_what_runs_is_shown_where_the_terminal_is_too_small_for_all() -> None:
    waiting = [progress(label=f"w{n}", started_at=None, done=0, scored=0) for n in range(30)]
    ended = [progress(label=f"e{n}", finished=True) for n in range(30)]
    lines = drawn([*ended, progress(label="running"), *waiting], 100, height=14)
    names = [text.split()[0] for text in lines[1:-1]]
    assert names == [*(f"e{n}" for n in range(21, 30)), "running"]
    assert lines[-1].strip() == "and 51 more" and len(lines) <= 14
