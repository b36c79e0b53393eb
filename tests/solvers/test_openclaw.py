"""The solver `openclaw`: what it makes of the command line, and the real one at work."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from engines import require
from loopback import FAULTS, Loopback
from parts import part
from runs import rows
from scripted_server import ScriptedServer

from nemo_evaluator import ConfigError, evaluate_async
from nemo_evaluator.config.agent_solvers import OpenClawSolverConfig
from nemo_evaluator.results.journal import Errored, events
from nemo_evaluator.sandboxes import ExecResult
from nemo_evaluator.solvers.openclaw.settings import settings
from nemo_evaluator.solvers.openclaw.solver import read_turn
from nemo_evaluator.solvers.openclaw.transcript import events_of, steps_of
from nemo_evaluator.traffic.door.sessions import Endpoint

KEY = "sk-real-key-of-the-endpoint"
NODE = """#!{python}
import json, os, sys, time, urllib.request
words = sys.argv[1:]
state = os.environ.get("OPENCLAW_STATE_DIR", "")
log = os.path.join(state, "log.jsonl")
if words == ["--version"]:
    sys.exit(print(os.environ.get("FAKE_NODE", "v24.1.0")))
if words[:1] == ["-e"]:
    sys.exit(print(open(log).read(), end=""))
words = words[1:]
if words == ["--version"]:
    sys.exit(print("OpenClaw", os.environ.get("FAKE_CLAW", "2026.9.6"), "(abc)"))
option = dict(zip(words, words[1:]))
config = json.load(open(option.get("--config") or os.environ["OPENCLAW_CONFIG_PATH"]))
provider = config["models"]["providers"]["nel"]
prompt = open(option["--message-file"]).read()
def note(**message):
    with open(log, "a") as file:
        file.write(json.dumps({{"type": "message", "message": message}}) + "\\n")
note(role="user", content=prompt)
if "before" in prompt:
    sys.exit("Error: no such model")
request = urllib.request.Request(
    provider["baseUrl"] + "/chat/completions",
    json.dumps({{"model": provider["models"][0]["id"], "max_tokens": 9,
                "messages": [{{"role": "user", "content": prompt}}]}}).encode(),
    {{"Content-Type": "application/json", "Authorization": "Bearer " + provider["apiKey"]}},
)
try:
    answer = json.load(urllib.request.urlopen(request))["choices"][0]["message"]["content"]
except OSError as error:
    print(json.dumps({{"ok": False, "status": "error", "error": {{"message": str(error)}}}}))
    sys.exit(1)
note(role="assistant", content=[{{"type": "text", "text": answer}}], model="m")
while "stubborn" in prompt:
    try:
        urllib.request.urlopen(request).read()
    except OSError:
        time.sleep(0.1)
if "slow" in prompt:
    time.sleep(60)
if "crash" in prompt:
    print(json.dumps({{"ok": False, "status": "error", "error": {{"message": "oops"}}}}))
    sys.exit(1)
seen = {{"words": words, "env": dict(os.environ), "config": config, "cwd": os.getcwd()}}
with open("{probe}", "a") as file:
    file.write(json.dumps(seen) + "\\n")
with open("made.txt", "a") as file:
    file.write(prompt)
print(json.dumps({{"ok": True, "status": "ok", "final": answer, "sessionId": "s-1"}}))
"""
"""Node, running an OpenClaw that asks once."""

BENCH = """
from nemo_evaluator import ScorerInput, benchmark, includes, scorer

@benchmark(name="talk", dataset=%(rows)r, prompt="{ask}", metadata_fields=None)
@scorer
def talk(sample: ScorerInput) -> dict:
    return includes(sample)
""".replace(", metadata_fields=None", "")


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An OpenClaw on the PATH; what it saw is written to the file."""
    folder, probe = tmp_path / "bin", tmp_path / "seen.jsonl"
    folder.mkdir()
    (folder / "node").write_text(NODE.format(python=sys.executable, probe=probe))
    (folder / "openclaw").write_text("// never read")
    for name in ("node", "openclaw"):
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return probe


def document(tmp_path: Path, url: str, *asked: dict[str, Any], **solver: Any) -> dict[str, Any]:
    bench = tmp_path / "talk.py"
    bench.write_text(BENCH % {"rows": list(asked) or [{"ask": "Hello", "target": "The answer"}]})
    model = {"type": "api", "url": url, "protocol": "chat_completions", "model": "m"}
    proxy = {"max_retries": 0}
    return {
        "services": {
            "model": {**model, "api_key": KEY, "proxy": proxy, "generation": {"max_tokens": 77}}
        },
        "solver": {"type": "openclaw", "service": "model", "where": "host", **solver},
        "benchmarks": [{"name": str(bench), "timeout": 60, "max_system_retries": 1}],
        "output": {"dir": str(tmp_path / "run"), "report": []},
    }


def failures(tmp_path: Path) -> list[str]:
    journal = events(tmp_path / "run/talk/journal.jsonl")
    return [event.error.message for event in journal if isinstance(event, Errored)]


async def test_what_openclaw_is_told(
    tmp_path: Path, loopback: Loopback, fake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    own = tmp_path / "own.json"
    own.write_text('{"tools": {"web": {"fetch": {"enabled": false}}}, "models": {"mode": "merge"}}')
    given = document(tmp_path, loopback.url, config_path=str(own), context_window=9000)
    result = await evaluate_async(given)
    [row] = rows(tmp_path / "run/talk")
    assert result.exit_code == 0 and row["reward"] == 1.0
    seen = json.loads(fake.read_text())
    assert KEY not in fake.read_text() and "OPENAI_API_KEY" not in seen["env"]
    config = seen["config"]
    [model] = config["models"]["providers"]["nel"]["models"]
    assert model == {
        "id": "m",
        "name": "m",
        "input": ["text"],
        "reasoning": True,
        "contextWindow": 9000,
        "maxTokens": 77,
    }
    # The user's own settings are below ours.
    assert config["models"]["mode"] == "replace" and config["tools"]["profile"] == "coding"
    assert config["tools"]["web"]["fetch"] == {"enabled": False}
    assert seen["words"][:2] == ["agent", "exec"] and "high" in seen["words"]
    assert seen["cwd"] == config["agents"]["defaults"]["workspace"]
    assert not Path(seen["env"]["OPENCLAW_STATE_DIR"]).exists()
    [line] = (tmp_path / "run/talk/trajectories.jsonl").read_text().splitlines()
    assert [step["source"] for step in json.loads(line)["steps"]] == ["user", "agent"]
    assert row["solver_details"] == {"openclaw": "2026.9.6", "exit_code": 0}


async def test_what_an_end_means(tmp_path: Path, loopback: Loopback, fake: Path) -> None:
    asked = [{"ask": word, "target": "The answer"} for word in ("crash", "slow", "before")]
    given = document(tmp_path, loopback.url, *asked, run_timeout=4)
    result = await evaluate_async(given)
    crash, slow, before = rows(tmp_path / "run/talk")
    assert result.exit_code == 3
    assert (crash["reward"], crash["solver_details"]["error"]) == (1.0, "oops")
    assert (slow["reward"], slow["ended_by"]) == (1.0, "time")  # its last words are the answer
    assert before["outcome"] == "infra_error"
    assert failures(tmp_path)[-1].endswith("no such model")


async def test_a_failing_endpoint_is_no_answer(
    tmp_path: Path, loopback: Loopback, fake: Path
) -> None:
    loopback.script(FAULTS["server_error"])
    result = await evaluate_async(document(tmp_path, loopback.url))
    assert result.exit_code != 0 and "server_error" in failures(tmp_path)[0]


async def test_a_limit_ends_one_that_asks_again_and_again(
    tmp_path: Path, loopback: Loopback, fake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nemo_evaluator.solvers.openclaw.solver.REFUSED_SECONDS", 0.5)
    given = document(tmp_path, loopback.url, {"ask": "stubborn", "target": "The answer"})
    limit = {"name": "turn_counter", "config": {"max_turns": 3}}
    given["services"]["model"]["proxy"]["interceptors"] = [limit]
    result = await evaluate_async(given)
    [row] = rows(tmp_path / "run/talk")
    assert result.exit_code == 0 and len(loopback.calls) == 3
    assert (row["reward"], row["ended_by"]) == (1.0, "turns")


async def test_sessions_go_on_or_begin_anew(tmp_path: Path, loopback: Loopback, fake: Path) -> None:
    sessions = [{"prompt": "one"}, {"prompt": "two"}, {"prompt": "three", "new_session": True}]
    row = {"ask": "all", "target": "The answer", "sessions": sessions}
    await evaluate_async(document(tmp_path, loopback.url, row))
    one, two, three = (json.loads(line)["words"] for line in fake.read_text().splitlines())
    assert "exec" in one and "exec" in three and "exec" not in two
    assert two[two.index("--session-id") + 1] == "s-1"
    assert len(loopback.calls) == 3
    [found] = rows(tmp_path / "run/talk")
    assert found["model_response"].count("The answer") == 3


@pytest.mark.parametrize(
    ("variables", "solver", "said"),
    [
        ({"FAKE_CLAW": "2026.1.2"}, {}, "OpenClaw 2026.1.2 is too old.*npm install"),
        ({"FAKE_NODE": "v20.3.1"}, {}, "node 20.3.1, which is too old"),
        ({"FAKE_CLAW": "strange"}, {}, "does not print its version"),
        ({}, {"openclaw_bin": "no-such-claw"}, "there is no 'no-such-claw'"),
        ({}, {"config_path": "no-such.json"}, "no-such.json: cannot be read"),
        ({"TAVILY_API_KEY": ""}, {"web_search_provider": "tavily"}, "TAVILY_API_KEY is not set"),
    ],
)
async def test_mistakes_are_told_before_the_run(
    tmp_path: Path,
    fake: Path,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    solver: dict[str, Any],
    said: str,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=said):
        await evaluate_async(document(tmp_path, "http://127.0.0.1:9/v1", **solver))


async def test_a_sandbox_without_openclaw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require("local")
    monkeypatch.setenv("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
    given = document(tmp_path, "http://127.0.0.1:9/v1", where="workspace", openclaw_bin="no-claw")
    given["benchmarks"][0]["sandbox"] = {"type": "local"}
    with pytest.raises(ConfigError, match="the workspace has no 'no-claw'"):
        await evaluate_async(given)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root shows what its owner alone may enter")
async def test_a_sandbox_whose_user_may_not_look_at_openclaw(fake: Path, tmp_path: Path) -> None:
    """Temporary folders of tests are their owner's alone."""
    require("local")
    given = document(tmp_path, "http://127.0.0.1:9/v1", where="workspace", skip_preflight=True)
    given["benchmarks"][0]["sandbox"] = {"type": "local"}
    with pytest.raises(ConfigError, match="only its owner may enter /"):
        await evaluate_async(given)


def test_the_configuration_of_the_search() -> None:
    endpoint = Endpoint(openai_url="u/v1", anthropic_url="u", token="t", model="a/b")
    config = OpenClawSolverConfig(service="m", thinking="off", web_search_provider="tavily")
    made = settings(config, endpoint, "/w", log="/l", max_tokens=None, base={})
    assert made["tools"]["web"] == {"search": {"provider": "tavily"}}
    assert made["plugins"] == {"entries": {"tavily": {"enabled": True}}}
    assert made["models"]["providers"]["nel"]["models"][0]["reasoning"] is False
    assert made["agents"]["defaults"]["model"] == {"primary": "nel/a/b"}


def test_a_transcript_as_steps() -> None:
    def message(**told: Any) -> str:
        return json.dumps({"type": "message", "timestamp": "t", "message": told})

    call = {"type": "toolCall", "id": "c", "name": "exec", "arguments": {"command": "ls"}}
    usage = {"input": 5, "output": 2, "cacheRead": 3, "cacheWrite": 0}
    lines = [
        '{"type": "session"}',
        "no JSON",
        message(role="user", content="Do it."),
        message(
            role="assistant",
            content=[{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Yes"}, call],
            usage=usage,
            model="m",
        ),
        message(role="toolResult", toolCallId="c", content=[{"type": "text", "text": "a"}]),
        message(role="assistant", content=[call]),
        message(role="toolResult", toolCallId="c", content="b", isError=True),
        message(role="toolResult", toolCallId="unknown", content="lost"),
    ]
    user, first, second = steps_of(events_of("\n".join(lines)))
    assert (user.source, user.message) == ("user", "Do it.")
    assert (first.message, first.reasoning_content, first.model_name) == ("Yes", "hm", "m")
    assert first.metrics is not None
    assert (first.metrics.prompt_tokens, first.metrics.cached_tokens) == (8, 3)
    # One id stands for one call of a trajectory, whatever the model calls them.
    assert [first.tool_calls[0].tool_call_id, second.tool_calls[0].tool_call_id] == ["c", "c#2"]
    assert second.observation is not None
    [result] = second.observation.results
    assert msgspec.to_builtins(result)["source_call_id"] == "c#2"
    assert (result.content, result.extra) == ("b", {"is_error": True})


def test_what_a_run_of_the_command_says() -> None:
    embedded = {
        "payloads": [{"text": " A "}, {"text": "B"}, {"mediaUrl": "u"}],
        "meta": {"error": {"message": "too long"}},
    }
    turn = read_turn(ExecResult(exit_code=1, stdout=f"log\n{json.dumps(embedded)}"), "s")
    assert (turn.text, turn.session, turn.error) == ("A\nB", "s", "too long")
    turn = read_turn(ExecResult(exit_code=1, stdout="{", stderr="one\ntwo\n"), "")
    assert (turn.text, turn.error) == ("", "one two")


TASK = """---
id: task_00_report
name: A report
category: files
timeout_seconds: 100
workspace_files:
  - path: numbers.txt
    content: "3 4 5"
%(more)s
---

## Prompt

Read numbers.txt and write their sum to sum.txt.

## Automated Checks

```python
def grade(transcript: list, workspace_path: str) -> dict:
    from pathlib import Path
    calls = [item for event in transcript for item in event["message"]["content"]
             if event["message"]["role"] == "assistant" and item["type"] == "toolCall"]
    file = Path(workspace_path) / "sum.txt"
    return {
        "read": float(any(c["name"] == "read_file" and "numbers.txt" in c["params"]["files"][0]
                          for c in calls)),
        "sum": float(file.exists() and file.read_text().strip() == "12"),
        "outside": float("reached" in str(transcript)),
        "key": float("%(key)s" in str(transcript)),
        "events": float('"toolCall"' in (file.parent / ".nel_transcript.jsonl").read_text()),
    }
```
"""
SCRIPT = [
    [["read", {"path": "numbers.txt"}]],
    [["exec", {"command": "env; cat /proc/self/environ $OPENCLAW_STATE_DIR/../openclaw.json"}]],
    [
        [
            "exec",
            {"command": "bash -c 'echo > /dev/tcp/172.17.0.1/%(port)d' && echo reac''hed; true"},
        ]
    ],
    [["write", {"path": "sum.txt", "content": "12\n"}]],
    "The sum is 12.",
]


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("engine", ["local", "docker"])
async def test_the_real_one_does_a_task_of_pinchbench(tmp_path: Path, engine: str) -> None:
    """In its workspace: it reaches its model and nothing else, and never sees the real key."""
    require(engine)
    folder = part("openclaw")
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks/task_00_report.md").write_text(TASK % {"more": "", "key": KEY})
    image = {"image": "sandbox-base:latest"} if engine == "docker" else {}
    with ScriptedServer([]) as model:
        port = int(model.url.split(":")[2].split("/")[0])
        model.script[:] = json.loads(json.dumps(SCRIPT).replace("%(port)d", str(port)))
        claw = str(folder / "node_modules/.bin/openclaw")  # its node is found beside it
        given = document(tmp_path, model.url, where="workspace", openclaw_bin=claw)
        given["benchmarks"] = [
            {
                "name": "pinchbench",
                "params": {"tasks_dir": str(tmp_path)},
                "timeout": 150,
                "sandbox": {"type": engine, **image},
            }
        ]
        result = await evaluate_async(given)
    [row] = rows(tmp_path / "run/pinchbench")
    assert result.exit_code == 0, row
    checks = {"read": 1, "sum": 1, "outside": 0, "key": 0, "events": 1}
    assert row["scoring_details"]["checks"] == checks
    assert row["model_response"] == "The sum is 12." and "ended_by" not in row
    calls = (tmp_path / "run/pinchbench/model_traffic.jsonl").read_text().splitlines()
    assert len(calls) == len(model.requests) == len(SCRIPT)
    [line] = (tmp_path / "run/pinchbench/trajectories.jsonl").read_text().splitlines()
    steps = json.loads(line)["steps"]
    called = [c["function_name"] for step in steps for c in step.get("tool_calls", ())]
    assert called == ["read", "exec", "exec", "write"]
    assert steps[1]["metrics"]["completion_tokens"] == 7
    assert "OPENCLAW_STATE_DIR" in json.dumps(steps)


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_the_real_one_remembers_within_a_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = part("openclaw")
    binaries = [folder / "node_modules/.bin", folder / "node/node_modules/.bin"]
    monkeypatch.setenv("PATH", os.pathsep.join([*map(str, binaries), os.environ["PATH"]]))
    sessions = [{"prompt": "one"}, {"prompt": "two"}, {"prompt": "three", "new_session": True}]
    row = {"ask": "all", "target": "First", "sessions": sessions}
    with ScriptedServer(["First", "Second"]) as model:
        given = document(tmp_path, model.url, row)
        given["benchmarks"][0]["timeout"] = 240
        await evaluate_async(given)
    [found] = rows(tmp_path / "run/talk")
    # The script counts what was said before in the conversation: a new one begins anew.
    assert found["model_response"] == "First\n\nSecond\n\nFirst"
