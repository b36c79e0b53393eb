"""The shell and the file tools, in both engines."""

from __future__ import annotations

import asyncio

import pytest
from engines import require

from nemo_evaluator.sandboxes import DockerBackend, Sandbox, SandboxLost, SandboxPool, SandboxSpec
from nemo_evaluator.sandboxes.docker_sandbox import DockerSandbox
from nemo_evaluator.solvers.tool_calling.contract import ToolResult
from nemo_evaluator.solvers.tool_calling.sandbox_tools import SandboxTools


class Hand:
    """Calls tools."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.tools = SandboxTools(sandbox, keep_bytes=4096)

    async def bash(self, command: str, seconds: float = 30, **more: object) -> ToolResult:
        return await self("bash", seconds, command=command, **more)

    async def __call__(self, name: str, seconds: float = 30, /, **arguments: object) -> ToolResult:
        return await self.tools.call(name, arguments, seconds)


@pytest.fixture
async def hand(sandbox: Sandbox):
    made = Hand(sandbox)
    yield made
    await made.tools.close()


async def test_commands_of_every_form_end_with_their_own_exit_code(hand: Hand) -> None:
    cases = {
        "printf 'no newline'": ("no newline", 0),
        "cat <<'END'\nit's \"here\"\nEND": ('it\'s "here"\n', 0),
        "cat <<END": (None, 0),  # never closed: it ends with the command
        "echo a # a comment": ("a\n", 0),
        "sleep 0.01 &": ("", 0),
        "false": ("[exit code 1]\n", 1),
        "ls /nowhere | cat; (exit 7)": (None, 7),
        "if true; then": (None, 2),
        "echo 'unclosed": (None, 2),
        "echo out; echo err >&2": ("out\nerr\n", 0),
        "cat": ("(no output)", 0),  # there is no input to wait for
        "echo done;": ("done\n", 0),
        "set -x; echo x; set +x": (None, 0),
        "exec > /dev/null; echo gone": (None, 0),
        "printf 'a\\0b' | wc -c": ("3\n", 0),
    }
    for command, (text, code) in cases.items():
        result = await hand.bash(command)
        if text is not None:
            assert result.text == (text or "(no output)"), command
        if code is not None:
            assert result.extra["exit_code"] == code, (command, result)
            assert result.failed == (code != 0)
    assert (await hand.bash("echo alive")).text == "alive\n"


async def test_images_without_bash(one: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nemo_evaluator.solvers.tool_calling.shell.PROGRAM", "exec dash")
    hand = Hand(one)
    if (await one.exec("command -v dash")).exit_code != 0:
        pytest.skip("there is no dash")
    cases = {
        "printf 'no newline'": ("no newline", 0),
        "cat <<'END'\nhere\nEND": ("here\n", 0),
        "echo a # a comment": ("a\n", 0),
        "sleep 0.01 &": ("(no output)", 0),
        "(exit 7)": ("[exit code 7]\n", 7),
        "cd /tmp; X=1": ("(no output)", 0),
        'echo "$PWD $X"': ("/tmp 1\n", 0),
        "if true; then": (None, 2),  # this ends a dash
        "pwd": ("/tmp\n", 0),
    }
    for command, (text, code) in cases.items():
        result = await hand.bash(command)
        assert text is None or result.text == text, command
        assert result.extra["exit_code"] == code, (command, result)
    await hand.tools.close()


async def test_folder_variables_functions_and_background_processes_last(hand: Hand) -> None:
    await hand.bash("mkdir -p 'a b' && cd 'a b' && export WORD=kept && f() { echo $1-f; }")
    assert (await hand.bash('echo "$PWD $WORD $(f x)"')).text == "/workspace/a b kept x-f\n"
    await hand.bash("(while true; do date +%N > beat; sleep 0.05; done) &")
    one = (await hand.bash("sleep 0.2; cat beat")).text
    await hand("file_write", path="../note", content="files do not end it")
    assert (await hand.bash("sleep 0.2; cat beat")).text != one


async def test_a_command_that_hangs_is_ended_and_the_shell_comes_back(hand: Hand) -> None:
    await hand.bash("mkdir -p deep && cd deep")
    result = await hand.bash("echo begun; sleep 60", 0.5)
    assert result.failed and result.extra == {"exit_code": 124, "timed_out": True}
    assert "not finished within 0.5 s" in result.text and "begun" in result.text
    assert (await hand.bash("pwd; pgrep -fc 'sleep 60' || true")).text == "/workspace/deep\n0\n"
    result = await hand.bash("sleep 60", 30, timeout=0.3)
    assert "within 0.3 s" in result.text


async def test_a_shell_that_ends_is_followed_by_another(hand: Hand) -> None:
    await hand.bash("cd /tmp")
    result = await hand.bash("echo bye; exit 3")
    assert (
        result.extra["exit_code"] == 3 and "bye" in result.text and "the shell ended" in result.text
    )
    assert (await hand.bash("pwd")).text == "/tmp\n"
    await hand.bash("X=1; kill -9 $$")
    assert (await hand.bash("echo ${X-none}")).text == "none\n"
    assert (await hand("bash", restart=True)).text == "The shell was restarted."
    assert (await hand("bash", restart=True, command="echo on")).text == "on\n"
    assert (await hand("bash")).failed


async def test_a_container_that_is_killed_is_no_result() -> None:
    require("docker")
    backend = DockerBackend(image="sandbox-base:latest")
    async with SandboxPool(backend, limit=1) as pool, pool.acquire(SandboxSpec()) as box:
        assert isinstance(box, DockerSandbox)
        hand = Hand(box)
        await hand.bash("true")
        running = asyncio.create_task(hand.bash("sleep 60"))
        await asyncio.sleep(0.5)
        await box._engine.request("POST", f"/containers/{box.id}/kill")
        with pytest.raises(SandboxLost):
            await running
        await hand.tools.close()
    await backend.close()


async def test_output_without_end_is_cut_and_does_not_fill_memory(hand: Hand) -> None:
    result = await hand.bash("echo first; head -c 3000000 /dev/zero | tr '\\0' x; echo last")
    assert result.text.startswith("first\n") and result.text.endswith("last\n")
    assert len(result.text) < 200_000 and result.omitted > 1_000_000
    assert not result.failed
    result = await hand.bash("yes", 0.5)
    assert result.extra["timed_out"] and len(result.text) < 200_000


async def test_files_are_written_and_read(hand: Hand) -> None:
    assert (
        "11 bytes" in (await hand("file_write", path="it's/a b.txt", content="one\ntwo\nöh")).text
    )
    assert (await hand("file_read", path="it's/a b.txt")).text == "one\ntwo\nöh"
    edit = "str_replace_editor"
    shown = await hand(edit, command="view", path="it's/a b.txt", view_range=[2, -1])
    assert shown.text == "     2\ttwo\n     3\töh"
    assert not (
        await hand(edit, command="str_replace", path="it's/a b.txt", old_str="two", new_str="2")
    ).failed
    await hand(edit, command="insert", path="it's/a b.txt", insert_line=3, new_str="end")
    assert (await hand.bash('cat "it\'s/a b.txt"')).text == "one\n2\nöh\nend\n"
    await hand(edit, command="create", path="/tmp/new/file", new_str="x")
    assert "./file" in (await hand(edit, command="view", path="/tmp/new")).text
    await hand.bash("cd /tmp/new")
    assert (await hand("file_read", path="file")).text == "x"


async def test_what_cannot_be_done_with_a_file_is_told(hand: Hand) -> None:
    await hand.bash("printf 'a\\0\\377' > bin; printf '\\377x' > latin; echo aa > twice; mkdir d")
    await hand.bash("echo secret > locked; chmod 000 locked")
    edit = "str_replace_editor"
    wrong = [
        await hand("file_read", path="missing"),
        await hand("file_read", path="d"),
        await hand("file_read", path="bin"),
        await hand("file_read", path=""),
        await hand("file_read"),
        await hand("file_write", path="d", content="x"),
        await hand("file_write", path="/proc/nothing/here", content="x"),
        await hand(edit, command="str_replace", path="latin", old_str="x", new_str="y"),
        await hand(edit, command="str_replace", path="twice", old_str="a", new_str="b"),
        await hand(edit, command="str_replace", path="twice", old_str="", new_str="b"),
        await hand(edit, command="insert", path="twice", insert_line=9, new_str="b"),
        await hand(edit, command="undo", path="twice"),
        await hand(edit, command="create", path="twice"),
    ]
    assert all(result.failed and result.text.startswith("Error: ") for result in wrong), wrong
    assert (await hand.bash("cat twice; cat latin | wc -c")).text == "aa\n2\n"
    if "secret" not in (await hand.bash("cat locked")).text:  # not root
        assert "cannot be read" in (await hand("file_read", path="locked")).text
