"""Runs of the engine through its Python door: attempts, errors, interrupts, isolation."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from loopback import FAULTS, Loopback, after_calls, answer
from runs import BENCH, NEL, rows

from nemo_evaluator import ConfigError, evaluate_async
from nemo_evaluator.executors.local import RunResult
from nemo_evaluator.results.journal import Errored, ProblemSeeded, Solved, events

pytestmark = pytest.mark.usefixtures("quick_retries")

Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path, loopback: Loopback) -> Run:
    async def start(
        size: int = 10, *, text: str = BENCH, resume: bool = False, **more: Any
    ) -> RunResult:
        path = tmp_path / "sums.py"
        path.write_text(text % {"size": size})
        entry = {"name": str(path), **more.pop("benchmark", {})}
        service = {
            "type": "api",
            "url": loopback.url,
            "protocol": "chat_completions",
            "model": "m",
            **more.pop("service", {}),
        }
        document = {
            "services": {"model": service},
            "benchmarks": more.pop("benchmarks", [entry]),
            "output": {"dir": str(tmp_path / "run"), "report": []},
            **more,
        }
        return await evaluate_async(document, resume=resume)

    return start


def journal(tmp_path: Path, slug: str = "sums") -> list[Any]:
    return list(events(tmp_path / "run" / slug / "journal.jsonl"))


async def test_every_attempt_is_kept_and_the_last_counts(
    run: Run, tmp_path: Path, loopback: Loopback
) -> None:
    loopback.script(FAULTS["server_error"], FAULTS["server_error"], answer)
    result = await run(1, service={"proxy": {"max_retries": 0}})
    assert result.exit_code == 0
    found = journal(tmp_path)
    assert [e.attempt for e in found if isinstance(e, Errored)] == [1, 2]
    assert [e.attempt for e in found if isinstance(e, Solved)] == [3]
    summary = result.summary.benchmarks[0]
    assert summary.retried["rollouts"] == 1 and summary.runtime.total_retries == 2


async def test_infra_errors_are_never_scores(run: Run, tmp_path: Path, loopback: Loopback) -> None:
    def script(call: Any) -> Any:
        return FAULTS["server_error"](call) if "How much is 3 " in call.prompt else answer(call)

    loopback.script(script)
    result = await run(10, service={"proxy": {"max_retries": 1}})
    assert result.exit_code == 3 and "1 of 10 rollouts have no verdict" in result.messages[0]
    summary = result.summary.benchmarks[0]
    assert summary.n_scored == 9 and summary.score.n == 9
    assert summary.outcomes == {"infra_error": 1, "scored": 9}
    bad = next(row for row in rows(tmp_path / "run" / "sums") if row["problem_idx"] == 3)
    assert bad["reward"] is None and bad["scoring_details"]["error_category"] == "server_error"
    loopback.script(answer)
    again = await run(10, service={"proxy": {"max_retries": 1}}, resume=True)
    assert again.exit_code == 0 and again.summary.benchmarks[0].n_scored == 10
    asked = [loopback.count(f"How much is {i} modulo 50?") for i in range(10) if i != 3]
    assert set(asked) == {1}


async def test_skip_failed_accepts_and_min_coverage_checks(run: Run, loopback: Loopback) -> None:
    def script(call: Any) -> Any:
        return FAULTS["server_error"](call) if "How much is 3 " in call.prompt else answer(call)

    loopback.script(script)
    service = {"proxy": {"max_retries": 0}}
    benchmark = {"skip_failed": True, "max_system_retries": 1}
    assert (await run(10, service=service, benchmark=benchmark)).exit_code == 0
    strict = {**benchmark, "min_coverage": 0.95}
    result = await run(10, service=service, benchmark=strict, resume=True)
    assert result.exit_code == 1
    assert "coverage 90.0% is below min_coverage 95.0%" in result.messages[0]


async def test_context_overflow_is_the_models_and_is_asked_once(
    run: Run, tmp_path: Path, loopback: Loopback
) -> None:
    def script(call: Any) -> Any:
        return FAULTS["context_window"](call) if "How much is 3 " in call.prompt else answer(call)

    loopback.script(script)
    result = await run(10)
    assert result.exit_code == 0
    assert loopback.count("How much is 3 modulo 50?") == 1
    summary = result.summary.benchmarks[0]
    assert summary.outcomes == {"model_error": 1, "scored": 9} and summary.n_scored == 10
    assert summary.failures["context_window_exceeded"].count == 1
    row = next(row for row in rows(tmp_path / "run" / "sums") if row["problem_idx"] == 3)
    assert row["reward"] == 0.0 and row["outcome"] == "model_error"


async def test_key_revoked_in_the_middle_stops_with_3_and_no_score_for_the_rest(
    run: Run, tmp_path: Path, loopback: Loopback
) -> None:
    loopback.script(after_calls(50, FAULTS["unauthorized"]))
    result = await run(500, benchmark={"max_concurrent": 8})
    assert result.exit_code == 3 and "401" in result.messages[0]
    assert loopback.counts.total() < 80, "it went on asking"
    summary = result.summary.benchmarks[0]
    assert summary.n_scored == 50 and summary.coverage == 0.1


async def test_quota_exhausted_stops_with_its_message(run: Run, loopback: Loopback) -> None:
    loopback.script(answer, answer, FAULTS["quota"])
    result = await run(100, benchmark={"max_concurrent": 1})
    assert result.exit_code == 3 and "quota" in result.messages[0]


async def test_repeats_ask_a_problem_again_and_store_its_text_once(
    run: Run, tmp_path: Path, loopback: Loopback
) -> None:
    result = await run(5, benchmark={"repeats": 4}, service={"generation": {"seed": 10}})
    assert result.exit_code == 0 and result.summary.benchmarks[0].n_scored == 20
    assert sum(isinstance(e, ProblemSeeded) for e in journal(tmp_path)) == 5
    assert {call.body["seed"] for call in loopback.calls if call.body} == {10, 11, 12, 13}
    assert {"pass@1", "pass@2", "pass@4", "pass^4"} <= set(result.summary.benchmarks[0].metrics)


async def test_the_same_benchmark_twice_is_two_benchmarks(run: Run, tmp_path: Path) -> None:
    name = str(tmp_path / "sums.py")
    result = await run(4, benchmarks=[{"name": name}, {"name": name, "repeats": 2}])
    assert [b.slug for b in result.summary.benchmarks] == ["sums", "sums-2"]
    assert [b.n_scored for b in result.summary.benchmarks] == [4, 8]


async def test_one_benchmarks_failure_leaves_the_others(run: Run, tmp_path: Path) -> None:
    broken = BENCH.replace("return numeric_match(sample)", "return {}").replace(
        '"sums"', '"broken"'
    )
    (tmp_path / "broken.py").write_text(broken % {"size": 9})
    entries = [{"name": str(tmp_path / "broken.py")}, {"name": str(tmp_path / "sums.py")}]
    result = await run(6, benchmarks=entries)
    assert result.exit_code == 2 and "needs 'correct' or 'reward'" in result.messages[0]
    assert [b.n_scored for b in result.summary.benchmarks] == [0, 6]


async def test_a_verifier_failure_asks_nothing_again(
    run: Run, tmp_path: Path, loopback: Loopback
) -> None:
    flaky = BENCH.replace(
        "return numeric_match(sample)",
        "if sample.metadata['a'] == 3: raise ValueError('no')\n    return numeric_match(sample)",
    )
    result = await run(8, text=flaky)
    assert result.exit_code == 3
    assert loopback.count("How much is 3 modulo 50?") == 1
    row = next(row for row in rows(tmp_path / "run" / "sums") if row["problem_idx"] == 3)
    assert row["model_response"] and row["reward"] is None
    assert row["scoring_details"]["phase"] == "verify"
    await run(8, text=flaky, resume=True)
    assert loopback.count("How much is 3 modulo 50?") == 1


async def test_a_hanging_answer_ends_at_the_benchmarks_timeout(
    run: Run, tmp_path: Path, loopback: Loopback
) -> None:
    loopback.script(FAULTS["hang"])
    started = time.monotonic()
    result = await run(2, benchmark={"timeout": 0.4, "max_system_retries": 1})
    assert time.monotonic() - started < 5 and result.exit_code == 3
    error = next(e for e in journal(tmp_path) if isinstance(e, Errored)).error
    assert (
        error.kind == "solve_timeout" and error.peer and "took longer than 0.4 s" in error.message
    )


async def test_system_prompt_reaches_the_wire(run: Run, loopback: Loopback) -> None:
    solver = {"type": "simple", "service": "model", "system_prompt": "Be brief."}
    await run(1, benchmark={"solver": solver})
    body = next(call.body for call in loopback.calls if call.body)
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}


async def test_an_answer_in_reasoning_content_is_not_empty(
    run: Run, tmp_path: Path, loopback: Loopback
) -> None:
    loopback.script(FAULTS["null_content"])
    result = await run(8)
    row = next(row for row in rows(tmp_path / "run" / "sums") if row["problem_idx"] == 7)
    assert row["reward"] == 1.0 and row["response_source"] == "reasoning_content"
    assert result.summary.benchmarks[0].n_scored == 8


@pytest.mark.parametrize("fault", ["length", "unclosed_think"])
async def test_truncation_stands_beside_the_score(run: Run, loopback: Loopback, fault: str) -> None:
    loopback.script(FAULTS[fault])
    summary = (await run(4)).summary.benchmarks[0]
    assert summary.truncated == 4 and summary.score.value == 0.0
    assert summary.failures["truncated"].count == 4


def test_ctrl_c_writes_what_is_there_and_says_so(tmp_path: Path, serve_slowly: str) -> None:
    (tmp_path / "sums.py").write_text(BENCH % {"size": 400})
    command = [*NEL, "eval", "run", "--bench", "sums.py", "--model-url", serve_slowly]
    command += ["--model-id", "m", "-o", "run", "--max-concurrent", "8"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    journal_path = tmp_path / "run" / "sums" / "journal.jsonl"
    while not (journal_path.exists() and len(list(events(journal_path))) > 30):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "finishing the rollouts in flight" in err and "--resume continues" in err
    done = [row for row in rows(tmp_path / "run" / "sums") if row["reward"] is not None]
    assert 10 < len(done) < 400
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    assert info["status"] == "interrupted"
    again = subprocess.run([*command, "--resume"], cwd=tmp_path, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert len(rows(tmp_path / "run" / "sums")) == 400


def test_a_second_ctrl_c_stops_at_once(tmp_path: Path) -> None:
    (tmp_path / "sums.py").write_text(BENCH % {"size": 4})
    document = {
        "services": {"m": {"type": "simulated", "latency": {"mean_ms": 60_000}}},
        "benchmarks": [{"name": "sums.py"}],
        "output": {"dir": "run"},
    }
    (tmp_path / "c.yaml").write_text(json.dumps(document))
    process = subprocess.Popen(
        [*NEL, "eval", "run", "c.yaml"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    while not (tmp_path / "run" / "sums" / "journal.jsonl").exists():
        time.sleep(0.02)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert process.returncode == 130


@pytest.fixture
def serve_slowly() -> Any:
    script = str(Path(__file__).resolve().parents[1] / "support" / "loopback.py")
    command = [sys.executable, script, "--latency-ms", "30"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield server.stdout.readline().split()[-1]
        server.kill()


async def test_no_secret_reaches_the_run_directory(
    run: Run, tmp_path: Path, loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_API_KEY", "sk-very-secret-value")
    monkeypatch.setenv("MY_HEADER_TOKEN", "header-secret-value")
    loopback.script(answer, answer, FAULTS["server_error"])
    service = {
        "api_key": "${MY_API_KEY}",
        "proxy": {
            "extra_headers": {"X-Auth-Token": "${MY_HEADER_TOKEN}"},
            "extra_body": {"tenant": "t-${MY_HEADER_TOKEN}"},
            "max_retries": 0,
        },
    }
    await run(10, service=service, benchmark={"max_system_retries": 1})
    assert any(call.headers.get("x-auth-token") for call in loopback.calls)
    for path in (tmp_path / "run").rglob("*"):
        if path.is_file():
            text = path.read_bytes()
            assert b"sk-very-secret-value" not in text and b"header-secret-value" not in text, path
    assert b"${MY_API_KEY}" in (tmp_path / "run" / "config.yaml").read_bytes()


async def test_journal_is_not_world_writable_or_executable(run: Run, tmp_path: Path) -> None:
    await run(1)
    mode = os.stat(tmp_path / "run" / "sums" / "journal.jsonl").st_mode
    assert not mode & 0o133


async def test_a_synchronous_scorer_does_not_stop_the_others(run: Run) -> None:
    slow = BENCH.replace(
        "return numeric_match", "import time; time.sleep(0.2)\n    return numeric_match"
    )
    started = time.monotonic()
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticker = asyncio.create_task(tick())
    await run(16, text=slow)
    ticker.cancel()
    elapsed = time.monotonic() - started
    assert elapsed < 16 * 0.2, "scorers ran one after the other"
    assert ticks > elapsed * 30, "the event loop stood still"


async def test_resuming_a_finished_run_sends_no_request(run: Run, loopback: Loopback) -> None:
    assert (await run(5)).exit_code == 0
    await loopback.stop()
    again = await run(5, resume=True)
    assert again.exit_code == 0 and again.summary.benchmarks[0].n_scored == 5


async def test_derived_files_that_cannot_be_written_lose_nothing(
    run: Run, tmp_path: Path, loopback: Loopback
) -> None:
    in_the_way = tmp_path / "run" / "sums" / "results.jsonl"

    def script(call: Any) -> Any:
        in_the_way.mkdir(exist_ok=True)
        return answer(call)

    loopback.script(script)
    with pytest.raises(ConfigError, match=r"cannot write: Is a directory.*journal is intact"):
        await run(5)
    in_the_way.rmdir()
    assert (await run(5, resume=True)).exit_code == 0


async def test_a_parameter_refused_for_one_benchmark_is_no_score_of_zero(
    run: Run, tmp_path: Path, loopback: Loopback
) -> None:
    """Even though the same service has answered another benchmark."""

    def script(call: Any) -> Any:
        return FAULTS["bad_request"](call) if "foo" in (call.body or {}) else answer(call)

    loopback.script(script)
    name = str(tmp_path / "sums.py")
    generation = {"extra_body": {"foo": 1}}
    odd = {"type": "simple", "service": "model", "generation": generation}
    result = await run(6, benchmarks=[{"name": name}, {"name": name, "solver": odd}])
    assert result.exit_code == 2 and "refuses every request" in result.messages[0]
    first, second = result.summary.benchmarks
    assert first.n_scored == 6 and second.n_scored == 0 and second.score is None


async def test_a_single_refusal_among_answers_is_the_models(run: Run, loopback: Loopback) -> None:
    def script(call: Any) -> Any:
        return FAULTS["bad_request"](call) if "How much is 3 " in call.prompt else answer(call)

    loopback.script(script)
    result = await run(6)
    summary = result.summary.benchmarks[0]
    assert result.exit_code == 0 and summary.outcomes == {"model_error": 1, "scored": 5}
