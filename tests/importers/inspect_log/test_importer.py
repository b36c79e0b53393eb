"""Logs of Inspect as runs: those it wrote itself, those that we wrote, and damaged ones."""

from __future__ import annotations

import json
import re
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
from agent_run import agent_run
from commands import Nel
from parts import part
from runs import rows

from nemo_evaluator.results.view import RunView

EVAL = r"""
import json, sys
from inspect_ai import Task, eval, task
from inspect_ai.dataset import Sample
from inspect_ai.model import ModelAPI, ModelOutput, ModelUsage, get_model, modelapi
from inspect_ai.scorer import includes, match
from inspect_ai.solver import generate

folder, right, form = sys.argv[1], int(sys.argv[2]), sys.argv[3]


@task
def sums(n: int = 12):
    samples = [
        Sample(id=f"q-{i}", input=f"{i}+1=", target=str(i + 1), metadata={"category": "ab"[i % 2]})
        for i in range(n)
    ]
    return Task(dataset=samples, solver=generate(), scorer=[match(), includes()], epochs=2)


@modelapi("toy")
class Toy(ModelAPI):
    async def generate(self, input, tools, tool_choice, config):
        i = int(input[-1].text.split("+")[0])
        if i == 11 and right == 3:
            raise RuntimeError("the server is gone")
        output = ModelOutput.from_content(
            self.model_name, f"The answer is {i + 1 if i < right else 99}"
        )
        output.usage = ModelUsage(input_tokens=5, output_tokens=6, total_tokens=11)
        return output


[log] = eval(
    sums(), model=f"toy/m{right}", log_dir=folder, display="none", log_format=form,
    fail_on_error=False,
)
print(json.dumps({
    "status": log.status, "accuracy": log.results.scores[0].metrics["accuracy"].value,
    "stderr": log.results.scores[0].metrics["stderr"].value,
}))
"""


def inspect_run(folder: Path, right: int, form: str = "eval") -> dict[str, Any]:
    """A real run of Inspect, whose model knows the first so many answers."""
    done = subprocess.run(
        [part("export") / "bin" / "python", "-c", EVAL, folder, str(right), form],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=folder.parent,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.slow
@pytest.mark.parametrize("form", ["eval", "json"])
def test_what_inspect_ran(nel: Nel, tmp_path: Path, form: str) -> None:
    told = inspect_run(tmp_path / "logs", 9, form)
    code, out, err = nel("import", tmp_path / "logs", "-o", tmp_path / "run")
    assert code == 0 and "sums: pass@1 0.750" in out, err
    view = RunView.open(tmp_path / "run")
    [benchmark] = view.benchmarks()
    metrics = benchmark.bundle.metrics
    assert metrics["pass@1"].value == told["accuracy"] == metrics["match/accuracy"].value
    assert metrics["match/accuracy"].stderr == pytest.approx(told["stderr"])
    assert metrics["scorer:includes"].value == 0.75
    found = rows(tmp_path / "run/sums")
    ids = [row["metadata"]["id"] for row in found if row["repeat"] == 0]
    assert ids == sorted(f"q-{i}" for i in range(12))
    first = found[0]
    assert (first["prompt"], first["expected_answer"], first["tokens"]) == ("0+1=", "1", 11)
    assert first["scoring_details"]["explanation"] == "The answer is 1"
    assert set(benchmark.bundle.categories["category"]) == {"a", "b"}
    assert view.info is not None and "inspect_ai 0.3" in view.info.imported_from[0]


@pytest.mark.slow
def test_two_models_are_compared_gated_audited_and_graded_again(nel: Nel, tmp_path: Path) -> None:
    for right in (9, 3):
        inspect_run(tmp_path / f"logs{right}", right)
        code, _, err = nel("import", tmp_path / f"logs{right}", "-o", tmp_path / f"run{right}")
        assert code == 0, err
    one, other = tmp_path / "run9", tmp_path / "run3"
    _, out, err = nel("compare", one, other, "--format", "json")
    found = json.loads(out)
    assert found["verdict"] == "INCONCLUSIVE" and "not comparable" not in err
    assert found["difference"]["n"] == 11
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: 1\nbenchmarks: {sums: {metric: pass@1, max_drop: 0.02}}\n")
    assert nel("gate", one, other, "--policy", policy)[0] != 0
    assert "rollouts" in nel("audit", other)[1]
    errors = [row for row in rows(other / "sums") if row["reward"] is None]
    assert {row["metadata"]["id"] for row in errors} == {"q-11"}
    assert "the server is gone" in errors[0]["scoring_details"]["error"]
    again = tmp_path / "again"
    code, _, err = nel("eval", "rescore", one, "-o", again)
    assert code == 2 and "was imported" in err and not again.exists()
    scored = ("-O", "benchmarks.0.params.scorer=includes")
    code, _, err = nel("eval", "rescore", one, "-o", again, *scored)
    assert code == 0, err
    assert [row["reward"] for row in rows(again / "sums")] == [
        row["reward"] for row in rows(one / "sums")
    ]


@pytest.mark.parametrize("form", ["eval", "json"])
def test_a_run_that_was_handed_on_comes_back_as_it_was(
    nel: Nel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.chdir(tmp_path)
    agent_run(nel, tmp_path)
    words = ("-d", "inspect", "--output-dir", "logs", "-o", f"format={form}")
    assert nel("export", "run", *words)[0] == 0
    code, _, err = nel("import", "logs", "-o", "back")
    assert code == 0, err
    before, after = rows(Path("run/words")), rows(Path("back/words"))
    kept = ("problem_idx", "repeat", "outcome", "reward", "prompt", "model_response", "tokens")
    kept += ("expected_answer", "extracted_answer", "finish_reason", "latency_ms", "cost_usd")
    for one, other in zip(before, after, strict=True):
        assert [one.get(name) for name in kept] == [other.get(name) for name in kept]
        assert one["scoring_details"] == other["scoring_details"]
    old, new = (RunView(Path(name)).benchmarks()[0] for name in ("run", "back"))
    assert new.bundle.metrics == old.bundle.metrics and new.bundle.identity == old.bundle.identity
    steps = [[row.steps for row in view.trajectories()] for view in (old, new)]
    told = [
        [[(s.source, s.message, [c.function_name for c in s.tool_calls]) for s in r] for r in run]
        for run in steps
    ]
    assert told[0][0] == told[1][0] and len(told[0][0]) == 4
    _, out, err = nel("compare", "run", "back", "--format", "json")
    assert "not comparable" not in err and json.loads(out)["difference"]["delta"] == 0


def test_two_benchmarks_of_one_name_keep_their_folders(
    nel: Nel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    entries = [{"name": "sample", "max_problems": count} for count in (3, 2)]
    document = {"services": {"m": {"type": "simulated"}}, "benchmarks": entries}
    Path("c.yaml").write_text(json.dumps({**document, "output": {"dir": "run", "report": []}}))
    assert nel("eval", "run", "c.yaml")[0] == 0
    assert nel("export", "run", "-d", "inspect", "--output-dir", "logs")[0] == 0
    assert nel("import", "logs", "-o", "back")[0] == 0
    for folder, count in (("sample", 3), ("sample-2", 2)):
        assert rows(Path("run") / folder) == rows(Path("back") / folder)
        assert len(rows(Path("back") / folder)) == count
    code, _, err = nel("import", "logs", "-o", "named", "--model-id", "other")
    assert code == 0, err
    assert {v.bundle.model for v in RunView(Path("named")).benchmarks()} == {"other"}


def write(path: Path, members: dict[str, Any]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content if isinstance(content, str) else json.dumps(content))
    return path


def head(**spec: Any) -> dict[str, Any]:
    given = {"task": "pkg/t", "model": "m", "created": "2026-01-01T00:00:00+00:00", **spec}
    return {"version": 2, "status": "success", "eval": given}


def sample(name: str | int, **fields: Any) -> dict[str, Any]:
    output = {"choices": [{"stop_reason": "stop"}], "completion": "a", "model": "m"}
    return {"id": name, "epoch": 1, "input": "q", "target": "a", "output": output, **fields}


def test_values_attachments_and_what_was_not_scored(nel: Nel, tmp_path: Path) -> None:
    values = ["C", "I", "P", "N", True, 0.25, "0.5", {"a": 1, "b": 0.5}, "maybe", None]
    members: dict[str, Any] = {
        "header.json": head(dataset={"sample_ids": [f"s{i}" for i in range(12)]})
    }
    for place, value in enumerate(values):
        scores = {"x": {"value": value, "answer": "a"}}
        content = [
            {"type": "text", "text": "attachment://h"},
            {"type": "reasoning", "reasoning": "r"},
        ]
        members[f"samples/s{place}_epoch_1.json"] = sample(
            f"s{place}",
            scores=scores,
            input="attachment://h",
            messages=[{"role": "assistant", "content": content}],
            attachments={"h": "a long text"},
        )
    nan = json.dumps(sample("s10", scores={"x": {"value": 0.0}})).replace("0.0", "NaN")
    members["samples/s10_epoch_1.json"] = nan
    log = write(tmp_path / "l.eval", members)
    assert nel("import", log, "-o", tmp_path / "run")[0] == 0
    found = {row["metadata"]["id"]: row for row in rows(tmp_path / "run/t")}
    order = [one["metadata"]["id"] for one in found.values()]
    assert order == sorted(order) and found["s10"]["problem_idx"] == 2  # after s1
    rewards = [found[f"s{i}"]["reward"] for i in range(11)]
    assert rewards == [1.0, 0.0, 0.5, 0.0, 1.0, 0.25, 0.5, 1.0, None, None, None]
    assert found["s0"]["scoring_details"]["correct"] is True
    assert "correct" not in found["s2"]["scoring_details"]
    assert found["s3"]["scoring_details"]["failure"] == "format_error"
    assert found["s7"]["scoring_details"]["metrics"] == {"a": 1.0, "b": 0.5}
    assert found["s0"]["prompt"] == "a long text" and found["s0"]["reasoning"] == "r"
    [view] = RunView.open(tmp_path / "run").benchmarks()
    assert (view.bundle.n_rollouts, view.bundle.n_scored) == (12, 8)  # one never ran


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04 no archive", "is no log of Inspect"),
        (b'{"version": 1, "eval": {"task": "t", "model": "m"}}', "is a log of version 1"),
        (b'{"eval": 1}', "is no log of Inspect"),
        (b"", "is no log of Inspect"),
    ],
)
def test_what_is_no_log_is_refused(nel: Nel, tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "l.eval"
    path.write_bytes(content)
    code, _, err = nel("import", path, "--format", "inspect", "-o", tmp_path / "run")
    assert code == 2 and said in err and not (tmp_path / "run").exists()
    code, _, err = nel("import", path, "-o", tmp_path / "run")
    assert code == 2 and "holds results of no format that is known" in err


def test_a_damaged_member_is_named(nel: Nel, tmp_path: Path) -> None:
    path = write(tmp_path / "l.eval", {"header.json": head(), "samples/1_epoch_1.json": sample(1)})
    data = path.read_bytes()
    place = re.search(rb'"completion": "a"', data)
    assert place is not None
    path.write_bytes(data[: place.start()] + b'"completion": "b"' + data[place.end() :])
    code, _, err = nel("import", path, "-o", tmp_path / "run")
    assert code == 2 and "samples/1_epoch_1.json: is damaged" in err


CHUNK = """
import sys
from inspect_ai.log._recorders.chunked import convert_eval_logs_to_chunked
convert_eval_logs_to_chunked(sys.argv[1], sys.argv[2], chunk_size=2)
"""


@pytest.mark.slow
def test_samples_in_parts(nel: Nel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Inspect writes large samples: messages and attachments in members of their own."""
    monkeypatch.chdir(tmp_path)
    agent_run(nel, tmp_path)
    assert nel("export", "run", "-d", "inspect", "--output-dir", "logs")[0] == 0
    python = part("export") / "bin" / "python"
    subprocess.run([python, "-c", CHUNK, "logs", "parts"], check=True, capture_output=True)
    for name in ("logs", "parts"):
        code, _, err = nel("import", name, "-o", f"from_{name}")
        assert code == 0, err
    assert rows(Path("from_logs/words")) == rows(Path("from_parts/words"))
    lines = [Path(f"from_{name}/words/trajectories.jsonl") for name in ("logs", "parts")]
    told = [[json.loads(line) for line in path.read_text().splitlines()] for path in lines]
    assert [row["steps"] for row in told[0]] == [row["steps"] for row in told[1]]
