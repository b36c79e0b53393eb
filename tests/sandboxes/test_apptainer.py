"""The apptainer backend against the real program: on PATH, or a part (`tests/support/parts.py`)."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from parts import ROOT

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.sandboxes import Backend, SandboxSpec
from nemo_evaluator.sandboxes.apptainer import ApptainerBackend
from nemo_evaluator.sandboxes.slurm_nodes import Nodes
from nemo_evaluator.testing.sandboxes import SandboxContract

CACHE = Path(tempfile.gettempdir()) / "nel-test-sif"
OWNER = """\
import asyncio, sys
from nemo_evaluator.sandboxes import SandboxSpec
from nemo_evaluator.sandboxes.apptainer import ApptainerBackend
async def main():
    backend = ApptainerBackend(image=sys.argv[1], sif_cache_dir=sys.argv[2])
    box = await backend.create(SandboxSpec())
    await box.start("sleep 600")
    print("up", flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    part = ROOT / "apptainer" / "usr" / "bin"
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:{part}")
    if shutil.which("apptainer") is None:
        required = "apptainer" in os.environ.get("NEL_REQUIRE", "").split(",")
        (pytest.fail if required else pytest.skip)("apptainer is absent")


@pytest.fixture
async def backend(installed: None, docker_engine: None, image: str) -> AsyncIterator[Backend]:
    made = ApptainerBackend(run_id="test", image=image, sif_cache_dir=str(CACHE))
    await made.pull(None)
    yield made
    await made.close()


@pytest.mark.slow
class TestApptainer(SandboxContract):
    """Also root's contract: limits by cgroups."""


@pytest.mark.slow
class TestOnANode(SandboxContract):
    """In steps of a Slurm job, by an srun that runs them here (`tests/support/pyxis`)."""

    @pytest.fixture
    async def backend(
        self, backend: Backend, image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> AsyncIterator[Backend]:
        shim = Path(__file__).parent.parent / "support" / "pyxis"
        monkeypatch.setenv("PYXIS_STATE", str(tmp_path))
        monkeypatch.setenv("PATH", f"{shim}:{os.environ['PATH']}")
        nodes = Nodes(["n1", "n2"], 1)
        made = ApptainerBackend(image=image, sif_cache_dir=str(CACHE), nodes=nodes)
        yield made
        await made.close()


@pytest.mark.slow
async def test_an_instance_ends_with_its_owner(backend: Backend, image: str) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, image, str(CACHE)], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None and owner.stdout.readline() == "up\n"
    assert _left(owner.pid)
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    end = time.monotonic() + 30
    while _left(owner.pid) and time.monotonic() < end:
        time.sleep(0.1)
    assert not _left(owner.pid)
    assert "sleep 600" not in subprocess.run(["ps", "ax"], capture_output=True, text=True).stdout


def _left(pid: int) -> list[Path]:
    return list(Path(tempfile.gettempdir()).glob(f"nel-apptainer-*.{pid}.*"))


async def test_an_image_that_cannot_be_had(installed: None, tmp_path: Path) -> None:
    made = ApptainerBackend(image=str(tmp_path / "none.sif"), sif_cache_dir=str(tmp_path))
    with pytest.raises(ConfigError, match=r"there is no image .*none\.sif"):
        await made.pull(None)


async def test_an_old_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "apptainer"
    program.write_text("#!/bin/sh\necho apptainer version 1.0.3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(ConfigError, match=r"Apptainer 1\.1 or newer is needed"):
        await ApptainerBackend(image="x").preflight()


async def test_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ConfigError, match="apt-get install apptainer"):
        await ApptainerBackend(image="x").preflight()


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (SandboxSpec(network="bridge"), "no bridge network"),
        (SandboxSpec(plain=True, cwd=""), "no plain containers"),
        (SandboxSpec(folders=("relative",)), "no folder that a sandbox can show"),
        (SandboxSpec(cwd="/"), "cannot be the working directory"),
    ],
)
def test_what_it_cannot_do_is_refused(spec: SandboxSpec, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ApptainerBackend(image="x").check(spec)
