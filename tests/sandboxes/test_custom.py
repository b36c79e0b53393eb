"""A backend of one's own, opened by its path, keeps the contract and runs what is asked of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from engines import require

from nemo_evaluator.config.sandboxes import CustomSandbox
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.sandboxes import Backend, LocalBackend, Sandbox, SandboxSpec
from nemo_evaluator.sandboxes.opening import open_backend
from nemo_evaluator.testing.sandboxes import SandboxContract


class Mine:
    """One that is nobody's subclass, and hands on to another."""

    name = "mine"

    def __init__(self, region: str) -> None:
        self.region = region
        self._other = LocalBackend()

    async def preflight(self) -> Mapping[str, str]:
        return {**await self._other.preflight(), "region": self.region}

    def check(self, spec: SandboxSpec) -> None:
        self._other.check(spec)

    async def pull(self, image: str | None) -> None:
        await self._other.pull(image)

    async def create(self, spec: SandboxSpec) -> Sandbox:
        return await self._other.create(spec)

    async def reap(self) -> list[str]:
        return await self._other.reap()

    async def close(self) -> None:
        await self._other.close()


def opened(attribute: str, **config: object) -> Backend:
    where = f"{Path(__file__).resolve()}:{attribute}"
    return open_backend(CustomSandbox(class_path=where, config=config))


@pytest.mark.slow
class TestMine(SandboxContract):
    @pytest.fixture
    async def backend(self) -> AsyncIterator[Backend]:
        require("local")
        made = opened("Mine", region="here")
        assert (await made.preflight())["region"] == "here"
        yield made
        await made.close()


def test_what_is_no_backend_is_refused() -> None:
    with pytest.raises(ConfigError, match="it needs name, preflight"):
        opened("SandboxSpec")
    with pytest.raises(ConfigError, match="region"):
        opened("Mine")
