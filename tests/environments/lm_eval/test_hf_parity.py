"""A real language model behind a real server: the log-probabilities are those that lm_eval's own
Hugging Face backend finds with the same weights, also at the seam of context and continuation.

The part `hf` (torch, transformers, lm_eval) is gigabytes: it is installed by name only, and the
test is skipped without it, in CI too.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from free_ports import free_port
from parts import optional_part
from runs import NEL, rows

pytestmark = [pytest.mark.slow, pytest.mark.process, pytest.mark.shared]

# lm_eval's backend takes two questions for one whose tokens, but for the last, are the same with
# another boundary ("<s>what is" + " 7", and "" + "what is 1"), and is wrong in one: none are here.
PAIRS = [
    ("what is 2 plus 3?", " 5"),
    ("what is 2 ", "plus"),
    ("what  ", "  is"),
    ("what is\t", " 4"),
    ("Question:\n", "\n5"),
    ("Answer: ", "A"),
    ("", " 5 plus 3"),
    ("", "what is 1"),
    ("what is 1", "1 plus 2"),
    ("é", "ü x"),
    ("<s>Answer", " 7"),
    ("日本", "語 5"),
    ("\U0001f600 what", " is"),
    ("a" * 40, "b" * 40),
]
TEXTS = [
    "what is 2 plus 3? 5",
    " Question: what is 4 plus 4?",
    "é ü 日本語",
    "A",
    "<s>what is 1",
    "what is " * 60,
]
TASKS: tuple[dict[str, Any], ...] = (
    {
        "task": "seam",
        "output_type": "loglikelihood",
        "doc_to_text": "{{c}}",
        "doc_to_target": "{{t}}",
        "target_delimiter": "",
        "metric_list": [{"metric": "acc"}, {"metric": "perplexity", "aggregation": "perplexity"}],
    },
    {
        "task": "whole",
        "output_type": "loglikelihood_rolling",
        "doc_to_text": "",
        "doc_to_target": "{{c}}",
        "metric_list": [{"metric": "word_perplexity"}, {"metric": "bits_per_byte"}],
    },
)


@pytest.fixture(scope="module")
def python() -> str:
    return str(optional_part("hf") / "bin" / "python")


@pytest.fixture(scope="module")
def model(python: str, tmp_path_factory: pytest.TempPathFactory, shared_dir: Path) -> Path:
    """A tiny Llama with a tokenizer of its own."""
    folder = tmp_path_factory.mktemp("model") / "tiny"
    script = shared_dir / "tools" / "tiny_llm.py"
    command = [python, str(script), "make", str(folder), "--train-seconds", "4"]
    subprocess.run(command, check=True, capture_output=True, timeout=200)
    return folder


@pytest.fixture(scope="module")
def url(python: str, model: Path, shared_dir: Path) -> Iterator[str]:
    """The model, served."""
    port = free_port()
    script = shared_dir / "tools" / "examples" / "hf_server.py"
    with subprocess.Popen(
        [python, str(script), str(model), str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            deadline = time.monotonic() + 120
            while True:
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models").close()
                    break
                except OSError:
                    assert time.monotonic() < deadline and process.poll() is None
                    time.sleep(0.2)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.kill()


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """Both tasks over their documents."""
    folder = tmp_path / "tasks"
    folder.mkdir()
    docs = {"seam": [{"c": c, "t": t} for c, t in PAIRS], "whole": [{"c": c} for c in TEXTS]}
    for task in TASKS:
        data = tmp_path / f"{task['task']}.jsonl"
        data.write_text("".join(json.dumps(doc) + "\n" for doc in docs[task["task"]]))
        text = {
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": str(data)}},
            "test_split": "test",
            **task,
        }
        (folder / f"{task['task']}.yaml").write_text(yaml.safe_dump(text))
    return folder


def by_hf(python: str, model: Path, tasks: Path, out: Path) -> dict[str, list[float]]:
    """Log-probability of each document, by lm_eval's own backend."""
    command = [python, "-m", "lm_eval", "--model", "hf", "--device", "cpu", "--batch_size", "1"]
    command += ["--model_args", f"pretrained={model},dtype=float32", "--tasks", "seam,whole"]
    command += ["--include_path", str(tasks), "--output_path", str(out), "--log_samples"]
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=env)
    assert done.returncode == 0, done.stderr[-2000:]
    found = {}
    for name in ("seam", "whole"):
        [file] = out.rglob(f"samples_{name}_*.jsonl")
        lines = sorted(map(json.loads, file.read_text().splitlines()), key=lambda s: s["doc_id"])
        found[name] = [_number(line["resps"][0][0]) for line in lines]
    return found


def by_nel(python: str, model: Path, tasks: Path, url: str, out: Path) -> dict[str, list[float]]:
    """The same by our command through the server."""
    service = {"type": "api", "url": url, "model": "tiny", "protocol": "completions"}
    document = {
        "services": {"m": {**service, "tokenizer": str(model)}},
        "benchmarks": [
            {
                "name": f"lm-eval://{name}",
                "params": {"include_path": str(tasks), "python": python, "bootstrap_iters": 10},
                "solver": {"type": "simple", "service": "m"},
            }
            for name in ("seam", "whole")
        ],
        "output": {"dir": str(out), "timestamped": False},
    }
    config = out.with_suffix(".yaml")
    config.write_text(yaml.safe_dump(document))
    command = [*NEL, "eval", "run", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return {
        name: [_number(row["scoring_details"]["filtered"]["none"][0]) for row in rows(out / name)]
        for name in ("seam", "whole")
    }


def _number(told: Any) -> float:
    """A log-probability, alone or before "is it greedy"."""
    return float(told[0] if isinstance(told, list) else told)


def test_log_probabilities_are_those_of_the_weights(
    python: str, model: Path, url: str, tasks: Path, tmp_path: Path
) -> None:
    theirs = by_hf(python, model, tasks, tmp_path / "theirs")
    ours = by_nel(python, model, tasks, url, tmp_path / "ours")
    assert len(theirs["seam"]) == len(PAIRS) and len(theirs["whole"]) == len(TEXTS)
    for name, values in theirs.items():
        assert ours[name] == pytest.approx(values, rel=1e-6), name
