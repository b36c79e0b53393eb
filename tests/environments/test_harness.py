"""Evaluations with their own loop: programs and classes, counted and resumed like any other."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from loopback import Loopback

from nemo_evaluator import ConfigError, evaluate, evaluate_async
from nemo_evaluator.results.journal import Called, UsedBeside, events
from nemo_evaluator.results.layout import JOURNAL
from nemo_evaluator.results.result_row import read_rows
from nemo_evaluator.tasks.rescore import rescore

PROGRAM = '''
"""Asks its model for each sample with nothing but the standard library."""
import json, os, sys, time, urllib.request

SAMPLES = [str(n) for n in range(int(sys.argv[1]))]


def ask(base, key, text):
    body = {"model": os.environ["OPENAI_MODEL"], "messages": [{"role": "user", "content": text}]}
    request = urllib.request.Request(
        f"{base}/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {key}"},
    )
    with urllib.request.urlopen(request) as answered:
        return json.load(answered)["choices"][0]["message"]["content"]


def run():
    for line in sorted(open(os.environ["NEL_IN"])):
        todo = json.loads(line)
        prompt = f"What is {todo['id']} + 1?"
        base, key = todo["base_url"], todo["api_key"]
        if "--shared" in sys.argv:
            base, key = os.environ["OPENAI_BASE_URL"], os.environ["OPENAI_API_KEY"]
        response = ask(base, key, prompt)
        result = {
            "id": todo["id"], "repeat": todo["repeat"], "prompt": prompt, "response": response,
            "target": str(int(todo["id"]) + 1), "correct": int(todo["id"]) % 2 == 0,
            "metrics": {"length": len(response)},
        }
        print("did", todo["id"])
        with open(os.environ["NEL_OUT"], "a") as out:
            print(json.dumps(result), file=out, flush=True)


def aggregate():
    rows = [json.loads(line) for line in open(os.environ["NEL_IN"])]
    with open(os.environ["NEL_OUT"], "w") as out:
        value = sum(row["reward"] for row in rows) / 100
        print(json.dumps({"name": "hundredth", "value": value, "n": len(rows)}), file=out)


def plan():
    with open(os.environ["NEL_OUT"], "w") as out:
        print("\\n".join(SAMPLES), file=out)


{"plan": plan, "run": run, "aggregate": aggregate}[os.environ["NEL_TASK"]]()
'''

CLASS = """
from nemo_evaluator import Measure, Request
from nemo_evaluator.environments.harness import Finished
from nemo_evaluator.types import Problem, Score, Solution


class Own:
    name = "own"

    def __init__(self, count: int = 4, fail_at: int = -1):
        self.count, self.fail_at = count, fail_at

    async def prepare(self): ...

    def identity(self):
        return {"version": "1"}

    async def plan(self):
        return [f"s{n}" for n in range(self.count)]

    async def run(self, todo, tools):
        for key in todo:  # everything is asked before anything is graded
            for turn in ("one", "two"):
                await tools.call(key, Request(prompt=f"{turn} {key.problem_idx}"))
        if self.fail_at >= 0:
            raise RuntimeError("before the grades")
        for key in todo:
            said = await tools.call(key, Request(prompt=f"two {key.problem_idx}"))
            yield Finished(
                key=key,
                solution=Solution(response=said.text, calls=0, tries=0),
                score=Score(reward=1.0, correct=True),
                problem=Problem(idx=0, prompt=f"two {key.problem_idx}"),
            )

    async def aggregate(self, finished):
        return [Measure(name="count", value=len(finished), n=len(finished))]

    async def close(self): ...
"""


def document(folder: Path, name: str, service: dict[str, Any] | None = None, **more: Any) -> Any:
    return {
        "services": {"m": service or {"type": "simulated"}},
        "benchmarks": [{"name": name, **more}],
        "output": {"dir": str(folder / "r")},
    }


def program(folder: Path, text: str = PROGRAM) -> str:
    (folder / "my_eval.py").write_text(text)
    return f"command://{folder}/my_eval.py"


def api(loopback: Loopback) -> dict[str, Any]:
    return {"type": "api", "url": loopback.url, "protocol": "chat_completions", "model": "m"}


def test_a_program_is_run_like_any_benchmark(tmp_path: Path) -> None:
    given = document(
        tmp_path, program(tmp_path), params={"args": [6], "aggregate": True}, repeats=2
    )
    result = evaluate(given)
    (summary,) = result.summary.benchmarks
    assert result.exit_code == 0 and summary.n_scored == 12 and summary.name == "my_eval"
    assert summary.metrics["pass@1"].value == 0.5
    assert summary.metrics["hundredth"].value == pytest.approx(0.06)
    assert summary.metrics["length"].value > 0
    rows = list(read_rows(tmp_path / "r" / "my_eval"))
    assert rows[4].prompt == "What is 2 + 1?" and rows[4].expected_answer == "3"
    assert rows[4].metadata["sample_id"] == "2" and (rows[4].tokens or 0) > 0
    assert all(row.latency_ms for row in rows)
    assert summary.runtime.total_tokens == sum(row.tokens or 0 for row in rows)
    assert summary.runtime.total_retries == 0
    assert "did 5" in (tmp_path / "r" / "my_eval" / "harness" / "log.txt").read_text()


async def test_what_no_rollout_can_be_told_to_have_used_is_counted(
    tmp_path: Path, loopback: Loopback
) -> None:
    given = document(tmp_path, program(tmp_path), api(loopback), params={"args": [3, "--shared"]})
    (summary,) = (await evaluate_async(given)).summary.benchmarks
    beside = [e for e in events(tmp_path / "r/my_eval" / JOURNAL) if isinstance(e, UsedBeside)]
    used = sum(event.usage.total_tokens or 0 for event in beside)
    assert used == summary.runtime.total_tokens > 0 and summary.n_scored == 3


async def test_no_token_of_a_session_reaches_the_disk(tmp_path: Path, loopback: Loopback) -> None:
    note = f"open({str(tmp_path / 'token')!r}, 'w').write(os.environ['OPENAI_API_KEY'])"
    text = PROGRAM.replace("def run():", f"def run():\n    {note}")
    given = document(
        tmp_path, program(tmp_path, text), api(loopback), params={"args": [2, "--shared"]}
    )
    await evaluate_async(given)
    token = (tmp_path / "token").read_bytes()
    assert len(token) > 30
    for path in (tmp_path / "r").rglob("*"):
        assert not path.is_file() or token not in path.read_bytes()


def test_results_of_a_crash_are_taken_in_and_not_asked_again(tmp_path: Path) -> None:
    """The program wrote them, and we were killed before they were journaled."""
    given = document(tmp_path, program(tmp_path), params={"args": [5]})
    evaluate(given)
    journal = tmp_path / "r" / "my_eval" / JOURNAL
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(line for line in lines if b'"problem_idx":3' not in line))
    log = tmp_path / "r" / "my_eval" / "harness" / "log.txt"
    before = log.read_text()
    results = log.with_name("results.jsonl")
    results.write_bytes(results.read_bytes() + b'{"id": "3", "torn')
    (summary,) = evaluate(given, resume=True).summary.benchmarks
    assert summary.n_scored == 5 and log.read_text() == before


SLOW = PROGRAM.replace(
    "        response = ask(", "        time.sleep(0.15)\n        response = ask("
)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_goes_on_where_it_was(tmp_path: Path, how: signal.Signals) -> None:
    text = SLOW.replace(
        "def run():",
        f"def run():\n    open({str(tmp_path / 'pids')!r}, 'a').write(f'{{os.getpid()}}\\n')",
    )
    given = document(tmp_path, program(tmp_path, text), params={"args": [12]})
    config = tmp_path / "c.yaml"
    config.write_text(json.dumps(given))
    command = [sys.executable, "-m", "nemo_evaluator.cli", "eval", "run", str(config)]
    results = tmp_path / "r" / "my_eval" / "harness" / "results.jsonl"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        deadline = time.monotonic() + 60
        while not (results.exists() and results.read_bytes().count(b"\n") >= 3):
            assert time.monotonic() < deadline and run.poll() is None
            time.sleep(0.02)
        run.send_signal(how)
        run.wait(30)
    (pid,) = (tmp_path / "pids").read_text().split()
    deadline = time.monotonic() + 5
    while _alive(int(pid)):
        assert time.monotonic() < deadline, "the program outlives the run"
        time.sleep(0.02)
    asked = results.read_bytes().count(b"\n")
    assert 3 <= asked < 12
    (summary,) = evaluate(given, resume=True).summary.benchmarks
    assert summary.n_scored == 12
    assert len({json.loads(line)["id"] for line in results.read_bytes().splitlines()}) == 12
    assert results.read_bytes().count(b"\n") == 12  # none was asked for twice


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


FAILING = PROGRAM.replace('"correct": int(todo["id"]) % 2 == 0,', '"correct": True,').replace(
    'print("did"',
    """if todo["id"] == "1": result = {"id": "1", "error": "the grader is down"}
        if todo["id"] == "2": result["correct"] = "maybe"
        if todo["id"] == "3": sys.exit("out of luck")
        print("did\"""",
)


def test_what_a_program_does_wrong_is_said_and_costs_no_result(tmp_path: Path) -> None:
    result = evaluate(document(tmp_path, program(tmp_path, FAILING), params={"args": [6]}))
    (summary,) = result.summary.benchmarks
    assert result.exit_code != 0 and summary.n_scored == 1
    assert any("exit code 1: out of luck" in text for text in result.messages)
    told = {example.problem_idx: example.error for example in summary.examples}
    assert told[1] == "the grader is down" and "'correct' must be true or false" in told[2]


def test_samples_without_a_result_stay_open(tmp_path: Path) -> None:
    text = PROGRAM.replace(
        "todo = json.loads(line)", 'todo = json.loads(line)\n        if todo["id"] == "1": continue'
    )
    result = evaluate(
        document(tmp_path, program(tmp_path, text), params={"samples": 3, "args": [3]})
    )
    (summary,) = result.summary.benchmarks
    assert result.exit_code == 3 and summary.n_scored == 2
    assert "no result" in summary.examples[0].error


def test_a_program_that_hangs_is_ended(tmp_path: Path) -> None:
    text = PROGRAM.replace(
        "        response = ask(", "        time.sleep(60)\n        response = ask("
    )
    given = document(tmp_path, program(tmp_path, text), params={"args": [2]}, timeout=0.5)
    result = evaluate(given)
    assert any("did nothing for 0.5 s" in text for text in result.messages)


@pytest.mark.parametrize(
    ("name", "more", "message"),
    [
        ("command://./nothing.py", {}, "there is no such program"),
        ("command://true", {"params": {"sample": 3}}, "unknown field `sample`"),
        ("command://true", {"params": {"samples": "no.jsonl"}}, "cannot be read"),
        ("command://true", {}, "has no samples"),
        ("command://false", {}, "NEL_TASK=plan ended with exit code 1"),
        ("command://true", {"params": {"samples": 2}, "fewshot": 1}, "fewshot has no effect"),
        ("python://nothing", {}, "names no class"),
        ("python://nothing.at.all:Own", {}, "nothing"),
        ("python://json:dumps", {"params": {"obj": 1}}, "is no Harness"),
    ],
)
def test_what_a_user_can_fix(tmp_path: Path, name: str, more: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        evaluate(document(tmp_path, name, **more))


REWARDS = """
import numpy
from nemo_evaluator.environments.harness import Finished
from nemo_evaluator.types import Score, Solution

GIVEN = ["0.5", float("nan"), None, numpy.float32(0.5)]

class Own:
    name = "own"
    async def prepare(self): ...
    def identity(self): return {}
    async def plan(self): return ["a", "b", "c", "d"]
    async def run(self, todo, tools):
        for key in todo:
            score = Score(reward=GIVEN[key.problem_idx])
            yield Finished(key=key, solution=Solution(response=""), score=score)
    async def aggregate(self, finished): return []
    async def close(self): ...
"""


async def test_what_is_not_a_reward_is_named(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(REWARDS)
    result = await evaluate_async(document(tmp_path, f"python://{tmp_path}/own.py:Own"))
    (summary,) = result.summary.benchmarks
    assert result.exit_code == 3 and summary.n_scored == 1
    assert summary.metrics["mean_reward"].value == 0.5
    errors = sorted(str(one.error) for one in summary.examples)
    assert errors == [
        "a reward is a number, not '0.5'",
        "a reward is a number, not None",
        "the reward is nan",
    ]


async def test_calls_of_a_class_are_paid_once(tmp_path: Path, loopback: Loopback) -> None:
    (tmp_path / "own.py").write_text(CLASS)
    name = f"python://{tmp_path}/own.py:Own"
    given = document(tmp_path, name, api(loopback), params={"count": 3, "fail_at": 0})
    broken = await evaluate_async(given)
    assert any("before the grades" in text for text in broken.messages)
    (summary,) = broken.summary.benchmarks
    paid = summary.runtime.total_tokens
    assert summary.n_scored == 0 and paid > 0 and loopback.count("two 1") == 1
    called = [e for e in events(tmp_path / "r/own" / JOURNAL) if isinstance(e, Called)]
    assert len(called) == 6
    (tmp_path / "own.py").write_text(CLASS.replace("if self.fail_at >= 0", "if False"))
    (summary,) = (await evaluate_async(given, resume=True)).summary.benchmarks
    assert summary.n_scored == 3 and summary.metrics["count"].value == 3
    assert loopback.count("two 1") == 1 and summary.runtime.total_tokens == paid


ORDER = """
class Ordered(Own):
    in_order = True

    async def run(self, todo, tools):
        with open(__file__ + ".todo", "w") as file:
            file.write(" ".join(str(key.problem_idx) for key in todo))
        async for finished in super().run(todo, tools):
            yield finished
"""


@pytest.mark.parametrize(
    ("more", "asked"),
    [
        ({"max_problems": 3}, "0 1 2"),
        ({"max_problems": 3, "shuffle_seed": 42}, "7 3 2"),
    ],
)
async def test_a_harness_may_keep_its_order(
    tmp_path: Path, loopback: Loopback, more: dict[str, int], asked: str
) -> None:
    (tmp_path / "own.py").write_text(CLASS + ORDER)
    name = f"python://{tmp_path}/own.py:Ordered"
    given = document(tmp_path, name, api(loopback), params={"count": 10}, **more)
    (summary,) = (await evaluate_async(given)).summary.benchmarks
    assert summary.n_scored == 3 and (tmp_path / "own.py.todo").read_text() == asked


async def test_a_harness_is_not_extended(tmp_path: Path, loopback: Loopback) -> None:
    """What it makes of its samples may depend on their number."""
    name = program(tmp_path, PROGRAM)
    await evaluate_async(document(tmp_path, name, api(loopback), params={"args": [2]}))
    given = document(tmp_path, name, api(loopback), params={"args": [2]}, repeats=2)
    with pytest.raises(ConfigError, match="repeats: 1 → 2: its own harness makes the rollouts"):
        await evaluate_async(given, resume=True)
    assert len(loopback.calls) == 2


async def test_a_budget_ends_a_harness(tmp_path: Path, loopback: Loopback) -> None:
    given = document(tmp_path, program(tmp_path, SLOW), api(loopback), params={"args": [20]})
    given["budget"] = {"tokens": 60}
    result = await evaluate_async(given)
    (summary,) = result.summary.benchmarks
    assert 0 < summary.n_scored < 20 and any("budget" in text for text in result.messages)


async def test_a_rescoring_says_that_it_cannot(tmp_path: Path, loopback: Loopback) -> None:
    await evaluate_async(document(tmp_path, program(tmp_path), api(loopback), params={"args": [2]}))
    with pytest.raises(ConfigError, match="grades its answers itself"):
        await rescore(tmp_path / "r")


@pytest.mark.slow
def test_shards_of_a_program_are_merged(tmp_path: Path) -> None:
    from nemo_evaluator.tasks.merge import merge

    given = document(tmp_path, program(tmp_path), params={"args": [6], "aggregate": True})
    config = tmp_path / "c.yaml"
    config.write_text(json.dumps(given))
    for part in ("0/2", "1/2"):
        command = [sys.executable, "-m", "nemo_evaluator.cli", "eval", "run", str(config)]
        subprocess.run([*command, "--shard", part], check=True, capture_output=True, timeout=60)
    merged = merge(tmp_path / "r")
    (summary,) = merged.summary.benchmarks
    assert summary.n_scored == 6 and summary.metrics["pass@1"].value == 0.5
    assert summary.metrics["hundredth"].value == pytest.approx(0.03)  # of all rows, not of a part


async def test_a_plan_does_not_guess_what_a_program_asks(tmp_path: Path) -> None:
    from nemo_evaluator.config.load import parse
    from nemo_evaluator.tasks.dry_run import describe_plan

    given = document(tmp_path, program(tmp_path), params={"args": [3]})
    text = await describe_plan(parse(given))
    assert "3 rollouts in all" in text and "how many tokens that takes is not known" in text
