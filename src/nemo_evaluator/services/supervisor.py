"""Runs one server beside the evaluation: started, watched, and ended with all its processes.

Invariants: the log has every byte from the first on, without known secrets; a server is never taken
for ready because another program listens on its port; when it ends by itself, whoever asks it is
told so, with the end of the log; when the evaluation ends, however that is, so does the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from ..config.scrubber import KNOWN
from ..errors import ConfigError
from ..files.lines import LineFile
from ..http.client.errors import NetError
from ..http.client.single import request
from .contract import AnyService, Health, Launch

HOST = "127.0.0.1"
TAIL = 20
"""Lines of the log that an error shows."""
KEPT = 1000
"""Lines of the log that are kept in memory."""
POLL_SECONDS = (0.05, 1.0)
"""Time between two looks whether a server is up, at first and at most."""
ASK_SECONDS = 10.0
PR_SET_PDEATHSIG = 1


class Supervisor:
    """One server of this machine."""

    def __init__(
        self,
        name: str,
        launch: Launch,
        log: Path | None,
        needs: Sequence[AnyService] = (),
        say: Callable[[str], None] = lambda _: None,
        env: Callable[[], Awaitable[Mapping[str, str]]] | None = None,
    ) -> None:
        """``launch`` has a port. ``log``: where what the server says goes; ``say`` is told that it
        starts, and that it is up. ``env``: variables that are known only once it starts, which
        those of ``launch`` win over."""
        assert launch.port is not None
        self.name, self.launch = name, launch
        self._log, self._needs, self._say, self._more_env = log, needs, say, env
        self._guard: subprocess.Popen[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lines: deque[str] = deque(maxlen=KEPT)
        self._reader: threading.Thread | None = None
        self._starting = asyncio.Lock()
        self._failure: ConfigError | None = None
        self._up = False

    async def start(self) -> None:
        """Start the server, once, after what it depends on, and wait until it is up. Raises
        ConfigError."""
        async with self._starting:
            if self._failure is not None:
                raise self._failure
            if self._up:
                return
            try:
                for need in self._needs:
                    await need.ready()
                self._begin({} if self._more_env is None else await self._more_env())
                began = time.monotonic()
                self._say(
                    f"service {self.name}: starting" + (f", log: {self._log}" if self._log else "")
                )
                await self._until_up()
                self._say(f"service {self.name}: up after {time.monotonic() - began:.0f} s")
            except ConfigError as error:
                self._failure = error
                await self.stop()
                raise
            self._up = True

    def health(self) -> Health:
        """Whether it runs; before its start that is not known to be wrong."""
        code = self._process.poll() if self._process is not None else None
        return Health(True) if code is None else Health(False, self._ended(code))

    def lines(self) -> list[str]:
        """The last lines of its log."""
        return [*self._lines]

    async def stop(self) -> None:
        """End the server and every process it started. Safe to call twice."""
        if self._process is not None:
            await asyncio.to_thread(self._stop, self._process)
            self._process = None

    def _begin(self, env: Mapping[str, str]) -> None:
        launch = self.launch
        self._check_free()
        try:
            self._process = subprocess.Popen(
                launch.argv,
                env={**os.environ, **env, **launch.env},
                cwd=launch.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_ends_with_parent(),
            )
        except OSError as error:
            where = f"services.{self.name}"
            reason = error.strerror or str(error)
            raise ConfigError(f"cannot start {launch.argv[0]!r}: {reason}", where=where) from None
        self._guard = _guard(self._process.pid, launch.stop_timeout)
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()

    def _check_free(self) -> None:
        """Raise ConfigError if another program listens on the port: it would be evaluated."""
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, self.launch.port or 0))
            except OSError as error:
                raise ConfigError(
                    f"port {self.launch.port} cannot be used: {error.strerror}",
                    where=f"services.{self.name}.port",
                    hint="end the program that listens there, or leave out port",
                ) from None

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with contextlib.ExitStack() as stack:
            file = None
            if self._log is not None:
                with contextlib.suppress(OSError, ConfigError):
                    file = stack.enter_context(LineFile(self._log, shared=True))
            for line in process.stdout:
                text = KNOWN(line.decode(errors="replace").rstrip("\r\n"))
                self._lines.append(text)
                if file is not None:
                    with contextlib.suppress(OSError):  # a full disk stops no server
                        file.append(f"{text}\n".encode())

    async def _until_up(self) -> None:
        assert self._process is not None
        end = time.monotonic() + self.launch.startup_timeout
        pause, last = POLL_SECONDS[0], ""
        while True:
            if (code := self._process.poll()) is not None:
                raise self._wrong(self._ended(code))
            up, last = await self._asked()
            if up:
                return
            if time.monotonic() > end:
                seconds = f"{self.launch.startup_timeout:g}"
                raise self._wrong(f"was not up after {seconds} s ({last}){self._tail()}")
            await asyncio.sleep(pause)
            pause = min(2 * pause, POLL_SECONDS[1])

    async def _asked(self) -> tuple[bool, str]:
        """Whether it is up, and what came instead."""
        address = f"{HOST}:{self.launch.port}"
        if self.launch.health_path is None:
            try:
                _, writer = await asyncio.wait_for(
                    asyncio.open_connection(HOST, self.launch.port), ASK_SECONDS
                )
            except (OSError, TimeoutError):
                return False, f"nothing listens on {address}"
            writer.close()
            return True, ""
        url = f"http://{address}{self.launch.health_path}"
        try:
            status, _ = await request("GET", url, seconds=ASK_SECONDS)
        except NetError as error:
            return False, f"GET {url}: {error}"
        return status == 200, f"GET {url} was answered with {status}"

    def _wrong(self, what: str) -> ConfigError:
        return ConfigError(what, where=f"services.{self.name}")

    def _ended(self, code: int) -> str:
        if self._reader is not None:
            self._reader.join(1.0)  # the last words are on their way
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        return f"the server ended {how}{self._tail()}"

    def _tail(self) -> str:
        lines = [*self._lines][-TAIL:]
        where = f" ({self._log})" if self._log is not None else ""
        if not lines:
            return "; it said nothing"
        return f"; the end of its log{where}:\n" + "\n".join(f"  {line}" for line in lines)

    def _stop(self, process: subprocess.Popen[bytes]) -> None:
        if self._guard is not None:
            self._guard.kill()  # before its input is closed: to it, that is our death
            self._guard.communicate()
        found = descendants(process.pid)
        _signal_group(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(self.launch.stop_timeout)
        found |= descendants(process.pid)
        _signal_group(process.pid, signal.SIGKILL)
        for pid, began in found.items():  # those that left the group
            if began and _stat(pid)[1] == began:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        process.wait()
        if self._reader is not None:
            self._reader.join(1.0)
        if process.stdout is not None and not (self._reader and self._reader.is_alive()):
            process.stdout.close()


def descendants(pid: int) -> dict[int, str]:
    """The processes below one, also those that left its group, and when each began."""
    children: dict[int, dict[int, str]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            parent, began = _stat(int(entry.name))
            children.setdefault(parent, {})[int(entry.name)] = began
    found: dict[int, str] = {}
    below = {**children.get(pid, {})}
    while below:
        child, began = below.popitem()
        found[child] = began
        below |= children.get(child, {})
    return found


def _stat(pid: int) -> tuple[int, str]:
    """The parent of a process, and when it began; 0 and nothing for one that is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[1]), fields[19]
    except (OSError, ValueError, IndexError):
        return 0, ""


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _ends_with_parent() -> Callable[[], None] | None:
    """What the new process does first: the kernel is to end it when this process dies, however that
    happens. None where there is no such thing."""
    if sys.platform != "linux":
        return None
    import ctypes

    control, parent = ctypes.CDLL(None).prctl, os.getpid()

    def arrange() -> None:
        control(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before that
            os._exit(1)

    return arrange


def _guard(group: int, seconds: float) -> subprocess.Popen[bytes] | None:
    """Ends all processes of a server when this process dies, however that happens: the kernel ends
    only the first of them. None where there is no shell."""
    script = 'read _; kill -s TERM -- "-$0"; sleep "$1"; kill -s KILL -- "-$0"'
    try:
        return subprocess.Popen(
            ["/bin/sh", "-c", script, str(group), str(math.ceil(seconds))],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return None


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(OSError):
        os.killpg(pid, number)
