"""A harness in an image, against our door: its scores, its failures, its traces."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from engines import require
from loopback import Loopback
from running import kill_when
from runs import rows

from nemo_evaluator import ConfigError, evaluate_async
from nemo_evaluator.config.scrubber import MASK
from nemo_evaluator.environments.container.harness import open_container
from nemo_evaluator.environments.container.results import (
    Found,
    measures_of,
    read_results,
    scores_in,
)
from nemo_evaluator.files.owner import LABEL
from nemo_evaluator.sandboxes.docker_api import Engine

KEY = "sk-real-key-of-the-endpoint"
HARNESS = """#!/usr/bin/env python3
import json, os, re, sys, time, urllib.request
assert sys.argv[1] == "run_eval" and sys.argv[2] == "--run_config", sys.argv
text = open(sys.argv[3]).read()
told = {name: re.search(rf"{name}: (.*)", text)[1] for name in ("url", "model_id", "type", "limit")}
print("config", json.dumps(text), flush=True)
print("env", json.dumps(dict(os.environ)), flush=True)
if "crash: true" in text:
    for number in range(200):
        print("line", number, file=(sys.stdout, sys.stderr)[number % 2], flush=True)
    sys.exit("it broke")
key = os.environ["NEMO_API_KEY"]
for number in range(int(told["limit"])):
    body = {"model": told["model_id"], "messages": [{"role": "user", "content": f"q{number}"}]}
    request = urllib.request.Request(
        told["url"],
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": "Bearer " + key},
    )
    urllib.request.urlopen(request).read()
if "forever: true" in text:
    time.sleep(600)
if "empty: true" not in text:
    with open("/results/results.yml", "w") as file:
        file.write(RESULTS)
"""
RESULTS = """
results:
  tasks:
    ifeval:
      metrics:
        accuracy:
          scores:
            strict: {value: 0.75, stats: {count: 40, stderr: 0.05}}
            loose: {value: 0.8, stats: {}}
"""
PERCENTAGES = f"""
open(f"/seen/{{time.time_ns()}}", "w")
with open("/results/results.yml", "w") as file:
    file.write({RESULTS!r}.replace("0.75", str(40 + 20 * len(os.listdir("/seen")))))
"""
"""60, and in the next run 80."""


def document(tmp_path: Path, url: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
    require("docker")
    program = tmp_path / "nemo-evaluator"
    program.write_text(HARNESS.replace("RESULTS)", f"{RESULTS!r})"))
    program.chmod(0o755)
    model = {"type": "api", "url": url, "protocol": "chat_completions", "model": "m"}
    return {
        "services": {"model": {**model, "api_key": KEY}},
        "solver": {
            "type": "container",
            "service": "model",
            "env_vars": {"HF_TOKEN": "hf-secret-of-mine"},
            "adapter_config": {"use_caching": True},
            "network": "door",
            "mounts": {str(program): "/usr/local/bin/nemo-evaluator:ro"},
        },
        "benchmarks": [
            {
                "name": "container://sandbox-base:latest#ifeval",
                "params": {"limit": 2, **(params or {})},
                "timeout": 60,
            }
        ],
        "output": {"dir": str(tmp_path / "run"), "report": []},
    }


async def containers(tmp_path: Path) -> list[dict[str, Any]]:
    """Those that work on a folder: tests beside this one have containers of their own."""
    found: list[dict[str, Any]] = await Engine().expect("GET", "/containers/json")
    return [
        one
        for one in found
        if LABEL in one["Labels"]
        and any(mount["Source"].startswith(str(tmp_path)) for mount in one["Mounts"])
    ]


def log_of(tmp_path: Path) -> str:
    return (tmp_path / "run/ifeval/harness/0-0/log.txt").read_text()


async def test_its_scores_are_measures(tmp_path: Path, loopback: Loopback) -> None:
    given = document(tmp_path, loopback.url)
    given["benchmarks"][0]["max_problems"] = 7
    result = await evaluate_async(given)
    assert result.exit_code == 0
    [row] = rows(tmp_path / "run/ifeval")
    assert row["reward"] == 0.75 and row["extracted_answer"] == "ifeval/accuracy/strict"
    [summary] = result.summary.benchmarks
    strict = summary.metrics["ifeval/accuracy/strict"]
    assert summary.headline == "ifeval/accuracy/strict"
    assert (strict.value, strict.stderr, strict.n) == (0.75, 0.05, 40)
    assert summary.metrics["ifeval/accuracy/loose"].value == 0.8
    assert summary.effort is None  # its 40 samples are not one task that was not solved
    # Its calls are counted, by the key of its session and not the endpoint's.
    assert len(loopback.calls) == 2
    calls = (tmp_path / "run/ifeval/model_traffic.jsonl").read_text().splitlines()
    assert len(calls) == 2 and json.loads(calls[0])["problem_idx"] == 0
    log = log_of(tmp_path)
    assert "limit_samples: 7" in log
    assert KEY not in log and "hf-secret-of-mine" not in log and '"HF_TOKEN": "****' in log
    assert "use_caching: true" in log and "type: chat" in log
    # Done once, done for good.
    again = document(tmp_path, "http://127.0.0.1:9/v1")
    again["benchmarks"][0]["max_problems"] = 7
    assert (await evaluate_async(again, resume=True)).exit_code == 0


@pytest.mark.slow
async def test_what_fails_is_never_a_score(tmp_path: Path, loopback: Loopback) -> None:
    result = await evaluate_async(document(tmp_path, loopback.url, {"crash": True}))
    assert result.exit_code == 2 and "exit code 1: it broke" in " ".join(result.messages)
    log = (tmp_path / "run/ifeval/harness/0-0/log.txt").read_text().splitlines()
    assert log[-201:] == [*(f"line {number}" for number in range(200)), "it broke"]
    assert not rows(tmp_path / "run/ifeval") or rows(tmp_path / "run/ifeval")[0]["reward"] is None
    (tmp_path / "other").mkdir()
    given = document(tmp_path, loopback.url, {"empty": True})
    given["output"]["dir"] = str(tmp_path / "other/run")
    result = await evaluate_async(given)
    assert result.exit_code == 2 and "left no results.yml" in " ".join(result.messages)
    # What left no scores is run again, and what an earlier run left are not the scores of this one.
    left = tmp_path / "other/run/ifeval/harness/0-0/results/results.yml"
    left.write_text(RESULTS.replace("0.75", "0.99"))
    result = await evaluate_async(given, resume=True)
    assert result.exit_code == 2 and "left no results.yml" in " ".join(result.messages)
    assert left.with_name("results.yml.earlier").is_file()
    program = tmp_path / "nemo-evaluator"
    program.write_text(program.read_text().replace('"empty: true"', '"no such thing"'))
    assert (await evaluate_async(given, resume=True)).exit_code == 0
    assert rows(tmp_path / "other/run/ifeval")[0]["reward"] == 0.75


async def test_nothing_secret_is_to_be_seen_and_nothing_stays(
    tmp_path: Path, loopback: Loopback
) -> None:
    task = asyncio.create_task(evaluate_async(document(tmp_path, loopback.url, {"forever": True})))
    try:
        async with asyncio.timeout(60):
            while len(loopback.calls) < 2:
                await asyncio.sleep(0.1)
        [ours] = await containers(tmp_path)
        shown = await Engine().expect("GET", f"/containers/{ours['Id']}/json")
        assert "hf-secret-of-mine" not in json.dumps(shown) and "nel-" not in json.dumps(
            shown["Config"]["Env"]
        )
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert not await containers(tmp_path)


@pytest.mark.slow
async def test_what_a_killed_run_paid_for_is_not_asked_again(
    tmp_path: Path, loopback: Loopback
) -> None:
    given = document(tmp_path, loopback.url, {"limit": 3})
    (seen := tmp_path / "seen").mkdir()
    given["solver"]["mounts"][str(seen)] = "/seen"
    program = tmp_path / "nemo-evaluator"
    waits = 'while number == 2 and not os.path.exists("/seen/go"): time.sleep(0.05)\n    body ='
    program.write_text(program.read_text().replace("body =", waits, 1))
    (tmp_path / "config.yaml").write_text(json.dumps(given))
    command = [sys.executable, "-m", "nemo_evaluator.cli", "eval", "run"]
    command += [str(tmp_path / "config.yaml"), "--no-progress"]
    answers = tmp_path / "run/ifeval/harness/0-0/answers.jsonl"

    def half() -> bool:
        return answers.is_file() and answers.read_bytes().count(b"\n") == 2

    await asyncio.to_thread(kill_when, half, command)
    assert len(loopback.calls) == 2
    (seen / "go").touch()
    result = await evaluate_async(given, resume=True)
    assert result.exit_code == 0
    assert [loopback.count(f"q{number}") for number in range(3)] == [1, 1, 1]
    [row] = rows(tmp_path / "run/ifeval")
    assert row["reward"] == 0.75
    # As if there had been no kill: the rollout has used what its three answers cost.
    other = document(tmp_path, loopback.url, {"limit": 3})
    other["output"]["dir"] = str(tmp_path / "calm")
    other["solver"]["mounts"][str(seen)] = "/seen"
    await evaluate_async(other)
    assert rows(tmp_path / "calm/ifeval")[0]["tokens"] == row["tokens"] > 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "container://sandbox-base"}, "names no task"),
        ({"name": "container://no-such-image:x#t"}, "no-such-image"),
        ({"name": "sample"}, "harnesses in images"),
    ],
)
async def test_mistakes_are_named_before_anything_runs(
    tmp_path: Path, loopback: Loopback, change: dict[str, Any], said: str
) -> None:
    given = document(tmp_path, loopback.url)
    given["benchmarks"] = [{**change, "max_problems": 1}]
    try:
        result = await evaluate_async(given)
    except ConfigError as error:
        assert said in str(error)
    else:
        assert result.exit_code == 2 and said in " ".join(result.messages)


async def test_a_percentage_is_no_reward_and_repeats_are_one_mean(
    tmp_path: Path, loopback: Loopback
) -> None:
    given = document(tmp_path, loopback.url)
    given["benchmarks"][0]["repeats"] = 2
    (seen := tmp_path / "seen").mkdir()
    given["solver"]["mounts"][str(seen)] = "/seen"
    program = tmp_path / "nemo-evaluator"
    program.write_text(program.read_text() + PERCENTAGES)
    result = await evaluate_async(given)
    assert result.exit_code == 0
    assert [row["reward"] for row in rows(tmp_path / "run/ifeval")] == [None, None]
    [summary] = result.summary.benchmarks
    strict = summary.metrics["ifeval/accuracy/strict"]
    assert summary.headline == "ifeval/accuracy/strict"
    assert (strict.value, strict.stderr, strict.n) == (70.0, None, 40)


def left(folder: Path, text: str | bytes) -> Path:
    (folder / "results.yml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def one(value: str, task: str = "t", more: str = "") -> str:
    scores = f"{{s: {{value: {value}}}{more}}}"
    return f"results: {{tasks: {{{task}: {{metrics: {{m: {{scores: {scores}}}}}}}}}}}"


def test_forms_of_results(tmp_path: Path) -> None:
    inner = {"metrics": {"m": {"scores": {"s": {"value": 2}}}}}
    groups = {"g": {"metrics": {"m": {"scores": {"s": {"value": 1}}}}, "groups": {"h": inner}}}
    found = scores_in({"results": {"groups": groups}})
    assert [one.name for one in found] == ["g/m/s", "g/h/m/s"]
    flat = {"scores": {"acc": 0.5, "text": "no", "told": "0.25"}}
    assert [(one.name, one.value) for one in scores_in(flat)] == [("acc", 0.5), ("told", 0.25)]
    nested = {"metrics": {"acc": {"value": 0.5, "stats": {"count": 7}}}}
    assert [one.n for one in scores_in(nested)] == [7]
    with pytest.raises(ConfigError, match="holds no score"):
        read_results(left(tmp_path, "results: {}"))


@pytest.mark.parametrize(
    "text",
    [
        one("0.5"),
        one("'0.5'"),
        one("5e-1"),
        one("0.5", task="2024"),
        one("0.5", more=", later: {value: .nan}, last: {value: null}"),
        one("0.5").encode() + b"\n# caf\xe9",
        one("0.5", more=", kind: {value: !!python/name:numpy.float64 ''}"),
    ],
)
def test_what_is_paid_for_is_read(tmp_path: Path, text: str | bytes) -> None:
    [found] = read_results(left(tmp_path, text))
    assert found.value == 0.5


@pytest.mark.parametrize("value", [".nan", "null", "N/A", ".inf", "!!python/name:numpy.nan ''"])
def test_no_score_takes_the_place_of_the_first(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigError, match="t/m/s, the first score, is not a number"):
        read_results(left(tmp_path, one(value, more=", other: {value: 0.5}")))


def test_the_scores_of_the_task_come_first(tmp_path: Path) -> None:
    text = """
    results:
      tasks:
        mmlu_anatomy: {metrics: {acc: {scores: {micro: {value: 0.3}}}}}
      groups:
        mmlu: {metrics: {acc: {scores: {micro: {value: 0.6}}}}}
    """
    named = ["mmlu/acc/micro", "mmlu_anatomy/acc/micro"]
    for task in ("mmlu", "lm-evaluation-harness.mmlu"):
        assert [one.name for one in read_results(left(tmp_path, text), task)] == named


def test_results_in_json(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text('{\n\t"scores": {"acc": 0.5, "other": NaN}\n}')
    assert [one.name for one in read_results(tmp_path)] == ["acc"]
    (tmp_path / "results.json").write_text('{"scores": ')
    with pytest.raises(ConfigError, match="cannot be read"):
        read_results(tmp_path)


def test_the_mean_of_repeats() -> None:
    one, two = Found(name="a", value=60.0, stderr=1.0, n=9), Found(name="a", value=80.0, n=9)
    [measure] = measures_of([[one], [two]])
    assert (measure.value, measure.stderr, measure.n) == (70.0, None, 9)
    assert measures_of([[one]])[0].stderr == 1.0 and measures_of([]) == []


async def test_without_an_engine_the_harness_is_named(
    tmp_path: Path, loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = document(tmp_path, loopback.url)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    result = await evaluate_async(given)
    said = " ".join(result.messages)
    assert result.exit_code == 2 and "container://sandbox-base:latest#ifeval: the docker" in said
    assert "start Docker on this machine" in said and "type: local" not in said
    assert not loopback.calls


def test_its_identity_says_what_it_is_told_but_not_how_fast_and_no_secret() -> None:
    params: dict[str, Any] = {"parallelism": 8, "extra": {"api_key": "sk-1234567890abcdef", "k": 1}}
    [harness] = open_container("container://img#task", params)
    assert harness.identity()["params"] == {"extra": {"api_key": MASK, "k": 1}}


def test_the_task_is_after_the_last_mark() -> None:
    [harness] = open_container("container://host:5000/img:tag#task", {})
    assert harness.name == "task" and "host:5000/img:tag" in str(harness.identity()["harness"])
