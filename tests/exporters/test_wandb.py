"""Runs in Weights & Biases, offline: the numbers in its file are those of the run."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from agent_run import agent_run
from commands import Nel
from parts import part

from nemo_evaluator.results.view import RunView

# The file is a log of LevelDB: 7 bytes, then blocks of 32 KiB with records in pieces.
READ = """
import json, struct, sys
from wandb.proto.wandb_internal_pb2 import Record
data = open(sys.argv[1], "rb").read()
at, whole, summary, files, config, artifacts = 7, b"", {}, [], {}, []
while at + 7 <= len(data):
    left = 32768 - at % 32768
    if left < 7:
        at += left
        continue
    _, length, kind = struct.unpack_from("<IHB", data, at)
    if kind == 0:
        at += left
        continue
    whole += data[at + 7 : at + 7 + length]
    at += 7 + length
    if kind in (1, 4):
        record = Record.FromString(whole)
        whole = b""
        for one in record.summary.update:
            summary["/".join(one.nested_key) or one.key] = json.loads(one.value_json)
        for item in record.history.item:
            summary["/".join(item.nested_key) or item.key] = json.loads(item.value_json)
        for one in record.run.config.update:
            config["/".join(one.nested_key) or one.key] = json.loads(one.value_json)
        if record.request.log_artifact.artifact.name:
            artifacts.append(record.request.log_artifact.artifact.name)
        if record.artifact.name:
            artifacts.append(record.artifact.name)
        project = record.run.project or globals().get("project", "")
told = {"summary": summary, "config": config, "artifacts": artifacts, "project": project}
json.dump(told, sys.stdout)
"""


def in_file(path: Path) -> Any:
    done = subprocess.run(
        [part("export") / "bin" / "python", "-c", READ, path],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_an_offline_run(nel: Nel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEL_EXPORT_PYTHON", str(part("export") / "bin" / "python"))
    monkeypatch.chdir(tmp_path)
    run = RunView.open(agent_run(nel, tmp_path))
    words = ("-o", "mode=offline", "-o", "dir=wb", "-o", "project=mine", "-o", "rows=3")
    for _ in range(2):
        code, out, err = nel("export", "run", "-d", "wandb", *words)
        assert code == 0, err
    [folder] = Path("wb/wandb").glob("offline-run-*")
    assert str(folder) in out
    [file] = folder.glob("*.wandb")
    found = in_file(file)
    [view] = run.benchmarks()
    for name, measure in view.bundle.metrics.items():
        assert found["summary"][f"words/{name}"] == measure.value
        assert found["summary"][f"words/{name}_ci_upper"] == measure.ci_upper
    assert found["project"] == "mine" and f"results-{run.run_id}" in found["artifacts"]
    assert found["config"]["benchmarks"]["words"]["samples"] == 4
    [path] = folder.rglob("rows/words*.table.json")
    table = json.loads(path.read_text(encoding="utf-8"))
    lines = [dict(zip(table["columns"], line, strict=True)) for line in table["data"]]
    assert [(one["problem_idx"], one["reward"]) for one in lines] == [(0, 1.0), (0, 1.0), (1, 0.0)]
