"""SimpleQA: the three grades, the rates and the F-score, and recorded grades replayed."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import pytest
from loopback import Loopback, fixed_chat
from replaying import answering, recorded, replay, rows_of, rules, shown, write_rows

from nemo_evaluator.benchmarks.simpleqa import prepare, verdict

BENCH = """
from nemo_evaluator import ScorerInput, benchmark, scorer
from nemo_evaluator.benchmarks.simpleqa import prepare, simpleqa


@benchmark(name="simpleqa_rows", dataset="rows.jsonl", prompt="{problem}", prepare_row=prepare,
           category_field="topic", requirements=["judge"], own_rubric=True)
@scorer
async def replayed(sample: ScorerInput) -> dict:
    return await simpleqa(sample)
"""


def bench(folder: Path, rows: list[dict[str, str]]) -> str:
    write_rows(folder / "rows.jsonl", rows)
    (folder / "bench.py").write_text(BENCH)
    return str(folder / "bench.py")


def test_the_row_of_the_dataset() -> None:
    row = {
        "metadata": "{'topic': 'Science', 'answer_type': 'Person', 'urls': ['x']}",
        "problem": "Who?",
        "answer": "Sugeno",
    }
    from random import Random

    found = prepare(row, 0, Random(0))
    assert found["topic"] == "Science" and found["breakdowns"] == {"answer_type": "Person"}
    assert prepare({**row, "metadata": "not a dict {"}, 0, Random(0))["topic"] is None


def test_every_grade_adds_to_one_rate() -> None:
    for grade in ("A", "B", "C", None):
        metrics = verdict(grade)["metrics"]
        assert metrics["correct"] + metrics["incorrect"] + metrics["not_attempted"] == 1.0


async def test_rates_and_f_score(tmp_path: Path, loopback: Loopback) -> None:
    """4 correct, 2 incorrect, 2 not attempted, 2 empty: 0.4; 4/6; F = 2·4/(10 + 6) = 0.5."""
    grades = ["A"] * 4 + ["B"] * 2 + ["C"] * 2
    rows = [{"problem": f"Question {i}?", "answer": "x", "metadata": ""} for i in range(10)]
    answers = {f"Question {i}?": f"Answer {i}" for i in range(8)}
    loopback.script(
        lambda call: answering(answers)(call) if call.prompt in answers else fixed_chat("")(call)
    )
    judge_says = rules("grade", lambda prompt: grades[int(shown(prompt, "answer").split()[1])])
    async with Loopback(judge_says) as judge:
        result = await replay(tmp_path / "run", loopback, judge, name=bench(tmp_path, rows))
        assert len(judge.calls) == 8
    metrics = result.summary.benchmarks[0].metrics
    rates = {name: metrics[name].value for name in ("correct", "incorrect", "not_attempted")}
    assert rates == {"correct": 0.4, "incorrect": 0.2, "not_attempted": 0.4}
    assert metrics["accuracy_given_attempted"].value == pytest.approx(4 / 6)
    assert metrics["accuracy_given_attempted"].n == 6
    assert metrics["f_score"].value == pytest.approx(0.5)
    p, q = 0.4, 4 / 6
    assert metrics["f_score"].value == pytest.approx(2 * p * q / (p + q))
    assert 0 <= metrics["f_score"].ci_lower < 0.5 < metrics["f_score"].ci_upper <= 1
    assert result.summary.benchmarks[0].score.value == 0.4


@pytest.mark.shared
async def test_recorded_grades_give_their_own_rates(
    tmp_path: Path, loopback: Loopback, shared_dir: Path
) -> None:
    by_model = defaultdict(list)
    for row in recorded(shared_dir, "simpleqa_graded_cs"):
        by_model[row["model"]].append(row)
    for model, rows in by_model.items():
        grades = {(row["question"], row["response"].strip()): row["judge_grade"] for row in rows}
        loopback.script(answering({row["question"]: row["response"] for row in rows}))
        problems = [
            {"problem": row["question"], "answer": row["target"], "metadata": ""} for row in rows
        ]
        folder = tmp_path / model
        folder.mkdir()

        def grade(prompt: str, grades: dict[tuple[str, str], str] = grades) -> str:
            return grades[shown(prompt, "question"), shown(prompt, "answer").strip()]

        async with Loopback(rules("grade", grade)) as judge:
            result = await replay(folder / "run", loopback, judge, name=bench(folder, problems))
        assert result.exit_code == 0
        count = Counter(row["judge_grade"] for row in rows)
        metrics = result.summary.benchmarks[0].metrics
        right, attempted = count["A"], count["A"] + count["B"]
        expected = {
            "correct": right / len(rows),
            "incorrect": count["B"] / len(rows),
            "not_attempted": count["C"] / len(rows),
            "accuracy_given_attempted": right / attempted,
            "f_score": 2 * right / (len(rows) + attempted),
        }
        for name, value in expected.items():
            assert metrics[name].value == pytest.approx(value), (model, name)
        assert len(rows_of(folder / "run")) == len(rows)
        print(model, {name: round(value, 4) for name, value in expected.items()})
