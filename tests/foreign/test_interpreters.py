"""Finding an interpreter that has a package, and what is said where there is none."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.foreign import Wanted, find_interpreter

PYTEST = Wanted("pytest", (1, 0), (3, 10), "NEL_TEST_PYTHON", "solver.python")


def fake(folder: Path, version: str | None, python: str = "[3, 12, 1]") -> Path:
    path = folder / "bin" / "python"
    path.parent.mkdir(parents=True)
    told = "null" if version is None else f'"{version}"'
    path.write_text(f'#!/bin/sh\necho \'{{"python": {python}, "version": {told}}}\'\n')
    path.chmod(0o755)
    return path


async def test_ours_is_used_where_it_has_the_package() -> None:
    found = await find_interpreter(PYTEST)
    assert (found.python, found.version) == (Path(sys.executable), pytest.__version__)


async def test_one_is_named_or_lies_in_the_usual_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = Wanted("nopackage", (0, 26), (3, 12), "NEL_TEST_PYTHON", "solver.python")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    with pytest.raises(ConfigError) as caught:
        await find_interpreter(wanted)
    told = str(caught.value)
    assert "needs Python 3.12 or newer" in told and "python3.12 -m venv" in told
    assert "nopackage>=0.26" in told and "NEL_TEST_PYTHON" in told and "\n" not in told

    command = fake(tmp_path / "tool", "0.27").with_name("nopackage")
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    (tmp_path / "path").mkdir()
    (tmp_path / "path/nopackage").symlink_to(command)
    monkeypatch.setenv("PATH", f"{tmp_path / 'path'}:{os.environ['PATH']}")
    assert (await find_interpreter(wanted)).version == "0.27"

    usual = fake(tmp_path / "data/nemo-evaluator/nopackage", "0.28")
    assert (await find_interpreter(wanted)).python == usual
    named = fake(tmp_path / "named", "1.0")
    monkeypatch.setenv("NEL_TEST_PYTHON", str(named))
    assert (await find_interpreter(wanted)).python == named
    assert (await find_interpreter(wanted, str(usual))).python == usual


@pytest.mark.parametrize(
    ("version", "python", "told"),
    [
        ("0.25.9", "[3, 12, 0]", "version 0.25.9 of the package 'p'; 0.26 or newer is needed"),
        (None, "[3, 12, 0]", "has no p"),
        ("0.26.0", "[3, 11, 8]", "is Python 3.11.8; p needs 3.12 or newer"),
    ],
)
async def test_one_that_does_not_do_is_told(
    tmp_path: Path, version: str | None, python: str, told: str
) -> None:
    wanted = Wanted("p", (0, 26), (3, 12), "NEL_TEST_PYTHON", "solver.python")
    with pytest.raises(ConfigError, match=told):
        await find_interpreter(wanted, str(fake(tmp_path, version, python)))


@pytest.mark.parametrize(
    ("version", "does"),
    [
        ("0.4.12", True),
        ("0.4.13.post1", True),
        ("0.4.9.2", False),
        ("0.5.0", False),
        ("1.0", False),
    ],
)
async def test_versions_that_are_too_new_are_refused_too(
    tmp_path: Path, version: str, does: bool
) -> None:
    wanted = Wanted(
        "p", (0, 4, 12), (3, 10), "NEL_TEST_PYTHON", "params.python", extras="[api]", below=(0, 5)
    )
    python = str(fake(tmp_path, version))
    if does:
        assert (await find_interpreter(wanted, python)).version == version
        return
    with pytest.raises(ConfigError, match=r"0\.4\.12 or newer, below 0\.5, is needed") as caught:
        await find_interpreter(wanted, python)
    assert "pip install -U 'p[api]>=0.4.12,<0.5'" in str(caught.value)


async def test_what_is_no_interpreter_is_told(tmp_path: Path) -> None:
    for path in (tmp_path / "absent", Path("/bin/true")):
        with pytest.raises(ConfigError, match="no Python interpreter that runs"):
            await find_interpreter(PYTEST, str(path))
