"""An SSH connection to a task: the exec server there as a socket here, and our door there.

The private key is in the memory of an ssh-agent of ours and in no file. The host key of a task is
not known to anybody before it is made, so that it cannot be checked; who is at the other end proves
nothing by it, but the exec server serves the first caller and no other.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from ..errors import ConfigError
from . import processes
from .contract import SandboxLost

_PAUSE, _LONGEST = 1.0, 30.0
_ONCE = 30.0
_OPTIONS = {
    "StrictHostKeyChecking": "no",
    "UserKnownHostsFile": "/dev/null",
    "LogLevel": "ERROR",
    "BatchMode": "yes",
    "ConnectTimeout": "15",
    "ServerAliveInterval": "30",
    "ServerAliveCountMax": "20",
    "ExitOnForwardFailure": "yes",
    "StreamLocalBindUnlink": "yes",
}
_REFUSED = ("Permission denied", "Too many authentication failures")
"""What no later try helps."""

_AGENT = """\
ssh-agent -D -a "$1/agent" < /dev/null & agent=$!
cat > /dev/null
kill $agent; rm -rf -- "$1"
"""
"""Ends the agent with its owner, however that ends: the owner's end of the pipe is gone then."""


class Keys:
    """An ssh-agent with one key."""

    def __init__(self, folder: Path, process: asyncio.subprocess.Process) -> None:
        self._folder, self._process = folder, process

    @property
    def socket(self) -> str:
        """The socket that the agent is asked at."""
        return str(self._folder / "agent")

    @classmethod
    async def open(cls, private_key: str) -> Keys:
        """Start the agent. Raises ConfigError for a key that is none."""
        folder = Path(tempfile.mkdtemp(prefix="nel-ecs-"))
        process = await asyncio.create_subprocess_exec(
            *("sh", "-c", _AGENT, "sh", str(folder)),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        keys = cls(folder, process)
        for _ in range(100):
            code, why = await _run_openssh(
                ["ssh-add", "-"], keys.socket, private_key.strip() + "\n"
            )
            if code == 0:
                return keys
            if "invalid format" in why or "error in libcrypto" in why:
                break
            await asyncio.sleep(0.05)
        await keys.close()
        raise ConfigError(
            "the secret of ssh_sidecar.private_key_secret_arn is no private key without passphrase",
            hint="store an OpenSSH private key (`ssh-keygen -t ed25519 -N ''`)",
        )

    async def close(self) -> None:
        """End the agent."""
        processes.kill_group(self._process.pid)
        await self._process.wait()
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)


class Tunnel:
    """One connection, opened again when it is lost."""

    def __init__(self, keys: Keys, host: str, port: int, exec_port: int) -> None:
        self._keys, self._host, self._port, self._exec_port = keys, host, port, exec_port
        self._folder = Path(tempfile.mkdtemp(prefix="nel-ssh-"))
        self._process: asyncio.subprocess.Process | None = None
        self._doors: dict[str, int] = {}
        self._opening = asyncio.Lock()

    @property
    def socket(self) -> str:
        """The exec server, here."""
        return str(self._folder / "s")

    @property
    def door(self) -> Path:
        """The folder for sockets of ours."""
        return self._folder

    async def open(self, seconds: float) -> None:
        """Connect, unless there is a connection. Raises SandboxLost."""
        async with self._opening:
            if self._process is not None and self._process.returncode is None:
                return
            pause, end = _PAUSE, asyncio.get_running_loop().time() + seconds
            while (why := await self._connect()) is not None:
                late = asyncio.get_running_loop().time() + pause > end
                if late or any(word in why for word in _REFUSED):
                    raise SandboxLost(f"no SSH connection to the task: {why[-300:]}", peer="ssh")
                await asyncio.sleep(pause)
                pause = min(1.5 * pause, _LONGEST)
            for path, port in self._doors.items():
                await self._forward(path, port)

    async def forward(self, path: str) -> int:
        """A port of the task that leads to a socket here. Raises SandboxLost."""
        port = await self._forward(path, 0)
        self._doors[path] = port
        return port

    async def close(self) -> None:
        """Disconnect; safe to call twice."""
        process, self._process = self._process, None
        if process is not None:
            processes.kill_group(process.pid)
            await process.wait()
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    def _words(self, *more: str) -> list[str]:
        options = [w for key, value in _OPTIONS.items() for w in ("-o", f"{key}={value}")]
        options += ["-o", f"IdentityAgent={self._keys.socket}", "-S", str(self._folder / "ctl")]
        return ["ssh", *options, "-p", str(self._port), *more, f"root@{self._host}"]

    async def _connect(self) -> str | None:
        """Try once; what ssh said where that did not work."""
        (self._folder / "ctl").unlink(missing_ok=True)
        forward = f"{self.socket}:127.0.0.1:{self._exec_port}"
        process = await asyncio.create_subprocess_exec(
            *self._words("-M", "-N", "-F", "none", "-L", forward),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        end = asyncio.get_running_loop().time() + _ONCE
        while process.returncode is None and asyncio.get_running_loop().time() < end:
            if (self._folder / "ctl").exists():
                self._process = process
                return None
            await asyncio.sleep(0.05)
        processes.kill_group(process.pid)
        assert process.stderr is not None
        stderr = (await process.stderr.read(2000)).decode(errors="replace").strip()
        await process.wait()
        return stderr or "no answer"

    async def _forward(self, path: str, port: int) -> int:
        words = self._words("-F", "none", "-O", "forward", "-R", f"127.0.0.1:{port}:{path}")
        code, output = await _run_openssh(words, self._keys.socket, "")
        if code != 0:
            raise SandboxLost(f"no door into the task: {output[-300:]}", peer="ssh")
        return port or int(output.split()[0])


async def _run_openssh(words: list[str], agent: str, stdin: str) -> tuple[int, str]:
    """Exit code and output of a program of OpenSSH."""
    process = await asyncio.create_subprocess_exec(
        *words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "SSH_AUTH_SOCK": agent, "LC_ALL": "C"},
    )
    try:
        async with asyncio.timeout(_ONCE):
            output, _ = await process.communicate(stdin.encode())
    except TimeoutError:
        output = b"no answer in time"
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return process.returncode or 0, output.decode(errors="replace").strip()
