"""An agent in a workspace: it edits files, asks the model through the door, is verified there."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
from engines import require
from loopback import Loopback
from runs import NEL, ROOT, rows

from nemo_evaluator import SandboxSpec, SeedResult, SolveResult, evaluate_async
from nemo_evaluator.errors import ConfigError, InfraError, ModelError
from nemo_evaluator.results.journal import Errored, events
from nemo_evaluator.sandboxes.docker_api import Engine
from nemo_evaluator.sandboxes.docker_build import Builder
from nemo_evaluator.sandboxes.docker_images import Images
from nemo_evaluator.sandboxes.docker_sandbox import DockerSandbox
from nemo_evaluator.solvers.contract import Endpoint, SolverNeeds, SolveTools
from nemo_evaluator.steps import Observation, ObservationResult, Step, StepSource, ToolCall
from nemo_evaluator.tasks.images import found_images, remove_images
from nemo_evaluator.types import Failure, Json, Phase, Problem, Solution

IMAGE = "sandbox-base:latest"
KEY = "sk-real-key-of-the-endpoint"

AGENT = """
import json, os, sys, time, urllib.request

body = {"model": os.environ["OPENAI_MODEL"], "messages": [{"role": "user", "content": sys.argv[1]}]}
request = urllib.request.Request(
    os.environ["OPENAI_BASE_URL"] + "/chat/completions",
    json.dumps(body).encode(),
    {"Content-Type": "application/json", "Authorization": "Bearer " + os.environ["OPENAI_API_KEY"]},
)
answer = json.load(urllib.request.urlopen(request))["choices"][0]["message"]["content"]
with open("env.txt", "w") as file:
    file.write(repr(dict(os.environ)))
open("answer.txt", "w").write(answer + open("given.txt").read())
if os.fork() == 0:  # a daemon that goes on when the agent has ended
    os.setsid()
    while True:
        open("answer.txt", "a").write("forged")
        time.sleep(0.01)
"""

BENCH = """
from pathlib import Path

from nemo_evaluator import InfraError, SandboxSpec, ScorerInput, benchmark, scorer


@benchmark(
    name="tasks",
    dataset=[{"n": n, "target": "given"} for n in range(3)],
    prompt="task {n}",
    workspace=lambda row: SandboxSpec(files={"given.txt": b"given"}),
)
@scorer
async def tasks(sample: ScorerInput) -> dict:
    if (Path(__file__).parent / "no-verifier").exists():
        raise InfraError("the verifier is not there")
    if not (await sample.sandbox.exec("test -e answer.txt")).ok:
        return {"correct": False, "extracted": "nothing"}
    before = (await sample.sandbox.exec("wc -c answer.txt")).stdout
    text = (await sample.sandbox.download("answer.txt")).decode()
    await sample.sandbox.exec("sleep 0.1")
    after = (await sample.sandbox.exec("wc -c answer.txt")).stdout
    return {"correct": "given" in text and before == after, "extracted": text[:40]}
"""


class InsideAgent:
    """Runs its agent in the workspace, as a process of its own."""

    needs = SolverNeeds(sandbox=True, network="door")
    endpoints: ClassVar[list[Endpoint]] = []

    async def solve(self, problem: Problem, tools: SolveTools) -> Solution:
        assert tools.workspace is not None and tools.context.deadline is not None
        assert tools.context.deadline > time.monotonic()
        endpoint = await tools.door(inside=True)
        self.endpoints.append(endpoint)
        sandbox = tools.workspace.sandbox
        tools.steps.add(Step(source=StepSource.USER, message=problem.prompt))
        await sandbox.upload("/tmp/agent.py", AGENT.encode())
        agent = await sandbox.start(
            ["python3", "/tmp/agent.py", problem.prompt], env=endpoint.env()
        )
        code = await agent.wait(60)
        assert code == 0, agent.stderr.text
        tools.steps.add(
            Step(
                source=StepSource.AGENT,
                message="done",
                tool_calls=(ToolCall(tool_call_id="1", function_name="bash"),),
                observation=Observation(
                    results=(ObservationResult(source_call_id="1", content="code 0"),)
                ),
            )
        )
        return Solution(response="see the files")

    def identity(self) -> Mapping[str, Json]:
        return {"type": "inside"}

    async def close(self) -> None:
        pass


class FailingAgent(InsideAgent):
    """Calls the model, records a step, and fails."""

    async def solve(self, problem: Problem, tools: SolveTools) -> Solution:
        assert tools.model is not None
        await tools.model.generate(prompt=problem.prompt, context=tools.context)
        tools.steps.add(Step(source=StepSource.AGENT, message="I tried"))
        raise InfraError("the agent's machine is broken")


class HangingAgent(InsideAgent):
    """Never asks anything."""

    async def solve(self, problem: Problem, tools: SolveTools) -> Solution:
        await asyncio.sleep(600)
        return Solution(response="")


class RefusedAgent(InsideAgent):
    """Records a step, and is refused by its model."""

    async def solve(self, problem: Problem, tools: SolveTools) -> Solution:
        tools.steps.add(Step(source=StepSource.AGENT, message="I tried"))
        raise ModelError("the context window is full", kind=Failure.CONTEXT_WINDOW)


class LazyAgent(InsideAgent):
    """Leaves its workspace as it is."""

    async def solve(self, problem: Problem, tools: SolveTools) -> Solution:
        return Solution(response="nothing done")


def document(tmp_path: Path, url: str, engine: str, agent: str, **sandbox: Json) -> dict[str, Any]:
    require(engine)
    bench = tmp_path / "tasks.py"
    bench.write_text(BENCH)
    image = {"image": IMAGE} if engine == "docker" else {}
    return {
        "services": {
            "model": {
                "type": "api",
                "url": url,
                "protocol": "chat_completions",
                "model": "m",
                "api_key": KEY,
            }
        },
        "solver": {"type": "custom", "service": "model", "class_path": f"{__name__}:{agent}"},
        "benchmarks": [
            {
                "name": str(bench),
                "timeout": 60,
                "max_system_retries": 1,
                "sandbox": {"type": engine, **image, **sandbox},
            }
        ],
        "output": {"dir": str(tmp_path / "run"), "report": []},
    }


def traffic(tmp_path: Path) -> list[str]:
    return (tmp_path / "run/tasks/model_traffic.jsonl").read_text().splitlines()


def trajectories(tmp_path: Path) -> list[dict[str, Any]]:
    lines = (tmp_path / "run/tasks/trajectories.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("engine", ["local", "docker"])
@pytest.mark.parametrize("stateful", [True, False])
async def test_an_agent_is_verified_by_what_it_left(
    tmp_path: Path, loopback: Loopback, engine: str, stateful: bool
) -> None:
    InsideAgent.endpoints.clear()
    given = document(tmp_path, loopback.url, engine, "InsideAgent", stateful=stateful)
    result = await evaluate_async(given)
    found = rows(tmp_path / "run/tasks")
    assert [row["reward"] for row in found] == [1.0] * 3, found
    assert result.exit_code == 0 and len(loopback.calls) == 3
    # Its calls are those of its rollouts, by the key of its session and never the real one.
    assert sorted(json.loads(line)["problem_idx"] for line in traffic(tmp_path)) == [0, 1, 2]
    kept = "".join(p.read_text() for p in (tmp_path / "run").rglob("*.json*"))
    assert KEY not in kept
    assert all(endpoint.token not in kept for endpoint in InsideAgent.endpoints)
    steps = trajectories(tmp_path)[0]["steps"]
    assert [step["source"] for step in steps] == ["user", "agent"]
    assert [step["step_id"] for step in steps] == [1, 2] and steps[0]["timestamp"]
    assert steps[1]["tool_calls"][0]["function_name"] == "bash"
    # Nothing is kept of a workspace that has its verdict.
    assert not list((tmp_path / "run/tasks").glob("workspaces/*"))


async def test_a_door_by_a_relay(
    tmp_path: Path, loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for a user who is not root."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    given = document(tmp_path, loopback.url, "docker", "InsideAgent", stateful=True)
    result = await evaluate_async(given)
    assert [row["reward"] for row in rows(tmp_path / "run/tasks")] == [1.0] * 3
    assert result.exit_code == 0 and len(loopback.calls) == 3


async def test_who_does_nothing_gets_nothing(tmp_path: Path, loopback: Loopback) -> None:
    await evaluate_async(document(tmp_path, loopback.url, "local", "LazyAgent"))
    found = rows(tmp_path / "run/tasks")
    assert [(row["reward"], row["extracted_answer"]) for row in found] == [(0.0, "nothing")] * 3


async def test_a_failed_attempt_keeps_its_steps_and_its_costs(
    tmp_path: Path, loopback: Loopback
) -> None:
    result = await evaluate_async(document(tmp_path, loopback.url, "local", "FailingAgent"))
    assert result.exit_code == 3
    found = [e for e in events(tmp_path / "run/tasks/journal.jsonl") if isinstance(e, Errored)]
    assert len(found) == 3
    assert all(event.calls == 1 and event.usage.total_tokens for event in found)
    assert [step.message for step in found[0].steps] == ["I tried"]
    assert trajectories(tmp_path)[0]["steps"][0]["message"] == "I tried"
    assert result.summary.benchmarks[0].runtime.total_tokens > 0


async def test_an_agent_that_hangs_before_it_asks_is_ended(
    tmp_path: Path, loopback: Loopback
) -> None:
    given = document(tmp_path, loopback.url, "local", "HangingAgent")
    given["benchmarks"][0]["timeout"] = 1
    await evaluate_async(given)
    found = trajectories(tmp_path)
    assert [row["failure_category"] for row in found] == ["solve_timeout"] * 3


async def test_a_broken_place_is_no_answer(tmp_path: Path, loopback: Loopback) -> None:
    given = document(
        tmp_path, loopback.url, "local", "LazyAgent", capture_cmd="echo broken >&2; exit 7"
    )
    result = await evaluate_async(given)
    found = trajectories(tmp_path)
    assert result.exit_code == 3
    assert [(row["reward"], row["failure_category"]) for row in found] == [
        (None, "sandbox_error")
    ] * 3
    failed = [e for e in events(tmp_path / "run/tasks/journal.jsonl") if isinstance(e, Errored)]
    assert {event.error.phase for event in failed} == {Phase.SOLVE}
    assert "exit code 7: broken" in failed[0].error.message


async def test_what_is_captured_is_what_is_verified(tmp_path: Path, loopback: Loopback) -> None:
    given = document(
        tmp_path,
        loopback.url,
        "local",
        "LazyAgent",
        capture_cmd="mkdir o && echo captured given > o/answer.txt && tar -c -C o .",
    )
    await evaluate_async(given)
    assert [row["reward"] for row in rows(tmp_path / "run/tasks")] == [1.0] * 3


async def test_a_network_that_reaches_no_model_is_said_before_the_run(
    tmp_path: Path, loopback: Loopback
) -> None:
    given = document(tmp_path, loopback.url, "local", "InsideAgent", network="none")
    with pytest.raises(ConfigError, match="network: door"):
        await evaluate_async(given)
    assert not loopback.calls


class BriefAgent(InsideAgent):
    """Asks its model, and a second one in the role of a user, and writes down both answers."""

    async def solve(self, problem: Problem, tools: SolveTools) -> Solution:
        assert tools.workspace is not None and tools.model is tools.models["model"]
        said = [
            (await model.generate(prompt=problem.prompt, context=tools.context)).text
            for model in tools.models.values()
        ]
        await tools.workspace.sandbox.upload("answer.txt", f"{said} given".encode())
        return Solution(response="see the files")


def brief(tmp_path: Path, url: str, **sandbox: Json) -> dict[str, Any]:
    """Two models; the verifier is not there yet."""
    given = document(tmp_path, url, "local", "BriefAgent", **sandbox)
    given["services"]["person"] = given["services"]["model"] | {"model": "p"}
    given["solver"]["services"] = {"user": "person"}
    given["benchmarks"][0]["max_problems"] = 2
    (tmp_path / "no-verifier").touch()
    return given


@pytest.mark.parametrize(("stateful", "calls"), [(False, 4), (True, 8)])
async def test_what_was_paid_for_is_verified_by_a_later_run(
    tmp_path: Path, loopback: Loopback, stateful: bool, calls: int
) -> None:
    """Captured files outlive the run; a workspace that is gone means that the problem is solved
    again, never that it was not solved."""
    given = brief(tmp_path, loopback.url, stateful=stateful)
    result = await evaluate_async(given)
    assert result.exit_code == 3 and len(loopback.calls) == 4
    assert [row["reward"] for row in rows(tmp_path / "run/tasks")] == [None] * 2
    kept = list((tmp_path / "run/tasks/workspaces").glob("*.tar")) if not stateful else []
    assert len(kept) == (0 if stateful else 2)
    (tmp_path / "no-verifier").unlink()
    result = await evaluate_async(given, resume=True)
    assert result.exit_code == 0 and len(loopback.calls) == calls
    assert [row["reward"] for row in rows(tmp_path / "run/tasks")] == [1.0] * 2
    assert not list((tmp_path / "run/tasks").glob("workspaces/*"))
    # Both models are accounted, and what the first run paid too.
    used = [json.loads(line)["usage"]["total_tokens"] for line in traffic(tmp_path)]
    assert len(used) == calls
    assert result.summary.benchmarks[0].runtime.total_tokens == sum(used)


async def test_models_in_a_role_that_is_not_there(tmp_path: Path, loopback: Loopback) -> None:
    given = brief(tmp_path, loopback.url)
    given["solver"]["services"] = {"user": "persn", "model": "person"}
    with pytest.raises(ConfigError) as error:
        await evaluate_async(given)
    assert "solver.services.user" in str(error.value) and "person" in str(error.value)
    assert "is the role of `service`" in str(error.value)


async def test_an_answer_in_a_workspace_is_not_graded_without_it(
    tmp_path: Path, loopback: Loopback
) -> None:
    given = brief(tmp_path, loopback.url)
    (tmp_path / "no-verifier").unlink()
    await evaluate_async(given)
    command = ["eval", "rescore", str(tmp_path / "run"), "-o", str(tmp_path / "again")]
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests/support"), os.environ["PYTHONPATH"]])
    done = await asyncio.to_thread(
        partial(subprocess.run, capture_output=True, text=True, check=False),
        [*NEL, *command],
        env=os.environ | {"PYTHONPATH": path},
    )
    assert done.returncode == 3, done.stdout + done.stderr
    assert [row["reward"] for row in rows(tmp_path / "again/tasks")] in ([], [None] * 2)


class UnluckyAgent(InsideAgent):
    """Its first workspace is killed from outside while it works."""

    async def solve(self, problem: Problem, tools: SolveTools) -> Solution:
        assert tools.workspace is not None
        sandbox = tools.workspace.sandbox
        await sandbox.exec("echo given > answer.txt")
        if tools.context.attempt == 1:
            assert isinstance(sandbox, DockerSandbox)
            await Engine().expect("POST", f"/containers/{sandbox.id}/kill")
        await sandbox.exec("true")
        return Solution(response="see the files")


async def test_a_workspace_that_is_killed_is_no_answer(tmp_path: Path, loopback: Loopback) -> None:
    given = document(tmp_path, loopback.url, "docker", "UnluckyAgent", concurrency=3)
    given["benchmarks"][0]["max_system_retries"] = 2
    result = await evaluate_async(given)
    assert result.exit_code == 0
    assert [row["reward"] for row in rows(tmp_path / "run/tasks")] == [1.0] * 3
    failed = [e for e in events(tmp_path / "run/tasks/journal.jsonl") if isinstance(e, Errored)]
    assert [(e.attempt, e.error.kind, e.error.phase) for e in failed] == [
        (1, Failure.SANDBOX, Phase.SOLVE)
    ] * 3


class TaskAgent:
    """A solver of NVIDIA NeMo Evaluator, which gets a sandbox where one is configured."""

    async def solve(self, task: SeedResult, sandbox: Any = None) -> SolveResult:
        if sandbox is None:
            return SolveResult(response="no sandbox")
        program = "import os; open('answer.txt', 'w').write('given')"
        done = await sandbox.exec(f'python3 -c "{program}"; echo $MODEL_BASE_URL; exit 3', user="7")
        url = sandbox.resolved_endpoint_url("MODEL_BASE_URL")
        assert (done.stdout, done.stderr, done.return_code) == (f"{url}\n", "", 3)
        late = await sandbox.exec("sleep 60", timeout_sec=0.5)
        assert (late.stderr, late.return_code) == ("timeout", -1)
        return SolveResult(response="see the files")


async def test_a_solver_of_the_known_system_gets_a_sandbox(
    tmp_path: Path, loopback: Loopback
) -> None:
    given = document(tmp_path, loopback.url, "local", "TaskAgent")
    await evaluate_async(given)
    assert [row["reward"] for row in rows(tmp_path / "run/tasks")] == [1.0] * 3
    given["benchmarks"][0]["sandbox"] = {"type": "none"}
    given["output"]["dir"] = str(tmp_path / "none")
    await evaluate_async(given)
    found = rows(tmp_path / "none/tasks")
    assert [(row["model_response"], row["reward"]) for row in found] == [("no sandbox", 0.0)] * 3


class Historian(InsideAgent):
    """Looks for what the repository was before."""

    async def solve(self, problem: Problem, tools: SolveTools) -> Solution:
        assert tools.workspace is not None
        found = await tools.workspace.sandbox.exec("cd repo && git log --all --format=%s")
        return Solution(response=",".join(found.stdout.split("\n")))


GIT_BENCH = """
import io, subprocess, tarfile, tempfile
from pathlib import Path

from nemo_evaluator import SandboxSpec, ScorerInput, benchmark, scorer


def repo(row):
    with tempfile.TemporaryDirectory() as folder:
        git = ["git", "-c", "user.name=n", "-c", "user.email=e", "-C", folder]
        subprocess.run([*git, "init", "-q"], check=True)
        for message in ("first", "second", "fix"):
            subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", message], check=True)
        subprocess.run([*git, "checkout", "-q", "HEAD~1"], check=True)
        found = [p for p in Path(folder).rglob("*") if p.is_file()]
        return SandboxSpec(
            files={"repo/" + str(p.relative_to(folder)): p.read_bytes() for p in found}
        )


@benchmark(name="tasks", dataset=[{"target": "1"}], prompt="task", workspace=repo)
@scorer
def tasks(sample: ScorerInput) -> bool:
    return sample.response == "second,first,"
"""


@pytest.mark.skipif(shutil.which("git") is None, reason="git is absent")
@pytest.mark.parametrize(("scrub", "reward"), [(True, 1.0), (False, 0.0)])
async def test_history_is_scrubbed(
    tmp_path: Path, loopback: Loopback, scrub: bool, reward: float
) -> None:
    given = document(tmp_path, loopback.url, "local", "Historian", scrub_git_history=scrub)
    (tmp_path / "tasks.py").write_text(GIT_BENCH)
    await evaluate_async(given)
    assert [row["reward"] for row in rows(tmp_path / "run/tasks")] == [reward]


CLASS_BENCH = """
from nemo_evaluator import EvalEnvironment, SandboxSpec, SeedResult, VerifyResult, register


@register("tasks")
class Tasks(EvalEnvironment):
    def __len__(self):
        return 2

    async def seed(self, idx):
        spec = SandboxSpec(image="%s", files={"n.txt": str(idx).encode()}, verify_user=1234)
        return SeedResult(prompt="task", expected_answer=str(idx), sandbox_spec=spec)

    async def verify(self, response, expected, sandbox=None, **metadata):
        shown = "id -u; cat n.txt; echo; cat left.txt; touch mine; ps -e | grep -c sleep"
        done = await sandbox.exec(shown)
        said = done.stdout.split()
        return VerifyResult(float(said == ["1234", expected, "65534", "1"]), extracted_answer=said)
"""


class Leaver(InsideAgent):
    """Leaves a file, and a process."""

    async def solve(self, problem: Problem, tools: SolveTools) -> Solution:
        assert tools.workspace is not None
        sandbox = tools.workspace.sandbox
        await sandbox.exec("id -u > left.txt")
        await sandbox.start("sleep 600")
        return Solution(response="see the files")


async def test_a_class_of_problems_each_with_its_image_and_verifier(
    tmp_path: Path, loopback: Loopback
) -> None:
    """The verifier is another user, in the same sandbox; what is left runs no more (the sleep that
    it sees is the container's own)."""
    given = document(tmp_path, loopback.url, "docker", "Leaver", stateful=True)
    del given["benchmarks"][0]["sandbox"]["image"]
    (tmp_path / "tasks.py").write_text(CLASS_BENCH % IMAGE)
    result = await evaluate_async(given)
    assert result.exit_code == 0, result
    assert [row["reward"] for row in rows(tmp_path / "run/tasks")] == [1.0] * 2


HANDED_BENCH = """
from nemo_evaluator import SandboxSpec, ScorerInput, SeedResult, benchmark, scorer

IMAGE = "%s"


def seed(row, idx):
    return SeedResult(
        prompt="task",
        metadata=row,
        sandbox_spec=SandboxSpec(image=IMAGE, files={"given": b"g", "deleted": b"d"}),
        verify_sandbox_spec=SandboxSpec(image=IMAGE, cwd="/tests", files={"check": b"sh"}),
        pre_agent_cmd="echo prepared > ready",
        capture_cmd=row["capture"],
        apply_cmd=row["apply"],
    )


@benchmark(name="tasks", dataset=[
    {"capture": "tar -c left.txt ready", "apply": "tar -x"},
    {"capture": None, "apply": None},
], prompt="", seed_fn=seed)
@scorer
async def tasks(sample: ScorerInput) -> dict:
    found = (await sample.sandbox.exec("pwd; ls; cat ready")).stdout.split()
    everything = [] if sample.metadata["capture"] else ["given"]
    wanted = ["/tests", "check", *everything, "left.txt", "ready", "prepared"]
    return {"correct": found == wanted, "extracted": found}
"""


class Deleter(InsideAgent):
    """Deletes what it was given, and leaves something else."""

    async def solve(self, problem: Problem, tools: SolveTools) -> Solution:
        assert tools.workspace is not None
        got = await tools.workspace.sandbox.exec("rm deleted && echo x > left.txt && cat ready")
        return Solution(response=got.stdout)


async def test_a_verifier_with_a_sandbox_of_its_own(tmp_path: Path, loopback: Loopback) -> None:
    """What the solver left comes there by the problem's commands, or as a whole."""
    given = document(tmp_path, loopback.url, "docker", "Deleter")
    (tmp_path / "tasks.py").write_text(HANDED_BENCH % IMAGE)
    await evaluate_async(given)
    found = rows(tmp_path / "run/tasks")
    assert [row["reward"] for row in found] == [1.0, 1.0], found


DELETED_BENCH = """
from nemo_evaluator import SandboxSpec, ScorerInput, benchmark, scorer

SPEC = SandboxSpec(files={"given": b"g", "deleted": b"d", "/tmp/tool": b"t"})


@benchmark(name="tasks", dataset=[{"target": "t"}], prompt="task", workspace=SPEC)
@scorer
async def tasks(sample: ScorerInput) -> dict:
    found = (await sample.sandbox.exec("ls; cat /tmp/tool")).stdout.split()
    return {"correct": found == ["given", "left.txt", "t"], "extracted": found}
"""


async def test_what_was_deleted_is_not_there_for_the_verifier(
    tmp_path: Path, loopback: Loopback
) -> None:
    given = document(tmp_path, loopback.url, "local", "Deleter")
    (tmp_path / "tasks.py").write_text(DELETED_BENCH)
    await evaluate_async(given)
    (row,) = rows(tmp_path / "run/tasks")
    assert row["reward"] == 1.0, row


FAILING_BENCH = """
from nemo_evaluator import SandboxSpec, SeedResult, benchmark, scorer


@benchmark(name="tasks", dataset=[
    {"pre_agent_cmd": "echo why >&2; exit 3"},
    {"capture_cmd": "echo why >&2; exit 4"},
    {"apply_cmd": "echo why >&2; exit 5"},
], prompt="", seed_fn=lambda row, idx: SeedResult(prompt="?", sandbox_spec=SandboxSpec(), **row))
@scorer
async def tasks(sample) -> bool:
    return True
"""


async def test_a_command_of_a_problem_that_fails_is_no_answer(
    tmp_path: Path, loopback: Loopback
) -> None:
    given = document(tmp_path, loopback.url, "local", "LazyAgent")
    (tmp_path / "tasks.py").write_text(FAILING_BENCH)
    result = await evaluate_async(given)
    assert result.exit_code == 3
    journal = tmp_path / "run/tasks/journal.jsonl"
    errors = [event.error.message for event in events(journal) if isinstance(event, Errored)]
    assert sorted(errors) == [
        "apply_cmd ended with exit code 5: why",
        "capture_cmd ended with exit code 4: why",
        "pre_agent_cmd ended with exit code 3: why",
    ]


JUDGED_BENCH = """
from nemo_evaluator import SandboxSpec, ScorerInput, benchmark, needs_judge, scorer


@benchmark(name="tasks", dataset=[{"target": "t"}] * 3, prompt="task", workspace=SandboxSpec())
@scorer
async def tasks(sample: ScorerInput) -> dict:
    await sample.sandbox.exec("true")
    return needs_judge(sample)
"""


async def test_no_workspace_is_held_while_a_judge_thinks(
    tmp_path: Path, loopback: Loopback
) -> None:
    """Three answers are judged at a time, though only one workspace can be open."""
    given = document(tmp_path, loopback.url, "local", "LazyAgent", stateful=True, concurrency=1)
    (tmp_path / "tasks.py").write_text(JUDGED_BENCH)
    given["services"]["judge"] = given["services"]["model"] | {"model": "j"}
    given["benchmarks"][0]["scoring"] = {
        "metrics": [{"type": "judge", "name": "j", "service": "judge"}]
    }
    loopback.latency = 1.0
    await evaluate_async(given)
    assert loopback.peak == 3


BUILT_BENCH = """
from pathlib import Path

from nemo_evaluator import SandboxSpec, ScorerInput, benchmark, scorer
from nemo_evaluator.sandboxes import BuildSpec

HERE = Path(__file__).parent


@benchmark(
    name="tasks",
    dataset=[{"folder": name, "target": "t"} for name in ("good", "bad", "good")],
    prompt="task",
    workspace=lambda row: SandboxSpec(build=BuildSpec(context=str(HERE / row["folder"]))),
)
@scorer
async def tasks(sample: ScorerInput) -> bool:
    return (await sample.sandbox.exec("cat /of-the-image")).stdout == "built\\n"
"""


async def test_images_are_built_before_the_run_and_one_that_fails_is_its_problems(
    tmp_path: Path, loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    given = document(tmp_path, loopback.url, "docker", "LazyAgent")
    del given["benchmarks"][0]["sandbox"]["image"]
    (tmp_path / "tasks.py").write_text(BUILT_BENCH)
    for name, line in (("good", "sleep 1.2; echo built > /of-the-image"), ("bad", "exit 9")):
        (tmp_path / name).mkdir()
        text = f"FROM {IMAGE}\nENV ONE={tmp_path}\nRUN {line}\n"
        (tmp_path / name / "Dockerfile").write_text(text)
    result = await evaluate_async(given)
    assert result.exit_code == 3
    found = {row["problem_idx"]: row["reward"] for row in rows(tmp_path / "run/tasks")}
    assert (found[0], found[2]) == (1.0, 1.0)
    errors = [e for e in events(tmp_path / "run/tasks/journal.jsonl") if isinstance(e, Errored)]
    assert [error.error.kind for error in errors] == [Failure.SANDBOX]
    assert "the image cannot be built" in errors[0].error.message
    log = (tmp_path / "run/nel_eval.log").read_text()
    assert "of 2 is there after" in log
    assert "warning: tasks: no image for some problems: " in log
    builder = Builder(Engine(), Images(Engine()))
    (tag,) = await builder.built()
    assert await builder.remove(tag)


TEMPLATE_BENCH = """
from nemo_evaluator import SandboxSpec, ScorerInput, benchmark, scorer


@benchmark(
    name="tasks", dataset=[{"name": "sandbox-base", "target": "t"}], prompt="task",
    workspace=SandboxSpec(image="not/there:1"),
)
@scorer
async def tasks(sample: ScorerInput) -> bool:
    return (await sample.sandbox.exec("true")).ok
"""


async def test_the_image_of_a_problem_by_a_template(tmp_path: Path, loopback: Loopback) -> None:
    template = "{name}:latest"
    given = document(tmp_path, loopback.url, "docker", "LazyAgent", image_template=template)
    (tmp_path / "tasks.py").write_text(TEMPLATE_BENCH)
    await evaluate_async(given)
    assert [row["reward"] for row in rows(tmp_path / "run/tasks")] == [1.0]


KEPT_BENCH = """
from nemo_evaluator import InfraError, SandboxSpec, ScorerInput, benchmark, scorer


@benchmark(
    name="tasks", dataset=[{"n": n, "target": "t"} for n in range(3)], prompt="task {n}",
    workspace=SandboxSpec(%s),
)
@scorer
async def tasks(sample: ScorerInput) -> bool:
    if sample.metadata["n"] == 2:
        raise InfraError("no verdict")
    return sample.metadata["n"] == 0
"""


@pytest.mark.parametrize(
    ("engine", "spec"),
    [
        ("local", "stateful=True"),
        ("local", ""),
        ("docker", "stateful=True"),
        ("docker", "stateful=True, plain=True"),
    ],
)
async def test_workspaces_of_failed_rollouts_are_kept(
    tmp_path: Path, loopback: Loopback, engine: str, spec: str
) -> None:
    """The file that the agent left can be looked at, by the command that is said."""
    given = document(tmp_path, loopback.url, engine, "Signer")
    (tmp_path / "tasks.py").write_text(KEPT_BENCH % spec)
    given["output"]["keep_workspaces"] = "failed"
    await evaluate_async(given)
    kept = sorted((tmp_path / "run/tasks/kept").iterdir())
    assert [one.name for one in kept] == ["1-0-1", "2-0-1"]
    told = [json.loads((one / "workspace.json").read_text()) for one in kept]
    assert [one["why"].partition(":")[0] for one in told] == ["reward 0", "InfraError"]
    log = (tmp_path / "run/nel_eval.log").read_text()
    for one in told:
        assert one["command"] in log
        command = one["command"].replace(" -it ", " -i ")
        done = subprocess.run(
            command, shell=True, input="cat signed.txt", capture_output=True, text=True, check=False
        )
        assert done.stdout == f"task {one['problem_idx']}", done.stderr
    found = await found_images()
    images = [one["image"] for one in told if "image" in one]
    assert set(images) <= set(found)
    assert await remove_images(images) == images


class Signer(InsideAgent):
    """Leaves its task in a file."""

    async def solve(self, problem: Problem, tools: SolveTools) -> Solution:
        assert tools.workspace is not None
        await tools.workspace.sandbox.upload("signed.txt", problem.prompt.encode())
        return Solution(response="see the files")


async def test_what_a_failed_attempt_left_is_kept(tmp_path: Path, loopback: Loopback) -> None:
    given = document(tmp_path, loopback.url, "local", "Stumbler")
    given["output"]["keep_workspaces"] = "failed"
    await evaluate_async(given)
    kept = sorted((tmp_path / "run/tasks/kept").iterdir())
    assert [(one / "files/half.txt").read_text() for one in kept] == ["half"] * 3


class Stumbler(InsideAgent):
    """Fails in the middle of its work."""

    async def solve(self, problem: Problem, tools: SolveTools) -> Solution:
        assert tools.workspace is not None
        await tools.workspace.sandbox.upload("half.txt", b"half")
        raise InfraError("stumbled")


async def test_a_baseline_has_no_workspace(tmp_path: Path, loopback: Loopback) -> None:
    given = document(tmp_path, loopback.url, "local", "LazyAgent")
    given["services"]["judge"] = given["services"]["model"] | {"model": "j"}
    given["services"]["other"] = given["services"]["model"] | {"model": "o"}
    given["benchmarks"][0]["scoring"] = {
        "metrics": [
            {
                "type": "pairwise_judge",
                "name": "better",
                "judge_service": "judge",
                "baseline_service": "other",
            }
        ]
    }
    with pytest.raises(ConfigError, match="nel compare"):
        await evaluate_async(given)


def test_the_spec_is_public() -> None:
    assert SandboxSpec(network="door").network == "door"


async def test_an_agent_that_is_refused_keeps_its_steps(tmp_path: Path, loopback: Loopback) -> None:
    await evaluate_async(document(tmp_path, loopback.url, "local", "RefusedAgent"))
    found = rows(tmp_path / "run/tasks")
    assert {row["outcome"] for row in found} <= {"model_error", "infra_error"}
    assert [row["steps"][0]["message"] for row in trajectories(tmp_path)] == ["I tried"] * len(
        found
    )


class NeedyAgent(LazyAgent):
    """Needs much, and says what it got."""

    needs = SolverNeeds(sandbox=True, memory_mb=1500, pids=200, programs=("sh",))

    async def solve(self, problem: Problem, tools: SolveTools) -> Solution:
        assert tools.workspace is not None
        limits = tools.workspace.sandbox.spec.limits
        return Solution(response="", details={"got": [limits.memory_mb, limits.pids]})


class PickyAgent(LazyAgent):
    """Needs a program that no sandbox has."""

    needs = SolverNeeds(sandbox=True, programs=("no-such-program",))


async def test_a_workspace_has_what_the_solver_needs(tmp_path: Path, loopback: Loopback) -> None:
    """Unless the configuration says less."""
    await evaluate_async(document(tmp_path, loopback.url, "local", "NeedyAgent"))
    assert rows(tmp_path / "run/tasks")[0]["solver_details"]["got"] == [1500, 200]
    (tmp_path / "less").mkdir()
    given = document(tmp_path / "less", loopback.url, "local", "NeedyAgent", memory="512m")
    await evaluate_async(given)
    assert rows(tmp_path / "less/run/tasks")[0]["solver_details"]["got"] == [512, 200]
    with pytest.raises(ConfigError, match="the workspace has no 'no-such-program'"):
        await evaluate_async(document(tmp_path / "less", loopback.url, "local", "PickyAgent"))
