"""A run is changed while it goes on, through files in its directory alone."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from loopback import Call, Loopback, Manner, Reply, answer, error
from runs import BENCH, NEL, rows

from nemo_evaluator import control_run, evaluate_async
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.executors import progress_writer
from nemo_evaluator.executors.local import RunResult
from nemo_evaluator.results.journal import scan
from nemo_evaluator.results.progress_file import BenchmarkState, read_progress
from nemo_evaluator.results.requests import Action, ControlRequest, post, take_up
from nemo_evaluator.results.status import State, status_of
from nemo_evaluator.tasks.steer import Steered, steer


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_writer, "WRITE_SECONDS", 0.05)


def config(tmp_path: Path, url: str, size: int = 40, **benchmark: Any) -> dict[str, Any]:
    (tmp_path / "sums.py").write_text(BENCH % {"size": size})
    service = {"type": "api", "url": url, "protocol": "chat_completions", "model": "m"}
    return {
        "services": {"model": {**service, "proxy": {"max_retries": 0}}},
        "benchmarks": [
            {
                "name": str(tmp_path / "sums.py"),
                "max_concurrent": 4,
                "max_system_retries": 1,
                **benchmark,
            }
        ],
        "output": {"dir": str(tmp_path / "run"), "report": []},
    }


@asynccontextmanager
async def at_work(document: dict[str, Any], **how: Any) -> AsyncIterator[asyncio.Task[RunResult]]:
    directory = Path(document["output"]["dir"])
    task = asyncio.create_task(evaluate_async(document, **how))
    try:
        await until(lambda: (read_progress(directory) or None) is not None, task)
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(true: Callable[[], bool], task: asyncio.Task[Any] | None = None) -> None:
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end and (task is None or not task.done()), task
        await asyncio.sleep(0.02)


async def ask(tmp_path: Path, **what: Any) -> str:
    """What one run says to a request that it does."""
    [answered] = await steer([tmp_path / "run"], ControlRequest(**what), wait=5)
    assert answered.reply is not None and answered.reply.refused is None, answered
    return "\n".join(answered.reply.said)


def sums(tmp_path: Path) -> BenchmarkState:
    """How far the benchmark is."""
    none = BenchmarkState(name="sums", total=0)
    return status_of(tmp_path / "run").benchmarks.get("sums", none)


class Endpoint:
    """Answers when it is told to, and counts what it is asked at once."""

    def __init__(self, loopback: Loopback) -> None:
        self.let_go = asyncio.Event()
        self.loopback = loopback
        loopback.script(self._held)

    def _held(self, call: Call) -> Reply:
        reply = answer(call)
        reply.after = self.let_go
        return reply

    @property
    def asked(self) -> int:
        return len(self.loopback.calls)


async def test_more_and_fewer_in_flight(tmp_path: Path, loopback: Loopback) -> None:
    endpoint = Endpoint(loopback)
    async with at_work(config(tmp_path, loopback.url)) as run:
        await until(lambda: endpoint.asked == 4, run)
        assert await ask(tmp_path, max_concurrent=7) == "sums: at most 7 at once"
        await until(lambda: endpoint.asked == 7, run)
        assert await ask(tmp_path, max_concurrent=2, benchmark="sums") == "sums: at most 2 at once"
        endpoint.let_go.set()
        endpoint.let_go = asyncio.Event()
        await until(lambda: endpoint.asked == 9, run)
        await asyncio.sleep(0.1)
        assert endpoint.asked == 9
        told = await ask(tmp_path, max_concurrent=9, limits={"model": 3})
        assert told.splitlines() == [
            "service model: at most 3 requests in flight",
            "sums: at most 9 at once (3: its service has that limit)",
        ]
        await until(lambda: endpoint.asked == 10, run)
        await asyncio.sleep(0.1)
        assert endpoint.asked == 10
        endpoint.let_go.set()
        loopback.script(answer)
        assert (await run).exit_code == 0
    assert len(rows(tmp_path / "run/sums")) == 40


async def test_the_limit_of_the_configuration_stays(tmp_path: Path, loopback: Loopback) -> None:
    endpoint, document = Endpoint(loopback), config(tmp_path, loopback.url)
    document["services"]["model"]["proxy"]["max_concurrent_upstream"] = 5
    async with at_work(document) as run:
        assert "(5: its service has that limit)" in await ask(tmp_path, max_concurrent=8)
        await until(lambda: endpoint.asked == 5, run)
        await asyncio.sleep(0.1)
        assert endpoint.asked == 5


async def test_a_pause_starts_nothing_and_loses_nothing(tmp_path: Path, loopback: Loopback) -> None:
    endpoint = Endpoint(loopback)
    async with at_work(config(tmp_path, loopback.url)) as run:
        await until(lambda: endpoint.asked == 4, run)
        assert (await ask(tmp_path, action=Action.PAUSE)).startswith("paused: nothing new")
        endpoint.let_go.set()
        await until(lambda: sums(tmp_path).done == 4, run)
        await asyncio.sleep(0.1)
        assert endpoint.asked == 4
        state = status_of(tmp_path / "run")
        assert state.state is State.RUNNING and state.messages[0].startswith("paused")
        assert await ask(tmp_path, action=Action.RESUME) == "goes on"
        assert (await run).exit_code == 0
    assert len(rows(tmp_path / "run/sums")) == 40


async def test_a_paused_run_can_be_finished(tmp_path: Path, loopback: Loopback) -> None:
    endpoint = Endpoint(loopback)
    async with at_work(config(tmp_path, loopback.url)) as run:
        await until(lambda: endpoint.asked == 4, run)
        await ask(tmp_path, action=Action.PAUSE)
        endpoint.let_go.set()
        await until(lambda: sums(tmp_path).done == 4, run)
        await ask(tmp_path, action=Action.FINISH)
        assert (await run).exit_code == 3
    assert len(rows(tmp_path / "run/sums")) == 4


async def test_errored_rollouts_are_tried_again_in_the_same_run(
    tmp_path: Path, loopback: Loopback
) -> None:
    let_go, broken = asyncio.Event(), {3, 5, 8}

    def script(call: Call) -> Reply:
        number = int(call.prompt.split()[3])
        if number in broken and call.nth == 1:
            return error(500, "broken")(call)
        reply = answer(call)
        reply.after = let_go if number == 9 else None
        return reply

    loopback.script(script)
    async with at_work(config(tmp_path, loopback.url, size=10)) as run:
        await until(lambda: sum(sums(tmp_path).failed.values()) == 3, run)
        told = await ask(tmp_path, action=Action.REQUEUE)
        assert told == "sums: 3 errored rollouts are tried again"
        await until(lambda: sums(tmp_path).done == 9, run)
        assert not sums(tmp_path).failed
        assert "0 errored" in await ask(tmp_path, action=Action.REQUEUE)
        let_go.set()
        assert (await run).exit_code == 0
    index = scan(tmp_path / "run/sums/journal.jsonl")
    attempts = {key.problem_idx: state.attempts for key, state in index.rollouts.items()}
    assert attempts == {idx: 2 if idx in broken else 1 for idx in range(10)}
    assert len(rows(tmp_path / "run/sums")) == 10 and not index.damaged


FLAKY = """
from pathlib import Path
from nemo_evaluator import ScorerInput, benchmark, numeric_match, scorer

ROWS = [{{"a": i, "target": i}} for i in range(6)]

@benchmark(name="sums", dataset=ROWS, prompt="How much is {{a}} modulo 50?")
@scorer
def sums(sample: ScorerInput) -> dict:
    if sample.metadata["a"] < 2 and not Path({fixed!r}).exists():
        raise RuntimeError("the scorer's server is away")
    return numeric_match(sample)
"""


async def test_an_answer_whose_verifier_failed_is_only_verified_again(
    tmp_path: Path, loopback: Loopback
) -> None:
    let_go = asyncio.Event()

    def script(call: Call) -> Reply:
        reply = answer(call)
        reply.after = let_go if call.prompt.split()[3] == "5" else None
        return reply

    loopback.script(script)
    document = config(tmp_path, loopback.url)
    (tmp_path / "sums.py").write_text(FLAKY.format(fixed=str(tmp_path / "fixed")))
    async with at_work(document) as run:
        await until(lambda: sum(sums(tmp_path).failed.values()) == 2, run)
        (tmp_path / "fixed").touch()
        assert "2 errored" in await ask(tmp_path, action=Action.REQUEUE)
        await until(lambda: sums(tmp_path).done == 5, run)
        let_go.set()
        assert (await run).exit_code == 0
    assert len(loopback.calls) == 6  # nothing was asked twice


@pytest.mark.parametrize("older_than", [0.0, 0.5])
async def test_a_run_is_finished_without_its_stragglers(
    tmp_path: Path, loopback: Loopback, older_than: float
) -> None:
    def script(call: Call) -> Reply:
        hangs = call.prompt.split()[3] in ("2", "7")
        return Reply(manner=Manner.HANG) if hangs and call.nth == 1 else answer(call)

    loopback.script(script)
    document = config(tmp_path, loopback.url, size=10)
    async with at_work(document) as run:
        await until(lambda: sums(tmp_path).done == 8, run)
        told = await ask(tmp_path, action=Action.FINISH, older_than=older_than)
        assert told.startswith("finishes: nothing new is started")
        result = await asyncio.wait_for(run, 5)
    assert result.exit_code == 3
    [finished, missing] = result.messages
    assert finished.startswith(
        "finished early by request (nel eval ctl finish); given up in flight"
    )
    assert "sums 2/0" in finished and "sums 7/0" in finished
    assert missing.startswith("incomplete: sums: 2 of 10 rollouts have no verdict")
    state = status_of(tmp_path / "run")
    assert state.state is State.INCOMPLETE and state.messages == result.messages
    unscored = [row for row in rows(tmp_path / "run/sums") if row["reward"] is None]
    assert [row["outcome"] for row in unscored] == ["infra_error"] * 2
    assert "was given up after" in unscored[0]["scoring_details"]["error"]
    assert (await evaluate_async(document, resume=True)).exit_code == 0
    assert all(row["reward"] is not None for row in rows(tmp_path / "run/sums"))


async def test_what_cannot_be_done_is_refused_as_a_whole(
    tmp_path: Path, loopback: Loopback
) -> None:
    endpoint = Endpoint(loopback)
    with pytest.raises(ConfigError, match="is not running: there is no run"):
        await steer([tmp_path / "run"], ControlRequest(action=Action.PAUSE))
    async with at_work(config(tmp_path, loopback.url)) as run:
        await until(lambda: endpoint.asked == 4, run)
        for what, why in (
            ({"max_concurrent": 9, "limits": {"modell": 3}}, "did you mean 'model'"),
            ({"max_concurrent": 9, "benchmark": "sum"}, "did you mean 'sums'"),
        ):
            [told] = await steer([tmp_path / "run"], ControlRequest(**what), wait=5)
            assert told.reply is not None and why in str(told.reply.refused)
        await asyncio.sleep(0.1)
        assert endpoint.asked == 4
        endpoint.let_go.set()
        await run
    with pytest.raises(ConfigError, match="is not running: it is done"):
        await steer([tmp_path / "run"], ControlRequest(action=Action.PAUSE))


HARNESS = """
import json, os, sys, urllib.request

if os.environ["NEL_TASK"] == "plan":
    open(os.environ["NEL_OUT"], "w").write("\\n".join(map(str, range(6))))
    sys.exit()
for line in open(os.environ["NEL_IN"]):
    todo = json.loads(line)
    text = f"How much is {todo['id']} modulo 50?"
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    request = urllib.request.Request(
        todo["base_url"] + "/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": "Bearer " + todo["api_key"]},
    )
    urllib.request.urlopen(request).read()
    result = {"id": todo["id"], "repeat": todo["repeat"], "response": "x", "correct": True}
    with open(os.environ["NEL_OUT"], "a") as out:
        print(json.dumps(result), file=out, flush=True)
"""


async def test_the_requests_of_a_harness_wait_while_the_run_is_paused(
    tmp_path: Path, loopback: Loopback
) -> None:
    let_go = asyncio.Event()

    def script(call: Call) -> Reply:
        reply = answer(call)
        reply.after = let_go
        return reply

    loopback.script(script)
    document = config(tmp_path, loopback.url)
    (tmp_path / "loop.py").write_text(HARNESS)
    document["benchmarks"] = [{"name": f"command://{tmp_path}/loop.py"}]
    async with at_work(document) as run:
        await until(lambda: len(loopback.calls) == 1, run)
        await ask(tmp_path, action=Action.PAUSE)
        let_go.set()
        await asyncio.sleep(0.4)
        assert len(loopback.calls) == 1
        [told] = await steer([tmp_path / "run"], ControlRequest(action=Action.REQUEUE), wait=5)
        assert told.reply is not None and "hands back each rollout once" in str(told.reply.refused)
        loopback.script(lambda _: Reply(manner=Manner.HANG))
        await ask(tmp_path, action=Action.RESUME)
        await until(lambda: len(loopback.calls) == 2, run)
        await ask(tmp_path, action=Action.FINISH)
        result = await asyncio.wait_for(run, 10)
    assert result.exit_code == 3
    assert result.messages[0].startswith("finished early by request (nel eval ctl finish)")
    loopback.script(answer)
    assert (await evaluate_async(document, resume=True)).exit_code == 0


def _late_too(tmp_path: Path, document: dict[str, Any]) -> None:
    """A second benchmark, whose prompts begin with ``late``."""
    late = (tmp_path / "sums.py").read_text().replace("How much", "late How much")
    (tmp_path / "late.py").write_text(late.replace('"sums"', '"late"'))
    document["benchmarks"].append({"name": str(tmp_path / "late.py"), "max_concurrent": 2})


async def test_a_benchmark_that_has_ended_tries_its_errored_rollouts_again(
    tmp_path: Path, loopback: Loopback
) -> None:
    let_go, broken = asyncio.Event(), {"1", "2"}

    def script(call: Call) -> Reply:
        if "late" not in call.prompt and call.prompt.split()[3] in broken:
            return error(500, "broken")(call)
        reply = answer(call)
        reply.after = let_go if "late" in call.prompt else None
        return reply

    loopback.script(script)
    document = config(tmp_path, loopback.url, size=5)
    _late_too(tmp_path, document)
    async with at_work(document) as run:
        await until(lambda: sums(tmp_path).finished, run)
        assert (sums(tmp_path).done, sum(sums(tmp_path).failed.values())) == (3, 2)
        broken.remove("2")
        late = "late: 0 errored rollouts are tried again"
        for errored in (2, 1):
            told = await ask(tmp_path, action=Action.REQUEUE)
            again = f"sums: had ended; its {errored} rollouts without a verdict are tried again"
            assert told.splitlines() == [again, late]
            await until(lambda: sums(tmp_path).finished, run)
            assert (sums(tmp_path).done, sum(sums(tmp_path).failed.values())) == (4, 1)
        broken.clear()
        await ask(tmp_path, action=Action.REQUEUE)
        await until(lambda: sums(tmp_path).done == 5, run)
        assert "sums: no rollout is errored" in await ask(tmp_path, action=Action.REQUEUE)
        let_go.set()
        assert (await run).exit_code == 0
    index = scan(tmp_path / "run/sums/journal.jsonl")
    attempts = {key.problem_idx: state.attempts for key, state in index.rollouts.items()}
    assert attempts == {0: 1, 1: 4, 2: 2, 3: 1, 4: 1} and not index.damaged
    assert [row["reward"] is None for row in rows(tmp_path / "run/sums")] == [False] * 5


async def test_a_benchmark_whose_endpoint_is_still_away_keeps_what_it_has(
    tmp_path: Path, loopback: Loopback
) -> None:
    let_go, away = asyncio.Event(), [False]

    def script(call: Call) -> Reply:
        if "late" not in call.prompt and (away[0] or call.prompt.split()[3] == "1"):
            return error(401 if away[0] else 500, "broken")(call)
        reply = answer(call)
        reply.after = let_go if "late" in call.prompt else None
        return reply

    loopback.script(script)
    document = config(tmp_path, loopback.url, size=3)
    _late_too(tmp_path, document)
    service = dict(document["services"]["model"])
    document["services"]["other"] = service
    document["benchmarks"][0]["solver"] = {"type": "simple", "service": "model"}
    document["benchmarks"][1]["solver"] = {"type": "simple", "service": "other"}
    async with at_work(document) as run:
        await until(lambda: sums(tmp_path).finished, run)
        away[0] = True
        assert "sums: had ended; its 1 rollouts" in await ask(tmp_path, action=Action.REQUEUE)
        await until(lambda: sums(tmp_path).finished, run)
        let_go.set()
        assert (await run).exit_code != 0
    assert len([row for row in rows(tmp_path / "run/sums") if row["reward"] is not None]) == 2
    assert len(rows(tmp_path / "run/late")) == 3


async def test_from_python(tmp_path: Path, loopback: Loopback) -> None:
    endpoint = Endpoint(loopback)
    async with at_work(config(tmp_path, loopback.url)) as run:
        await until(lambda: endpoint.asked == 4, run)
        [paused] = await asyncio.to_thread(control_run, tmp_path / "run", "pause")
        assert paused.reply is not None and paused.reply.said[0].startswith("paused")
        [more] = await asyncio.to_thread(control_run, tmp_path / "run", limits={"model": 2})
        assert told(more) == "service model: at most 2 requests in flight"
        with pytest.raises(ConfigError, match="did you mean 'pause'"):
            control_run(tmp_path / "run", "pauze")


def test_a_request_is_for_one_process_and_is_taken_up_once(tmp_path: Path) -> None:
    first = post(tmp_path, ControlRequest(to="a", action=Action.PAUSE))
    post(tmp_path, ControlRequest(to="b", max_concurrent=3))
    (tmp_path / ".ctl-broken.json").write_text('{"action": "explode"}')
    assert [request.id for request in take_up(tmp_path, "a")] == [first]
    assert take_up(tmp_path, "a") == [] == list(tmp_path.iterdir())


async def test_every_shard_that_is_at_work_is_asked(tmp_path: Path, loopback: Loopback) -> None:
    endpoint, document = Endpoint(loopback), config(tmp_path, loopback.url)
    (tmp_path / "run/shard_2").mkdir(parents=True)
    runs = [asyncio.create_task(evaluate_async(document, shard=f"{i}/3")) for i in range(2)]
    try:
        await until(lambda: endpoint.asked == 8)
        folders = [tmp_path / f"run/shard_{i}" for i in range(3)]
        answered = await steer(folders, ControlRequest(max_concurrent=5), wait=5)
        assert [told(one) for one in answered] == [*["sums: at most 5 at once"] * 2, "not begun"]
        await until(lambda: endpoint.asked == 10)
    finally:
        for task in runs:
            task.cancel()
        await asyncio.gather(*runs, return_exceptions=True)


def told(one: Steered) -> str:
    return one.note if one.reply is None else "\n".join(one.reply.said)


@pytest.mark.slow
def test_the_command(tmp_path: Path) -> None:
    (tmp_path / "sums.py").write_text(BENCH % {"size": 300})
    (tmp_path / "c.yaml").write_text(
        "services: {model: {type: simulated, latency: {mean_ms: 200}}}\n"
        "benchmarks: [{name: sums.py, max_concurrent: 2}]\noutput: {dir: run, report: []}\n"
    )

    def nel(*words: str) -> subprocess.CompletedProcess[str]:
        argv = [*NEL, "eval", *words]
        return subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert nel("run", "c.yaml", "--background").returncode == 0
    asked = nel("ctl", "run", "pause", "--max-concurrent", "3")
    assert (asked.returncode, asked.stderr) == (0, "")
    assert asked.stdout.splitlines()[0] == "sums: at most 3 at once"
    shown = nel("ctl", "run").stdout
    assert "run: running" in shown and "paused: nothing new" in shown
    assert nel("ctl", "resume", "run").stdout == "goes on\n"
    assert nel("ctl", "run", "bogus").returncode == 2
    refused = nel("ctl", "run", "--limit", "modell=3")
    assert refused.returncode == 2 and "did you mean 'model'" in refused.stderr
    assert nel("ctl", "run", "finish", "--older-than", "1m").returncode == 0
    assert nel("status", "run", "--watch").returncode == 3
    ended = nel("ctl", "run", "pause")
    assert ended.returncode == 2 and "is not running: it is incomplete" in ended.stderr
