"""All eight benchmarks, end to end, from a loopback hub: a model that is always right scores 1."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from runs import NEL, rows

EIGHT = ("mmlu", "mmlu_pro", "gpqa", "gsm8k", "math500", "mgsm", "drop", "triviaqa")


@pytest.fixture
def hub_root(shared_dir: Path, tmp_path: Path) -> Path:
    """The shared datasets, and a made-up one in the shape of the gated GPQA."""
    root = tmp_path / "hub"
    for split in (shared_dir / "data" / "hf").glob("*/*/*/*.jsonl*"):
        target = root / split.relative_to(shared_dir / "data" / "hf")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(split)
    gpqa = root / "Idavidrein" / "gpqa" / "gpqa_diamond"
    gpqa.mkdir(parents=True)
    made_up = [
        {
            "Question": f"Which of these is number {i}?",
            "Correct Answer": f"number {i}",
            **{f"Incorrect Answer {n}": f"number {i + n * 100}" for n in (1, 2, 3)},
            "High-level domain": ("Physics", "Biology")[i % 2],
            "Subdomain": "made up",
        }
        for i in range(30)
    ]
    (gpqa / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made_up))
    return root


@pytest.mark.shared
@pytest.mark.parametrize("accuracy", [1.0, 0.0])
def test_all_eight_score_what_the_model_deserves(
    shared_dir: Path, hub_root: Path, tmp_path: Path, accuracy: float
) -> None:
    document = {
        "services": {"m": {"type": "simulated", "accuracy": accuracy}},
        "benchmarks": [{"name": name, "max_problems": 44} for name in EIGHT],
        "output": {"dir": "run", "report": ["json"]},
    }
    (tmp_path / "eight.yaml").write_text(json.dumps(document))
    hub = [sys.executable, str(shared_dir / "tools" / "hub.py"), "--root", str(hub_root), "--"]
    done = subprocess.run(
        [*hub, *NEL, "eval", "run", "eight.yaml"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "run" / "report.json").read_text())["benchmarks"]
    assert set(report) == set(EIGHT)
    for name in EIGHT:
        summary = report[name]
        assert summary["n_scored"] == summary["n_rollouts"] > 0
        assert summary["metrics"]["pass@1"]["value"] == accuracy, name
        assert summary["identity"]["environment.dataset_revision"], name
    assert len(report["mgsm"]["breakdowns"]["category"]) > 5
    assert set(report["gpqa"]["breakdowns"]["category"]) == {"Physics", "Biology"}
    letters = {row["expected_answer"] for row in rows(tmp_path / "run" / "gpqa")}
    assert len(letters) > 1, "the options are not shuffled"
