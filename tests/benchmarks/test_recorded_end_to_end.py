"""Recorded model answers, replayed by a loopback endpoint through whole runs of the real command,
score as their ground truth says."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from runs import NEL, ROOT, rows

pytestmark = [pytest.mark.shared, pytest.mark.slow, pytest.mark.timeout(300)]

LISTING = """
import asyncio, json, sys
from nemo_evaluator.environments.registry import resolve

async def main():
    (environment,) = resolve(sys.argv[1], params={})
    await environment.prepare()
    seeds = [await environment.seed(i) for i in range(await environment.size())]
    print(json.dumps([[p.idx, p.prompt, p.metadata.get(sys.argv[2])] for p in seeds]))

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def hub_env(shared_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a process that loads datasets from a loopback hub."""
    sys.path.insert(0, str(shared_dir / "tools"))
    from hub import LocalHub

    with LocalHub(shared_dir / "data" / "hf") as hub:
        yield hub.env(tmp_path_factory.mktemp("hf"))


def recorded(shared_dir: Path, name: str) -> list[dict[str, Any]]:
    with gzip.open(shared_dir / "data" / "recorded" / f"{name}.jsonl.gz", "rt") as file:
        return [json.loads(line) for line in file]


def prompts(bench: str, key: str, env: dict[str, str]) -> dict[Any, tuple[int, str]]:
    """What the benchmark asks, by a field of its rows: (index, prompt)."""
    done = subprocess.run(
        [sys.executable, "-c", LISTING, bench, key], env=env, capture_output=True, check=True
    )
    return {value: (idx, prompt) for idx, prompt, value in json.loads(done.stdout)}


def agreement(
    bench: str, key: str, answers: list[dict[str, Any]], env: dict[str, str], folder: Path
) -> tuple[int, int]:
    """(agreeing, all) of a run in which the endpoint gives these answers."""
    asked = prompts(bench, key, env)
    said = {row[key]: row for row in answers if row[key] in asked}
    folder.mkdir()
    table = folder / "answers.json"
    # What nobody recorded is answered too: a 404 would rightly stop the run.
    texts = {prompt: "(not recorded)" for _, prompt in asked.values()}
    texts |= {asked[value][1]: row["response"] for value, row in said.items()}
    table.write_text(json.dumps(texts))
    labels = {asked[value][0]: row["score"] for value, row in said.items()}
    server = [sys.executable, str(ROOT / "tests/support/loopback.py"), "--answers", str(table)]
    with subprocess.Popen(server, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        command = [*NEL, "eval", "run", "--bench", bench, "--model-url", url, "--model-id", "m"]
        done = subprocess.run(
            [*command, "-o", str(folder / "run")],
            env={**os.environ, **env},
            capture_output=True,
            text=True,
        )
        process.kill()
    assert done.returncode == 0, done.stderr
    found = {row["problem_idx"]: row["reward"] for row in rows(folder / "run" / bench)}
    return sum(found[idx] == label for idx, label in labels.items()), len(labels)


def by_model(answers: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    models = defaultdict(list)
    for row in answers:
        models[row["model"]].append(row)
    return models


@pytest.mark.parametrize("name", ["gsm8k_openai_2021", "gsm8k_abel"])
def test_gsm8k_agrees_with_the_labels(
    shared_dir: Path, hub_env: dict[str, str], tmp_path: Path, name: str
) -> None:
    right = total = 0
    for number, answers in enumerate(by_model(recorded(shared_dir, name)).values()):
        part = agreement("gsm8k", "question", answers, hub_env, tmp_path / str(number))
        right, total = right + part[0], total + part[1]
    print(f"{name}: {right} of {total}")
    assert total > 600 and right / total >= 0.995


def test_mmlu_pro_agrees_with_the_labels(
    shared_dir: Path, hub_env: dict[str, str], tmp_path: Path
) -> None:
    right = total = 0
    answers_by_model = by_model(recorded(shared_dir, "mmlu_pro_outputs"))
    for number, answers in enumerate(answers_by_model.values()):
        part = agreement("mmlu_pro", "question_id", answers, hub_env, tmp_path / str(number))
        right, total = right + part[0], total + part[1]
    print(f"mmlu_pro: {right} of {total}")
    assert total > 2000 and right / total >= 0.994


def test_triviaqa_agrees_with_the_labels(
    shared_dir: Path, hub_env: dict[str, str], tmp_path: Path
) -> None:
    answers = [{**row, "score": row["em"]} for row in recorded(shared_dir, "triviaqa_search_r1")]
    right, total = agreement("triviaqa", "question", answers, hub_env, tmp_path / "t")
    print(f"triviaqa: {right} of {total}")
    assert total >= 250 and right / total >= 0.995
