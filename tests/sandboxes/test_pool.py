"""The pool: bounded, fresh, and nothing left behind, even by an owner that was killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.files.owner import LABEL
from nemo_evaluator.sandboxes import (
    Backend,
    DockerBackend,
    Limits,
    LocalBackend,
    SandboxLost,
    SandboxPool,
    SandboxSpec,
    cgroups,
)
from nemo_evaluator.sandboxes.docker_api import Engine

SMALL = SandboxSpec(limits=Limits(memory_mb=64, disk_mb=4, timeout=60))


class CountingBackend:
    """A backend without an engine, that counts."""

    name = "counting"

    def __init__(self, *, broken: str = "") -> None:
        self.alive = self.most = self.made = self.closed = 0
        self.pulled: list[str | None] = []
        self.broken = broken

    async def preflight(self) -> Mapping[str, str]:
        if self.broken == "preflight":
            raise ConfigError("no engine")
        return {"engine": "none"}

    def check(self, spec: SandboxSpec) -> None:
        if spec.network == "bridge":
            raise ConfigError("no bridge")

    async def pull(self, image: str | None) -> None:
        self.pulled.append(image)
        await asyncio.sleep(0.01)
        if self.broken == "pull":
            raise ConfigError(f"no image {image}")

    async def create(self, spec: SandboxSpec) -> Any:
        if self.broken == "create":
            raise SandboxLost("failed")
        self.alive += 1
        self.made += 1
        self.most = max(self.most, self.alive)
        return _Box(self, spec)

    async def reap(self) -> list[str]:
        return ["one"]

    async def close(self) -> None:
        self.closed += 1


class _Box:
    def __init__(self, backend: CountingBackend, spec: SandboxSpec) -> None:
        self.backend, self.spec = backend, spec

    async def close(self) -> None:
        await asyncio.sleep(0.01)
        self.backend.alive -= 1
        if self.backend.broken == "close":
            raise SandboxLost("cannot be removed")


async def test_at_most_so_many_at_a_time() -> None:
    backend = CountingBackend()
    async with SandboxPool(backend, limit=3) as pool:

        async def use() -> None:
            async with pool.acquire(SandboxSpec()):
                await asyncio.sleep(0.005)

        await asyncio.gather(*(use() for _ in range(20)))
    assert (backend.most, backend.made, backend.alive, backend.closed) == (3, 20, 0, 1)
    assert pool.removed == ["one"]


async def test_images_are_pulled_once_and_only_what_is_asked_for() -> None:
    backend = CountingBackend()
    async with SandboxPool(backend, limit=8) as pool:
        await pool.prepull([SandboxSpec(image=name) for name in "abab"])

        async def use(image: str) -> None:
            async with pool.acquire(SandboxSpec(image=image)):
                pass

        await asyncio.gather(*map(use, "abcabc"))
    assert sorted(map(str, backend.pulled)) == ["a", "b", "c"]


async def test_a_failing_image_fails_all_who_wait() -> None:
    async with SandboxPool(CountingBackend(broken="pull")) as pool:
        for _ in range(2):
            with pytest.raises(ConfigError, match="no image"):
                async with pool.acquire(SandboxSpec(image="a")):
                    pass
        with pytest.raises(ConfigError, match="no image"):
            await pool.prepull([SandboxSpec(image="a")])


async def test_a_spec_that_cannot_be_is_told_before_anything_is_made() -> None:
    backend = CountingBackend()
    async with SandboxPool(backend) as pool:
        with pytest.raises(ConfigError, match="bridge"):
            await pool.prepull([SandboxSpec(), SandboxSpec(network="bridge")])
    assert backend.pulled == [] and backend.made == 0


async def test_room_is_given_back_after_failures() -> None:
    backend = CountingBackend(broken="create")
    async with SandboxPool(backend, limit=1) as pool:
        for _ in range(3):
            with pytest.raises(SandboxLost):
                async with pool.acquire(SandboxSpec()):
                    pass
        backend.broken = ""
        with pytest.raises(ZeroDivisionError):
            async with pool.acquire(SandboxSpec()):
                raise ZeroDivisionError
        assert backend.alive == 0


async def test_a_failing_removal_does_not_lose_the_verdict() -> None:
    backend = CountingBackend(broken="close")
    async with SandboxPool(backend) as pool, pool.acquire(SandboxSpec()):
        verdict = 1
    assert verdict == 1


async def test_cancelling_twice_still_closes() -> None:
    backend = CountingBackend()
    async with SandboxPool(backend) as pool:

        async def use() -> None:
            async with pool.acquire(SandboxSpec()):
                await asyncio.sleep(60)

        task = asyncio.create_task(use())
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.sleep(0.002)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (backend.made, backend.alive) == (1, 0)


async def test_a_missing_engine_stops_before_the_run() -> None:
    with pytest.raises(ConfigError, match="no engine"):
        async with SandboxPool(CountingBackend(broken="preflight")):
            pass


def test_a_pool_has_room() -> None:
    with pytest.raises(ValueError, match="room"):
        SandboxPool(CountingBackend(), limit=0)


async def _left(engine: str, run: str) -> list[str]:
    """What exists with the label of a run."""
    if engine == "docker":
        query = {"all": "1", "filters": json.dumps({"label": [LABEL]})}
        found = await Engine().expect("GET", "/containers/json", query=query)
        return [c["Id"] for c in found if c["Labels"][LABEL].startswith(f"{run}.")]
    left = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if line.startswith(b"bwrap") and f"{run}.".encode() in line and state != "Z":
                left.append(entry.name)
    if (where := cgroups.find()) is not None:
        left += [str(p) for root in where.parents.values() for p in root.glob(f"*-{run}.*")]
    return left


async def test_exceptions_and_cancellation_leave_nothing(
    backend_of: Callable[..., Backend], engine: str
) -> None:
    run = f"cancel-{os.getpid()}"
    async with SandboxPool(backend_of(engine, run), limit=3) as pool:

        async def use(number: int) -> None:
            async with pool.acquire(SMALL) as box:
                await box.exec("sleep 300 & sleep 300")

        tasks = [asyncio.create_task(use(n)) for n in range(6)]
        await asyncio.sleep(1.5)
        assert await _left(engine, run)
        tasks[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert await _left(engine, run) == []


OWNER = """
import asyncio, sys
from nemo_evaluator.sandboxes import *
engine, run, count, image = sys.argv[1:]
backend = LocalBackend(run_id=run) if engine == "local" else DockerBackend(run_id=run, image=image)
spec = SandboxSpec(limits=Limits(memory_mb=64, disk_mb=4, timeout=600))
async def main():
    up = 0
    async with SandboxPool(backend, limit=int(count)) as pool:
        async def use():
            nonlocal up
            async with pool.acquire(spec) as box:
                await box.exec("true")
                up += 1
                if up == int(count):
                    print("up", flush=True)
                await box.exec("setsid sleep 500 & sleep 500")
        await asyncio.gather(*(use() for _ in range(int(count))))
asyncio.run(main())
"""


@asynccontextmanager
async def _owner(
    engine: str, image: str, run: str, count: int
) -> AsyncIterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-c", OWNER, engine, run, str(count), image]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == "up\n", process.communicate()[1]
        yield process
    finally:
        process.kill()
        process.communicate()


async def test_after_kill_9_the_next_pool_removes_all(
    backend_of: Callable[..., Backend], engine: str, image: str
) -> None:
    run = f"killed-{os.getpid()}"
    async with _owner(engine, image, run, 20) as process:
        assert len(await _left(engine, run)) >= 20
        async with SandboxPool(backend_of(engine, "beside")):
            assert len(await _left(engine, run)) >= 20
        process.send_signal(signal.SIGKILL)
        process.wait()
    begin = time.monotonic()
    async with SandboxPool(backend_of(engine, "next")):
        assert await _left(engine, run) == []
    assert time.monotonic() - begin < 30


async def test_ctrl_c_leaves_nothing(engine: str, image: str) -> None:
    run = f"interrupted-{os.getpid()}"
    async with _owner(engine, image, run, 4) as process:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)
        assert await _left(engine, run) == []


def _has_children(pid: str) -> bool:
    try:
        return bool(Path(f"/proc/{pid}/task/{pid}/children").read_text())
    except OSError:
        return False


async def test_local_programs_end_with_a_killed_owner_at_once(
    local_engine: None, image: str
) -> None:
    """One that was just starting may be left waiting for its start; the next pool removes it."""
    run = f"orphan-{os.getpid()}"
    async with _owner("local", image, run, 3) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    for _ in range(100):
        running = [n for n in await _left("local", run) if n.isdigit() and _has_children(n)]
        if not running:
            break
        await asyncio.sleep(0.02)
    assert not running
    await LocalBackend().reap()
    assert await _left("local", run) == []


async def test_docker_missing_says_both_ways_to_fix_it(tmp_path: Path) -> None:
    backend = DockerBackend(image="x", socket=str(tmp_path / "none.sock"))
    with pytest.raises(ConfigError) as caught:
        async with SandboxPool(backend):
            pass
    for word in ("dockerd", "apt-get install docker.io", "apt-get install bubblewrap"):
        assert word in str(caught.value)


async def test_bubblewrap_missing_says_both_ways_to_fix_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from nemo_evaluator.sandboxes import local_tools

    monkeypatch.setitem(local_tools.ENV, "PATH", str(tmp_path))
    with pytest.raises(ConfigError) as caught:
        await LocalBackend().preflight()
    for word in ("bwrap", "apt-get install bubblewrap", "type: docker"):
        assert word in str(caught.value)


async def test_bubblewrap_that_may_not_is_told_before_the_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, local_engine: None
) -> None:
    from nemo_evaluator.sandboxes import local_tools

    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2; exit 1\n")
    fake.chmod(0o755)
    monkeypatch.setitem(local_tools.ENV, "PATH", f"{tmp_path}:{local_tools.ENV['PATH']}")
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if parent != Path("/tmp") and parent.is_relative_to("/tmp"):
            parent.chmod(0o755)
    with pytest.raises(ConfigError, match="No permissions to create new namespace"):
        await LocalBackend().preflight()


async def test_an_image_that_cannot_be_had(docker_engine: None) -> None:
    backend = DockerBackend(image="localhost:1/no/such:1")
    async with SandboxPool(backend) as pool:
        with pytest.raises(ConfigError, match="docker pull localhost:1/no/such:1"):
            async with pool.acquire(SandboxSpec()):
                pass
    with pytest.raises(ConfigError, match="no image"):
        DockerBackend().check(SandboxSpec())
