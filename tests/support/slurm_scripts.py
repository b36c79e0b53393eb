"""Makes the scripts of configurations for Slurm, and runs them with shims in the place of Slurm."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nemo_evaluator.config.load import parse
from nemo_evaluator.executors.options import Options
from nemo_evaluator.executors.slurm.plan import LOGS, SECRETS, JobPlan, Submitter
from nemo_evaluator.executors.slurm.planning import job_plan
from nemo_evaluator.executors.slurm.render import rendered, secrets_text

SHIMS = Path(__file__).resolve().parent / "slurm_shims"
POOL: dict[str, Any] = {"partition": "batch", "gres": "gpu:4"}


def config(**parts: Any) -> dict[str, Any]:
    """A configuration for Slurm; ``cluster`` is merged into one pool."""
    cluster = {"type": "slurm", "node_pools": {"gpu": POOL}, **parts.pop("cluster", {})}
    default = {"services": {"m": {"type": "simulated"}}, "benchmarks": [{"name": "sample"}]}
    return {**default, **parts, "cluster": cluster}


def vllm(**fields: Any) -> dict[str, Any]:
    own = {"type": "vllm", "model": "org/m", "protocol": "chat_completions", "stop_timeout": 0}
    return {**own, **fields}


def planned(document: Mapping[str, Any], directory: Path | str, **env: str) -> JobPlan:
    """The plan of a configuration. ``env``: variables of who submits."""
    environ = {"PATH": f"{SHIMS}:{os.environ['PATH']}", **env}
    submitter = Submitter(python=str(SHIMS / "evaluation"), environ=environ)
    loaded = parse(document, env=env)
    return job_plan(loaded, Options(), directory=Path(directory), submitter=submitter)


def written(plan: JobPlan) -> Path:
    """The directory of a plan with its files."""
    directory = Path(plan.directory)
    (directory / LOGS).mkdir(parents=True, exist_ok=True)
    for name, text in rendered(plan).items():
        (directory / name).write_text(text, encoding="utf-8")
    if text := secrets_text(plan):
        (directory / SECRETS).touch(0o600)
        (directory / SECRETS).write_text(text, encoding="utf-8")
    return directory


@dataclass(slots=True)
class Ran:
    """What came of a script."""

    code: int
    said: str
    calls: list[dict[str, Any]] = field(default_factory=list)

    def of(self, program: str) -> list[dict[str, Any]]:
        return [call for call in self.calls if call["program"] == program]

    def words(self, program: str) -> list[list[str]]:
        return [call["words"] for call in self.of(program)]


def run_script(
    plan: JobPlan,
    state: Path,
    *arguments: str,
    script: str = "nel_eval.sbatch",
    term_when: str = "",
    **env: str,
) -> Ran:
    """Run a script of a plan. ``term_when``: the name of a file of the state after which the job
    gets a SIGTERM; ``env``: further variables of the job."""
    state.mkdir(parents=True, exist_ok=True)
    (state / "calls").unlink(missing_ok=True)
    job = {
        "PATH": f"{SHIMS}:{os.environ['PATH']}",
        "HOME": str(state),
        "SHIM_STATE": str(state),
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_JOB_NODELIST": "localhost,localhost",
        **{f"SLURM_JOB_NODELIST_HET_GROUP_{i}": "localhost,localhost" for i in range(4)},
        **{f"SLURM_JOB_ID_HET_GROUP_{i}": str(os.getpid() + i) for i in range(4)},
        **({"SLURM_ARRAY_JOB_ID": "70", "SLURM_ARRAY_TASK_ID": "1"} if plan.shards else {}),
        **env,
    }
    process = subprocess.Popen(
        ["bash", f"{plan.directory}/{script}", *arguments],
        env=job,
        cwd=state,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        if term_when:
            until = time.monotonic() + 60
            while not (state / term_when).exists() and time.monotonic() < until:
                time.sleep(0.02)
            process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=60)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    lines = (state / "calls").read_text().splitlines() if (state / "calls").exists() else []
    return Ran(process.returncode, said, [json.loads(line) for line in lines])
