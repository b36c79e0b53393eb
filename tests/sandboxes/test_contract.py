"""Our own backends keep the contract that `nemo_evaluator.testing` states for any backend."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from nemo_evaluator import ConfigError
from nemo_evaluator.sandboxes import Backend, SandboxSpec
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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has another user set sandboxes up")
def test_a_folder_that_cannot_be_shown_is_refused(
    backend_of: Callable[..., Backend], tmp_path: Path
) -> None:
    (tmp_path / "tool").mkdir()
    tmp_path.chmod(0o700)
    with pytest.raises(ConfigError, match=r"only its owner may enter .* — put it where everybody"):
        backend_of("local").check(SandboxSpec(folders=(str(tmp_path / "tool"),)))
    with pytest.raises(ConfigError, match="there is no '/no-such-folder'"):
        backend_of("local").check(SandboxSpec(folders=("/no-such-folder",)))
