"""Files of a run as tools of the published format read them: its fields, under its names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from loopback import Loopback

from nemo_evaluator import evaluate, evaluate_async


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def bundle(folder: Path) -> dict[str, Any]:
    [path] = folder.glob("eval-*.json")
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some rollouts without a verdict, on a part of the dataset."""
    path = tmp_path_factory.mktemp("runs") / "one"
    faults = {"server_error": 0.2, "retry_after_s": 0.001}
    service = {"type": "simulated", "faults": faults, "proxy": {"max_retries": 0}}
    entry = {"name": "sample", "max_problems": 30, "repeats": 2, "max_system_retries": 1}
    evaluate({"services": {"model": service}, "benchmarks": [entry], "output": {"dir": str(path)}})
    return path / "sample"


def test_every_reward_is_a_number(run: Path) -> None:
    """Other tools compare ``reward > 0`` on every row, and average them."""
    rows = lines(run / "results.jsonl")
    assert rows and all(isinstance(row["reward"], float) for row in rows)
    assert all(
        {"problem_idx", "repeat", "expected_answer", "metadata"} <= row.keys() for row in rows
    )
    assert {row["scoring_details"]["method"] for row in rows} == {"sample"}
    unscored = lines(run / "unscored.jsonl")
    assert unscored and {row["reward"] for row in unscored} == {None}
    assert {row["scoring_details"]["method"] for row in unscored} == {"infra_error"}
    document = bundle(run)
    assert document["n_results"] == len(rows)
    assert document["benchmark"]["scores"]["pass@1"]["value"] > 0


def test_what_was_run_is_told(run: Path) -> None:
    config = bundle(run)["config"]
    assert config["shuffle"] == {
        "seed": 42, "applied": True, "ds_full_size": 120, "ds_effective_size": 30,
    }  # fmt: skip
    assert config["base_url"] is None and config["max_problems"] == 30
    assert "shard" not in config


def test_failures_have_their_rate_and_their_examples(run: Path) -> None:
    document = json.loads((run / "failure_analysis.json").read_text())
    assert document == bundle(run)["benchmark"]["scores"]["failures"]
    count = len(lines(run / "unscored.jsonl"))
    entry = document["categories"]["server_error"]
    assert entry["count"] == count and entry["percentage"] == pytest.approx(count / 60)
    assert document["failure_rate"] == pytest.approx(document["total_failures"] / 60)
    assert entry["exemplars"][0].keys() >= {"problem_idx", "repeat", "error"}


def test_trajectories_carry_question_answer_and_reply(run: Path) -> None:
    rows = {(r["problem_idx"], r["repeat"]): r for r in lines(run / "results.jsonl")}
    found = lines(run / "trajectories.jsonl")
    assert len(found) == 60
    for step in found:
        row = rows.get((step["problem_idx"], step["repeat"]))
        if row is None:
            assert step["reward"] is None
            continue
        assert step["prompt"] == row["prompt"] and step["reward"] == row["reward"]
        assert step["expected_answer"] == row["expected_answer"]
        assert step["extracted_answer"] == row["extracted_answer"]
        assert step["scoring_method"] == "sample"
        assert step["model"]["content"] == row["model_response"]
        assert step["model"]["tokens"]["total"] == row["tokens"]
        assert step["model"]["model"] == "simulated" and step["timestamp"] > 0


async def test_the_endpoint_is_told_without_credentials(tmp_path: Path, loopback: Loopback) -> None:
    host = loopback.url.removeprefix("http://")
    await evaluate_async(
        bench="sample",
        model_url=f"http://user:hunter22hunter22@{host}?api-key=abcdefabcdef1234",
        model_id="m",
        max_problems=2,
        output_dir=tmp_path / "r",
    )
    assert bundle(tmp_path / "r/sample")["config"]["base_url"] == loopback.url
    text = "".join(p.read_text() for p in (tmp_path / "r").rglob("*") if p.is_file())
    assert "hunter22" not in text and "abcdefabcdef" not in text


def test_a_shard_tells_its_part(tmp_path: Path) -> None:
    evaluate(
        bench="sample", model_url="simulated", max_problems=10, shard="1/3", output_dir=tmp_path
    )
    config = bundle(next(tmp_path.glob("**/sample")))["config"]
    assert config["shard"] == {"idx": 1, "total": 3, "range": [4, 7]}
    assert config["shard_range"] == [4, 7]
    assert config["shuffle"]["ds_effective_size"] == 10
