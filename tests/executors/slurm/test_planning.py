"""What a configuration asks of Slurm: the plan, and the directives of its scripts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from nemo_evaluator.config.load import parse
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.executors.options import Options
from nemo_evaluator.executors.slurm.header import seconds_of
from nemo_evaluator.executors.slurm.plan import After, Job, JobPlan, Submitter, When
from nemo_evaluator.executors.slurm.planning import job_plan
from nemo_evaluator.executors.slurm.render import described, rendered, secrets_text

DIRECTORY = Path("/lustre/me/run 1")


def planned(
    env: dict[str, str] | None = None, environ: dict[str, str] | None = None, **cluster: Any
) -> JobPlan:
    pools = {"gpu": {"partition": "batch", "gres": "gpu:4"}}
    config = {
        "services": {"m": {"type": "simulated"}},
        "benchmarks": [{"name": "sample"}],
        "cluster": {"type": "slurm", "node_pools": pools, **cluster},
    }
    submitter = Submitter(python="/venv/bin/python", environ=environ or {})
    loaded = parse(config, env=env or {})
    return job_plan(loaded, Options(), directory=DIRECTORY, submitter=submitter)


def directives(plan: JobPlan, script: str = "nel_eval.sbatch") -> dict[str, str]:
    """The directives of a script, by name."""
    lines = [line for line in rendered(plan)[script].splitlines() if line.startswith("#SBATCH ")]
    return {name: value for name, _, value in (line[10:].partition("=") for line in lines)}


def test_one_job() -> None:
    plan = planned()
    assert plan.jobs == (Job(name="evaluation", script="nel_eval.sbatch"),)
    assert directives(plan) == {
        "job-name": "nel-eval-sample",
        "output": '"/lustre/me/run 1/logs/slurm-%j.log"',
        "open-mode": "append",
        "no-requeue": "",
        "signal": "B:TERM@120",
        "time": "04:00:00",
        "partition": "batch",
        "nodes": "1",
        "ntasks-per-node": "1",
        "gres": "gpu:4",
    }
    assert set(rendered(plan)) == {"job.yaml", "nel_eval.sbatch"}


def test_shards_are_an_array_and_a_merge_after_it() -> None:
    plan = planned(shards=4, max_parallel_shards=2)
    merge = Job(
        name="merge",
        script="nel_merge.sbatch",
        after=(After(job="evaluation", when=When.ANY),),
    )
    assert plan.jobs[0].array == 4 and plan.jobs[1] == merge
    assert directives(plan)["array"] == "0-3%2"
    merging = directives(plan, "nel_merge.sbatch")
    assert (merging["partition"], merging["nodes"]) == ("batch", "1")
    assert not {"array", "gres", "signal"} & merging.keys()


def test_what_is_asked_of_slurm() -> None:
    found = directives(
        planned(
            account="acc",
            qos="high",
            reservation="r",
            exclusive=True,
            sbatch_comment='my "run" \\ #1',
            sbatch_extra=["--constraint=h100&ib", "--contiguous"],
            sbatch_extra_flags={"switches": 1, "get-user-env": False, "spread_job": True},
            walltime="1-00:00:00",
        )
    )
    wanted = {
        "account": "acc",
        "qos": "high",
        "reservation": "r",
        "exclusive": "",
        "comment": '"my \\"run\\" \\\\ #1"',
        "constraint": '"h100&ib"',
        "contiguous": "",
        "switches": "1",
        "spread-job": "",
        "time": "1-00:00:00",
    }
    assert {name: found[name] for name in wanted} == wanted
    assert "get-user-env" not in found


def test_the_users_environment_wins_as_in_sbatch() -> None:
    environ = {
        "SBATCH_ACCOUNT": "mine",
        "SBATCH_TIMELIMIT": "90",
        "SBATCH_EXCLUSIVE": "",
        "SBATCH_OUTPUT": "x",
    }
    plan = planned(environ=environ, account="acc", shards=2)
    found = directives(plan)
    assert (found["account"], found["time"], found["exclusive"]) == ("mine", "90", "")
    assert found["output"] != "x"
    assert plan.chain.seconds == 90 * 60
    assert directives(plan, "nel_merge.sbatch")["account"] == "mine"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 5400),
        ("90:30", 5430),
        ("1:00:00", 3600),
        ("1-12", 129600),
        ("1-0:30", 88200),
        ("x", None),
    ],
)
def test_time_limits_as_slurm_reads_them(text: str, seconds: int | None) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    ("cluster", "message"),
    [
        ({"sbatch_extra": ["--output=x"]}, r"cluster.sbatch_extra: cannot set --output"),
        ({"sbatch_extra_flags": {"array": "1"}}, r"cluster.sbatch_extra_flags: cannot set --array"),
        ({"sbatch_extra": ["--outp=x"]}, r"cluster.sbatch_extra: cannot set --outp"),
        (
            {"node_pools": {"a": {"partition": "p", "sbatch_extra_flags": {"export": "ALL"}}}},
            r"cluster.node_pools.a.sbatch_extra_flags: cannot set --export",
        ),
        ({"sbatch_extra": ["constraint=x"]}, "not one option of sbatch"),
        ({"sbatch_extra": ["--constraint=a\n#SBATCH --uid=0"]}, "not one option of sbatch"),
        ({"account": "a\nb"}, "one line"),
        ({"sbatch_comment": "a\rb"}, "one line"),
        ({"sbatch_comment": "a\u2028b"}, "one line"),
        ({"sbatch_extra": ["--constraint=a\x85b"]}, "is not one option of sbatch"),
    ],
)
def test_what_is_refused(cluster: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        planned(**cluster)


def test_secrets_are_in_their_file_only() -> None:
    plan = planned(
        container_env={"HF_TOKEN": "${TOKEN}", "WORDS": "it's $(id) `id`\n\\"},
        env={"TOKEN": "hf-canary-1"},
    )
    assert "export HF_TOKEN=hf-canary-1\n" in secrets_text(plan)
    shown = described(plan) + repr(plan) + "".join(rendered(plan).values())
    assert "hf-canary-1" not in shown and "$(id)" not in shown
    assert "HF_TOKEN=***" in shown
    assert secrets_text(planned()) == ""


def test_secrets_that_everybody_could_read_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"cluster.sbatch_comment: holds a secret"):
        planned(sbatch_comment="by ${MY_TOKEN}", env={"MY_TOKEN": "t-123456"})


def test_the_same_configuration_gives_the_same_bytes() -> None:
    assert rendered(planned(shards=3)) == rendered(planned(shards=3))
    assert sys.executable not in "".join(rendered(planned()).values())


def test_shared_memory_that_cannot_be_had_is_said() -> None:
    pools = {"gpu": {"partition": "batch"}}
    cluster = {"type": "slurm", "node_pools": pools, "shm_size": "1g", "walltime": "1-00:00:00"}
    services = {"m": {"type": "simulated"}}
    benchmarks = [{"name": "sample"}]
    loaded = parse({"services": services, "benchmarks": benchmarks, "cluster": cluster}, env={})
    assert loaded.warnings == ("cluster.shm_size is accepted and has no effect",)
