"""Tasks of Harbor in real containers: what their own tests say, and what is no answer of theirs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from engines import require
from runs import rows

from task_folders import BASE, TASK, have_images, own_task, shared_tasks, write_task

Nel = Callable[..., subprocess.CompletedProcess[str]]

PYTHON_TESTS = """\
#!/bin/bash
if python3 -m unittest /tests/test_it.py; then echo 1; else echo 0; fi > /logs/verifier/reward.txt
"""
UNITTEST = """\
import unittest, pathlib
class It(unittest.TestCase):
    def test(self):
        assert pathlib.Path("answer.txt").read_text().strip() == "42"
"""
RUNNER = """\
RUN mkdir /opt/tools && printf '#!/bin/sh\\nexit 1\\n' > /opt/tools/uv && chmod +x /opt/tools/uv
ENV PATH=/opt/tools:/usr/local/bin:/usr/bin:/bin
WORKDIR /app
"""
ENTRY = 'ENTRYPOINT ["/e.sh"]\n'
FORGING_ENTRY = """\
#!/bin/bash
sed -i '2i (while :; do mkdir -p /logs/verifier; echo 1 > /logs/verifier/reward.txt; done) &' /e.sh
setsid sleep 600 > /dev/null 2>&1 &
"""
PATCH = """\
#!/bin/bash
printf '#!/bin/sh\\nexit 0\\n' > /usr/local/bin/python3
cp /usr/local/bin/python3 /usr/bin/tr
chmod +x /usr/local/bin/python3
for d in /usr/lib/python3/dist-packages /usr/local/lib/python3.11/dist-packages; do
  mkdir -p $d; echo 'import os; os._exit(0)' > $d/sitecustomize.py
done
echo 'import os; os._exit(0)' >> $(ls /usr/lib/python3.*/unittest/__init__.py)
touch kept
"""
FORGER = """\
#!/bin/bash
mkdir -p /logs/verifier
setsid sh -c 'while :; do mkdir -p /logs/verifier; echo 1 > /logs/verifier/reward.txt; done' \
  > /dev/null 2>&1 &
"""
OF_DEV = "RUN useradd dev && install -d -o dev /app\nWORKDIR /app\n"
STEPS = """\
[environment]
allow_internet = false
[[steps]]
name = "one"
min_reward = 1
[[steps]]
name = "two"
"""
SECOND = "[ -s first.txt ] && [ ! -e /tests/one.txt ] && echo 0.5 > /logs/verifier/reward.txt\n"


def evaluated(nel: Nel, folder: Path, solver: str, **benchmark: Any) -> list[dict[str, Any]]:
    """The rows of a run over a folder of tasks, by the names of the tasks."""
    entry = {"name": f"harbor://{folder}", "solver": {"type": solver}, **benchmark}
    entry.setdefault("max_system_retries", 1)
    path = folder.parent / f"{solver}.yaml"
    out = folder.parent / f"out-{solver}"
    path.write_text(yaml.safe_dump({"benchmarks": [entry], "output": {"dir": str(out)}}))
    done = nel("eval", "run", path, timeout=300)
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 3), done.stderr
    found = rows(out / folder.name)
    assert found, done.stderr
    return found


@pytest.fixture(autouse=True)
def docker() -> None:
    require("docker")


def test_oracle_is_right_and_nop_is_wrong(tmp_path: Path, nel: Nel) -> None:
    tasks = tmp_path / "tasks"
    own_task(tasks / "b-task")
    own_task(tasks / "a-task", task_toml="[metadata]\ncategory = 'easy'\n[agent]\ntimeout_sec=9\n")
    one, other = evaluated(nel, tasks, "oracle")
    assert (one["reward"], other["reward"]) == (1.0, 1.0)
    assert one["metadata"]["task"] == "a-task"
    assert one["metadata"]["category"] == "easy"
    assert one["metadata"]["agent_timeout_sec"] == 9
    assert one["prompt"] == "Write the answer to answer.txt.\n"
    assert [row["reward"] for row in evaluated(nel, tasks, "nop")] == [0.0, 0.0]
    steps = json.loads(
        (tmp_path / "out-oracle/tasks/trajectories.jsonl").read_text().split("\n")[0]
    )
    assert "/solution/solve.sh" in json.dumps(steps["steps"])


@pytest.mark.slow
def test_what_tests_say_and_what_is_no_verdict(tmp_path: Path, nel: Nel) -> None:
    tasks = tmp_path / "tasks"
    wrong = "#!/bin/bash\necho 0 > /logs/verifier/reward.txt\n"
    own_task(tasks / "daemon", solution_solve_sh=FORGER, tests_test_sh=wrong + "sleep 1\n")
    own_task(tasks / "forged", solution_solve_sh="echo 1 > /logs/verifier/reward.txt\n")
    own_task(
        tasks / "forged-silent",
        solution_solve_sh="echo 1 > /logs/verifier/reward.txt\n",
        tests_test_sh="echo wrong; exit 1\n",
    )
    own_task(tasks / "garbage", tests_test_sh="echo great > /logs/verifier/reward.txt\n")
    own_task(tasks / "no-reward", tests_test_sh="echo hello\n")
    own_task(
        tasks / "slow-tests",
        tests_test_sh="sleep 60\n",
        task_toml="[verifier]\ntimeout_sec = 1\n[environment]\nallow_internet = false\n",
    )
    own_task(tasks / "no-runner", tests_test_sh="uvx pytest\n" + wrong)
    own_task(tasks / "no-image", environment_Dockerfile="FROM registry.invalid/none:1\n")
    own_task(
        tasks / "entry-point",
        environment_Dockerfile=f"FROM {BASE}\nCOPY e.sh /e.sh\nWORKDIR /app\n{ENTRY}",
        solution_solve_sh=FORGING_ENTRY,
        tests_test_sh=wrong + "sleep 1\n",
        **{"environment/e.sh": '#!/bin/sh\nexec "$@"\n'},
    )
    own_task(
        tasks / "patched",
        tests_test_sh=PYTHON_TESTS,
        solution_solve_sh=PATCH,
        **{"tests/test_it.py": UNITTEST},
    )
    own_task(
        tasks / "spoiled",
        environment_Dockerfile=f"FROM {BASE}\n{RUNNER}",
        tests_test_sh="uv || echo 0 > /logs/verifier/reward.txt\n",
        solution_solve_sh="rm /opt/tools/uv",
    )
    found = {row["metadata"]["task"]: row for row in evaluated(nel, tasks, "oracle")}
    assert {name: (row["outcome"], row["reward"]) for name, row in found.items()} == {
        "daemon": ("scored", 0.0),
        "forged": ("scored", 0.0),
        "forged-silent": ("unscored", None),
        "garbage": ("unscored", None),
        "no-reward": ("unscored", None),
        "slow-tests": ("unscored", None),
        "no-runner": ("infra_error", None),
        "no-image": ("infra_error", None),
        "entry-point": ("scored", 0.0),
        "patched": ("scored", 0.0),
        "spoiled": ("scored", 0.0),
    }
    assert found["forged"]["scoring_details"]["reward_file_before"] is True
    silent = found["forged-silent"]["scoring_details"]
    assert silent["reward_file_before"] is True, "told of tests without a verdict too"
    assert (silent["exit_code"], silent["test_output"]) == (1, "wrong\n")
    findings = json.loads(nel("audit", tmp_path / "out-oracle", "--json").stdout)[0]["findings"]
    assert {f["kind"]: f["count"] for f in findings}["reward_before"] == 4
    spoiled, patched = found["spoiled"]["scoring_details"], found["patched"]["scoring_details"]
    assert "uv: command not found" in spoiled["verifier_broken_by_agent"]
    assert "/usr/local/bin/python3" in patched["tools_set_back"]
    assert any(path.endswith("/sitecustomize.py") for path in patched["tools_set_back"])
    assert "FAILED (errors=1)" in patched["test_output"]
    assert "uvx: command not found" in found["no-runner"]["scoring_details"]["error"]
    assert "no number but 'great'" in found["garbage"]["scoring_details"]["error"]
    assert "longer than 1 s" in found["slow-tests"]["scoring_details"]["error"]


@pytest.mark.slow
def test_tasks_of_every_shape(tmp_path: Path, nel: Nel) -> None:
    tasks = tmp_path / "tasks"
    own_task(
        tasks / "user",
        environment_Dockerfile=f"FROM {BASE}\n{OF_DEV}",
        task_toml="[agent]\nuser='dev'\n[verifier]\nuser='root'\n" + TASK["task.toml"],
        solution_solve_sh="#!/bin/bash\nbash /solution/lib/answer.sh\n",
        tests_test_sh="[ $(stat -c %U answer.txt) = dev ] && [ $(id -u) = 0 ] && "
        "echo 1 > /logs/verifier/reward.txt\n",
        **{"solution/lib/answer.sh": "id -un > answer.txt\n"},
    )
    own_task(
        tasks / "separate",
        task_toml="artifacts=['/app/out']\n[verifier]\nenvironment_mode='separate'\n"
        "[environment]\nallow_internet=false\n",
        solution_solve_sh="mkdir out; echo 42 > out/answer.txt; touch left-behind\n",
        tests_test_sh="[ -s out/answer.txt ] && [ ! -e left-behind ] && "
        "echo 1 > /logs/verifier/reward.txt\n",
    )
    own_task(
        tasks / "numbers",
        tests_test_sh='echo \'{"reward": 1, "speed": 3.5}\' > /logs/verifier/reward.json\n',
    )
    own_task(
        tasks / "anywhere",
        solution_solve_sh="echo 42 > /etc/answer\n",
        tests_test_sh="cp /etc/answer /logs/verifier/x && echo 1 > /logs/verifier/reward.txt\n",
    )
    own_task(
        tasks / "healthy",
        environment_Dockerfile=f"FROM {BASE}\nWORKDIR /app\nRUN printf '#!/bin/sh\\n"
        '(sleep 1; touch /tmp/up) & exec "$@"\\n\' > /e.sh && chmod +x /e.sh\n'
        'ENTRYPOINT ["/e.sh"]\n',
        task_toml="[environment]\nallow_internet=false\n[environment.healthcheck]\n"
        "command='test -e /tmp/up'\ninterval_sec=0.3\nretries=20\n",
        solution_solve_sh="test -e /tmp/up && echo 42 > answer.txt\n",
    )
    stepped = own_task(tasks / "steps", task_toml=STEPS, instruction_md=None)
    write_task(
        stepped / "steps",
        {
            "one/instruction.md": "first",
            "one/solution/solve.sh": "cat given.txt > first.txt\n",
            "one/workdir/given.txt": "given",
            "one/tests/test.sh": "echo 1 > /logs/verifier/reward.txt\n",
            "one/tests/one.txt": "",
            "two/instruction.md": "second",
            "two/solution/solve.sh": "true\n",
            "two/tests/test.sh": SECOND,
        },
    )
    write_task(
        tasks / "old",
        {
            "task.yaml": "instruction: Do it.\n",
            "Dockerfile": f"FROM {BASE}\nWORKDIR /app\n",
            "run-tests.sh": "test -s $TEST_DIR/expected && test -s answer.txt\n",
            "tests/expected": "x",
            "solution.sh": "echo 42 > answer.txt\n",
        },
    )
    found = {row["metadata"]["task"]: row for row in evaluated(nel, tasks, "oracle")}
    assert {name: row["reward"] for name, row in found.items()} == {
        "user": 1.0,
        "separate": 1.0,
        "numbers": 1.0,
        "anywhere": 1.0,
        "healthy": 1.0,
        "steps": 0.75,
        "old": 1.0,
    }, found
    assert found["numbers"]["scoring_details"]["metrics"] == {"speed": 3.5}
    steps = found["steps"]["scoring_details"]["steps"]
    assert [step["rewards"]["reward"] for step in steps] == [1.0, 0.5]
    nothing = {row["metadata"]["task"]: row for row in evaluated(nel, tasks, "nop")}
    assert nothing["steps"]["outcome"] == "unscored", "the last step wrote no reward"
    assert nothing["old"]["reward"] == 0.0


@pytest.mark.slow
def test_the_shared_tasks(shared_dir: Path, tmp_path: Path, nel: Nel) -> None:
    tasks = shared_tasks(shared_dir / "data", tmp_path / "tasks")
    have_images(tasks)
    assert {row["reward"] for row in evaluated(nel, tasks, "oracle")} == {1.0}
    assert {row["reward"] for row in evaluated(nel, tasks, "nop")} == {0.0}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"tests_test_sh": None}, "has no tests/test.sh"),
        ({"task_toml": "x = \n"}, "task.toml:1: is no valid TOML"),
        ({"instruction_md": None}, "instruction.md: there is no such file"),
        ({"task_toml": "[verifier.env]\nK = '${SECRET_OF_MINE}'\n"}, "wants to read the variable"),
        ({"task_toml": "[environment]\nnetwork_mode = 'allowlist'\n"}, "reach only some hosts"),
    ],
)
def test_mistakes_cost_nothing(
    tmp_path: Path, nel: Nel, changed: dict[str, str | None], message: str
) -> None:
    own_task(tmp_path / "tasks" / "good")
    own_task(tmp_path / "tasks" / "bad", **changed)
    path = tmp_path / "c.yaml"
    path.write_text(f"benchmarks: [{{name: 'harbor://{tmp_path}/tasks', solver: {{type: nop}}}}]\n")
    done = nel("eval", "run", path)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_without_an_engine_nothing_begins(tmp_path: Path, nel: Nel) -> None:
    own_task(tmp_path / "tasks" / "good")
    path = tmp_path / "c.yaml"
    path.write_text(f"benchmarks: [{{name: 'harbor://{tmp_path}/tasks', solver: {{type: nop}}}}]\n")
    done = nel("eval", "run", path, DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    assert done.returncode == 2
    assert "the docker sandbox needs a Docker engine" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_a_solver_without_a_workspace_is_refused(tmp_path: Path, nel: Nel) -> None:
    own_task(tmp_path / "tasks" / "good")
    done = nel("eval", "run", "-b", f"harbor://{tmp_path}/tasks", "--model-url", "simulated")
    assert done.returncode == 2
    assert "this solver works in none" in done.stderr
