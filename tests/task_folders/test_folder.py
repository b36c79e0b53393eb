"""Task folders as they are read: fields, older names, defaults; one sentence for each mistake."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from parts import part

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.task_folders.files import packed, task_digest
from nemo_evaluator.task_folders.folder import read_settings, read_task
from nemo_evaluator.task_folders.settings import Internet
from task_folders import TASK, own_task, write_task

FULL = """\
version = "1.0"
artifacts = ["/app/out"]

[metadata]
category = "maths"
tags = ["a"]
written = 2025-01-02

[agent]
timeout_sec = 30
user = "dev"

[verifier]
timeout_sec = 40.5
env = { MODE = "strict" }

[solution.env]
KEY = "${KEY:-none}"

[environment]
build_timeout_sec = 50
cpus = 1.5
memory = "2G"
storage = "512M"
allow_internet = false
workdir = "/srv"
env = { A = "b" }
new_field_of_a_later_version = 1

[environment.healthcheck]
command = "true"
"""


def test_everything_a_task_says(tmp_path: Path) -> None:
    task = read_task(own_task(tmp_path / "t", task_toml=FULL))
    place, [stage] = task.place, task.stages
    assert (place.cpus, place.memory_mb, place.storage_mb) == (1.5, 2048, 512)
    assert (place.internet, place.cwd, place.env) == (Internet.NONE, "/srv", {"A": "b"})
    assert place.build_timeout == 50
    assert place.healthcheck is not None
    assert (stage.agent_timeout, stage.user) == (30, "dev")
    assert (stage.check.timeout, stage.check.env) == (40.5, {"MODE": "strict"})
    assert stage.solution is not None
    assert stage.solution.env == {"KEY": "${KEY:-none}"}
    assert task.metadata == {"category": "maths", "tags": ["a"], "written": "2025-01-02"}


def test_what_is_left_out_is_as_in_harbor(tmp_path: Path) -> None:
    task = read_task(own_task(tmp_path / "t", task_toml="", solution_solve_sh=None))
    [stage] = task.stages
    assert task.place.internet is Internet.PUBLIC
    assert (stage.check.timeout, task.place.build_timeout) == (600, 600)
    assert (stage.agent_timeout, stage.solution, stage.user) == (None, None, None)


@pytest.mark.parametrize(
    ("toml", "line", "message"),
    [
        ("[agent\n", 1, "is no valid TOML"),
        ("version = '1'\n[agent]\ntimeout_sec = -1\n", 3, "agent.timeout_sec: must be greater"),
        ("[environment]\nmemory = 'lots'\n", 1, "must be a size such as '2G'"),
        ("[environment]\ncpus = 'two'\n", 2, "environment.cpus: must be a number"),
        ("[verifier]\nenvironment_mode = 'both'\n", 2, "verifier.environment_mode: must be one of"),
        ("[environment]\nnetwork_mode = 'all'\n", 2, "environment.network_mode: must be one of"),
        ("[[steps]]\nname = 'a'\n[[steps]]\nname = 'A'\n", 1, "two steps have the same name"),
        ("[[steps]]\nname = 'a'\n[[steps]]\nname = '../b'\n", 4, "steps[1].name"),
    ],
)
def test_mistakes_have_a_line(tmp_path: Path, toml: str, line: int, message: str) -> None:
    folder = own_task(tmp_path / "t", task_toml=toml)
    with pytest.raises(ConfigError) as caught:
        read_task(folder)
    assert str(caught.value).startswith(f"{folder / 'task.toml'}:{line}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value).strip()


CLOSED = "[environment]\nallow_internet = false\n"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"instruction_md": None}, "instruction.md: there is no such file"),
        ({"instruction_md": " \n"}, "instruction.md: is empty"),
        ({"tests_test_sh": None}, "has no tests/test.sh: nothing would verify the task"),
        ({"environment_Dockerfile": None}, "neither environment/Dockerfile nor a docker_image"),
        ({"task_toml": None}, "has no task.toml: it is no task folder"),
        ({"task_toml": "[environment]\nos = 'Windows'\n"}, "environment.os = 'windows' cannot be"),
        ({"task_toml": "[environment]\ngpus = 1\n"}, "environment.gpus = 1 cannot be had here"),
        ({"task_toml": "[[verifier.collect]]\ncommand = 'x'\n"}, "verifier.collect cannot be run"),
        (
            {"task_toml": CLOSED + "[verifier]\nnetwork_mode = 'public'\n"},
            "the agent has network_mode 'no-network' and the tests 'public'",
        ),
    ],
)
def test_what_cannot_be_run_or_verified(
    tmp_path: Path, changed: dict[str, str | None], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read_task(own_task(tmp_path / "t", **changed))
    assert message in str(caught.value)


def test_a_link_out_of_the_task_is_refused(tmp_path: Path) -> None:
    folder = own_task(tmp_path / "t")
    (folder / "tests" / "inside").symlink_to("../instruction.md")
    read_task(folder)
    (folder / "tests" / "data").symlink_to("/etc/passwd")
    with pytest.raises(ConfigError, match="a link that leads out of the task: /etc/passwd"):
        read_task(folder)


def test_canaries_are_not_shown_to_agents(tmp_path: Path) -> None:
    text = "<!-- benchmark CANARY 1 -->\n# a canary too\n\nDo it.\n# not a canary line at all?\n"
    task = read_task(own_task(tmp_path / "t", instruction_md=text))
    assert task.instruction == "Do it.\n# not a canary line at all?\n"


def test_a_digest_tells_contents_and_run_bits_apart(tmp_path: Path) -> None:
    folder = own_task(tmp_path / "t")
    copy = own_task(tmp_path / "elsewhere")
    first = task_digest(folder)
    assert task_digest(copy) == first
    (folder / "tests" / "__pycache__").mkdir()
    (folder / "tests" / "__pycache__" / "x.pyc").write_bytes(b"x")
    assert task_digest(folder) == first
    (copy / "tests" / "test.sh").chmod(0o644)
    assert task_digest(copy) != first
    (folder / "tests" / "more").write_text("")
    assert task_digest(folder) != first


def test_later_sources_replace_earlier_ones(tmp_path: Path) -> None:
    import io
    import tarfile

    one = write_task(tmp_path / "one", {"a/x.sh": "1", "y": "1"})
    two = write_task(tmp_path / "two", {"a/x.sh": "2"})
    (one / "a" / "x.sh").chmod(0o600)
    with tarfile.open(fileobj=io.BytesIO(packed([one, two]))) as archive:
        members = {member.name: member for member in archive}
        assert set(members) == {"a", "a/x.sh", "y"}
        assert members["a/x.sh"].mode & 0o555 == 0o555
        assert members["y"].uid == 0
        file = archive.extractfile("a/x.sh")
        assert file is not None
        assert file.read() == b"2"


STEPS = """\
multi_step_reward_strategy = "final"
[agent]
timeout_sec = 10
[[steps]]
name = "one"
min_reward = 0.5
[[steps]]
name = "two"
[steps.agent]
timeout_sec = 20
"""


def test_a_task_of_several_steps_is_read(tmp_path: Path) -> None:
    folder = own_task(tmp_path / "t", task_toml=STEPS, instruction_md=None)
    write_task(
        folder / "steps",
        {
            "one/instruction.md": "first",
            "two/instruction.md": "second",
            "two/tests/test.sh": "exit 0",
            "two/workdir/setup.sh": "true",
        },
    )
    task = read_task(folder)
    one, two = task.stages
    assert task.reward_of == "final"
    assert (one.name, one.instruction, one.agent_timeout) == ("one", "first", 10)
    assert (two.instruction, two.agent_timeout) == ("second", 20)
    assert [source.parent.name for source in two.check.sources] == ["t", "two"]
    assert two.files == folder / "steps" / "two" / "workdir"
    assert one.step is not None
    assert one.step.falls_short({"reward": 0.4}) == "reward 0.4 is below min_reward 0.5"
    assert one.step.falls_short({"reward": 0.5}) is None


COMPOSE = "services:\n  main:\n    build: .\n"


@pytest.mark.parametrize(
    ("compose", "message"),
    [
        (COMPOSE + "  db:\n    image: postgres\n", "has 2 services (main, db)"),
        (COMPOSE + "    privileged: true\n", "uses privileged"),
        (COMPOSE + "    volumes: ['./x:/x']\n", "uses volumes"),
        (COMPOSE + "    command: ['python', 'server.py']\n", "uses command"),
        ("services:\n  main:\n    build: ../..\n", "outside the task"),
        ("services: [", "docker-compose.yaml:1: is no valid YAML"),
    ],
)
def test_a_compose_file_that_is_more_than_one_container(
    tmp_path: Path, compose: str, message: str
) -> None:
    folder = own_task(tmp_path / "t", **{"environment/docker-compose.yaml": compose})
    with pytest.raises(ConfigError) as caught:
        read_task(folder)
    assert message in str(caught.value)


def test_a_compose_file_of_one_container_is_read(tmp_path: Path) -> None:
    compose = """\
services:
  main:
    build: {context: "${CONTEXT_DIR}", args: {V: 3}, target: last}
    command: ["sh", "-c", "sleep infinity"]
    environment: ["TEST_DIR=${TEST_DIR}", "X=1"]
    working_dir: /w
    volumes: ["${T_BENCH_TASK_LOGS_PATH}:${T_BENCH_CONTAINER_LOGS_PATH}"]
"""
    place = read_task(
        own_task(tmp_path / "t", **{"environment/docker-compose.yaml": compose})
    ).place
    assert place.env == {"TEST_DIR": "/tests", "X": "1"}
    assert (place.cwd, place.target, place.build_args) == ("/w", "last", {"V": "3"})


def test_a_task_of_terminal_bench_1(tmp_path: Path) -> None:
    folder = write_task(
        tmp_path / "old",
        {
            "task.yaml": "instruction: |-\n  Do it.\ndifficulty: hard\nmax_test_timeout_sec: 70\n",
            "Dockerfile": "FROM x\n",
            "run-tests.sh": "exit 0\n",
            "tests/test_outputs.py": "",
            "solution.sh": "true\n",
        },
    )
    task = read_task(folder)
    [stage] = task.stages
    assert (task.instruction, task.metadata["difficulty"]) == ("Do it.", "hard")
    assert stage.check.by_exit_code
    assert (stage.check.timeout, stage.agent_timeout) == (70, 360)
    assert stage.solution is not None
    assert stage.solution.script == "solution.sh"
    (folder / "run-tests.sh").unlink()
    with pytest.raises(ConfigError, match=r"has no run-tests\.sh"):
        read_task(folder)


HARBORS_VIEW = """
import json, sys, warnings
warnings.simplefilter("ignore")
from harbor.models.task.config import TaskConfig
config = TaskConfig.model_validate_toml(open(sys.argv[1]).read())
print(json.dumps(config.model_dump(mode="json")))
"""


@pytest.mark.slow
@pytest.mark.parametrize("toml", [FULL, "", TASK["task.toml"], STEPS])
def test_harbor_reads_the_same(tmp_path: Path, toml: str) -> None:
    python = part("harbor") / "bin" / "python"
    path = own_task(tmp_path / "t", task_toml=toml) / "task.toml"
    shown = subprocess.run(
        [python, "-c", HARBORS_VIEW, path], capture_output=True, text=True, check=True, timeout=60
    )
    theirs: dict[str, Any] = json.loads(shown.stdout)
    ours = read_settings(path).model_dump(mode="json")
    for table in ("agent", "verifier", "environment", "solution"):
        for name, value in ours[table].items():
            assert theirs[table][name] == value, f"{table}.{name}"
    assert [step["name"] for step in theirs["steps"] or []] == [s["name"] for s in ours["steps"]]
