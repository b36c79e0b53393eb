"""`nel eval clean --images`: what runs have built is shown, and removed when that is asked for."""

from __future__ import annotations

import os
import secrets
import subprocess
from pathlib import Path

import pytest
from engines import require
from runs import NEL

from nemo_evaluator.sandboxes import BuildSpec, DockerBackend


def clean(*flags: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*NEL, "eval", "clean", "--images", *flags],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )


async def test_built_images_are_shown_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require("docker")
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    (tmp_path / "Dockerfile").write_text(
        f"FROM sandbox-base:latest\nENV ONE={secrets.token_hex(8)}\n"
    )
    monkeypatch.setenv("XDG_CACHE_HOME", cache["XDG_CACHE_HOME"])
    backend = DockerBackend()
    image = await backend.build(BuildSpec(context=str(tmp_path)))
    shown = clean("--dry-run", **cache).stdout
    assert "nel-build:" in shown
    kept = [line for line in shown.splitlines() if line.startswith("nel-kept:")]
    if not kept:  # else they are somebody's
        done = clean("--yes", **cache)
        assert done.stdout.endswith("removed: 1\n"), done.stderr
        found = await backend.engine.request("GET", f"/images/{image}/json")
        assert found.status == 404


def test_without_an_engine_it_says_so() -> None:
    done = clean(DOCKER_HOST="unix:///nowhere")
    assert done.returncode == 2
    assert "needs a Docker engine" in done.stderr
    assert "Traceback" not in done.stderr
