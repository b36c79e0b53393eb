"""Environments of packages, made from wheels of a folder; and what is said where that fails."""

from __future__ import annotations

import os
import shutil
import sys
import zipfile
from pathlib import Path

import pytest
from commands import Nel

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.foreign import Wanted
from nemo_evaluator.foreign.installing import _why, install, managed

pytestmark = pytest.mark.process
OWN = Wanted(
    "nelown", (1, 2), (3, 10), "NEL_OWN_PYTHON", "params.python", below=(2,), harness="own"
)


def wheel(folder: Path, version: str, name: str = "nelown") -> None:
    folder.mkdir(exist_ok=True)
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}.py", "")
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All that pip and uv can see."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    for tool in ("PIP", "UV"):
        monkeypatch.setenv(f"{tool}_NO_INDEX", "1")
        monkeypatch.setenv(f"{tool}_FIND_LINKS", str(folder))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("with_uv", [False, True])
async def test_an_environment_is_made_once_and_anew_where_that_is_asked(
    wheels: Path, monkeypatch: pytest.MonkeyPatch, with_uv: bool
) -> None:
    if with_uv and shutil.which("uv") is None:
        pytest.skip("uv is absent")
    if not with_uv:
        monkeypatch.setattr("nemo_evaluator.foreign.installing.shutil.which", lambda _name: None)
    wheel(wheels, "1.2")
    wheel(wheels, "2.0")
    found = await install(OWN)
    assert found.version == "1.2" and found.python == managed(OWN)
    wheel(wheels, "1.3")
    assert (await install(OWN)).version == "1.2"
    assert (await install(OWN, again=True)).version == "1.3"


@pytest.mark.slow
async def test_one_that_cannot_be_filled_does_not_stay(wheels: Path) -> None:
    wheel(wheels, "1.1")
    with pytest.raises(ConfigError) as caught:
        await install(OWN)
    told = str(caught.value)
    assert "nelown cannot be installed" in told and "\n" not in told
    assert "NEL_OWN_PYTHON" in told and not OWN.folder.exists()


async def test_a_python_that_is_too_old_is_told(wheels: Path, tmp_path: Path) -> None:
    wanted = Wanted("nelown", (1, 2), (3, 99), "NEL_OWN_PYTHON", "params.python")
    os.environ["PATH"], before = str(tmp_path), os.environ["PATH"]
    try:
        with pytest.raises(ConfigError, match=r"needs Python 3.99 or newer, and there is none"):
            await install(wanted)
    finally:
        os.environ["PATH"] = before


def test_of_what_an_installer_says_the_error_is_told() -> None:
    said = "Collecting x\nERROR: No matching distribution found for x\n\nWARNING: old pip\n"
    assert _why(said) == "ERROR: No matching distribution found for x"
    assert _why("") == "no reason was given"


def test_the_command_names_what_it_can_install(nel: Nel) -> None:
    code, _, err = nel("harness", "install", "lmeval")
    assert code == 2 and "did you mean 'lm-eval'?" in err
    code, _, err = nel("harness", "install", "skills")
    assert code == 2 and "skills needs no package" in err


def test_the_list_tells_which_interpreter_has_what(
    tmp_path: Path,
    nel: Nel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho \'{"python": [3, 12, 1], "version": "0.4.13"}\'\n')
    python.chmod(0o755)
    monkeypatch.setenv("NEL_LM_EVAL_PYTHON", str(python))
    monkeypatch.setenv("NEL_INSPECT_PYTHON", sys.executable)
    code, out, _ = nel("harness", "list")
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert code == 0 and f"lm_eval 0.4.13 ({python})" in lines["lm-eval"]
    assert "absent" in lines["inspect"] and "nel harness install inspect" in lines["inspect"]
    assert "needs no package" in lines["vlmevalkit"]
