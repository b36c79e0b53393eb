"""`nel serve` as a user starts, asks, misuses and stops it."""

from __future__ import annotations

import json
import signal
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from commands import Nel, listening
from runs import BENCH


def ask(url: str, body: Any = None, **headers: str) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json", **headers})
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


@pytest.fixture
def sums(tmp_path: Path) -> str:
    (tmp_path / "sums.py").write_text(BENCH % {"size": 8})
    return str(tmp_path / "sums.py")


@pytest.mark.process
def test_a_benchmark_is_served_exported_and_run(sums: str, tmp_path: Path) -> None:
    out = tmp_path / "data"
    words = ("-b", sums, "--gym-compat", "--export-data", str(out), "--model-url", "simulated")
    with listening("serve", "--port", "0", *words) as (process, url):
        health = ask(f"{url}/health")
        assert health["protocol"] == "gym" and health["dataset_size"] == 8
        seed = ask(f"{url}/seed_session", {"idx": 3})
        body = {"response": "3", "expected": seed["expected_answer"], "metadata": seed["metadata"]}
        assert ask(f"{url}/verify", body)["reward"] == 1.0
        ran = ask(f"{url}/run", {"idx": 3, "responses_create_params": {"input": "?"}})
        assert ran["reward"] in (0.0, 1.0) and ran["response"]["object"] == "response"
        lines = (out / "sums.jsonl").read_text().splitlines()
        row = json.loads(lines[3])
        asked = [{"role": "user", "content": "How much is 3 modulo 50?"}]
        assert len(lines) == 8 and row["responses_create_params"] == {"input": asked}
        assert row["expected_answer"] == 3 and row["uuid"] == "sums-3"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


@pytest.mark.process
def test_beyond_loopback_a_token_is_needed(sums: str) -> None:
    with listening(
        "serve", "--port", "0", "-b", sums, "--host", "0.0.0.0", NEL_SERVE_TOKEN="sesame"
    ) as (process, url):
        assert process.stdout is not None
        assert process.stdout.readline() == "token: the value of NEL_SERVE_TOKEN\n"
        url = url.replace("0.0.0.0", "127.0.0.1")
        with pytest.raises(urllib.error.HTTPError, match="401") as error:
            ask(f"{url}/dataset_size")
        error.value.close()
        assert ask(f"{url}/dataset_size", authorization="Bearer sesame") == {"size": 8}


@pytest.mark.process
def test_a_configuration_says_what_is_served(sums: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        "services: {m: {type: simulated, accuracy: 1.0}}\n"
        f"benchmarks: [{{name: {sums}, label: mine}}, {{name: sample}}]\n"
    )
    with listening("serve", "--port", "0", str(tmp_path / "c.yaml"), "-b", "mine") as (_, url):
        assert ask(f"{url}/health")["benchmark"] == "sums"
        assert ask(f"{url}/run", {"idx": 2})["reward"] == 1.0


JUDGED = """
import asyncio

from nemo_evaluator import ScorerInput, benchmark, needs_judge, scorer

ROWS = [{"target": "red"}]


@benchmark(name="judged", dataset=ROWS, prompt="Which colour?", requirements=["judge"])
@scorer
def judged(sample: ScorerInput) -> dict:
    return needs_judge(sample)


@benchmark(name="slow", dataset=ROWS, prompt="Which colour?")
@scorer
async def slow(sample: ScorerInput) -> bool:
    await asyncio.sleep(1.0)
    return True
"""


@pytest.mark.process
def test_a_judge_is_asked_as_in_a_run(tmp_path: Path) -> None:
    (tmp_path / "judged.py").write_text(JUDGED)
    words = ("-b", f"{tmp_path / 'judged.py'}:judged", "--judge-url", "simulated")
    with listening("serve", "--port", "0", *words) as (_, url):
        verdict = ask(f"{url}/verify", {"idx": 0, "response": "It is red."})
        assert 0 <= verdict["reward"] <= 1 and verdict["scoring_details"]["judge"]["calls"] == 1


@pytest.mark.process
def test_what_is_in_flight_is_answered_before_it_ends(tmp_path: Path) -> None:
    (tmp_path / "judged.py").write_text(JUDGED)
    words = ("-b", f"{tmp_path / 'judged.py'}:slow")
    with listening("serve", "--port", "0", *words) as (process, url), ThreadPoolExecutor() as pool:
        verdict = pool.submit(ask, f"{url}/verify", {"idx": 0, "response": "red"})
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        assert verdict.result(10)["reward"] == 1.0
        assert process.wait(60) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name a benchmark (-b NAME) or a configuration"),
        (["-b", "gsmk8"], "there is no benchmark 'gsmk8' — did you mean 'gsm8k'?"),
        (["-b", "sample", "--export-only"], "--export-only needs --export-data"),
        (["-b", "healthbench"], "judge"),
        (["c.yaml", "-b", "nothing"], "there is no benchmark 'nothing'"),
        (["c.yaml"], "there are several benchmarks — -b sample or triviaqa"),
        (["c.yaml", "--model-url", "simulated"], "--model-url has no effect on a configuration"),
        (["-b", "sample", "--host", "192.0.2.1"], "192.0.2.1:9090: cannot listen"),
    ],
)
def test_what_cannot_be_served_is_one_line(
    nel: Nel, words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(
        "services: {m: {type: simulated}}\nbenchmarks: [{name: sample}, {name: triviaqa}]\n"
    )
    code, _, err = nel("serve", *words)
    assert code == 2 and message in err


def test_only_the_problems_are_written(nel: Nel, sums: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    hidden = ("--export-only", "--hide-answers", "--export-data", path)
    code, _, err = nel("serve", "-b", sums, *hidden)
    assert code == 0 and f"wrote {path}" in err
    assert "expected_answer" not in path.read_text() and len(path.read_text().splitlines()) == 8
