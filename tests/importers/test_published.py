"""Bundles with their rows, of other tools and of ours, as runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from agent_run import agent_run
from commands import Nel
from published import write_results
from runs import rows

from nemo_evaluator.results.view import RunView


def test_results_of_another_tool(nel: Nel, tmp_path: Path) -> None:
    scores = {"mean_reward": {"value": 0.5}, "f1": {"value": 0.75}}
    rewards = {0: [1.0, 0.0], 1: [None, 1.0], 2: [0.0, 0.0]}
    write_results(
        tmp_path / "a/x", rewards, name="x", scores=scores, categories=dict.fromkeys(rewards, "c")
    )
    write_results(tmp_path / "a/y", {4: [1.0], 9: [0.0]}, name="y", run_id="eval-2")
    code, _, err = nel("import", tmp_path / "a", "-o", tmp_path / "run")
    assert code == 0, err
    one, other = RunView.open(tmp_path / "run").benchmarks()
    assert (one.bundle.n_rollouts, one.bundle.n_scored) == (6, 5)
    assert one.bundle.metrics["f1"].value == 0.75
    assert one.bundle.metrics["mean_reward"].value == pytest.approx((0.5 + 1.0 + 0.0) / 3, abs=1e-6)
    assert [row.problem_idx for row in other.rows()] == [4, 9] and other.bundle.coverage == 1.0
    unscored = [row for row in rows(tmp_path / "run/x") if row["reward"] is None]
    assert unscored[0]["scoring_details"]["error_category"] == "infra_error"
    assert unscored[0]["metadata"]["category"] == "c"


def test_a_run_of_ours_without_its_journal(
    nel: Nel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    agent_run(nel, tmp_path)
    shutil.copytree("run/words", "kept", ignore=shutil.ignore_patterns("journal*"))
    code, _, err = nel("import", "kept", "-o", "back")
    assert code == 0, err
    old, new = (RunView(Path(name)).benchmarks()[0] for name in ("run", "back"))
    assert new.bundle.metrics == old.bundle.metrics and new.bundle.identity == old.bundle.identity
    assert rows(Path("run/words")) == rows(Path("back/words"))
    _, out, err = nel("compare", "run", "back", "--format", "json")
    assert "not comparable" not in err and json.loads(out)["difference"]["delta"] == 0


def test_what_cannot_be_imported_is_told(nel: Nel, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    code, _, err = nel("import", tmp_path / "empty", "-o", tmp_path / "run")
    assert code == 2 and "holds results of no format that is known" in err
    assert "inspect, lm-eval, published, table" in err
    write_results(tmp_path / "x", {0: [1.0]})
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "mine.txt").write_text("mine")
    code, _, err = nel("import", tmp_path / "x", "-o", taken)
    assert code == 2 and "is not empty" in err and [p.name for p in taken.iterdir()] == ["mine.txt"]
    code, _, err = nel("import", tmp_path / "gone", "-o", tmp_path / "run")
    assert code == 2 and "there is no such file or folder" in err
    code, _, err = nel("import", tmp_path / "x", "--format", "inspekt", "-o", tmp_path / "run")
    assert code == 2 and "did you mean 'inspect'?" in err
