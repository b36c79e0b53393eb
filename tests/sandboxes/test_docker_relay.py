"""A door into a container for a user who may not enter its network: a relay inside."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nemo_evaluator.sandboxes import DockerBackend, SandboxPool, SandboxSpec
from nemo_evaluator.sandboxes.docker_api import find_socket
from nemo_evaluator.testing.sandboxes import SandboxContract

SUITE = SandboxContract()


def folders(run_id: str = "relay") -> list[Path]:
    """Those of one run: tests beside this one have their own."""
    return list(Path(tempfile.gettempdir()).glob(f"nel-door-{run_id}.*"))


@pytest.fixture
async def backend(docker_engine: None, image: str) -> AsyncIterator[DockerBackend]:
    made = DockerBackend(run_id="relay", image=image, relay=True)
    yield made
    await made.close()
    assert not folders()


async def test_a_door_and_nothing_else(backend: DockerBackend) -> None:
    await SUITE.test_a_door_and_nothing_else(backend)


async def test_commands_do_not_end_the_relay(backend: DockerBackend) -> None:
    """Neither do those that kill all they can, nor the end of all processes."""
    async with (
        SandboxPool(backend) as pool,
        pool.acquire(SandboxSpec(network="door")) as box,
    ):
        listener = await box.listen()
        await box.exec("sleep 60 & kill -9 -1")
        assert (await box.exec("kill -9 1; echo alive")).stdout == "alive\n"
        asked = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])))"
        assert (await box.exec(["python3", "-c", asked, str(listener.port)])).ok
        assert len(folders()) == 1
        listener.close()


async def test_folders_of_the_dead_are_removed(backend: DockerBackend) -> None:
    script = (
        "import os; from nemo_evaluator.sandboxes.docker_relay import make_folder;"
        "from nemo_evaluator.files.owner import this_process;"
        "make_folder(this_process('dead')); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    assert len(folders("dead")) == 1
    assert any(name.startswith("folder nel-door-dead") for name in await backend.reap())
    assert not folders("dead")


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
async def test_a_user_who_is_not_root(docker_engine: None, image: str) -> None:
    """In the group of the engine's socket, as users of Docker usually are."""
    group = os.stat(find_socket()).st_gid
    if group == 0 or shutil.which("setpriv") is None:
        pytest.skip("the engine's socket has no group of its own")
    script = (
        "import asyncio, sys\n"
        "from nemo_evaluator.sandboxes import DockerBackend\n"
        "from nemo_evaluator.testing.sandboxes import SandboxContract\n"
        "async def main():\n"
        "    backend = DockerBackend(run_id='user', image=sys.argv[1])\n"
        "    await SandboxContract().test_a_door_and_nothing_else(backend)\n"
        "    await backend.close()\n"
        "asyncio.run(main())\n"
    )
    user = ["setpriv", "--reuid", "12345", "--regid", "12345", "--groups", str(group)]
    done = subprocess.run(
        [*user, sys.executable, "-c", script, image],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"HOME": "/nonexistent"},
    )
    assert done.returncode == 0, done.stderr
