"""Real engines for the sandbox tests: bubblewrap and Docker.

A test that needs an absent engine is skipped, but fails in CI, or where NEL_REQUIRE (a comma
list of ``local`` and ``docker``; it also narrows what CI asks for) names the engine.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import AsyncIterator, Callable

import pytest

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.sandboxes import Backend, DockerBackend, LocalBackend, SandboxPool
from nemo_evaluator.sandboxes.docker_api import find_socket

IMAGE = os.environ.get("NEL_TEST_IMAGE", "sandbox-base:latest")
ENGINES = ("local", "docker")


def _present(engine: str) -> bool:
    if engine == "local":
        return shutil.which("bwrap") is not None
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(find_socket())
    except (OSError, ConfigError):
        return False
    return True


def _needed(engine: str) -> bool:
    asked = os.environ.get("NEL_REQUIRE")
    return engine in asked.split(",") if asked is not None else bool(os.environ.get("CI"))


def require(engine: str) -> None:
    """Skip or fail the test where the engine is absent."""
    if not _present(engine):
        (pytest.fail if _needed(engine) else pytest.skip)(f"the {engine} sandbox engine is absent")


def make_backend(engine: str, run_id: str = "test") -> Backend:
    require(engine)
    if engine == "local":
        return LocalBackend(run_id=run_id)
    return DockerBackend(run_id=run_id, image=IMAGE)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    require(request.param)
    return str(request.param)


@pytest.fixture
async def backend(engine: str) -> AsyncIterator[Backend]:
    made = make_backend(engine)
    yield made
    await made.close()


@pytest.fixture
async def pool(backend: Backend) -> AsyncIterator[SandboxPool]:
    async with SandboxPool(backend, limit=4) as opened:
        yield opened


@pytest.fixture
def backend_of() -> Callable[..., Backend]:
    return make_backend


@pytest.fixture
def local_engine() -> None:
    require("local")


@pytest.fixture
def docker_engine() -> None:
    require("docker")


@pytest.fixture
def image() -> str:
    return IMAGE
