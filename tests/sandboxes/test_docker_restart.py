"""An engine that goes away in the middle: it is waited for, and its end is no crash of ours.

The engine stays up, for others use it too: what goes away is a relay in front of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from nemo_evaluator.sandboxes import DockerBackend, SandboxLost, SandboxSpec
from nemo_evaluator.sandboxes import docker as docker_backend
from nemo_evaluator.sandboxes.docker_api import find_socket


class Relay:
    """Passes an engine's socket on, until it is stopped."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, str(self.path))

    async def stop(self) -> None:
        """Stop listening, and break what is connected."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self.path.unlink(missing_ok=True)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        there, back = await asyncio.open_unix_connection(find_socket())
        try:
            await asyncio.gather(_pass(reader, back), _pass(there, writer))
        finally:
            for one in (back, writer):
                one.transport.abort()
            self._tasks.discard(task)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()


@pytest.fixture
async def relay(tmp_path: Path, docker_engine: None) -> AsyncIterator[Relay]:
    made = Relay(tmp_path / "engine.sock")
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def opened(relay: Relay, image: str) -> AsyncIterator[Callable[[], Awaitable[DockerBackend]]]:
    made = DockerBackend(image=image, socket=str(relay.path), run_id="restart")

    async def open_backend() -> DockerBackend:
        await made.preflight()
        return made

    yield open_backend
    await relay.stop()
    await relay.start()
    await made.close()


async def test_an_engine_that_is_restarted_is_waited_for(
    relay: Relay, opened: Callable[[], Awaitable[DockerBackend]]
) -> None:
    backend = await opened()
    await relay.stop()
    making = asyncio.create_task(backend.create(SandboxSpec()))
    await asyncio.sleep(1)
    assert not making.done()
    await relay.start()
    box = await making
    assert (await box.exec("echo here")).stdout == "here\n"
    await box.close()


async def test_one_that_stays_away_is_an_error_of_the_rollout(
    relay: Relay,
    opened: Callable[[], Awaitable[DockerBackend]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(docker_backend, "RESTART_SECONDS", 0.6)
    backend = await opened()
    await relay.stop()
    with pytest.raises(SandboxLost, match=r"gone for more than 0\.6 s"):
        await backend.create(SandboxSpec())
    await backend.close()
    assert "is removed by the next" in caplog.text, "closing tells, and does not fail"
