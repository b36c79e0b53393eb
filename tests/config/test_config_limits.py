"""Documents that would hang, crash or leak: each is refused in one line, at once."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
from runs import NEL

from nemo_evaluator.config.load import load, parse
from nemo_evaluator.config.yaml_file import parse_yaml
from nemo_evaluator.errors import ConfigError

from .conftest import document

SECONDS = 20.0
BASE = "services: {m: {type: simulated}}\nbenchmarks: [{name: sample}]\n"


def refused(path: Path, *overrides: str) -> str:
    started = time.monotonic()
    with pytest.raises(ConfigError) as caught:
        load(path, overrides, env={})
    assert time.monotonic() - started < SECONDS
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300
    return str(caught.value)


def aliases(kind: str) -> str:
    lines = ["x0: &x0 " + ("{k: v}" if kind == "merge" else "[v]")]
    for level in range(1, 25):
        names = ", ".join([f"*x{level - 1}"] * 9)
        value = f"{{<<: [{names}], k{level}: v}}" if kind == "merge" else f"[{names}]"
        lines.append(f"x{level}: &x{level} {value}")
    return "\n".join(lines) + "\n" + BASE


def references(kind: str) -> str:
    lines = ["_x0: abc"]
    for level in range(1, 40):
        reference = f"${{._x{level - 1}}}"
        value = f"'{reference * 9}'" if kind == "text" else str([reference] * 9)
        lines.append(f"_x{level}: {value}")
    return "\n".join(lines) + "\n" + BASE


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (aliases("list"), "holds more than 100,000 values"),
        (references("text"), "make the configuration too large"),
        (references("list"), "make the configuration too large"),
        ("a: " + "[" * 100_000, "nested more than 100 deep"),
        ("- " * 50_000 + "x", "nested more than 100 deep"),
        ("".join(" " * n + "a:\n" for n in range(500)), "nested more than 100 deep"),
        ("a: &a {<<: *a}", "an anchor contains itself"),
        ("a: &a [*a]", "an anchor contains itself"),
        ("a: {<<: 5}", "<< merges mappings only"),
        ("#" * (5 << 20), "is larger than 4 MB"),
        (
            "".join(f"_a{n}: ${{._a{n + 1}}}\n" for n in range(300)) + "_a300: x\n",
            "more than 50 references lead to one another",
        ),
        (BASE + 'output: {dir: "a\\0b"}', "output.dir: holds the character '\\x00'"),
        (BASE + 'output: {dir: "a\\ud800b"}', "not valid YAML"),
    ],
    ids=lambda text: text[:20],
)
def test_yaml_bombs_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text, encoding="utf-8")
    assert message in refused(path)


def test_merge_bombs_are_merged_once() -> None:
    started = time.monotonic()
    tree = parse_yaml(aliases("merge"), "x")
    assert set(tree.value["x24"].value) == {"k", *(f"k{n}" for n in range(1, 25))}
    assert time.monotonic() - started < SECONDS


def test_what_merging_means() -> None:
    text = (
        "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {<<: [*a, *b], z: 3, w: 3}\nd: {x: 4, <<: *a}"
    )
    tree = parse_yaml(text, "f").value
    values = {name: {k: n.value for k, n in tree[name].value.items()} for name in "cd"}
    assert values == {"c": {"y": 1, "z": 3, "x": 1, "w": 3}, "d": {"x": 4, "y": 1}}
    assert list(values["c"]) == ["y", "z", "x", "w"]
    assert tree["c"].value["y"].mark == "f:1" and tree["c"].value["z"].mark == "f:3"


def test_many_self_references_to_one_value_are_fine() -> None:
    data = document(_size=5)
    data["benchmarks"] = [
        {"name": "sample", "label": f"b{n}", "repeats": "${._size}"} for n in range(200)
    ]
    assert {b.repeats for b in parse(data, env={}).config.benchmarks} == {5}


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/null", "fifo", "folder", "n\0ul"])
def test_files_that_are_none(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    path = Path(name) if name.startswith("/") else tmp_path / name
    text = refused(path)
    assert "not a file" in text or "no path holds" in text


def test_a_dotenv_that_is_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".env")
    (tmp_path / "c.yaml").write_text(BASE)
    assert load(tmp_path / "c.yaml").config.benchmarks


@pytest.mark.parametrize("how", ["main", "base", "override"])
def test_nothing_of_foreign_files_is_shown(tmp_path: Path, how: str) -> None:
    foreign = tmp_path / "foreign"
    foreign.write_text("root:x:0:0:hidden:/root:/bin/sh\nuser:hash$6$hidden\n")
    path = tmp_path / "c.yaml"
    path.write_text(f"defaults: [{{_base_: {foreign}}}]\n{BASE}")
    if how == "main":
        text = refused(foreign)
    elif how == "base":
        text = refused(path)
    else:
        path.write_text(BASE + "_s: {api_key: hidden-9}")
        text = refused(path, "_s.api_key.x=1")
    text = text.replace(str(tmp_path), "")
    assert "hidden" not in text and "root" not in text


def test_the_command_says_one_line(tmp_path: Path) -> None:
    for name in ("/dev/zero", str(tmp_path), "/etc/passwd"):
        done = subprocess.run(
            [*NEL, "eval", "run", name], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 2 and done.stdout == ""
        assert done.stderr.startswith(f"error: {name}") and done.stderr.count("\n") == 1
        assert "root" not in done.stderr.replace(name, "")
