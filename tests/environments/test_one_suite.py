"""Tasks of several harnesses and benchmarks of ours in one run, one report and one gate."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from engines import require
from parts import part
from runs import NEL, rows
from token_server import TokenServer

from task_folders import own_task

pytestmark = [pytest.mark.slow, pytest.mark.process]

COUNT = 24
OF_INSPECT = """
from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.scorer import includes
from inspect_ai.solver import generate


@task
def sums():
    samples = [Sample(input=f"What is {i}?", target=str(i % 20)) for i in range(24)]
    return Task(dataset=MemoryDataset(samples), solver=generate(), scorer=includes())
"""
POLICY = {
    "version": 1,
    "defaults": {"metric": "mean_reward", "tier": "supporting", "max_drop": 0.3},
}
BENCHMARKS: dict[str, dict[str, object]] = {
    "choices": {"tier": "critical", "metric": "acc,none"},
    "f1": {"tier": "critical", "metric": "f1,none", "max_drop": 0.6},
    "sums": {"tier": "critical", "metric": "pass@1", "max_drop": 0.3},
    "tasks": {"tier": "advisory", "metric": "mean_reward", "max_drop": 0.3},
}


def lm_eval_task(folder: Path) -> dict[str, object]:
    """A multiple choice of lm_eval, as a benchmark."""
    docs = ({"q": f"{i}?", "choices": ["one", "two"], "gold": i % 2} for i in range(COUNT))
    (folder / "docs.jsonl").write_text("".join(json.dumps(doc) + "\n" for doc in docs))
    task = {
        "task": "choices",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(folder / "docs.jsonl")}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "Q: {{q}}\nA:",
        "doc_to_choice": "{{choices}}",
        "doc_to_target": "{{gold}}",
        "metric_list": [{"metric": "acc"}, {"metric": "f1", "aggregation": "f1"}],
    }
    (folder / "lm_eval").mkdir()
    (folder / "lm_eval" / "choices.yaml").write_text(yaml.safe_dump(task))
    params = {
        "include_path": str(folder / "lm_eval"),
        "python": str(part("lm-eval") / "bin" / "python"),
        "bootstrap_iters": 100,
    }
    return {"name": "lm-eval://choices", "params": params}


def benchmarks(folder: Path) -> list[dict[str, Any]]:
    """Of lm_eval (twice, for two metrics), Inspect, Harbor, NeMo Skills, and one of ours."""
    solver = {"type": "simple", "service": "m"}
    (folder / "of_inspect.py").write_text(OF_INSPECT)
    skills = folder / "skills" / "own_math"
    skills.mkdir(parents=True)
    (skills / "__init__.py").write_text('METRICS_TYPE = "math"\n')
    lines = ({"problem": f"{i}?", "expected_answer": str(i)} for i in range(COUNT))
    (skills / "test.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for name in ("a", "b"):
        own_task(folder / "tasks" / name)
    choices = lm_eval_task(folder)
    python = str(part("inspect") / "bin" / "python")
    return [
        {**choices, "solver": solver, "label": "choices"},
        {**choices, "solver": solver, "label": "f1"},
        {
            "name": f"inspect://{folder}/of_inspect.py@sums",
            "params": {"python": python},
            "solver": solver,
        },
        {"name": f"harbor://{folder}/tasks", "solver": {"type": "oracle"}},
        {
            "name": "skills://own_math",
            "params": {"data_dir": str(folder / "skills")},
            "solver": solver,
        },
        {"name": "sample", "max_problems": COUNT, "solver": solver},
    ]


def test_one_run_and_one_gate_over_all_harnesses(tmp_path: Path) -> None:
    require("docker")
    listed = benchmarks(tmp_path)
    with TokenServer() as server:
        service = {"type": "api", "url": server.url, "protocol": "completions", "model": "m"}
        chat = {**service, "protocol": "chat_completions"}
        for entry in listed:
            if entry["name"].startswith("inspect"):
                entry["solver"] = {"type": "simple", "service": "chat"}
        for out in ("baseline", "candidate"):
            document = {
                "services": {"m": service, "chat": chat},
                "benchmarks": listed,
                "output": {"dir": str(tmp_path / out), "timestamped": False},
            }
            (tmp_path / "c.yaml").write_text(yaml.safe_dump(document))
            command = [*NEL, "eval", "run", str(tmp_path / "c.yaml")]
            done = subprocess.run(command, capture_output=True, text=True, timeout=200)
            assert done.returncode == 0, done.stderr
    folders = {"choices", "f1", "sums", "tasks", "own_math", "sample"}
    counts = {name: len(rows(tmp_path / "candidate" / name)) for name in folders}
    assert counts == {**dict.fromkeys(folders, COUNT), "tasks": 2}
    report = (tmp_path / "candidate" / "report.md").read_text()
    assert all(f"| {name} |" in report for name in folders)

    policy = tmp_path / "policy.yaml"
    for drop, verdict in ((0.3, "GO"), (0.01, "INCONCLUSIVE")):
        rules = {**BENCHMARKS, "choices": {**BENCHMARKS["choices"], "max_drop": drop}}
        policy.write_text(yaml.safe_dump({**POLICY, "benchmarks": rules}))
        gate = [*NEL, "gate", str(tmp_path / "baseline"), str(tmp_path / "candidate")]
        gate += ["--policy", str(policy), "--format", "json", "--no-strict"]
        told = subprocess.run(gate, capture_output=True, text=True, timeout=60)
        found = json.loads(told.stdout)
        assert found["verdict"] == verdict, found
        by_name = {one["benchmark"]: one for one in found["benchmarks"]}
        assert by_name.keys() == folders
        assert by_name["f1"]["metric"] == "f1,none" and by_name["f1"]["status"] == "PASS"
