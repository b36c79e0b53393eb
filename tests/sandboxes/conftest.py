"""Real engines for the sandbox tests: bubblewrap and Docker.

A test that needs an absent engine is skipped, but fails in CI (`tests/support/engines.py`).
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable

import pytest
from engines import require

from nemo_evaluator.sandboxes import Backend, DockerBackend, LocalBackend, SandboxPool

IMAGE = os.environ.get("NEL_TEST_IMAGE", "sandbox-base:latest")
ENGINES = ("local", "docker")


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
