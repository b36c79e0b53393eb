"""Executors of installed packages: they run a configuration and find its run again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from commands import Nel

from nemo_evaluator import plugins
from nemo_evaluator.config.load import Loaded, parse
from nemo_evaluator.config.mistakes import Mistake
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.executors.contract import RunHandle
from nemo_evaluator.executors.local import run
from nemo_evaluator.executors.local_executor import LocalExecutor
from nemo_evaluator.executors.options import Options
from nemo_evaluator.executors.registry import attach, open_executor
from nemo_evaluator.executors.run_handle import LocalRun


class Elsewhere:
    """Runs in this process, and marks the directory as its own."""

    def problems(self, loaded: Loaded) -> Iterator[Mistake]:
        if loaded.config.budget.usd is not None:
            yield Mistake(("budget",), "is not kept there", "remove it")

    async def submit(self, loaded: Loaded, options: Options) -> RunHandle:
        directory = Path(loaded.config.output.dir)
        await run(loaded, options)
        (directory / "elsewhere.json").write_text("{}")
        return TheirRun(directory)

    def attach(self, directory: Path) -> RunHandle | None:
        return TheirRun(directory) if (directory / "elsewhere.json").exists() else None


class TheirRun(LocalRun):
    async def logs(self, *, follow: bool = False, tail: int | None = None) -> AsyncIterator[str]:
        yield "from elsewhere"


def offer(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    entry = EntryPoint(name, value, "nemo_evaluator.executors")
    real = plugins.installed

    def installed(group: str, wanted: str | None = None) -> list[EntryPoint]:
        mine = [entry] if group == entry.group and wanted in (None, name) else []
        return mine + real(group, wanted)

    monkeypatch.setattr(plugins, "installed", installed)


def test_a_run_is_found_by_the_executor_that_ran_it(
    nel: Nel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("--bench", "sample", "--model-url", "simulated", "--max-problems", 2)
    assert nel("eval", "run", *words, "-o", "run")[0] == 0
    offer(monkeypatch, "elsewhere", f"{__name__}:Elsewhere")
    assert type(attach(Path("run"))) is LocalRun
    assert "nel eval run" in nel("eval", "logs", "run")[1]
    Path("run/elsewhere.json").write_text("{}")
    assert nel("eval", "logs", "run") == (0, "from elsewhere\n", "")
    assert "elsewhere" in nel("list", "executors")[1]


def test_a_broken_package_hides_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, "broken", "no_such_module:Executor")
    (tmp_path / "plan.lock").write_text("{}")
    assert type(attach(tmp_path)) is LocalRun
    with pytest.raises(ConfigError, match="executor 'broken'"):
        open_executor("broken")


def test_what_is_no_executor_says_what_one_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, "half", "pathlib:PurePath")
    with pytest.raises(ConfigError, match="it needs the methods problems, submit, attach"):
        open_executor("half")


def test_the_local_executor_says_what_it_cannot_run(tmp_path: Path) -> None:
    document = {
        "services": {"m": {"type": "simulated"}},
        "benchmarks": [{"name": "sample", "instruction_template": "x"}],
    }
    [problem] = LocalExecutor().problems(parse(document))
    assert problem.path == ("benchmarks", 0, "instruction_template")
