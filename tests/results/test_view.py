"""A run as exporters and viewers read it: its files alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from nemo_evaluator import evaluate
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.results.call import Call, decode_call
from nemo_evaluator.results.view import RunView
from nemo_evaluator.steps import StepSource


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "one"
    service = {"type": "simulated", "proxy": {"model_traffic": {"level": "full"}}}
    entries = [
        {"name": "sample", "max_problems": 4, "repeats": 2},
        {"name": "sample", "max_problems": 3},
    ]
    evaluate({"services": {"model": service}, "benchmarks": entries, "output": {"dir": str(path)}})
    return path


def test_a_run_is_read_from_its_files(run: Path) -> None:
    view = RunView.open(run)
    assert view.info is not None and view.run_id == view.info.run_id
    assert view.config["services"]["model"]["type"] == "simulated"
    first, second = view.benchmarks()
    assert (first.folder.name, second.folder.name) == view.info.benchmarks
    assert first.plan is not None and (first.plan.repeats, first.plan.n_problems) == (2, 4)
    assert first.name == "sample" and first.bundle.n_scored == 8
    rows = list(first.rows())
    assert [row.key for row in rows] == [line.key for line in first.trajectories()]
    assert {call.key for call in first.calls()} == {row.key for row in rows}
    assert first.bundle_path in first.artifacts()


def test_steps_hold_their_texts(run: Path) -> None:
    view = RunView.open(run).benchmarks()[0]
    row = list(view.rows())[5]
    asked, answered = view.steps(row)
    assert (asked.source, asked.message) == (StepSource.USER, row.prompt)
    assert (answered.source, answered.message) == (StepSource.AGENT, row.model_response)
    assert answered.metrics is not None
    total = (answered.metrics.prompt_tokens or 0) + (answered.metrics.completion_tokens or 0)
    assert total == row.tokens


def test_the_record_has_every_field_that_the_log_writes(run: Path) -> None:
    known = set(Call.__struct_fields__)
    lines = (run / "sample/model_traffic.jsonl").read_text().splitlines()
    assert {key for line in lines for key in json.loads(line)} <= known
    calls = list(RunView.open(run).benchmarks()[0].calls())
    assert all(call.message_content and call.request_messages for call in calls)
    assert [json.loads(line)["latency_ms"] for line in lines] == [c.latency_ms for c in calls]


def test_a_run_reads_the_same_after_it_was_moved_and_lost_its_documents(
    run: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    for name in ("run.json", "plan.lock", "config.yaml"):
        (copy / name).unlink()
    view = RunView.open(copy)
    assert view.info is None and view.run_id == RunView.open(run).run_id and view.config == {}
    assert [v.plan for v in view.benchmarks()] == [v.plan for v in RunView.open(run).benchmarks()]


def test_a_directory_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no results"):
        RunView.open(tmp_path)


def test_a_line_of_another_tool_is_read_as_far_as_it_is_a_call() -> None:
    other = {"problem_idx": 3, "latency_ms": 5, "tries": "two", "tool_calls": None, "usage": None}
    call = decode_call(json.dumps(other).encode())
    assert call is not None and (call.key, call.latency_ms, call.tries) == ((3, 0), 5.0, None)
    for wrong in ({"problem_idx": "3"}, {"usage": [1]}, {"cost_usd": "free"}):
        assert decode_call(json.dumps(wrong).encode()) is None
    assert decode_call(b"[1]") is None and decode_call(b'{"problem_idx": 3, "la') is None
