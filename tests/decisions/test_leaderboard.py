"""Leaderboards: models in order, with the ranks that the data allow."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from commands import Nel

ACCURACY = {"good": 0.95, "fair": 0.5, "poor": 0.45}


@pytest.fixture
def report(nel: Nel, tmp_path: Path) -> dict[str, object]:
    bench = tmp_path / "more.jsonl"
    rows = [{"question": f"{i} plus {i}?", "answer": str(2 * i)} for i in range(40)]
    bench.write_text("".join(json.dumps(row) + "\n" for row in rows))
    document = {
        "services": {
            name: {"type": "simulated", "accuracy": accuracy, "seed": seed}
            for seed, (name, accuracy) in enumerate(ACCURACY.items())
        },
        "models": [*ACCURACY],
        "benchmarks": [{"name": "sample", "repeats": 2}, {"name": str(bench)}],
        "output": {"dir": str(tmp_path / "run"), "report": ["json", "markdown", "html"]},
    }
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(document))
    assert nel("eval", "run", path, "--no-progress")[0] == 0
    found: dict[str, object] = json.loads((tmp_path / "run" / "report.json").read_text())
    return found


def test_models_of_a_run_are_compared_with_each_other(
    nel: Nel, report: dict[str, object], tmp_path: Path
) -> None:
    """By their folders, and run against run where each asked one model."""
    run, fair = tmp_path / "run", tmp_path / "fair"
    code, out, err = nel("compare", run / "sample_good", run / "sample_poor", "--no-strict")
    assert code == 0 and "BLOCK: sample fell" in out and "same run" not in out, err
    policy = {"benchmarks": {"sample": {"metric": "pass@1", "max_drop": 0.01}}}
    (tmp_path / "policy.json").write_text(json.dumps(policy))
    words = ("gate", run / "sample_good", run / "sample_poor", "-p", tmp_path / "policy.json")
    code, out, err = nel(*words, "--no-strict", "--no-report")
    assert code == 0 and "NO-GO: sample fell" in out and "missing" not in out, err
    words = ("-O", 'models=["fair"]', "-O", f"output.dir={fair}", "--no-progress")
    assert nel("eval", "run", tmp_path / "run.yaml", *words)[0] == 0
    alone = tmp_path / "good"
    alone.mkdir()
    for name in ("sample_good", "more.jsonl_good"):
        shutil.copytree(run / name, alone / name)
    code, out, err = nel("compare", alone, fair, "--no-strict", "--format", "json")
    assert code == 0, err
    assert {"sample", "more.jsonl"} <= set(json.loads(out)), out[:300]
    code, _, err = nel("compare", run / "sample_good", run / "more.jsonl_poor", "--no-strict")
    assert code == 2 and "benchmark: 'sample@good' and 'more.jsonl@poor'" in err


def test_models_are_ranked_where_the_data_decide(report: dict[str, object], tmp_path: Path) -> None:
    boards = report["leaderboards"]
    assert isinstance(boards, list) and len(boards) == 3
    _, sample, more = boards
    assert [sample["title"], more["title"]] == ["sample", "more.jsonl"]
    first, *rest = sample["places"]
    assert first["name"] == "simulated (good)"
    assert (first["rank"], first["rank_low"], first["rank_high"]) == (1, 1, 1)
    assert [(place["rank_low"], place["rank_high"]) for place in rest] == [(2, 3), (2, 3)]
    assert first["n"] == 120
    text = (tmp_path / "run" / "report.md").read_text()
    assert "## Leaderboard" in text and "2 to 3" in text
    assert "Leaderboard" in (tmp_path / "run" / "report.html").read_text()


def test_together_each_benchmark_counts_equally(report: dict[str, object]) -> None:
    boards = report["leaderboards"]
    assert isinstance(boards, list)
    together, *single = boards
    assert together["benchmarks"] == 2
    for place in together["places"]:
        own = [next(p for p in b["places"] if p["name"] == place["name"]) for b in single]
        assert place["score"] == pytest.approx(sum(p["score"] for p in own) / 2)


def test_one_model_has_no_leaderboard(nel: Nel, tmp_path: Path) -> None:
    words = [
        "--bench",
        "sample",
        "--model-url",
        "simulated",
        "--max-problems",
        "5",
        "--no-progress",
    ]
    nel("eval", "run", *words, "-o", tmp_path / "run")
    assert "Leaderboard" not in (tmp_path / "run" / "report.md").read_text()


CLUSTERED = """
from nemo_evaluator import benchmark, numeric_match, scorer

rows = [{"question": f"NAME {i}?", "answer": str(i), "passage": f"p{i % 2}"} for i in range(40)]

@benchmark(name="NAME", dataset=rows, prompt="{question}", target_field="answer",
           cluster_field="passage")
@scorer
def grade(sample):
    return numeric_match(sample)
"""


def test_together_clusters_count_as_one(nel: Nel, tmp_path: Path) -> None:
    """Four passages of 20 questions are four observations, not eighty."""
    paths = [tmp_path / f"{name}.py" for name in ("one", "two")]
    for path in paths:
        path.write_text(CLUSTERED.replace("NAME", path.stem))
    document = {
        "services": {
            name: {"type": "simulated", "accuracy": share, "seed": 1}
            for name, share in (("good", 0.9), ("poor", 0.1))
        },
        "models": ["good", "poor"],
        "benchmarks": [{"name": str(path)} for path in paths],
        "output": {"dir": str(tmp_path / "run"), "report": ["json"]},
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(document))
    code, _, err = nel("eval", "run", tmp_path / "run.yaml", "--no-progress")
    assert code == 0, err
    boards = json.loads((tmp_path / "run" / "report.json").read_text())["leaderboards"]
    assert boards[0]["benchmarks"] == 2
    for board in boards:
        assert [place["rank"] for place in board["places"]] == [1, 2]
        assert {(place["rank_low"], place["rank_high"]) for place in board["places"]} == {(1, 2)}
