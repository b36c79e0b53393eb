"""Sample logs of lm-evaluation-harness as runs: the numbers are lm_eval's own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from commands import Nel
from parts import part
from runs import rows

from nemo_evaluator.results.view import RunView

RUN = r"""
import hashlib, sys
from lm_eval.__main__ import cli_evaluate
from lm_eval.api.model import LM
from lm_eval.api.registry import register_model


@register_model("toy")
class Toy(LM):
    def __init__(self, seed="0", **_):
        super().__init__()
        self.seed = str(seed)

    @classmethod
    def create_from_arg_string(cls, text, additional=None):
        return cls(**dict(part.split("=") for part in text.split(",") if part))

    def drawn(self, text):
        return int(hashlib.sha256((self.seed + text).encode()).hexdigest(), 16)

    def generate_until(self, requests):
        numbers = [int(r.args[0].split("How much is ")[1].split("+")[0]) + 1 for r in requests]
        return [f"it is {n}" if self.drawn(str(n)) % 4 else "it is 99" for n in numbers]

    def loglikelihood(self, requests):
        return [(-(self.drawn(r.args[0] + r.args[1]) % 100) / 10, False) for r in requests]

    def loglikelihood_rolling(self, requests):
        return [-1.0 for _ in requests]


cli_evaluate()
"""
SUMS = """
task: mysums
dataset_path: json
dataset_kwargs: {data_files: {test: DATA}}
test_split: test
output_type: generate_until
doc_to_text: "How much is {{q}}?"
doc_to_target: "{{a}}"
generation_kwargs: {until: ["\\n"]}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
filter_list:
  - {name: number, filter: [{function: regex, regex_pattern: '(\\d+)'}, {function: take_first}]}
  - {name: strict, filter: [{function: take_first}]}
"""
CHOICE = """
task: mychoice
dataset_path: json
dataset_kwargs: {data_files: {test: DATA}}
test_split: test
output_type: multiple_choice
doc_to_text: "How much is {{q}}?"
doc_to_target: 0
doc_to_choice: ["four", "five"]
metric_list: [{metric: acc}, {metric: acc_norm}]
"""


def lm_eval_run(folder: Path, seed: int) -> dict[str, Any]:
    """A real run of lm_eval; its results."""
    data = folder / "data.jsonl"
    if not data.exists():
        lines = [{"q": f"{i}+1", "a": str(i + 1), "category": "ab"[i % 2]} for i in range(40)]
        data.write_text("".join(json.dumps(line) + "\n" for line in lines))
        for name, text in (("sums", SUMS), ("choice", CHOICE)):
            (folder / f"{name}.yaml").write_text(text.replace("DATA", str(data)))
        (folder / "run.py").write_text(RUN)
    done = subprocess.run(
        [
            *(part("lm-eval") / "bin" / "python", "run.py", "--model", "toy"),
            *("--model_args", f"seed={seed}", "--tasks", "mysums,mychoice"),
            *("--include_path", str(folder), "--log_samples", "--output_path", f"out{seed}"),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=180,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(folder / "cache")},
    )
    assert done.returncode == 0, done.stderr
    [path] = (folder / f"out{seed}").rglob("results_*.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_what_lm_eval_ran_is_gated(nel: Nel, tmp_path: Path) -> None:
    for seed in (1, 2):
        told = lm_eval_run(tmp_path, seed)
        code, _, err = nel(
            *("import", tmp_path / f"out{seed}", "-o", tmp_path / f"run{seed}"),
            *("--model-id", f"toy{seed}"),
        )
        assert code == 0, err
        found = {
            v.name: v.bundle.metrics for v in RunView.open(tmp_path / f"run{seed}").benchmarks()
        }
        for task, key in (("mysums", "exact_match,number"), ("mychoice", "acc,none")):
            metrics, theirs = found[task], told["results"][task]
            assert metrics["pass@1"].value == pytest.approx(theirs[key], abs=1e-6)
            assert metrics[key].value == theirs[key]
            assert metrics[key].stderr == theirs[key.replace(",", "_stderr,")]
        assert "acc_norm,none" in found["mychoice"]
    first = rows(tmp_path / "run1/mysums")[0]
    assert first["prompt"] == "How much is 0+1?" and first["expected_answer"] == "1"
    assert first["metadata"]["category"] == "a" and first["model_response"].startswith("it is")
    choice = rows(tmp_path / "run1/mychoice")[0]
    assert choice["model_response"] in ("four", "five") and choice["expected_answer"] == "four"
    policy = tmp_path / "policy.yaml"
    rule = "{metric: mean_reward, max_drop: 0.9}"
    policy.write_text(f"version: 1\nbenchmarks: {{mysums: {rule}, mychoice: {rule}}}\n")
    code, out, err = nel(
        *("gate", tmp_path / "run1", tmp_path / "run2", "--policy", policy, "--format", "json")
    )
    assert code == 0 and json.loads(out)["verdict"] == "GO", err


def write(
    folder: Path, task: str, lines: list[dict[str, Any]], stamp: str = "2026-01-02T03-04-05"
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"samples_{task}_{stamp}.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def line(doc_id: int, value: float, **fields: Any) -> dict[str, Any]:
    return {
        "doc_id": doc_id,
        "doc": {"q": doc_id},
        "target": "t",
        "arguments": [[json.dumps([{"role": "user", "content": f"q{doc_id}"}]), {"until": []}]],
        "resps": [["said"]],
        "filtered_resps": ["said"],
        "filter": "none",
        "metrics": ["exact_match"],
        "exact_match": value,
        **fields,
    }


def test_parts_of_a_dataset_chats_and_old_forms(nel: Nel, tmp_path: Path) -> None:
    path = write(tmp_path / "out", "t", [line(7, 1.0), line(3, 0.0)])
    assert nel("import", path, "-o", tmp_path / "run")[0] == 0
    found = rows(tmp_path / "run/t")
    assert [(row["problem_idx"], row["reward"]) for row in found] == [(3, 0.0), (7, 1.0)]
    assert found[0]["prompt"] == "q3" and found[0]["model_response"] == "said"
    [view] = RunView.open(tmp_path / "run").benchmarks()
    assert (view.bundle.n_rollouts, view.bundle.coverage) == (2, 1.0)
    rolling = line(0, 0.0, metrics=["word_perplexity"], word_perplexity=[-3.0, 2])
    assert nel("import", write(tmp_path / "o2", "p", [rolling]), "-o", tmp_path / "r2")[0] == 0


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([{"doc": 1}], "is no sample of lm_eval"),
        ([line(0, 1.0), line(0, 0.0)], "holds document 0 twice for the filter none"),
        ([], "holds no samples"),
    ],
)
def test_what_is_wrong_is_named(nel: Nel, tmp_path: Path, lines: list[Any], said: str) -> None:
    path = write(tmp_path, "t", lines)
    code, _, err = nel("import", path, "-o", tmp_path / "run")
    assert code == 2 and said in err and path.name in err


def test_several_runs_of_a_task_are_no_choice(nel: Nel, tmp_path: Path) -> None:
    for stamp in ("2026-01-02T03-04-05", "2026-01-02T03-04-06"):
        write(tmp_path / "out", "t", [line(0, 1.0)], stamp)
    code, _, err = nel("import", tmp_path / "out", "-o", tmp_path / "run")
    assert code == 2 and "holds several runs of t" in err
