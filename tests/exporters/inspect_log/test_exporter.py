"""Logs for Inspect: what its own package reads of them is what the run's files say."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import pytest
from agent_run import agent_run
from browser import browser, chromium
from commands import Nel
from free_ports import free_port
from inspect_reader import read_logs
from parts import needed, part
from published import write_results

from nemo_evaluator.results.view import RunView


@pytest.fixture
def run(nel: Nel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return agent_run(nel, tmp_path)


def members(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        return {name: json.loads(archive.read(name)) for name in archive.namelist()}


def test_one_archive_per_benchmark_with_a_member_per_rollout(nel: Nel, run: Path) -> None:
    for _ in range(2):
        code, out, err = nel("export", "run", "--dest", "inspect", "--output-dir", "logs")
        assert code == 0, err
    [path] = Path("logs").rglob("*.eval")
    assert str(path) in out
    first = path.read_bytes()
    found = members(path)
    rows = list(RunView.open(run).benchmarks()[0].rows())
    names = {f"samples/{row.problem_idx}_epoch_{row.repeat + 1}.json" for row in rows}
    assert set(found) == {"_journal/start.json", "summaries.json", "header.json", *names}
    nel("export", "run", "--dest", "inspect", "--output-dir", "logs")
    assert path.read_bytes() == first
    for row in rows:
        sample = found[f"samples/{row.problem_idx}_epoch_{row.repeat + 1}.json"]
        if row.reward is None:
            assert sample["scores"] is None and "server is gone" in sample["error"]["message"]
        else:
            assert "error" not in sample and sample["scores"]["words"]["value"] == row.reward
            assert sample["scores"]["words"]["explanation"].startswith("compared with")
    assert sum("error" in found[name] for name in names) == 2


@pytest.mark.parametrize("form", ["eval", "json"])
def test_inspect_reads_it_without_a_warning(nel: Nel, run: Path, form: str) -> None:
    words = ("--output-dir", "logs", "-o", f"format={form}")
    assert nel("export", "run", "--dest", "inspect", *words)[0] == 0
    [told] = read_logs(sorted(Path("logs").glob(f"*.{form}")))
    log, bundle = told["log"], RunView.open(run).benchmarks()[0].bundle
    assert (log["eval"]["task"], log["eval"]["config"]["epochs"]) == ("words", 2)
    [score] = log["results"]["scores"]
    values = {name: metric["value"] for name, metric in score["metrics"].items()}
    assert values == {name: measure.value for name, measure in bundle.metrics.items()}
    assert next(iter(values)) == bundle.headline
    assert (score["scored_samples"], score["unscored_samples"]) == (6, 2)
    samples = {(one["id"], one["epoch"]): one for one in log["samples"]}
    rows = list(RunView.open(run).benchmarks()[0].rows())
    assert sorted(samples) == [(row.problem_idx, row.repeat + 1) for row in rows]
    assert [one["id"] for one in told["summaries"]] == [row.problem_idx for row in rows]
    first = samples[0, 1]
    assert [message["role"] for message in first["messages"]] == [
        "system",
        "user",
        "assistant",
        "tool",
        "tool",
        "assistant",
    ]
    assert first["messages"][2]["tool_calls"][0]["arguments"] == {"q": "Which number is one?"}
    assert first["messages"][2]["content"][0]["reasoning"] == "I look it up."
    assert [event["event"] for event in first["events"]] == [
        "model",
        "tool",
        "tool",
        "model",
        "score",
    ]
    assert first["events"][1]["result"] == "it is 1" and first["events"][2]["error"]
    assert told["inputs"][0] == [2, 5]  # what each call of the model was given
    [usage] = first["model_usage"].values()
    assert (usage["input_tokens"], usage["input_tokens_cache_read"]) == (42, 8)
    assert (usage["output_tokens"], usage["total_tokens"], usage["total_cost"]) == (12, 62, 0.25)
    assert first["total_time"] > 0 and first["output"]["completion"] == "1"
    assert "<script>" in samples[1, 1]["input"]


def test_metrics_alone_rewards_of_scorers_and_other_tools(nel: Nel, tmp_path: Path) -> None:
    rows = {
        "scorer_rewards": {"scorer:f1": 0.25},
        "extracted_answer": [1, {"a": None}],
        "expected_answer": ["x", "y"],
        "prompt": "\ud800 half a character",
    }
    scores = {"mean_reward": {"value": 0.5}, "scorer:f1": {"value": 0.25}}
    folder = write_results(tmp_path / "theirs/b", {3: [1.0, None], 9: [0.0]}, rows=rows)
    write_results(tmp_path / "theirs/c", {0: [0.5]}, scores=scores, rows=rows, run_id="eval-2")
    with (folder / "results.jsonl").open("a") as file:  # appended again after a resume
        file.write('{"problem_idx": 3, "repeat": 0, "reward": 0.0, "outcome": "scored"}\n')
        file.write('{"problem_idx": 5, "repeat": 0, "reward": null, "outcome": "scored",')
        file.write('"scoring_details": {"metrics": {"logprob": -3.5, "rate": [1, 4]}}}\n')
    logs = tmp_path / "logs"
    words = ("-d", "inspect", "--output-dir", str(logs))
    code, _, err = nel("export", str(tmp_path / "theirs"), *words)
    assert code == 0, err
    found = {one["log"]["eval"]["run_id"]: one["log"] for one in read_logs([*logs.iterdir()])}
    samples = {(one["id"], one["epoch"]): one for one in found["eval-1"]["samples"]}
    assert sorted(samples) == [(3, 1), (3, 2), (5, 1), (9, 1)]
    assert samples[3, 1]["scores"]["nel"]["value"] == 0.0
    assert samples[3, 2]["error"] and samples[3, 2]["scores"] is None
    assert samples[5, 1]["scores"]["nel"]["value"] == {"logprob": -3.5, "rate": 0.25}
    assert samples[9, 1]["scores"]["scorer:f1"]["value"] == 0.25
    assert samples[9, 1]["target"] == ["x", "y"]
    assert {one["name"] for one in found["eval-2"]["results"]["scores"]} == {"nel", "scorer:f1"}


@pytest.mark.slow
def test_its_viewer_shows_a_sample(nel: Nel, run: Path, tmp_path: Path) -> None:
    program = chromium()
    if program is None:
        (pytest.fail if needed("chromium") else pytest.skip)("there is no chromium")
    assert nel("export", "run", "--dest", "inspect", "--output-dir", "logs")[0] == 0
    view = part("export") / "bin" / "inspect"
    port = free_port()
    server = subprocess.Popen(
        [view, "view", "start", "--log-dir", "logs", "--host", "127.0.0.1", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        asyncio.run(_look(program, tmp_path / "profile", f"http://127.0.0.1:{port}/"))
    finally:
        server.terminate()
        server.wait(60)


async def _look(program: str, profile: Path, address: str) -> None:
    [log] = Path("logs").iterdir()
    name = log.name.replace("+", "%2B")
    async with browser(program, profile) as page:
        for path, words in (
            ("", ["words", "two <script>alert(1)</script>", "8 Samples"]),
            (f"#/tasks/{name}/samples/sample/0/1/", ["You look numbers up.", "it is 1"]),
            (f"#/tasks/{name}/samples/sample/2/1/", ["the tool's server is gone"]),
        ):
            await page.send("Page.navigate", url="about:blank")
            await page.send("Page.navigate", url=address + path)
            for _ in range(400):
                text = await page.value("document.body ? document.body.innerText : ''")
                if all(word in text for word in words):
                    break
                await asyncio.sleep(0.1)
            else:
                raise AssertionError(text)
