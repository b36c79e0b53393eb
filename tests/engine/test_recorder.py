"""The recorder knows no loop: whatever reports to it is journaled, counted and budgeted alike."""

from __future__ import annotations

from pathlib import Path

from journals import plan

from nemo_evaluator.config.budget import BudgetConfig
from nemo_evaluator.engine.accounts import Spent, of_event, of_solution
from nemo_evaluator.engine.backlog import Work, journal_form
from nemo_evaluator.engine.budget import RunBudget
from nemo_evaluator.engine.control import Control
from nemo_evaluator.engine.progress import Tally
from nemo_evaluator.engine.recorder import RolloutRecorder
from nemo_evaluator.results.journal import Errored, Scored, Solved, events, scan
from nemo_evaluator.results.journal_writer import JournalWriter
from nemo_evaluator.types import (
    ErrorInfo,
    Failure,
    Outcome,
    Problem,
    RolloutKey,
    Score,
    Solution,
    Usage,
)

PLAN = plan(3)
USED = Usage(prompt_tokens=7, completion_tokens=3)


async def test_a_loop_of_its_own_needs_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    control, tally = Control(), Tally(label="b", total=3)
    budget = RunBudget(BudgetConfig(), control, print)
    journal = JournalWriter(path, scan(path))
    recorder = RolloutRecorder(PLAN, 3, journal=journal, budget=budget, tally=tally)
    recorder.began()
    for idx in range(3):
        problem = Problem(idx=idx, prompt=f"{idx}?")
        recorder.seeded(journal_form(problem))
        work = Work(RolloutKey(idx, 0), problem, 1)
        recorder.begin(work)
        work.spent = Spent(USED, 0.25, 1, 2)
        recorder.attempted(work, work.spent)
        if idx == 2:
            error = ErrorInfo(kind=Failure.CONNECTION, message="gone")
            recorder.errored(work, error, final=True)
            continue
        solution = Solution(response="a", usage=USED, cost_usd=0.25, tries=2)
        recorder.solved(work, solution)
        recorder.scored(work, solution, Score(reward=idx, correct=bool(idx)), 1.0)
    assert await journal.close() is None
    found = list(events(path))
    verdicts = [event for event in found if isinstance(event, Scored)]
    assert [event.score.reward for event in verdicts] == [0, 1]
    (failed,) = (event for event in found if isinstance(event, Errored))
    assert failed.outcome is Outcome.INFRA_ERROR and failed.error.message == "gone"
    spent = [of_event(failed)]
    spent += [of_solution(event.solution) for event in found if isinstance(event, Solved)]
    assert sum(one.usage.total_tokens or 0 for one in spent) == budget.tokens == 30
    assert sum(one.usd or 0.0 for one in spent) == budget.usd == 0.75 and budget.attempts == 3
    shown = tally.snapshot()
    assert (shown.done, shown.failed, shown.left) == (2, 1, 0)
    index = scan(path, PLAN)
    assert [state.scored for _, state in sorted(index.rollouts.items())] == [True, True, False]
