"""What agents took for their tasks: in the bundle, the reports, the rows and a comparison."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from journals import RUN, plan, problem, scored, solved, write

from nemo_evaluator import ConfigError, compare_runs
from nemo_evaluator.asked import Answer
from nemo_evaluator.reports.console import summary_lines
from nemo_evaluator.reports.render import render
from nemo_evaluator.reports.sources import bundle_source
from nemo_evaluator.reports.view import build_report
from nemo_evaluator.results.journal import Event
from nemo_evaluator.results.read_bundle import read_bundle
from nemo_evaluator.results.summary import BenchmarkSummary, RunSummary
from nemo_evaluator.steps import Step, StepSource
from nemo_evaluator.types import EndedBy, Usage

STEPS = (Step(source=StepSource.AGENT, message="done"),)


def agent(idx: int, right: bool, cost: float | None = 0.5, **more: Any) -> list[Event]:
    """One task: 100 tokens per turn, a turn per 2 s."""
    turns = more.pop("calls", 4)
    usage = Usage(prompt_tokens=60 * turns, completion_tokens=40 * turns)
    fields = {"steps": STEPS, "calls": turns, "usage": usage, "latency_ms": 2000.0 * turns}
    answer = solved(idx, cost_usd=cost, **{**fields, **more})
    return [problem(idx), answer, scored(idx, right)]


def run(folder: Path, *tasks: list[Event]) -> BenchmarkSummary:
    return write(folder, [event for task in tasks for event in task], plan(len(tasks)))


def page(folder: Path, name: str) -> str:
    [path] = folder.glob("eval-*.json")
    return render(build_report([bundle_source(path)]), name)


def test_the_price_of_a_solved_task(tmp_path: Path) -> None:
    costs = [0.1, 0.2, 0.3, 0.4] * 5
    tasks = [agent(i, i % 2 == 0, cost) for i, cost in enumerate(costs)]
    summary = run(tmp_path, *tasks)
    found = summary.effort
    assert found is not None and found.cost_per_solved is not None and found.turns is not None
    assert (found.rollouts, found.solved, found.cost_usd) == (20, 10, 5.0)
    assert found.cost_per_solved.value == pytest.approx(0.5)
    assert found.cost_per_solved.ci_lower == pytest.approx(0.29, abs=0.01)
    assert found.cost_per_solved.ci_upper == pytest.approx(1.07, abs=0.01)
    assert found.tokens_per_solved is not None and found.tokens_per_solved.value == 800
    assert found.turns.value == 4 and found.seconds is not None and found.seconds.value == 8
    [bundle] = tmp_path.glob("eval-*.json")
    assert read_bundle(bundle).effort == found, "what is written is read again"
    line = "10 of 20 solved: 0.5000 USD ["
    assert any(line in text for text in _console(summary))
    assert "Cost per solved task | 0.5000 USD | [0." in page(tmp_path, "markdown")
    [row] = csv.DictReader(io.StringIO(page(tmp_path, "csv")))
    assert row["solved"] == "10"
    assert (float(row["cost_per_solved"]), float(row["turns"])) == (0.5, 4)


def test_nothing_solved_has_no_price_and_says_so(tmp_path: Path) -> None:
    summary = run(tmp_path, *[agent(i, False) for i in range(4)])
    assert summary.effort is not None and summary.effort.cost_per_solved is None
    [text] = [text for text in _console(summary) if "of 4 solved" in text]
    assert "0 of 4 solved, for 2.0000 USD and 1,600 tokens; 4.0 turns and 8.0 s per" in text
    assert "Nothing is solved, so a solved task has no price." in page(tmp_path, "markdown")
    [bundle] = tmp_path.glob("eval-*.json")
    assert json.loads(bundle.read_text())["benchmark"]["effort"]["cost_per_solved"] is None


def test_limits_that_ended_agents_are_counted(tmp_path: Path) -> None:
    summary = run(
        tmp_path,
        agent(0, True),
        agent(1, False, ended_by=EndedBy.TURNS),
        agent(2, False, ended_by=EndedBy.COST),
        agent(3, False, ended_by=EndedBy.TURNS),
    )
    assert summary.effort is not None
    assert summary.effort.ended_by == {"cost": 1, "turns": 2}
    assert any("1 ended by cost; 2 ended by turns" in text for text in _console(summary))
    text = page(tmp_path, "markdown")
    assert "ended by turns 2 (50.0 %)" in text
    assert "50.0 % of the agents were ended by a limit (turns); see nel audit" in text


def test_unknown_prices_are_left_out_with_their_tasks(tmp_path: Path) -> None:
    tasks = [agent(0, True, 1.0), agent(1, True, None), agent(2, False, 2.0)]
    found = run(tmp_path, *tasks).effort
    assert found is not None and found.cost_per_solved is not None
    assert found.cost_per_solved.value == 3.0, "one solved task for 3 USD"
    assert found.tokens_per_solved is not None and found.tokens_per_solved.value == 600
    assert found.cost_per_solved.n == 2 and found.tokens_per_solved.n == 3


def test_without_an_agent_there_is_no_effort(tmp_path: Path) -> None:
    summary = run(tmp_path, [problem(0), solved(0, cost_usd=1.0), scored(0, True)])
    assert summary.effort is None
    [bundle] = tmp_path.glob("eval-*.json")
    assert "effort" not in json.loads(bundle.read_text())["benchmark"]
    assert "solved" not in "\n".join(_console(summary))


def test_several_questions_of_one_problem_are_no_agent(tmp_path: Path) -> None:
    answers = (Answer(text="1"), Answer(text="2"))
    summary = run(tmp_path, agent(0, True, calls=2, answers=answers))
    assert summary.effort is None


def test_a_program_that_asks_no_model_takes_time_only(tmp_path: Path) -> None:
    tasks = [agent(i, True, None, calls=1, usage=Usage(), latency_ms=500.0) for i in range(3)]
    summary = run(tmp_path, *tasks)
    assert summary.effort is not None and summary.effort.turns is None
    [text] = [text for text in _console(summary) if "solved" in text]
    assert text.strip() == "3 of 3 solved; 500 ms per rollout"


@pytest.mark.parametrize(("metric", "delta"), [("cost_per_solved", 0.5), ("calls", 4.0)])
def test_runs_are_compared_by_what_a_task_takes(tmp_path: Path, metric: str, delta: float) -> None:
    for name, factor in (("one", 1), ("other", 2)):
        tasks = [agent(i, i % 2 == 0, 0.25 * factor, calls=4 * factor) for i in range(30)]
        run(tmp_path / name, *tasks)
    found = compare_runs(tmp_path / "one", tmp_path / "other", metric=metric, min_effect=0.01)
    assert found["difference"]["delta"] == pytest.approx(delta)
    assert found["verdict"] == "BLOCK", "more is worse"


def test_a_run_that_solved_nothing_has_no_price_to_compare(tmp_path: Path) -> None:
    for name, right in (("one", True), ("other", False)):
        run(tmp_path / name, *[agent(i, right and i % 2 == 0) for i in range(10)])
    with pytest.raises(ConfigError, match=r"solved nothing.*compare pass@1, or cost_usd"):
        compare_runs(tmp_path / "one", tmp_path / "other", metric="cost_per_solved")


def _console(summary: BenchmarkSummary) -> list[str]:
    return summary_lines(RunSummary(run=RUN, benchmarks=(summary,)))
