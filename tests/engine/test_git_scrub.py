"""The future of a repository is removed from a workspace; its past and its files stay."""

from __future__ import annotations

import logging
import shutil
from collections.abc import AsyncIterator

import pytest
from engines import require

from nemo_evaluator.engine.git_scrub import scrub
from nemo_evaluator.sandboxes import Limits, LocalBackend, Sandbox, SandboxPool, SandboxSpec
from nemo_evaluator.sandboxes.contract import SandboxLost
from nemo_evaluator.types import RolloutKey

KEY = RolloutKey(7, 0)
MAKE = """\
set -e
export GIT_AUTHOR_NAME=n GIT_AUTHOR_EMAIL=e GIT_COMMITTER_NAME=n GIT_COMMITTER_EMAIL=e
git init -q -b main . && git remote add origin https://example.invalid/x
commit() { echo "$1" > "f-$1"; git add -A; git commit -q -m "$1"; }
commit first; commit second
git tag seen; git branch solution
git checkout -q solution; commit secret-branch; git tag secret-tag; git gc -q
echo dropped > g; git add g; git stash -q
git checkout -q main
git checkout -q -b amended; commit secret-amended; git reset -q --hard HEAD~1
git checkout -q main; git branch -q -D amended
git rev-parse HEAD > /tmp/head
echo edited >> f-first; echo staged > staged; git add staged; echo new > untracked
git status --porcelain > /tmp/before
"""
SECRETS = "git cat-file --batch-all-objects --batch | grep -ac 'secret-\\|dropped'"


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    require("local")
    if shutil.which("git") is None:
        pytest.skip("git is absent")
    spec = SandboxSpec(limits=Limits(timeout=60, memory_mb=512))
    async with SandboxPool(LocalBackend()) as pool, pool.acquire(spec) as sandbox:
        yield sandbox


async def test_only_the_past_is_left(box: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    made = await box.exec(MAKE)
    assert made.ok, made.stderr
    assert (await box.exec(SECRETS)).stdout.strip() != "0"
    with caplog.at_level(logging.INFO, "nemo_evaluator.engine.git_scrub"):
        await scrub(box, KEY)
    assert (await box.exec(SECRETS)).stdout.strip() == "0"
    assert (await box.exec("git log --all --format=%s")).stdout == "second\nfirst\n"
    same = "git rev-parse HEAD | cmp - /tmp/head && git status --porcelain | diff - /tmp/before"
    assert (await box.exec(same)).ok
    left = (await box.exec("git for-each-ref --format='%(refname)'; git remote; git reflog")).stdout
    assert left == "refs/heads/_nel_work\n"
    (line,) = [r.getMessage() for r in caplog.records if "NEL_GIT_CLEANUP" in r.getMessage()]
    assert line.startswith("problem 7: NEL_GIT_CLEANUP base=")
    assert "commits_after=2 non_ancestor_left=0 gc_rc=0" in line


async def test_repositories_below_are_scrubbed_too(box: Sandbox) -> None:
    made = await box.exec(f"mkdir 'a b' && cd 'a b' && {MAKE}")
    assert made.ok, made.stderr
    await scrub(box, KEY)
    assert (await box.exec(f"cd 'a b' && {SECRETS}")).stdout.strip() == "0"


@pytest.mark.parametrize(
    ("command", "reason"),
    [("true", "not_a_git_repo"), ("git init -q .", "no_head")],
)
async def test_what_has_no_history_is_skipped(
    box: Sandbox, caplog: pytest.LogCaptureFixture, command: str, reason: str
) -> None:
    await box.exec(command)
    with caplog.at_level(logging.INFO, "nemo_evaluator.engine.git_scrub"):
        await scrub(box, KEY)
    assert f"skipped reason={reason}" in caplog.text


async def test_a_repository_that_cannot_be_scrubbed_is_no_workspace(box: Sandbox) -> None:
    made = await box.exec(f"{MAKE}\nchmod 500 .git")
    assert made.ok, made.stderr
    with pytest.raises(SandboxLost, match="scrub_git_history failed"):
        await scrub(box, KEY)
