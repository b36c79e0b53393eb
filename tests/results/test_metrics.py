"""Metrics of rollouts: published where they always stood, read from journals of every version."""

from __future__ import annotations

from pathlib import Path

import msgspec

from nemo_evaluator import evaluate
from nemo_evaluator.results.derive import publish
from nemo_evaluator.results.journal import Scored, encode, events
from nemo_evaluator.results.layout import JOURNAL, PLAN_LOCK
from nemo_evaluator.results.plan_lock import read_lock
from nemo_evaluator.results.result_row import read_rows
from nemo_evaluator.results.run_info import read_run_info

BENCH = """
from nemo_evaluator import ScorerInput, benchmark, scorer

ROWS = [{"n": i, "target": str(i)} for i in range(6)]


@benchmark(name="measured", dataset=ROWS, prompt="Say {n}")
@scorer
def measured(sample: ScorerInput) -> dict:
    n = sample.metadata["n"]
    return {"correct": True, "metrics": {"half": n / 2, "odd": [n % 2, 1] if n else [0, 0]}}
"""
NONSENSE = BENCH.replace('"half": n / 2', '"half": "a lot" if n == 3 else 0.5')


def document(folder: Path, text: str) -> dict[str, object]:
    (folder / "measured.py").write_text(text)
    return {
        "services": {"m": {"type": "simulated"}},
        "benchmarks": [{"name": str(folder / "measured.py")}],
        "output": {"dir": str(folder / "r")},
    }


def test_metrics_are_published_where_they_always_stood(tmp_path: Path) -> None:
    summary = evaluate(document(tmp_path, BENCH)).summary.benchmarks[0]
    assert summary.metrics["half"].value == 1.25
    assert summary.metrics["odd"].value == 3 / 5 and summary.metrics["odd"].n == 5
    rows = list(read_rows(tmp_path / "r" / "measured"))
    assert rows[3].scoring_details["metrics"] == {"half": 1.5, "odd": [1, 1]}


def test_a_journal_with_metrics_among_the_details_gives_the_same(tmp_path: Path) -> None:
    before = evaluate(document(tmp_path, BENCH)).summary.benchmarks[0]
    folder = tmp_path / "r" / "measured"
    published = (folder / "results.jsonl").read_bytes()
    _rewrite(folder, {})
    lock = read_lock(tmp_path / "r" / PLAN_LOCK)
    after = publish(folder, lock.benchmarks[0], read_run_info(tmp_path / "r"))
    assert after == before
    assert (folder / "results.jsonl").read_bytes() == published


def test_nonsense_in_an_older_journal_costs_that_number_only(tmp_path: Path) -> None:
    evaluate(document(tmp_path, BENCH))
    folder = tmp_path / "r" / "measured"
    _rewrite(folder, {"half": "a lot"})
    lock = read_lock(tmp_path / "r" / PLAN_LOCK)
    after = publish(folder, lock.benchmarks[0], read_run_info(tmp_path / "r"))
    assert after.n_scored == 6 and "half" not in after.metrics and "odd" in after.metrics


def test_a_metric_that_is_no_number_fails_its_rollout_and_names_it(tmp_path: Path) -> None:
    result = evaluate(document(tmp_path, NONSENSE))
    (summary,) = result.summary.benchmarks
    assert result.exit_code == 3 and summary.n_scored == 5
    (example,) = summary.examples
    assert "the metric 'half' is 'a lot'" in example.error and example.problem_idx == 3


def _rewrite(folder: Path, other: dict[str, object]) -> None:
    """The journal as earlier versions wrote it: metrics among the details."""
    path = folder / JOURNAL
    lines = []
    for event in events(path):
        if isinstance(event, Scored):
            details = event.score.published
            details["metrics"] |= other
            score = msgspec.structs.replace(event.score, details=details, metrics={})
            event = msgspec.structs.replace(event, score=score)
        lines.append(encode(event))
    path.write_bytes(b"".join(lines))
