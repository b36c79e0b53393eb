"""Plug-ins are found by name, by entry point and by path; what is wrong is one error."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.kinds import KINDS, SCORERS, SOLVERS
from nemo_evaluator.plugins import Kind

FRUIT = Kind("fruit", "fruits", "for tests", {"apple": ("errors:ConfigError", "red")})


class Plain:
    def __init__(self, size: int = 1) -> None:
        self.size = size


def offer(folder: Path, monkeypatch: pytest.MonkeyPatch, package: str, entries: str) -> None:
    """An installed package with entry points."""
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[nemo_evaluator.fruits]\n{entries}")
    monkeypatch.syspath_prepend(str(folder))


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.plural)
def test_every_row_can_be_loaded_and_is_described(kind: Kind) -> None:
    assert kind.about
    for name, about in kind.listed():
        assert kind.load(name) is not None
        assert about


def test_listing_imports_no_plug_in() -> None:
    code = (
        "import sys; from nemo_evaluator.kinds import KINDS\n"
        "for kind in KINDS.values(): kind.listed()\n"
        "own = {m for m in sys.modules if m.startswith('nemo_evaluator')}\n"
        "import json; print(json.dumps(sorted(own)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    rooms = {"config", "environments", "executors", "reports", "scoring", "solvers", "traffic"}
    assert not {name.split(".")[1] for name in json.loads(done.stdout) if "." in name} & rooms


def test_an_installed_package_adds_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = f"pear = {__name__}:Plain\napple = {__name__}:Plain\nrotten = {__name__}:Nothing\n"
    offer(tmp_path, monkeypatch, "orchard", rows)
    monkeypatch.setitem(sys.modules, __name__, sys.modules[Plain.__module__])
    assert [name for name, _ in FRUIT.listed()] == ["apple", "pear", "rotten"]
    assert FRUIT.load("pear") is Plain
    assert FRUIT.load("apple") is ConfigError  # a built-in name is never taken over
    with pytest.raises(ConfigError, match=r"fruit 'rotten' \(.*:Nothing\): cannot be loaded: Attr"):
        FRUIT.load("rotten")


def test_two_packages_with_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(tmp_path, monkeypatch, "one", "pear = builtins:int\n")
    offer(tmp_path, monkeypatch, "two", "pear = builtins:str\n")
    with pytest.raises(ConfigError, match="several installed packages offer it: builtins:int"):
        FRUIT.load("pear")


def test_a_file_is_run_once_and_again_when_it_has_changed(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("import beside_mine\nclass Mine:\n    taste = beside_mine.TASTE\n")
    (tmp_path / "beside_mine.py").write_text("TASTE = 'sweet'\n")
    first = FRUIT.load(f"{file}:Mine")
    assert getattr(first, "taste", None) == "sweet"
    assert FRUIT.load(f"{file}:Mine") is first
    file.write_text("class Mine:\n    taste = 'sour again'\n")
    assert getattr(FRUIT.load(f"{file}:Mine"), "taste", None) == "sour again"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n1 / 0\n", r"mine\.py:2: cannot be loaded: ZeroDivisionError"),
        ("def f(:\n", r"mine\.py:1: cannot be loaded: SyntaxError"),
        ("raise SystemExit(3)\n", r"mine\.py:1: cannot be loaded: SystemExit: 3"),
        ("import no_such_module\n", "ModuleNotFoundError.* — the module must be importable"),
        ("def Mime(): ...\n", r"mine\.py has no 'Mine' — did you mean 'Mime'"),
    ],
)
def test_a_file_that_does_not_do_is_one_error(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        FRUIT.load(f"{file}:Mine")


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        (FRUIT, "aple", "no fruit 'aple' — did you mean 'apple'?; your own is named module:Class"),
        (FRUIT, "kiwi", "there is no fruit 'kiwi' — known: apple; your own is named module:Class"),
        (FRUIT, "mine.py:X", "there is no file mine.py — paths start where nel is started"),
        (SCORERS, "Exact-Match", "did you mean 'exact_match'?; your own is named module:function"),
        (KINDS["interceptors"], "zzz", "`nel list interceptors` shows all; your own is"),
        (KINDS["instructions"], "zz:z", "`nel list instructions` shows all"),
    ],
)
def test_an_unknown_name_says_what_there_is(kind: Kind, name: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        kind.load(name)
    assert message in str(caught.value)


def test_what_opening_raises_names_the_plug_in() -> None:
    with pytest.raises(ConfigError, match=r"solver 'builtins:int': TypeError: .*colour"):
        SOLVERS.open("builtins:int", {"colour": "red"})
    with pytest.raises(ConfigError, match="solver 'sys:path': is not a solver"):
        SOLVERS.open("sys:path", {})
    opened = FRUIT.open(f"{Path(__file__)}:Plain", {"size": 3})
    assert getattr(opened, "size", None) == 3


def test_what_opening_raises_names_the_line_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("class Mine:\n    def __init__(self, **_):\n        raise RuntimeError('no')\n")
    with pytest.raises(ConfigError, match=r"RuntimeError: no \(.*mine\.py:3\)"):
        FRUIT.open(f"{file}:Mine", {})


def test_options_are_a_record(tmp_path: Path) -> None:
    file = tmp_path / "strict.py"
    file.write_text(
        "from nemo_evaluator.config.base import ConfigRecord\n"
        "class Strict:\n"
        "    class Options(ConfigRecord):\n"
        "        size: int = 1\n"
        "    def __init__(self, options): self.size = options.size\n"
    )
    name = f"{file}:Strict"
    assert getattr(FRUIT.open(name, {"size": 2}), "size", None) == 2
    record = FRUIT.options(name)
    assert record is not None and getattr(FRUIT.open(name, record()), "size", None) == 1
    with pytest.raises(ConfigError, match="size: Input should be a valid integer"):
        FRUIT.open(name, {"size": "two"})


def test_a_module_beside_is_named_by_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "beside_of_test.py").write_text("class Mine: pass\n")
    with pytest.raises(ConfigError, match=r"name it by its file: beside_of_test\.py:Mine"):
        FRUIT.load("beside_of_test:Mine")
    assert FRUIT.load("beside_of_test.py:Mine")


def test_a_class_or_an_object_will_do(tmp_path: Path) -> None:
    file = tmp_path / "made.py"
    file.write_text(
        "class Made:\n    size = 4\nmade = Made()\n"
        "class Bad:\n    def __init__(self):\n        raise ValueError('not today')\n"
    )
    assert getattr(FRUIT.instance(f"{file}:Made"), "size", None) == 4
    assert FRUIT.instance(f"{file}:made") is FRUIT.load(f"{file}:made")
    with pytest.raises(ConfigError, match="Bad': ValueError: not today"):
        FRUIT.instance(f"{file}:Bad")
