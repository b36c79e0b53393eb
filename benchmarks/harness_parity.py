"""lm_eval's own command and `lm-eval://` against the same deterministic endpoint, task by task.

    python benchmarks/harness_parity.py --python LM_EVAL_PYTHON [TASK ...]
    python benchmarks/harness_parity.py --python LM_EVAL_PYTHON --speed

Compares every metric, standard error and score of a document to 1e-12. Tasks of a hub need one
(HF_ENDPOINT); without names, tasks over documents made here are run. ``--speed`` asks the same
log-likelihoods by lm_eval's own model class, by `nel`, and by our HTTP client alone.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))
from token_server import TokenServer

HERE = Path(__file__).parent
NEL = [sys.executable, "-m", "nemo_evaluator.cli"]
CLOSE = 1e-12
DOCS = 60
CHAT = ("p_short", "gsm8k", "ifeval", "_generative", "math500")
"""Tasks whose names hold one of these are asked over chat; others over completions."""
TASKS: tuple[dict[str, Any], ...] = (
    {
        "task": "p_filters",
        "output_type": "generate_until",
        "doc_to_text": "Q: {{q}}\nA:",
        "doc_to_target": "{{a}}",
        "repeats": 4,
        "generation_kwargs": {"until": ["\n"], "temperature": 0.7, "do_sample": True},
        "filter_list": [
            {
                "name": "maj@4",
                "filter": [
                    {"function": "regex", "regex_pattern": "(\\d+)"},
                    {"function": "majority_vote"},
                    {"function": "take_first"},
                ],
            },
            {
                "name": "strict",
                "filter": [
                    {"function": "regex", "regex_pattern": "answer is (\\d+)"},
                    {"function": "take_first"},
                ],
            },
        ],
        "metric_list": [{"metric": "exact_match", "ignore_punctuation": True}],
    },
    {
        "task": "p_choices",
        "output_type": "multiple_choice",
        "doc_to_text": "Q: {{q}}\nA:",
        "doc_to_choice": "{{choices}}",
        "doc_to_target": "{{gold}}",
        "fewshot_split": "test",
        "num_fewshot": 3,
        "fewshot_config": {"sampler": "first_n"},
        "metric_list": [
            {"metric": "acc"},
            {"metric": "acc_norm"},
            {"metric": "brier_score", "higher_is_better": False},
        ],
    },
    {
        "task": "p_loglikelihood",
        "output_type": "loglikelihood",
        "doc_to_text": "Q: {{q}} ",
        "doc_to_target": " {{a}}",
        "metric_list": [{"metric": "acc"}, {"metric": "perplexity", "aggregation": "perplexity"}],
    },
    {
        "task": "p_rolling",
        "output_type": "loglikelihood_rolling",
        "doc_to_text": "",
        "doc_to_target": "{{q}}",
        "metric_list": [
            {"metric": "word_perplexity"},
            {"metric": "byte_perplexity"},
            {"metric": "bits_per_byte"},
        ],
    },
    {
        "task": "p_short",
        "output_type": "generate_until",
        "doc_to_text": "{{q}}",
        "doc_to_target": "{{a}}",
        "generation_kwargs": {"until": ["\n"]},
        "metric_list": [{"metric": "exact_match"}],
    },
    {
        "group": "p_group",
        "task": ["p_filters", "p_choices"],
        "aggregate_metric_list": [
            {"metric": "exact_match", "weight_by_size": True, "filter_list": ["strict"]},
        ],
    },
)

THEIRS = """
import logging, sys, time
logging.disable(logging.CRITICAL)
from lm_eval.models.openai_completions import LocalChatCompletion
from lm_eval.tasks import TaskManager
url, folder, concurrent, limit = sys.argv[1:]
loaded = TaskManager(include_path=folder, include_defaults=False).load(["p_short"])
task = loaded["tasks"]["p_short"]
url = url + "/chat/completions"
model = LocalChatCompletion(base_url=url, model="m", num_concurrent=int(concurrent))
chat = {"apply_chat_template": True, "chat_template": model.apply_chat_template}
task.build_all_requests(limit=int(limit), rank=0, world_size=1, **chat)
began = time.perf_counter()
model.generate_until(task.instances, disable_tqdm=True)
print(time.perf_counter() - began)
"""
"""Prints the seconds that lm_eval's own model class takes."""


def main() -> None:
    """Print a row for each task, or the rates."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("tasks", nargs="*")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--limit", type=int, default=40)
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--size", type=int, default=4000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, TokenServer() as server:
        folder = Path(name)
        write_tasks(folder)
        if given.speed:
            speed(given.python, folder, given.size)
            return
        names = given.tasks or [task.get("group", task["task"]) for task in TASKS]
        for task in names:
            print(row(task, given, folder, server), flush=True)


def write_tasks(folder: Path) -> None:
    """Documents and tasks over them."""
    docs = [
        {
            "q": f"what is {i} and {i * i % 17}?" * (1 + i % 3),
            "a": str(i % 20),
            "choices": ["one", "two words", f"the {i}rd"],
            "gold": i % 2,
        }
        for i in range(DOCS)
    ]
    (folder / "docs.jsonl").write_text("".join(json.dumps(doc) + "\n" for doc in docs))
    for task in TASKS:
        base = {
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": str(folder / "docs.jsonl")}},
            "test_split": "test",
            "metadata": {"version": 1.0},
        }
        text = task if "group" in task else {**base, **task}
        (folder / f"{task.get('task') or task['group']}.yaml").write_text(yaml.safe_dump(text))


def speed(python: str, folder: Path, size: int) -> None:
    """Requests per second of three clients over chat, from the first request to the last."""
    docs = ({"q": f"What is {i} plus {i % 97}?", "a": str(i)} for i in range(size))
    (folder / "docs.jsonl").write_text("".join(json.dumps(doc) + "\n" for doc in docs))
    with simulated() as url:
        bare = json.loads(
            said([sys.executable, str(HERE / "bare_client.py"), url, str(size), "64"])
        )
        theirs, alone = (
            many / float(said([python, "-c", THEIRS, url, str(folder), str(at_once), str(many)]))
            for at_once, many in ((64, size), (1, size // 10))
        )
        given = argparse.Namespace(python=python, limit=size)
        out = run_ours("p_short", given, folder, url, chat=True)
    [bundle] = out.glob("eval-*.json")
    ours = (
        size / json.loads(bundle.read_text())["benchmark"]["scores"]["runtime"]["elapsed_seconds"]
    )
    rate = bare["rate"]
    print(
        f"bare client {rate:.0f}/s; lm_eval's model class {alone:.0f}/s as it is by default, one "
        f"request at a time, and {theirs:.0f}/s with 64; lm-eval:// {ours:.0f}/s: "
        f"{ours / alone:.1f} x and {ours / theirs:.1f} x lm_eval, {ours / rate:.2f} x the bare one"
    )


@contextlib.contextmanager
def simulated() -> Iterator[str]:
    """A simulated endpoint in a process of its own."""
    command = [*NEL, "simulate", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None
        try:
            yield found[0]
        finally:
            process.terminate()


def said(command: list[str]) -> str:
    """The last line of what a command prints."""
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.strip().splitlines()[-1]


def row(task: str, given: argparse.Namespace, folder: Path, server: TokenServer) -> str:
    """One line: how much of it is equal."""
    chat = any(part in task for part in CHAT)
    started = time.monotonic()
    theirs = run_theirs(task, given, folder, server.url, chat=chat)
    between = time.monotonic()
    ours = run_ours(task, given, folder, server.url, chat=chat)
    took = (between - started, time.monotonic() - between)
    wrong = list(differing(task, theirs, ours))
    metrics, documents = count(theirs)
    said = "equal" if not wrong else f"{len(wrong)} differ, e.g. {wrong[0]}"
    seconds = f"{took[0]:.0f} s and {took[1]:.0f} s"
    return (
        f"{task:<28} {metrics:>3} metrics {documents:>5} scores of documents: {said}  ({seconds})"
    )


def run_theirs(
    task: str, given: argparse.Namespace, folder: Path, url: str, *, chat: bool
) -> tuple[dict[str, Any], list[tuple[str, dict[str, Any]]]]:
    """Results and samples of lm_eval's command."""
    out = folder / "theirs" / task
    kind = "local-chat-completions" if chat else "local-completions"
    path = "chat/completions" if chat else "completions"
    args = f"base_url={url}/{path},model=m,num_concurrent=8"
    command = [given.python, "-m", "lm_eval", "--model", kind, "--tasks", task]
    command += ["--model_args", args if chat else f"{args},tokenizer_backend=remote"]
    command += ["--include_path", str(folder), "--output_path", str(out), "--log_samples"]
    command += ["--limit", str(given.limit), *(["--apply_chat_template"] if chat else [])]
    subprocess.run(command, check=True, capture_output=True)
    [results] = out.rglob("results_*.json")
    samples = []
    for file in out.rglob("samples_*.jsonl"):
        found = re.match(r"samples_(.*)_\d{4}-", file.name)
        assert found is not None
        samples += [(found[1], json.loads(line)) for line in file.read_text().splitlines()]
    return json.loads(results.read_text())["results"], samples


def run_ours(task: str, given: argparse.Namespace, folder: Path, url: str, *, chat: bool) -> Path:
    """The folder of the benchmark."""
    out = folder / "ours" / task
    protocol = "chat_completions" if chat else "completions"
    service = {"type": "api", "url": url, "model": "m", "protocol": protocol}
    if not chat:
        service["tokenizer"] = "remote"
    document = {
        "services": {"m": service},
        "benchmarks": [
            {
                "name": f"lm-eval://{task}",
                "params": {
                    "include_path": str(folder),
                    "python": given.python,
                    "limit": given.limit,
                },
                "solver": {"type": "simple", "service": "m"},
            }
        ],
        "output": {"dir": str(out), "timestamped": False},
    }
    config = folder / f"{task}.nel"
    config.write_text(yaml.safe_dump(document))
    command = [sys.executable, "-m", "nemo_evaluator.cli", "eval", "run", str(config)]
    subprocess.run(command, check=True, capture_output=True)
    return out / task


def differing(
    name: str, theirs: tuple[dict[str, Any], list[tuple[str, dict[str, Any]]]], ours: Path
) -> Iterator[str]:
    """What is not the same."""
    results, samples = theirs
    [bundle] = ours.glob("eval-*.json")
    scores = json.loads(bundle.read_text())["benchmark"]["scores"]
    for task, key, value, error in metrics_of(results):
        found = scores.get(key if task == name else f"{task}/{key}", {})
        if not same(found.get("value"), value) or not same(found.get("stderr"), error):
            yield f"{task} {key}: {value} ± {error}, here {found}"
    lines = (json.loads(line) for line in (ours / "results.jsonl").read_text().splitlines())
    rows = {(line["metadata"]["task"], line["metadata"]["doc_id"]): line for line in lines}
    for task, sample in samples:
        row = rows.get((task, sample["doc_id"]), {})
        mine = row.get("scoring_details", {}).get("metrics", {})
        for metric in sample["metrics"]:
            value = sample[metric]
            if isinstance(value, int | float) and not same(
                mine.get(f"{metric},{sample['filter']}"), value
            ):
                yield f"{task} document {sample['doc_id']} {metric}: {value}, here {mine}"


def metrics_of(results: dict[str, Any]) -> Iterator[tuple[str, str, float, float | None]]:
    """Task, name, value and standard error of each number."""
    for task, found in results.items():
        for key, value in found.items():
            metric, comma, chosen = key.partition(",")
            if comma and not metric.endswith("_stderr") and isinstance(value, int | float):
                error = found.get(f"{metric}_stderr,{chosen}")
                yield task, key, value, error if isinstance(error, int | float) else None


def same(one: float | None, other: float | None) -> bool:
    """Equal, or both unknown."""
    return one == other or (one is not None and other is not None and abs(one - other) <= CLOSE)


def count(theirs: tuple[dict[str, Any], list[tuple[str, dict[str, Any]]]]) -> tuple[int, int]:
    """Metrics, and scores of documents."""
    return len(list(metrics_of(theirs[0]))), sum(len(sample["metrics"]) for _, sample in theirs[1])


if __name__ == "__main__":
    main()
