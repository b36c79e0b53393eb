"""`nel cache-sqsh`: an image becomes a file on another host, complete or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from commands import Nel
from sshd import far_host

SSH = (
    '#!/bin/sh\nfor line; do :; done\nprintf "%s\\n" "$line" >> "$FAR/asked"\nexec sh -c "$line"\n'
)
ENROOT = """#!/bin/sh
[ "$1 $2 $4" = "import --output --" ] || exit 9
printf '%s\\n' "$5" >> "$FAR/imported"
case $5 in *missing*) printf half > "$3"; echo "[ERROR] no such image" >&2; exit 1 ;; esac
printf 'a file of squashfs' > "$3"
"""


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host behind an `ssh` that runs its line here."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("ssh", SSH), ("enroot", ENROOT)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FAR", str(tmp_path))
    return tmp_path


def test_an_image_becomes_a_file(nel: Nel, far: Path) -> None:
    folder = far / "it's $(touch x) here"
    code, out, err = nel("cache-sqsh", "ghcr.io/org/task:1.0", "me@login", str(folder))
    assert code == 0, err
    file = folder / "ghcr.io-org-task-1.0.sqsh"
    assert [path.name for path in folder.iterdir()] == [file.name]
    assert f"me@login:{file} (0.0 MiB)" in out and f"image of a service: {file}" in out
    assert (far / "imported").read_text() == "docker://ghcr.io#org/task:1.0\n"
    assert not (far / "x").exists() and not Path("x").exists()


def test_the_home_there_and_a_name(nel: Nel, far: Path) -> None:
    code, out, err = nel("cache-sqsh", "python:3.12", "login", "~/images", "-f", "py.sqsh")
    assert code == 0, err
    assert (far / "images/py.sqsh").is_file() and f"login:{far}/images/py.sqsh" in out
    again = nel("cache-sqsh", "python:3.12", "login", "~/images", "-f", "py.sqsh")
    assert again[0] == 0, again[2]


def test_what_goes_wrong_leaves_nothing(nel: Nel, far: Path) -> None:
    code, _, err = nel("cache-sqsh", "missing:1", "login", str(far / "images"))
    assert code == 2
    assert err.splitlines()[-1].startswith("error: login: cannot import missing:1: [ERROR] no such")
    assert list((far / "images").iterdir()) == []
    code, _, err = nel("cache-sqsh", "a:1", "login", "/x", "-f", "../b")
    assert code == 2 and "is not the name of a file" in err
    code, _, err = nel("cache-sqsh", "a:1", "-oProxyCommand=x", "/x")
    assert code == 2
    (far / "bin/enroot").unlink()
    code, _, err = nel("cache-sqsh", "a:1", "login", str(far / "images"))
    assert code == 2 and "there is no command enroot there" in err


@pytest.mark.slow
def test_over_a_real_ssh(nel: Nel, far: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (far / "bin/ssh").unlink()
    env = {"PATH": f"{far}/bin:/usr/bin:/bin", "FAR": str(far), "HOME": str(far)}
    with far_host(far / "sshd", env) as programs:
        monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
        folder = far / "it's here"
        code, out, err = nel("cache-sqsh", "ghcr.io/org/task:1.0", "far", str(folder))
    assert code == 0, err
    assert (folder / "ghcr.io-org-task-1.0.sqsh").read_text() == "a file of squashfs"
    assert str(folder) in out
