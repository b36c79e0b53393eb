"""Runs in MLflow: what its store and its server hold is what the run's files say."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from agent_run import agent_run
from commands import Nel
from free_ports import free_port
from parts import part

from nemo_evaluator.results.view import RunView

READ = """
import json, sys
import mlflow
mlflow.set_tracking_uri(sys.argv[1])
client, found = mlflow.MlflowClient(), []
for run in mlflow.search_runs(
    experiment_names=[sys.argv[2]], filter_string=f"tags.job_id = '{sys.argv[3]}'",
    output_format="list",
):
    traces = client.search_traces(
        locations=[run.info.experiment_id], run_id=run.info.run_id, max_results=100
    )
    found.append({
        "id": run.info.run_id, "status": run.info.status, "metrics": run.data.metrics,
        "params": run.data.params, "tags": run.data.tags,
        "files": [one.path for one in client.list_artifacts(run.info.run_id, "words")],
        "traces": {
            one.info.tags["nel.rollout"]: [
                [s.name, s.span_type, s.inputs, s.outputs, s.status.status_code.value]
                for s in one.data.spans
            ] for one in traces
        },
    })
json.dump(found, sys.stdout)
"""


@pytest.fixture
def run(nel: Nel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunView:
    monkeypatch.setenv("NEL_EXPORT_PYTHON", str(part("export") / "bin" / "python"))
    monkeypatch.chdir(tmp_path)
    return RunView.open(agent_run(nel, tmp_path))


def in_mlflow(uri: str, run: RunView, experiment: str = "nemo-evaluator") -> list[Any]:
    done = subprocess.run(
        [part("export") / "bin" / "python", "-c", READ, uri, experiment, run.run_id],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout)
    return found


def check(found: dict[str, Any], run: RunView) -> None:
    [view] = run.benchmarks()
    for name, measure in view.bundle.metrics.items():
        plain = name.replace("pass@", "pass_at_").replace("pass^", "pass_hat_")
        assert found["metrics"][plain] == measure.value
        assert found["metrics"][f"{plain}_ci_lower"] == measure.ci_lower
    assert found["metrics"]["coverage"] == 0.75 and found["status"] == "FINISHED"
    assert set(found["traces"]) == {str(row.key) for row in view.rows()}
    assert {Path(name).name for name in found["files"]} == {
        *(view.bundle_path.name, "results.jsonl", "unscored.jsonl")
    }


@pytest.mark.slow
def test_a_local_store(nel: Nel, run: RunView) -> None:
    uri = f"sqlite:///{Path('m.db').absolute()}"
    words = ("export", "run", "-d", "mlflow", "-o", f"tracking_uri={uri}")
    more = ("-o", "log_config_params=true", "-o", 'extra_metadata={"team": "a"}')
    code, out, err = nel(*words, *more)
    assert code == 0 and "/runs/" in out, err
    [found] = in_mlflow(uri, run)
    check(found, run)
    assert found["params"]["benchmark"] == "words" and found["params"]["team"] == "a"
    assert found["params"]["config.benchmarks.0.repeats"] == "2"
    root, system, user, first, look, broken, last = found["traces"]["0/0"]
    assert root[:2] == ["sample_0", "AGENT"] and root[3]["reward"] == 1.0
    assert [one[1] for one in (system, user, first, last)] == ["CHAIN", "CHAIN", "LLM", "LLM"]
    assert look[1] == "TOOL" and look[3]["content"] == "it is 1"
    assert json.loads(look[2]["arguments"]) == {"q": "Which number is one?"}
    assert broken[4] == "ERROR" and found["traces"]["2/0"][0][4] == "ERROR"
    code, _, err = nel(*words)
    assert code == 0, err
    [again] = in_mlflow(uri, run)
    assert again["id"] == found["id"] and len(again["traces"]) == 8
    code, _, err = nel(
        *words,
        "-o",
        "experiment_name=other",
        "-o",
        "emit_traces_max_samples=2",
        "-o",
        "tags={a: b}",
    )
    assert code == 0, err
    [other] = in_mlflow(uri, run, "other")
    assert len(other["traces"]) == 2 and other["tags"]["a"] == "b"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen(
        [
            *(part("export") / "bin" / "mlflow", "server", "--host", "127.0.0.1"),
            *("--port", str(port), "--backend-store-uri", f"sqlite:///{tmp_path}/s.db"),
            *("--artifacts-destination", str(tmp_path / "kept"), "--workers", "1"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        for _ in range(900):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # its workers too
        process.wait()


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_server_named_by_a_variable(
    nel: Nel, run: RunView, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKING", server)
    code, out, err = nel("export", "run", "-d", "mlflow", "-o", "tracking_uri=TRACKING")
    assert code == 0 and out.startswith(f"exported to mlflow: {server}#/experiments/"), err
    [found] = in_mlflow(server, run)
    check(found, run)


@pytest.mark.slow
def test_what_fails_is_told_and_fails_no_run(
    nel: Nel, run: RunView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    code, _, err = nel("export", "run", "-d", "mlflow")
    assert code == 3 and "tracking_uri: the tracking server is not known" in err
    gone = {"mlflow": {"tracking_uri": "http://user:s3cret@127.0.0.1:9"}}
    agent_run(nel, tmp_path, "again", export=["mlflow"], export_config=gone)
    log = (tmp_path / "again/nel_eval.log").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "again/run.json").read_text())["status"] in ("done", "incomplete")
    assert "s3cret" not in log


def test_the_package_is_looked_for(
    nel: Nel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    agent_run(nel, tmp_path)
    monkeypatch.setenv("NEL_EXPORT_PYTHON", "/nowhere/python")
    for dest, more in (("mlflow", ("-o", "tracking_uri=sqlite:///m.db")), ("wandb", ())):
        code, _, err = nel("export", "run", "-d", dest, *more)
        assert code == 3 and "NEL_EXPORT_PYTHON: /nowhere/python is no Python interpreter" in err
