"""Finding benchmarks by name, file, or module."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nemo_evaluator.environments.harbor.registered import TaskSuite
from nemo_evaluator.environments.registry import list_benchmarks, resolve
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.kinds import BENCHMARKS
from task_folders import own_task

TWO = """
from nemo_evaluator import ScorerInput, EvalEnvironment, benchmark, exact_match, register, scorer
from nemo_evaluator.benchmarks.gsm8k import gsm8k  # imported, not defined here
import beside

@benchmark(name="one", dataset=beside.ROWS, prompt="{q}")
@benchmark(name="one-harder", dataset=beside.ROWS, prompt="{q}!")
@scorer
def one(sample: ScorerInput) -> bool:
    import beside_later
    return beside_later.right(sample)

benchmark(name="two.x", dataset=beside.ROWS, prompt="{q}")(exact_match)

@register("three")
class Three(EvalEnvironment):
    def __init__(self, size: int = 1) -> None:
        self.size = size
    def __len__(self) -> int:
        return self.size
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "beside.py").write_text("ROWS = [{'q': '?', 'target': '4'}]")
    (tmp_path / "beside_later.py").write_text("def right(sample): return sample.response == '4'")

    def write(text: str) -> str:
        path = tmp_path / "mine.py"
        path.write_text(text)
        return str(path)

    return write


def names(found: list) -> list[str]:  # type: ignore[type-arg]
    return [environment.name for environment in found]


def test_every_built_in_benchmark_resolves_and_is_described(tmp_path: Path) -> None:
    own_task(tmp_path / "a-task")
    text = "---\nid: a\n---\n## Prompt\nx\n## Automated Checks\n```python\npass\n```\n"
    (tmp_path / "task_a.md").write_text(text)
    for name, line in BENCHMARKS.listed():
        folder = {"folder": str(tmp_path)} if isinstance(BENCHMARKS.load(name), TaskSuite) else {}
        folder |= {"tasks_dir": str(tmp_path)} if name == "pinchbench" else {}
        assert names(resolve(name, params=folder)) == [name]
        assert line
    assert [name for name, _ in list_benchmarks()] == sorted(BENCHMARKS.built_in)


def test_listing_imports_no_benchmark_and_no_library() -> None:
    code = (
        "import sys; from nemo_evaluator.environments.registry import list_benchmarks;"
        "list_benchmarks(); print([m for m in sys.modules if m.startswith("
        "('nemo_evaluator.benchmarks', 'datasets', 'huggingface_hub', 'jinja2', 'pyarrow'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_file_gives_all_it_defines_and_nothing_it_imports(file: Callable[[str], str]) -> None:
    path = file(TWO)
    assert sorted(names(resolve(path, params={}))) == ["one", "one-harder", "three", "two.x"]
    assert names(resolve(f"{path}:two.x", params={})) == ["two.x"]
    assert names(resolve(f"{path}:three", params={"size": 3})) == ["three"]


async def test_files_beside_a_benchmark_can_be_imported_later(file: Callable[[str], str]) -> None:
    from nemo_evaluator.environments.contract import VerifyTools
    from nemo_evaluator.types import Solution

    [one] = resolve(f"{file(TWO)}:one", params={})
    await one.prepare()
    score = await one.verify(await one.seed(0), Solution(response="4"), VerifyTools())
    assert score.correct


async def test_a_changed_file_is_read_again(file: Callable[[str], str]) -> None:
    assert len(resolve(file(TWO), params={})) == 4
    changed = TWO.replace("two.x", "four")
    assert "four" in names(resolve(file(changed), params={}))
    assert "two.x" not in names(resolve(file(changed), params={}))


@pytest.mark.parametrize(
    ("text", "suffix", "message"),
    [
        (TWO, ":five", r"defines no benchmark 'five' — it defines one-harder, one, two\.x, three"),
        ("x = 1\n", "", "defines no benchmark — decorate a scorer"),
        ("import os\n1 / 0\n", "", r"mine\.py:2: .*ZeroDivisionError"),
        ("def f(:\n", "", r"mine\.py:1: .*SyntaxError"),
        ("import nosuch_module\n", "", r"mine\.py:1: .*nosuch_module"),
        (TWO.replace("two.x", "one"), "", "defines two benchmarks called 'one'"),
    ],
)
def test_a_file_that_does_not_do_says_why(
    file: Callable[[str], str], text: str, suffix: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve(file(text) + suffix, params={})


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match=r"nosuch\.py: there is no such file"):
        resolve("nosuch.py", params={})


def test_a_module_and_attribute() -> None:
    assert names(resolve("nemo_evaluator.benchmarks.gsm8k:gsm8k", params={})) == ["gsm8k"]
    with pytest.raises(ConfigError, match="is not a benchmark but a str"):
        resolve("nemo_evaluator.benchmarks.mmlu:LETTERS", params={})
    with pytest.raises(ConfigError, match="nosuch"):
        resolve("nemo_evaluator.benchmarks.gsm8k:nosuch", params={})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gsm8", "there is no benchmark 'gsm8' — did you mean 'gsm8k'"),
        ("MMLU-Pro", "did you mean 'mmlu_pro'"),
        ("nope", "there is no benchmark 'nope' — known: drop, gpqa"),
        ("zzzzzz", "there is no benchmark 'zzzzzz' — known: drop, gpqa"),
        ("ftp://x", "unknown scheme ftp://"),
    ],
)
def test_an_unknown_name_says_what_there_is(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve(name, params={})


def test_installed_packages_offer_benchmarks_by_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "offering_of_test.py").write_text(
        "from nemo_evaluator import benchmark, exact_match, scorer\n"
        "@benchmark(name='offered', dataset=[{'target': 1}], prompt='?')\n"
        "@scorer\n"
        "def offered(sample):\n"
        "    return exact_match(sample)\n"
    )
    info = tmp_path / "offering-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: offering\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[nemo_evaluator.benchmarks]\n"
        "offered = offering_of_test:offered\n"
        "broken = offering_of_test:missing\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert ("offered", "from offering_of_test:offered") in list_benchmarks()
    assert names(resolve("offered", params={})) == ["offered"]
    with pytest.raises(ConfigError, match=r"\(offering_of_test:missing\): cannot be loaded"):
        resolve("broken", params={})


def test_fewshot_has_an_effect_or_is_refused(file: Callable[[str], str]) -> None:
    [three_shot] = resolve("drop", params={})
    [one_shot] = resolve("drop", params={}, fewshot=1)
    assert (three_shot._d.num_fewshot, one_shot._d.num_fewshot) == (3, 1)  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="fewshot has no effect"):
        resolve(f"{file(TWO)}:three", params={}, fewshot=1)


def test_params_of_built_in_benchmarks() -> None:
    with pytest.raises(ConfigError, match="unknown language 'xx'"):
        resolve("mgsm", params={"languages": ["de", "xx"]})
    with pytest.raises(ConfigError, match="unknown params language — it accepts languages"):
        resolve("mgsm", params={"language": "de"})
    with pytest.raises(ConfigError, match="it accepts none"):
        resolve("gsm8k", params={"x": 1})
