"""Tables of runs as Parquet: the same columns everywhere, the same numbers as in the files."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from agent_run import agent_run
from commands import Nel
from published import write_results

from nemo_evaluator.results.view import RunView


def test_rows_scores_and_calls(nel: Nel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = RunView.open(agent_run(nel, tmp_path))
    words = ("-o", 'tables=["rows", "scores", "runs", "calls"]', "--output-dir", "out")
    code, out, err = nel("export", "run", "--dest", "parquet", *words)
    assert code == 0 and len(out.splitlines()) == 4, err
    tables = {path.suffixes[-2][1:]: pq.read_table(path) for path in Path("out").iterdir()}
    [view] = run.benchmarks()
    lines, rows = tables["rows"].to_pylist(), list(view.rows())
    assert [(line["problem_idx"], line["repeat"], line["reward"]) for line in lines] == [
        (row.problem_idx, row.repeat, row.reward) for row in rows
    ]
    assert [line["model_response"] for line in lines] == [row.model_response for row in rows]
    assert lines[4]["failure"] == "infra_error" and lines[4]["correct"] is None
    assert json.loads(lines[0]["scoring_details"])["explanation"] == "compared with 1"
    scores = {line["metric"]: line for line in tables["scores"].to_pylist()}
    assert {name: line["value"] for name, line in scores.items()} == {
        name: measure.value for name, measure in view.bundle.metrics.items()
    }
    [about] = tables["runs"].to_pylist()
    assert (about["run_id"], about["planned"], about["scored"]) == (run.run_id, 8, 6)
    assert tables["calls"].num_rows == len(list(view.calls()))


def test_files_of_all_tools_are_one_table(nel: Nel, tmp_path: Path) -> None:
    rows = {"prompt": "\ud83d half", "expected_answer": {"a": [1]}, "tokens": 2**70}
    write_results(tmp_path / "runs/a/x", {0: [1.0], 1: [None]}, run_id="eval-1", rows=rows)
    write_results(tmp_path / "runs/b/x", {0: [0.0]}, run_id="eval-2")
    out = str(tmp_path / "out")
    code, _, err = nel("export", str(tmp_path / "runs"), "-d", "parquet", "--output-dir", out)
    assert code == 0, err
    both = pq.read_table(out)
    assert sorted(both["run_id"].to_pylist()) == ["eval-1", "eval-1", "eval-2"]
    assert '{"a":[1]}' in both["expected_answer"].to_pylist() and None in both["tokens"].to_pylist()
    code, _, err = nel(
        *("export", str(tmp_path / "runs"), "-d", "parquet", "--output-dir", out),
        *("-o", "texts=false"),
    )
    assert code == 0 and "prompt" not in pq.read_schema(next(Path(out).iterdir())).names
