"""A real Ray cluster on loopback whose nodes can be killed."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from free_ports import free_port
from parts import part
from runs import ROOT

SECONDS = 90.0


@dataclass
class Nodes:
    """The nodes of a cluster, each a process group of its own."""

    temporary: Path
    port: int = field(default_factory=free_port)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Of the head."""
        return f"127.0.0.1:{self.port}"

    def environment(self, **more: str) -> dict[str, str]:
        """Of everything that has to do with the cluster."""
        return {
            **os.environ,
            "PYTHONPATH": str(ROOT / "src"),
            "RAY_AUTH_MODE": "disabled",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_TMPDIR": str(self.temporary),
            "PATH": f"{part('ray') / 'bin'}:{os.environ['PATH']}",
            "XDG_DATA_HOME": str(self.temporary / "data"),
            # A node that is gone is noticed soon, and a busy one is not taken for one.
            "RAY_health_check_period_ms": "1000",
            "RAY_health_check_timeout_ms": "4000",
            "RAY_health_check_failure_threshold": "4",
            "RAY_health_check_initial_delay_ms": "0",
            **more,
        }

    def start(self, *options: str, before: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """A further node with one CPU; ``before``: a command that runs it."""
        which = ["--head", "--port", str(self.port), "--include-dashboard=false"]
        if self.processes:
            which = [f"--address={self.address}"]
        command = [*before, str(part("ray") / "bin" / "ray"), "start", "--block", "--num-cpus=1"]
        command += [f"--node-ip-address=127.0.0.{len(self.processes) + 1}", *which]
        command += ["--object-store-memory=80000000"]
        log = (self.temporary / f"node{len(self.processes)}.log").open("wb")
        with log:
            process = subprocess.Popen(
                [*command, *options],
                env=self.environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self.processes.append(process)
        path = self.temporary / f"node{len(self.processes) - 1}.log"
        end = time.monotonic() + SECONDS
        while b"Ray runtime started" not in path.read_bytes():
            assert process.poll() is None and time.monotonic() < end, path.read_text()
            time.sleep(0.1)
        return process

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """As when a machine loses its power: all of a node's processes at once."""
        for pid in descendants(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()

    def close(self) -> None:
        """End all nodes."""
        for process in self.processes:
            if process.poll() is None:
                self.kill(process)
        shutil.rmtree(self.temporary, ignore_errors=True)


@contextlib.contextmanager
def nodes() -> Iterator[Nodes]:
    """No node yet."""
    made = Nodes(Path(tempfile.mkdtemp(prefix="nr", dir="/tmp")))  # Ray's sockets need short paths
    try:
        yield made
    finally:
        made.close()


def descendants(pid: int) -> list[int]:
    """A process and everything below it."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found
