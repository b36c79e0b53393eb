"""`nel validate` of tasks with a workspace: the solution, no work, and attempts at cheating."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from engines import require

from nemo_evaluator.cli.main import cli
from nemo_evaluator.sandboxes import LocalBackend, SandboxSpec
from nemo_evaluator.solvers.probes.scripts import ATTEMPTS, Probe
from task_folders import BASE, TEST_SH, own_task

BY_PYTHON = """\
#!/bin/bash
if python3 -c "assert open('answer.txt').read().strip() == '42'"; then echo 1; else echo 0; fi \
  > /logs/verifier/reward.txt
"""
BY_MAKE = """\
#!/bin/bash
make -s check 2> /dev/null
[ -e /logs/verifier/reward.txt ] && exit
""" + TEST_SH.partition("\n")[2]
"""A program that the image has not: whoever puts one there is asked."""
REPOSITORY = """\
git init -q . && git config user.email a@example.org && git config user.name a
echo 0 > answer.txt && git add -A && git commit -q -m start
echo 42 > answer.txt && git commit -q -a -m solution && git reset -q --hard HEAD~1
"""


@pytest.mark.slow
def test_each_attempt_is_reported_by_name(tmp_path: Path) -> None:
    require("docker")
    own_task(tmp_path / "honest")
    leaky = own_task(
        tmp_path / "leaky",
        environment_Dockerfile=f"FROM {BASE}\nCOPY check.sh /opt/check.sh\nWORKDIR /app\n",
    )
    (leaky / "environment" / "check.sh").write_text(TEST_SH)
    own_task(tmp_path / "by-make", tests_test_sh=BY_MAKE)
    own_task(tmp_path / "by-python", tests_test_sh=BY_PYTHON)
    own_task(tmp_path / "unsolved", solution_solve_sh="#!/bin/sh\nexit 1\n")

    got = CliRunner().invoke(cli, ["validate", "-b", f"harbor://{tmp_path}", "--json"])
    told = json.loads(got.stdout)
    wrong = {(one["task"], one["attempt"]) for one in told["attempts"] if one["found"] != "ok"}
    assert got.exit_code == 1 and told["as_it_should_be"] is False
    assert wrong == {
        ("leaky", "read-tests"),
        ("by-make", "patch-test-runner"),
        ("unsolved", "oracle"),
    }
    assert len(told["attempts"]) == 5 * 8


@pytest.mark.slow
def test_a_fresh_container_has_programs_that_no_agent_changed(tmp_path: Path) -> None:
    require("docker")
    own_task(tmp_path / "by-make", tests_test_sh=BY_MAKE)
    got = CliRunner().invoke(cli, ["validate", "-b", f"harbor://{tmp_path}", "--stateless"])
    assert got.exit_code == 0, got.output
    assert got.stdout.endswith("all is as it should be\n")
    assert "leave-daemon" in got.stdout.splitlines()[0]


async def test_commits_that_head_does_not_have_are_found() -> None:
    require("local")
    backend = LocalBackend()
    box = await backend.create(SandboxSpec())
    try:
        made = await box.exec(REPOSITORY)
        if not made.ok:
            pytest.skip(f"no repository can be made here: {made.stderr}")
        got = await box.exec(ATTEMPTS[Probe.GIT_HISTORY].script)
        assert got.stdout.startswith("FOUND 1 commits in /workspace")
        assert await box.download("answer.txt") == b"42\n"
    finally:
        await box.close()
        await backend.close()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-b", "sample", "--json"], "--json is for tasks with a workspace"),
        (["-b", "sample", "--stateless"], "--stateless is for tasks with a workspace"),
    ],
)
def test_what_has_no_effect_is_refused(words: list[str], said: str) -> None:
    got = CliRunner().invoke(cli, ["validate", *words])
    assert got.exit_code == 2 and said in got.output


def test_no_model_is_asked_for_tasks(tmp_path: Path) -> None:
    own_task(tmp_path / "one")
    words = ["validate", "-b", f"harbor://{tmp_path}", "--model-url", "http://127.0.0.1:1"]
    got = CliRunner().invoke(cli, words)
    assert got.exit_code == 2 and "leave out --model-url" in got.output
