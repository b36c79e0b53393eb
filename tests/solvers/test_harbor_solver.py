"""Agents of the real harbor package in real workspaces, against a scripted model."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from engines import require
from harbor_model import refused
from loopback import Call, Loopback, Reply, error, text_reply
from parts import part
from runs import rows
from tmux_image import BASE, tmux_image

from nemo_evaluator import evaluate_async
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.results.trajectory_row import FinalMetrics, read_trajectories
from task_folders import TASK, write_task

KEY = "sk-real-key-of-the-endpoint"
AWKWARD = 'It\'s `$(touch /root/x)` "two"\n  words \\n'
BENCH = """
from nemo_evaluator import SandboxSpec, ScorerInput, benchmark, scorer

@benchmark(
    name="tasks",
    dataset=[{"n": n, "target": "Hello"} for n in range(2)],
    prompt="Write Hello to hello.txt",
    workspace=lambda row: SandboxSpec(cwd="/root", read_only=False, user=0),
)
@scorer
async def tasks(sample: ScorerInput) -> dict:
    done = await sample.sandbox.exec("cat hello.txt env.txt")
    return {"correct": "Hello" in done.stdout, "extracted": done.stdout}
"""
OWN = Path(__file__).resolve().parents[1] / "support" / "harbor_agents.py"


def terminus(*turns: dict[str, Any]) -> Any:
    """The reply to a request by the number of answers before it."""

    def script(call: Call) -> Reply:
        said = sum(message["role"] == "assistant" for message in call.body["messages"])
        return text_reply(call, json.dumps(turns[min(said, len(turns) - 1)]))

    return script


def act(*keys: str, done: bool = False) -> dict[str, Any]:
    commands = [{"keystrokes": f"{key}\n", "duration": 0.3} for key in keys]
    return {"analysis": "a", "plan": "p", "commands": commands, "task_complete": done}


@pytest.fixture
def harbor(monkeypatch: pytest.MonkeyPatch) -> None:
    require("docker")
    monkeypatch.setenv("NEL_HARBOR_PYTHON", str(part("harbor") / "bin" / "python"))


def document(tmp_path: Path, url: str, solver: dict[str, Any], **more: Any) -> dict[str, Any]:
    (tmp_path / "tasks.py").write_text(BENCH)
    model = {"type": "api", "url": url, "protocol": "chat_completions", "model": "m"}
    return {
        "services": {"model": {**model, "api_key": KEY, "price": {"prompt": 1, "completion": 2}}},
        "solver": {"type": "harbor", **solver},
        "benchmarks": [
            {
                "name": str(tmp_path / "tasks.py"),
                "timeout": 100,
                "max_system_retries": 1,
                "sandbox": {"type": "docker", "image": tmux_image(), "stateful": True},
                **more,
            }
        ],
        "output": {"dir": str(tmp_path / "run"), "report": []},
    }


def texts(folder: Path) -> str:
    return "".join(path.read_text() for path in folder.rglob("*") if path.is_file())


@pytest.mark.slow
async def test_terminus_2_completes_a_task(
    tmp_path: Path, loopback: Loopback, harbor: None
) -> None:
    loopback.script(
        terminus(
            act("echo Hello > /root/hello.txt"),
            act("cat /root/hello.txt"),
            act(done=True),
        )
    )
    given = document(tmp_path, loopback.url, {"agent": "terminus-2", "service": "model"})
    result = await evaluate_async(given)
    found = rows(tmp_path / "run/tasks")
    assert [row["reward"] for row in found] == [1.0, 1.0], found
    assert result.exit_code == 0 and len(loopback.calls) == 8
    assert {call.headers["authorization"] for call in loopback.calls} == {f"Bearer {KEY}"}
    trajectories = list(read_trajectories(tmp_path / "run/tasks"))
    assert refused(row.document for row in trajectories) == []
    for row in trajectories:
        assert row.agent.name == "terminus-2" and row.requests == 4
        calls = [call for step in row.steps for call in step.tool_calls]
        assert calls[0].arguments["keystrokes"] == "echo Hello > /root/hello.txt\n"
        metrics = [step.metrics for step in row.steps if step.source == "agent"]
        costs = [found.cost_usd for found in metrics if found is not None and found.cost_usd]
        assert len(costs) == len(metrics) == 4
        assert isinstance(row.final_metrics, FinalMetrics)
        assert row.final_metrics.total_cost_usd == pytest.approx(sum(costs))
    assert KEY not in texts(tmp_path / "run")


@pytest.mark.slow
async def test_an_agent_of_ones_own(tmp_path: Path, loopback: Loopback, harbor: None) -> None:
    loopback.script(lambda call: text_reply(call, "Hello"))
    solver = {"agent": f"{OWN}:Writer", "service": "model"}
    await evaluate_async(document(tmp_path, loopback.url, solver))
    found = rows(tmp_path / "run/tasks")
    assert [row["reward"] for row in found] == [1.0, 1.0], found
    assert found[0]["model_response"] == "wrote Hello in /root"
    assert found[0]["solver_details"]["agent_version"] == "3"
    assert "OPENAI_API_KEY=" in found[0]["extracted_answer"]  # that of its session
    assert KEY not in texts(tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "outcome", "told"),
    [
        (None, "scored", None),
        ("hang", "scored", None),
        ("stubborn", "scored", None),
        ("setup", "infra_error", "could not be set up: OSError: nothing can be installed here"),
        ("crash", "infra_error", "the agent raised ValueError: I am broken"),
        ("exit", "infra_error", "the agent called sys.exit(4)"),
        ("die", "infra_error", "harbor ended with exit code 3"),
    ],
)
async def test_how_an_agent_ends(
    tmp_path: Path, loopback: Loopback, harbor: None, what: str | None, outcome: str, told: str
) -> None:
    solver: dict[str, Any] = {"agent": f"{OWN}:Alone", "run_timeout": 2}
    solver["agent_kwargs"] = {} if what is None else {"what": what}
    await evaluate_async(document(tmp_path, loopback.url, solver, max_problems=1))
    [row] = rows(tmp_path / "run/tasks")
    assert row["outcome"] == outcome and loopback.calls == []
    if told:
        assert told in row["scoring_details"]["error"]
    else:
        assert row["reward"] == 1.0 and row.get("ended_by") == ("time" if what else None)


@pytest.mark.slow
async def test_an_agent_that_blocks_is_ended_with_its_process(
    tmp_path: Path, harbor: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nemo_evaluator.solvers.harbor.worker.ANSWER_SECONDS", 0.5)
    monkeypatch.setattr("nemo_evaluator.foreign.worker.END_SECONDS", 0.5)
    solver = {"agent": f"{OWN}:Alone", "agent_kwargs": {"what": "block"}}
    await evaluate_async(
        document(tmp_path, "http://127.0.0.1:9", solver, max_problems=1, timeout=5)
    )
    [row] = rows(tmp_path / "run/tasks")
    assert row["outcome"] == "infra_error" and row["reward"] is None


@pytest.mark.slow
async def test_an_agent_that_is_a_folder(tmp_path: Path, loopback: Loopback, harbor: None) -> None:
    folder = tmp_path / "agent"
    folder.mkdir()
    (folder / "agent.toml").write_text('[agent]\nname = "mine"\nversion = "7"\n')
    (folder / "install.sh.j2").write_text("echo {{ word }} > /tmp/word\n")
    (folder / "run.sh.j2").write_text(
        "cp /tmp/word hello.txt\n"
        'printf %s "{{ instruction }}" | cmp - /installed-agent/instruction.md || exit 9\n'
        "printf %s {{ instruction }} | cmp - /installed-agent/instruction.md && echo same\n"
    )
    solver = {"agent": str(folder), "agent_kwargs": {"word": "Hello"}}
    given = document(tmp_path, loopback.url, solver, max_problems=1)
    (tmp_path / "tasks.py").write_text(BENCH.replace('"Write Hello to hello.txt"', repr(AWKWARD)))
    await evaluate_async(given)
    [row] = rows(tmp_path / "run/tasks")
    assert row["reward"] == 1.0 and row["model_response"] == "same\n", row
    assert row["solver_details"]["agent_version"] == "7"


ASK = """\
import json, os, urllib.request
body = {"model": os.environ["OPENAI_MODEL"], "messages": [{"role": "user", "content": "Hi"}]}
request = urllib.request.Request(
    os.environ["OPENAI_BASE_URL"] + "/chat/completions",
    json.dumps(body).encode(),
    {"Content-Type": "application/json", "Authorization": "Bearer " + os.environ["LLM_API_KEY"]},
)
said = json.load(urllib.request.urlopen(request, timeout=20))["choices"][0]["message"]["content"]
open("hello.txt", "w").write(said + open("/skills/greeting/SKILL.md").read())
"""


def folder_of(tmp_path: Path, run: str) -> str:
    folder = tmp_path / "agent"
    folder.mkdir()
    (folder / "agent.toml").write_text('name = "mine"\n')
    (folder / "run.sh.j2").write_text(run)
    return str(folder)


@pytest.mark.slow
async def test_an_agent_inside_reaches_its_model_and_its_skill(
    tmp_path: Path, loopback: Loopback, harbor: None
) -> None:
    loopback.script(lambda call: text_reply(call, "Hello"))
    (tmp_path / "skill").mkdir()
    (tmp_path / "skill/SKILL.md").write_text("say it politely")
    run = f"python3 - <<'END' && printf %s {{{{ instruction }}}}\n{ASK}END\n"
    solver = {"agent": folder_of(tmp_path, run), "service": "model"}
    solver |= {"skill": "greeting", "skill_dir": str(tmp_path / "skill")}
    await evaluate_async(document(tmp_path, loopback.url, solver, max_problems=1))
    [row] = rows(tmp_path / "run/tasks")
    assert row["reward"] == 1.0 and "Hellosay it politely" in row["extracted_answer"], row
    assert "Read /skills/greeting/SKILL.md" in row["model_response"]
    assert len(loopback.calls) == 1
    assert loopback.calls[0].headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in texts(tmp_path / "run")


@pytest.mark.slow
async def test_an_agent_inside_is_asked_to_end_before_it_is_ended(
    tmp_path: Path, loopback: Loopback, harbor: None
) -> None:
    run = "trap 'echo Hello > hello.txt; exit' TERM\nsleep 100 & wait\n"
    solver = {"agent": folder_of(tmp_path, run), "run_timeout": 3}
    await evaluate_async(document(tmp_path, loopback.url, solver, max_problems=1))
    [row] = rows(tmp_path / "run/tasks")
    assert (row["reward"], row["ended_by"]) == (1.0, "time"), row


@pytest.mark.slow
async def test_terminus_2_on_a_task_in_steps(
    tmp_path: Path, loopback: Loopback, harbor: None
) -> None:
    loopback.script(terminus(act("echo 42 > answer.txt"), act(done=True)))
    steps = "".join(f'[[steps]]\nname = "{name}"\n' for name in ("one", "two"))
    files = {
        "task.toml": f"[environment]\nallow_internet = false\n{steps}",
        "environment/Dockerfile": f"FROM {tmux_image()}\nWORKDIR /app\n",
    }
    for name in ("one", "two"):
        files[f"steps/{name}/instruction.md"] = f"Write the answer {name}."
        files[f"steps/{name}/tests/test.sh"] = TASK["tests/test.sh"]
    write_task(tmp_path / "tasks/a", files)
    given = document(tmp_path, loopback.url, {"agent": "terminus-2", "service": "model"})
    given["benchmarks"] = [
        {
            "name": f"harbor://{tmp_path / 'tasks'}",
            "max_system_retries": 1,
            "sandbox": {"type": "docker"},
        }
    ]
    await evaluate_async(given)
    [row] = rows(tmp_path / "run/tasks")
    assert row["reward"] == 1.0 and row["calls"] == len(loopback.calls) == 6, row
    [line] = read_trajectories(tmp_path / "run/tasks")
    asked = [step.message for step in line.steps if step.source == "user"]
    assert "answer one" in asked[0] and "answer two" in asked[-1]
    assert line.agent.name == "terminus-2" and refused([line.document]) == []


@pytest.mark.slow
async def test_an_agent_in_a_local_workspace(
    tmp_path: Path, loopback: Loopback, harbor: None
) -> None:
    require("local")
    solver = {"agent": f"{OWN}:Alone"}
    given = document(tmp_path, loopback.url, solver, max_problems=1, sandbox={"type": "local"})
    (tmp_path / "tasks.py").write_text(BENCH.replace('cwd="/root", read_only=False, user=0', ""))
    await evaluate_async(given)
    [row] = rows(tmp_path / "run/tasks")
    assert row["reward"] == 1.0, row


@pytest.mark.slow
async def test_the_agent_of_the_page_works(
    tmp_path: Path, loopback: Loopback, harbor: None
) -> None:
    page = Path(__file__).resolve().parents[2] / "docs/agents/harbor-agents.md"
    [code] = re.findall(r"^```py\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "my_agent.py").write_text(code)
    loopback.script(lambda call: text_reply(call, "echo Hello | tee hello.txt"))
    solver = {"agent": f"{tmp_path}/my_agent.py:Once", "service": "model"}
    await evaluate_async(document(tmp_path, loopback.url, solver, max_problems=1))
    [row] = rows(tmp_path / "run/tasks")
    assert row["reward"] == 1.0 and row["model_response"] == "Hello\n", row


@pytest.mark.slow
async def test_an_agent_that_crashes_after_its_work(
    tmp_path: Path, loopback: Loopback, harbor: None
) -> None:
    loopback.script(lambda call: text_reply(call, "Hello"))
    solver = {
        "agent": f"{OWN}:Writer",
        "service": "model",
        "agent_kwargs": {"crash": True},
    }
    await evaluate_async(document(tmp_path, loopback.url, solver))
    found = rows(tmp_path / "run/tasks")
    assert [row["reward"] for row in found] == [1.0, 1.0], found
    assert found[0]["solver_details"]["agent_error"] == "ValueError: I am broken"


@pytest.mark.slow
async def test_terminus_2_says_that_its_turns_are_over(
    tmp_path: Path, loopback: Loopback, harbor: None
) -> None:
    loopback.script(terminus(act("echo Hello > hello.txt"), act("ls")))
    solver = {"agent": "terminus-2", "service": "model", "agent_kwargs": {"max_turns": 2}}
    await evaluate_async(document(tmp_path, loopback.url, solver, max_problems=1))
    [row] = rows(tmp_path / "run/tasks")
    assert (row["reward"], row["ended_by"]) == (1.0, "turns")


@pytest.mark.slow
async def test_a_budget_ends_terminus_2(tmp_path: Path, loopback: Loopback, harbor: None) -> None:
    loopback.script(terminus(act("echo Hello > hello.txt"), act("ls")))
    given = document(
        tmp_path, loopback.url, {"agent": "terminus-2", "service": "model"}, max_problems=1
    )
    budget = {"name": "budget", "config": {"session": {"tokens": 1100}}}
    given["services"]["model"]["proxy"] = {"interceptors": [budget]}
    result = await evaluate_async(given)
    [row] = rows(tmp_path / "run/tasks")
    assert (row["reward"], row["ended_by"]) == (1.0, "tokens"), row
    assert result.exit_code == 0 and 1100 <= row["tokens"] < 2000


@pytest.mark.slow
async def test_terminus_2_without_tmux(tmp_path: Path, loopback: Loopback, harbor: None) -> None:
    given = document(tmp_path, loopback.url, {"agent": "terminus-2", "service": "model"})
    given["benchmarks"][0] |= {"sandbox": {"type": "docker", "image": BASE}, "max_problems": 1}
    await evaluate_async(given)
    [row] = rows(tmp_path / "run/tasks")
    assert row["outcome"] == "infra_error" and loopback.calls == []
    assert "terminus-2 needs tmux" in row["scoring_details"]["error"]


@pytest.mark.slow
async def test_an_endpoint_that_fails_is_no_answer(
    tmp_path: Path, loopback: Loopback, harbor: None
) -> None:
    loopback.script(error(401, "no such key"))
    solver = {"agent": "terminus-2", "service": "model"}
    await evaluate_async(document(tmp_path, loopback.url, solver, max_problems=1))
    [row] = rows(tmp_path / "run/tasks")
    assert row["outcome"] == "infra_error" and row["reward"] is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("solver", "told"),
    [
        ({"agent": "terminus2"}, "did you mean 'terminus-2'"),
        ({"agent": "terminus-2", "service": None}, "the agent 'terminus-2' asks a model"),
        ({"agent": "terminus-2", "agent_kwargs": {"max_turn": 1}}, "did you mean 'max_turns'"),
        ({"agent": "terminus-2", "agent_kwargs": {"api_base": "x"}}, "reached through the eval"),
        ({"agent": "cursor-cli"}, "set CURSOR_API_KEY"),
        ({"agent": "nothing:Agent"}, "No module named 'nothing'"),
        ({"agent": "nop", "python": "/bin/true"}, "no Python interpreter that runs"),
        ({"agent": "nop", "skill": "s", "skill_dir": "/nowhere"}, "no folder with a SKILL.md"),
        ({"agent": "/tmp"}, "has no agent.toml"),
        ({"agent": "nop", "environment": "dockr"}, "did you mean 'docker'"),
        ({"agent": "mini-swe-agent", "environment": f"{OWN}:Container"}, "does not reach its mod"),
    ],
)
async def test_what_cannot_work_is_told_before_the_run(
    tmp_path: Path, loopback: Loopback, harbor: None, solver: dict[str, Any], told: str
) -> None:
    given = document(tmp_path, loopback.url, {"service": "model", **solver})
    with pytest.raises(ConfigError, match=told) as caught:
        await evaluate_async(given)
    assert "\n" not in str(caught.value) and loopback.calls == []


TEST_SH = "grep -q Hello /root/hello.txt && R=1 || R=0\necho $R > /logs/verifier/reward.txt\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("agent", "test_sh", "reward"),
    [(f"{OWN}:Alone", TEST_SH, 1.0), ("nop", TEST_SH, 0.0), ("nop", "exit 0\n", None)],
)
async def test_harbor_runs_the_whole_trial(
    tmp_path: Path, harbor: None, agent: str, test_sh: str, reward: float | None
) -> None:
    files = {
        "instruction.md": "Write Hello to hello.txt",
        "task.toml": f'[environment]\ndocker_image = "{tmux_image()}"\nallow_internet = false\n',
        "environment/Dockerfile": f"FROM {tmux_image()}\n",
        "tests/test.sh": f"#!/bin/bash\n{test_sh}",
    }
    for name, text in files.items():
        path = tmp_path / "tasks/one" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    solver = {"type": "harbor", "agent": agent, "environment": f"{OWN}:Container"}
    given = {
        "solver": solver,
        "benchmarks": [{"name": f"harbor://{tmp_path / 'tasks'}", "max_system_retries": 1}],
        "output": {"dir": str(tmp_path / "run"), "report": []},
    }
    await evaluate_async(given)
    [row] = rows(tmp_path / "run/tasks")
    assert row["reward"] == reward, row
    if reward is None:
        assert row["outcome"] == "infra_error"
    left = ["docker", "ps", "-aq", "--filter", "label=nel-test=harbor"]
    assert subprocess.run(left, capture_output=True, check=True).stdout == b""
