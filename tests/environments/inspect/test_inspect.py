"""Tasks of the real Inspect against an endpoint whose answers are a function of the request:
the same samples and scores as by Inspect itself."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from parts import part
from running import kill_when
from runs import NEL, rows
from token_server import TokenServer

pytestmark = [pytest.mark.slow, pytest.mark.process]

TASKS = '''
from inspect_ai import Epochs, Task, task
from inspect_ai.dataset import MemoryDataset, Sample, json_dataset
from inspect_ai.model import ChatMessageUser, get_model
from inspect_ai.scorer import Score, choice, includes, match, mean, scorer
from inspect_ai.solver import generate, multiple_choice, solver, use_tools
from inspect_ai.tool import tool


@tool
def add():
    async def execute(x: int, y: int):
        """Add two numbers.

        Args:
            x: one
            y: the other
        """
        return str(x + y)

    return execute


def samples(n):
    return [
        Sample(id=f"s{i}", input=f"How much is {i} and {i}?", target=str(i % 20)) for i in range(n)
    ]


@task
def sums(n: int = 12):
    return Task(
        dataset=MemoryDataset(samples(n)),
        solver=[use_tools(add()), generate()],
        scorer=[includes(), match(numeric=True)],
    )


@task
def several():
    return Task(
        dataset=MemoryDataset([Sample(input=f"What is {i}?", target=str(i)) for i in range(6)]),
        solver=generate(temperature=1.0),
        scorer=includes(),
        epochs=2,
    )


@scorer(metrics=[mean()])
def by_epoch():
    async def score(state, target):
        return Score(value=[0.0, 0.25, 1.0][state.epoch - 1])

    return score


@task
def reduced():
    return Task(
        dataset=MemoryDataset(samples(3)),
        scorer=by_epoch(),
        epochs=Epochs(3, ["median", "max"]),
    )


@solver
def odd():
    async def solve(state, generate):
        state = await generate(state)
        state.metadata["object"] = object()
        state.output.completion = "half of a pair: \\ud83d"
        return state

    return solve


@task
def unsayable():
    return Task(dataset=MemoryDataset(samples(2)), solver=odd(), scorer=includes())


@solver
def talking(turns):
    async def solve(state, generate):
        for turn in range(turns):
            state.messages.append(ChatMessageUser(content=f"and {turn} more?"))
            for _ in range(2):  # the same request again is a request of its own
                said = await get_model().generate(state.messages)
            state.messages.append(said.message)
            state.output = said
        return state

    return solve


@task
def talks():
    return Task(dataset=MemoryDataset(samples(3)), solver=talking(6), scorer=includes(), epochs=2)


@task(name="renamed")
def beside():
    dataset = json_dataset("samples.json", shuffle=True)
    dataset.shuffle_choices()
    return Task(dataset=dataset, solver=multiple_choice(), scorer=choice())


@scorer(metrics=[mean()])
def sometimes():
    async def score(state, target):
        return Score(value=float("nan") if state.sample_id == "s1" else 1.0)

    return score


@task
def doubted():
    return Task(dataset=MemoryDataset(samples(3)), scorer=[sometimes(), includes()])


@task
def unscored():
    return Task(dataset=MemoryDataset(samples(2)))


@solver
def stumbling():
    async def solve(state, generate):
        if state.sample_id == "s1":
            raise RuntimeError("no luck with this one")
        return await generate(state)

    return solve


@task
def broken():
    return Task(dataset=MemoryDataset(samples(3)), solver=stumbling(), scorer=includes())
'''
THEIRS = """
import json, sys
from inspect_ai import eval
from inspect_ai.model import get_model
file, url = sys.argv[1:]
model = get_model("openai/m", base_url=url, api_key="x", responses_api=False)
[log] = eval(file, model=model, display="none", log_dir=sys.argv[1] + ".logs")
print(json.dumps({
    "metrics": {
        f"{score.name}/{name}": metric.value
        for score in log.results.scores
        for name, metric in score.metrics.items()
    },
    "values": {
        f"{sample.id}": {name: score.value for name, score in sample.scores.items()}
        for sample in log.samples
    },
}))
"""


@pytest.fixture
def python() -> str:
    """An interpreter that has inspect_ai."""
    return str(part("inspect") / "bin" / "python")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The tasks."""
    path = tmp_path / "own_tasks.py"
    path.write_text(TASKS)
    return path


def run(
    file: Path, task: str, python: str, url: str, *more: str, **params: object
) -> tuple[subprocess.CompletedProcess[str], Path]:
    """The command over one task, and the folder of its results."""
    command = written(file, task, python, url, *more, **params)
    done = subprocess.run(command, capture_output=True, text=True, timeout=110)
    return done, file.parent / "run" / task


def written(
    file: Path, task: str, python: str, url: str, *more: str, **params: object
) -> list[str]:
    """The command over one task, whose configuration is written."""
    out = file.parent / "run"
    document = {
        "services": {
            "m": {"type": "api", "url": url, "protocol": "chat_completions", "model": "m"}
        },
        "benchmarks": [
            {
                "name": f"inspect://{file}@{task}",
                "params": {"python": python, **params},
                "solver": {"type": "simple", "service": "m"},
            }
        ],
        "output": {"dir": str(out), "timestamped": False},
    }
    config = file.parent / "config.yaml"
    config.write_text(yaml.safe_dump(document))
    return [*NEL, "eval", "run", str(config), *more]


def scores_in(folder: Path) -> dict[str, Any]:
    [bundle] = folder.glob("eval-*.json")
    found: dict[str, Any] = json.loads(bundle.read_text())["benchmark"]["scores"]
    return found


def by_inspect(python: str, file: Path, task: str, url: str) -> dict[str, Any]:
    """What `inspect eval` makes of the task."""
    command = [python, "-c", THEIRS, f"{file}@{task}", url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_samples_scores_and_metrics_are_those_of_inspect(file: Path, python: str) -> None:
    with TokenServer() as server:
        done, folder = run(file, "sums", python, server.url)
        assert done.returncode == 0, done.stderr
        theirs = by_inspect(python, file, "sums", server.url)
    numbers = {"C": 1.0, "I": 0.0}
    ours = {row["metadata"]["id"]: row for row in rows(folder)}
    assert ours.keys() == theirs["values"].keys()
    for name, values in theirs["values"].items():
        expected = {scorer: numbers[value] for scorer, value in values.items()}
        assert ours[name]["scoring_details"]["metrics"] == expected
    found = scores_in(folder)
    for name, value in theirs["metrics"].items():
        if not name.endswith("/stderr"):
            assert found[name]["value"] == value
            assert found[name]["stderr"] == theirs["metrics"][name.split("/")[0] + "/stderr"]


def test_what_a_tool_using_solver_did_is_recorded(file: Path, python: str) -> None:
    with TokenServer() as server:
        done, folder = run(file, "sums", python, server.url, task_args={"n": 2})
    assert done.returncode == 0, done.stderr
    lines = (folder / "trajectories.jsonl").read_text().splitlines()
    assert len(lines) == 2
    text = lines[0]
    assert '"function_name":"add"' in text and '"arguments":{"x":2,"y":3}' in text
    assert '"content":"5"' in text


def test_metrics_are_made_by_a_later_command_too(file: Path, python: str) -> None:
    """The run was killed after its last verdict, before its metrics."""
    with TokenServer() as server:
        assert run(file, "sums", python, server.url)[0].returncode == 0
        folder = file.parent / "run" / "sums"
        before = scores_in(folder)
        journal = folder / "journal.jsonl"
        lines = journal.read_text().splitlines(keepends=True)
        journal.write_text("".join(line for line in lines if '"aggregated"' not in line))
        for bundle in folder.glob("eval-*.json"):
            bundle.unlink()
        asked = len(server.requests)
        assert run(file, "sums", python, server.url, "--resume")[0].returncode == 0
        assert len(server.requests) == asked
    assert scores_in(folder)["includes/accuracy"] == before["includes/accuracy"]


def test_metrics_of_merged_shards_are_those_of_the_whole(file: Path, python: str) -> None:
    with TokenServer() as server:
        done, folder = run(file, "sums", python, server.url)
        assert done.returncode == 0, done.stderr
        whole = scores_in(folder)
        shutil.rmtree(folder.parent)
        for shard in ("0/2", "1/2"):
            done, _ = run(file, "sums", python, server.url, "--shard", shard)
            assert done.returncode == 0, done.stderr
    command = [*NEL, "eval", "merge", str(folder.parent)]
    merged = subprocess.run(command, capture_output=True, text=True, timeout=110)
    assert merged.returncode == 0, merged.stderr
    assert scores_in(folder)["includes/accuracy"] == whole["includes/accuracy"]


def test_epochs_of_a_task_are_one_rollout(file: Path, python: str) -> None:
    with TokenServer() as server:
        done, folder = run(file, "several", python, server.url)
        theirs = by_inspect(python, file, "several", server.url)
    assert done.returncode == 0, done.stderr
    assert len(rows(folder)) == 6
    accuracy = scores_in(folder)["includes/accuracy"]
    assert accuracy["value"] == theirs["metrics"]["includes/accuracy"]


def test_the_reward_is_reduced_in_the_first_way(file: Path, python: str) -> None:
    with TokenServer() as server:
        done, folder = run(file, "reduced", python, server.url)
    assert done.returncode == 0, done.stderr
    assert "by_epoch/mean,median 0.250" in done.stdout
    found = rows(folder)
    assert [row["reward"] for row in found] == [0.25] * 3
    several = {"by_epoch": 0.25, "by_epoch,median": 0.25, "by_epoch,max": 1.0}
    assert found[0]["scoring_details"]["metrics"] == several
    assert scores_in(folder)["by_epoch/mean,max"]["value"] == 1.0


def test_what_no_json_can_say_loses_no_sample(file: Path, python: str) -> None:
    with TokenServer() as server:
        done, folder = run(file, "unsayable", python, server.url)
    assert done.returncode == 0, done.stderr
    assert [row["model_response"] for row in rows(folder)] == ["half of a pair: \\ud83d"] * 2
    assert scores_in(folder)["includes/accuracy"]["n"] == 2


def test_what_a_sample_uses_is_counted_to_its_rollout(file: Path, python: str) -> None:
    """Its tokens, its calls, and its rows of the traffic log; no key of it is in a file."""
    with TokenServer() as server:
        done, folder = run(file, "talks", python, server.url)
    assert done.returncode == 0, done.stderr
    log = (folder / "model_traffic.jsonl").read_text()
    lines = [json.loads(line) for line in log.splitlines()]
    for row in rows(folder):
        own = [line for line in lines if line["problem_idx"] == row["problem_idx"]]
        assert row["calls"] == len(own) == 24
        assert row["tokens"] == sum(line["usage"]["total_tokens"] for line in own) > 0
    kept = [file.read_text() for file in folder.glob("harness/0/*.json")]
    assert kept and not [text for text in kept if "Bearer" in text]


def test_after_a_kill_no_turn_that_was_answered_is_asked_again(file: Path, python: str) -> None:
    """Samples that were under way begin again, and are answered as before."""
    with TokenServer() as server:
        done, folder = run(file, "talks", python, server.url)
        assert done.returncode == 0, done.stderr
        whole, scores = Counter(map(json.dumps, server.requests)), scores_in(folder)
    shutil.rmtree(folder.parent)
    with TokenServer(holds_after=40) as server:
        command = written(file, "talks", python, server.url, "--max-concurrent", "2")
        kill_when(lambda: server.held() >= 2, command)
        server.release()
        before = len(server.requests)
        moved = folder.parent.with_name("moved")
        folder.parent.rename(moved)
        done, _ = run(file, "talks", python, server.url, "--resume", "-o", str(moved))
        assert done.returncode == 0, done.stderr
        asked = Counter(map(json.dumps, server.requests))
    assert 40 <= before < len(server.requests)
    assert asked.keys() == whole.keys()
    assert (asked - whole).total() <= 4  # what was in flight
    after = scores_in(moved / "talks")
    assert after["includes/accuracy"] == scores["includes/accuracy"]


def test_a_sample_that_fails_has_no_verdict_and_the_others_have(file: Path, python: str) -> None:
    with TokenServer() as server:
        done, folder = run(file, "broken", python, server.url)
    assert done.returncode == 3
    found = {row["metadata"]["id"]: row for row in rows(folder)}
    assert found["s1"]["reward"] is None
    assert "no luck with this one" in found["s1"]["scoring_details"]["error"]
    assert found["s0"]["reward"] is not None and found["s2"]["reward"] is not None


@pytest.mark.parametrize(
    ("task", "params", "said"),
    [
        (
            "zzz",
            {},
            "it has broken, doubted, reduced, renamed, several, sums, talks, unsayable and 1 more",
        ),
        ("sum", {}, "has no task 'sum'; did you mean sums?"),
        ("unscored", {}, "unscored has no scorer, so no sample would have a score"),
        ("sums", {"limit": -1}, "limit: -1 samples are none"),
    ],
)
def test_what_cannot_be_scored_is_one_line_before_anything_is_asked(
    file: Path, python: str, task: str, params: dict[str, object], said: str
) -> None:
    with TokenServer() as server:
        done, _ = run(file, task, python, server.url, **params)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not server.requests


def test_a_task_that_shuffles_goes_on_with_its_samples(file: Path, python: str) -> None:
    """Its file names the samples beside itself, and registers it under another name."""
    samples = [
        {"id": i, "input": f"Which is {i}?", "choices": ["0", str(i), "x", "y"], "target": "B"}
        for i in range(40)
    ]
    (file.parent / "samples.json").write_text(json.dumps(samples))
    with TokenServer() as server:
        done, folder = run(file, "renamed", python, server.url, limit=8)
        assert done.returncode == 0, done.stderr
        asked = [body["messages"] for body in server.requests]
        ids = [row["metadata"]["id"] for row in rows(folder)]
        assert len(ids) == 8 and sorted(map(int, ids)) != list(range(8))
        done, _ = run(file, "renamed", python, server.url, "--resume", limit=8)
        assert done.returncode == 0, done.stderr
        assert len(server.requests) == 8
        shutil.rmtree(folder.parent)
        done, _ = run(file, "renamed", python, server.url, limit=8)
        again = [body["messages"] for body in server.requests[8:]]
    assert sorted(map(json.dumps, again)) == sorted(map(json.dumps, asked))


@pytest.mark.parametrize(
    ("where", "name"),
    [("own_package/parts@one", "one"), ("own_package.parts@one", "one"), ("FOLDER/one.py", "one")],
)
def test_ways_to_name_a_task(
    file: Path, python: str, where: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = file.parent / "own_package"
    package.mkdir()
    (package / "__init__.py").touch()
    text = """
from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.scorer import includes


@task
def one():
    return Task(dataset=MemoryDataset([Sample(input="1?", target="1")]), scorer=includes())
"""
    for path in (package / "parts.py", file.parent / "one.py"):
        path.write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(file.parent))
    with TokenServer() as server:
        written(file, "sums", python, server.url)
        config = file.parent / "config.yaml"
        document = yaml.safe_load(config.read_text())
        document["benchmarks"][0]["name"] = f"inspect://{where.replace('FOLDER', str(file.parent))}"
        config.write_text(yaml.safe_dump(document))
        command = [*NEL, "eval", "run", str(config)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    assert len(rows(file.parent / "run" / name)) == 1


def test_a_file_of_several_tasks_asks_which(file: Path, python: str) -> None:
    with TokenServer() as server:
        written(file, "sums", python, server.url)
        config = file.parent / "config.yaml"
        config.write_text(config.read_text().replace("@sums", ""))
        command = [*NEL, "eval", "run", str(config)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=110)
    assert done.returncode == 2
    assert (
        "it has broken, doubted, reduced, renamed, several, sums, talks, unsayable and 1 more"
        in done.stderr
    )


def test_no_other_scorer_stands_in_for_the_first(file: Path, python: str) -> None:
    """A judge that gave no grade: its sample has no reward, and what others say is kept."""
    with TokenServer() as server:
        done, folder = run(file, "doubted", python, server.url)
        theirs = by_inspect(python, file, "doubted", server.url)
    assert done.returncode == 0, done.stderr
    found = {row["metadata"]["id"]: row for row in rows(folder)}
    assert {name: row["reward"] for name, row in found.items()} == {
        "s0": 1.0,
        "s1": None,
        "s2": 1.0,
    }
    assert set(found["s1"]["scoring_details"]["metrics"]) == {"includes"}
    scores = scores_in(folder)
    assert "mean_reward" not in scores
    for name in ("sometimes/mean", "includes/accuracy"):
        assert scores[name]["value"] == theirs["metrics"][name]
