"""Where the tasks of a name are: folders, lists, downloaded suites, registries, repositories."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nemo_evaluator.environments.contract import Environment
from nemo_evaluator.environments.harbor.environment import HarborEnvironment
from nemo_evaluator.environments.registry import resolve
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.types import Problem
from task_folders import own_task, write_task


@pytest.fixture(autouse=True)
def only_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("NEL_HARBOR_DIR", "HARBOR_DATASETS_DIR", "NMP_REPO"):
        monkeypatch.delenv(name, raising=False)


def problems(name: str, **params: Any) -> list[Problem]:
    async def seeded(environment: Environment) -> list[Problem]:
        await environment.prepare()
        size = await environment.size()
        assert isinstance(environment, HarborEnvironment)
        await environment.check(range(size))
        return [await environment.seed(idx) for idx in range(size)]

    [environment] = resolve(name, params=params)
    return asyncio.run(seeded(environment))


def names(name: str, **params: Any) -> list[str]:
    return [str(problem.metadata["task"]) for problem in problems(name, **params)]


def test_a_folder_of_tasks_by_name(tmp_path: Path) -> None:
    for name in ("b", "c", "a"):
        own_task(tmp_path / "suite" / name)
    (tmp_path / "suite" / ".git").mkdir()
    (tmp_path / "suite" / "docs").mkdir()
    assert names(f"harbor://{tmp_path}/suite") == ["a", "b", "c"]
    assert names("harbor://./suite?exclude=b") == ["a", "c"]
    assert names("harbor://suite?tasks=a,c&exclude=c") == ["a"]
    assert names("harbor://./suite", tasks=["[bc]"]) == ["b", "c"]
    assert names("harbor://./suite/b") == ["b"]
    write_task(tmp_path, {"list.txt": "# two of them\nsuite/c\nsuite/a\n"})
    assert names("harbor://./list.txt") == ["a", "c"]
    write_task(tmp_path, {"list.json": json.dumps([{"path": "suite/b"}])})
    assert names("harbor://./list.json") == ["b"]


def test_a_problem_says_what_its_task_says(tmp_path: Path) -> None:
    toml = "[metadata]\ncategory='x'\ndifficulty='hard'\n[environment]\nmemory_mb=100\ncpus=3\n"
    toml += "storage_mb=7\nenv={A='b'}\n[agent]\nuser='me'\n"
    own_task(tmp_path / "s" / "t", task_toml=toml)
    [problem] = problems("harbor://./s")
    assert problem.category == "x"
    assert problem.metadata["difficulty"] == "hard"
    spec = problem.workspace
    assert spec is not None
    assert spec.build is not None
    assert spec.build.context == str(tmp_path / "s/t/environment")
    assert (spec.limits.memory_mb, spec.limits.cpus, spec.limits.disk_mb) == (100, 3, 7)
    assert (spec.network, spec.env, spec.account, spec.plain) == ("bridge", {"A": "b"}, "me", True)


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("suite@1.0", "suite@1.0"),
        ("suite/1.0", "suite@1.0"),
        ("suite", "suite@1.0"),
        ("org/suite@1.0", "org/suite@1.0"),
        ("suite@1.0/tasks", "suite@1.0"),
        ("terminal-bench-core@0.1.1", None),
    ],
)
def test_a_suite_that_was_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, name: str | None
) -> None:
    monkeypatch.setenv("NEL_HARBOR_DIR", str(tmp_path / "suites"))
    own_task(tmp_path / "suites" / place / "task")
    assert names(f"harbor://{name}" if name else "terminal-bench-v1") == ["task"]


def test_the_hard_tasks_of_terminal_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARBOR_DATASETS_DIR", str(tmp_path / "suites"))
    core = tmp_path / "suites" / "terminal-bench-core"
    for level in ("easy", "hard"):
        own_task(core / level, task_toml=f"[metadata]\ndifficulty = '{level}'\n")
    assert names("terminal-bench-hard") == ["hard"]
    assert names("terminal-bench-v1") == ["easy", "hard"]
    with pytest.raises(ConfigError, match="terminal-bench-hard-aa-split: its tasks are not on"):
        names("terminal-bench-hard-aa-split")
    assert names("terminal-bench-hard-aa-split", folder=str(core), tasks="easy") == ["easy"]


def test_tasks_of_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="the variable NMP_REPO is not set"):
        names("nmp_harbor")
    monkeypatch.setenv("NMP_REPO", str(tmp_path / "repo"))
    own_task(tmp_path / "repo/tests/agentic-use/one", environment_Dockerfile=None)
    with pytest.raises(ConfigError, match=r"Dockerfile\.harbor is not there"):
        names("nmp_harbor")
    (tmp_path / "repo/Dockerfile.harbor").write_text("FROM x\n")
    [problem] = problems("nmp_harbor")
    assert problem.workspace is not None
    assert problem.workspace.build is not None
    assert problem.workspace.build.dockerfile == "Dockerfile.harbor"
    assert problem.workspace.build.context == str(tmp_path / "repo")


def test_a_registry(tmp_path: Path) -> None:
    own_task(tmp_path / "clone" / "datasets" / "one")
    entries = [{"name": "one", "path": "datasets/one", "git_url": "https://x.invalid/y.git"}]
    suite = {"name": "s", "version": "2.0", "description": "", "tasks": entries}
    (tmp_path / "clone" / "registry.json").write_text(json.dumps([suite]))
    assert names("harbor://s@2.0", registry="clone") == ["one"]
    assert names("harbor://s", registry="clone/registry.json") == ["one"]
    with pytest.raises(ConfigError, match=r"has no suite s@1\.0 — did you mean 's@2\.0'"):
        names("harbor://s@1.0", registry="clone")
    entries[0]["path"] = "gone"
    (tmp_path / "clone" / "registry.json").write_text(json.dumps([suite]))
    with pytest.raises(ConfigError, match=r"the task gone \(of https://x\.invalid/y\.git\)"):
        names("harbor://s@2.0", registry="clone")


def empty(folder: Path) -> None:
    (folder / "suite").mkdir()


def twice(folder: Path) -> None:
    own_task(folder / "suite" / "a")
    own_task(folder / "more" / "a")
    write_task(folder, {"suite.txt": "suite/a\nmore/a\n"})


@pytest.mark.parametrize(
    ("make", "name", "params", "message"),
    [
        (empty, "harbor://./suite", {}, "holds no task folders"),
        (empty, "harbor://./other", {}, "harbor://./other: there is no such folder"),
        (empty, "harbor://s@1", {}, "`harbor dataset download s@1 -o DIR`"),
        (empty, "harbor://what is this", {}, "names neither a folder nor a suite"),
        (twice, "harbor://./suite.txt", {}, "two tasks are called 'a'"),
        (twice, "harbor://./suite?tasks=b", {}, "there is no task 'b'"),
        (twice, "harbor://./suite?exclude=a", {}, "no task is left"),
        (twice, "harbor://./suite?task=a", {}, "did you mean 'tasks'"),
        (twice, "harbor://./suite", {"timeout_multiplier": 0}, "must be greater than 0"),
        (twice, "harbor://./suite", {"passenv": "X"}, "unknown field `passenv`"),
    ],
)
def test_mistakes_in_a_uri_are_named(
    tmp_path: Path,
    make: Callable[[Path], None],
    name: str,
    params: dict[str, Any],
    message: str,
) -> None:
    make(tmp_path)
    with pytest.raises(ConfigError) as caught:
        names(name, **params)
    assert message in str(caught.value)


def test_all_tasks_that_cannot_be_run_are_named_at_once(tmp_path: Path) -> None:
    own_task(tmp_path / "s" / "a", tests_test_sh=None)
    own_task(tmp_path / "s" / "b", task_toml="x")
    own_task(tmp_path / "s" / "c")
    with pytest.raises(ConfigError) as caught:
        names("harbor://./s")
    text = str(caught.value)
    assert "2 of 3 tasks cannot be run" in text
    assert "tests/test.sh" in text
    assert "task.toml:1" in text


def test_another_version_of_a_task_is_another_benchmark(tmp_path: Path) -> None:
    def identity() -> Any:
        [environment] = resolve("harbor://./s", params={})
        asyncio.run(environment.prepare())
        return environment.identity()

    folder = own_task(tmp_path / "s" / "a")
    before = identity()
    assert identity() == before
    (folder / "tests" / "data.txt").write_text("new")
    assert identity() != before
