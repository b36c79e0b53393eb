"""Our own backends keep the contract that `nemo_evaluator.testing` states for any backend."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from nemo_evaluator.sandboxes import Backend
from nemo_evaluator.testing.sandboxes import SandboxContract


class TestLocal(SandboxContract):
    @pytest.fixture
    async def backend(self, backend_of: Callable[..., Backend]) -> AsyncIterator[Backend]:
        made = backend_of("local")
        yield made
        await made.close()


class TestDocker(SandboxContract):
    @pytest.fixture
    async def backend(self, backend_of: Callable[..., Backend]) -> AsyncIterator[Backend]:
        made = backend_of("docker")
        yield made
        await made.close()
