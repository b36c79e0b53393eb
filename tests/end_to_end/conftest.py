"""Whole runs of the real command against real loopback servers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from runs import BENCH, NEL, ROOT


@pytest.fixture
def nel(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `nel` in an empty folder."""

    def run(*words: object, timeout: float = 60, **env: str) -> subprocess.CompletedProcess[str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("NEMO_", "NVIDIA_"))}
        return subprocess.run(
            [*NEL, *map(str, words)],
            cwd=tmp_path,
            env={**clean, **env},
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return run


@pytest.fixture
def bench(tmp_path: Path) -> Callable[[int], Path]:
    """Writes a benchmark of some sums."""

    def write(size: int) -> Path:
        path = tmp_path / "sums.py"
        path.write_text(BENCH % {"size": size})
        return path

    return write


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Starts the loopback server in a process of its own; returns its base URL."""
    servers: list[subprocess.Popen[str]] = []

    def start(*, answers: dict[str, str] | None = None, **options: Any) -> str:
        command = [sys.executable, str(ROOT / "tests/support/loopback.py")]
        for name, value in options.items():
            text = json.dumps(value) if isinstance(value, dict) else str(value)
            command += [f"--{name.replace('_', '-')}", text]
        if answers is not None:
            path = tmp_path / f"answers{len(servers)}.json"
            path.write_text(json.dumps(answers))
            command += ["--answers", str(path)]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        servers.append(server)
        assert server.stdout is not None
        return server.stdout.readline().split()[-1]

    yield start
    for server in servers:
        server.kill()
        server.wait()
        assert server.stdout is not None
        server.stdout.close()


@pytest.fixture
def refusing(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Starts an endpoint that gives one refusal to every question."""
    import asyncio
    import threading

    from loopback import FAULTS, Loopback

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    servers: list[Loopback] = []

    def start(fault: str) -> str:
        server = Loopback(FAULTS[fault])
        asyncio.run_coroutine_threadsafe(server.start(0), loop).result(10)
        servers.append(server)
        return server.url

    yield start
    for server in servers:
        asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
