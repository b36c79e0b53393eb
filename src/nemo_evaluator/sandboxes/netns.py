"""A listener of this process inside the network namespace of a sandbox.

A socket belongs to the namespace it was made in, whoever holds it. So a short helper enters the
namespace, makes the socket there, and hands it back: the sandbox needs no network, no address of
the host and no program of ours to reach what this process serves on it, and reaches nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from pathlib import Path

from ..errors import ConfigError
from ..http.listener import Listener
from .contract import SandboxLost

SECONDS = 20.0
_HELPER = """\
import socket, sys
made = socket.create_server(("127.0.0.1", 0), backlog=1024)
socket.send_fds(socket.socket(fileno=int(sys.argv[1])), [b"1"], [made.fileno()])
"""
_ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}


async def listen_inside(pid: int, *, own_users: bool, peer: str) -> Listener:
    """A listening socket on 127.0.0.1 in the namespace of a process.

    ``own_users``: the process is in a user namespace that this user made. Raises ConfigError where
    the namespace may not be entered, SandboxLost where it is gone.
    """
    enter = ["nsenter", "--preserve-credentials", "-t", str(pid), "-n"]
    if own_users:
        enter.append("-U")
    ours, theirs = socket.socketpair()
    try:
        helper = await asyncio.create_subprocess_exec(
            *enter,
            *("--", sys.executable, "-I", "-S", "-c", _HELPER, str(theirs.fileno())),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=[theirs.fileno()],
            env=_ENV,
        )
        theirs.close()
        output = await _helper_output(helper)
        if helper.returncode != 0:
            raise _failure(pid, output, peer)
        _, fds, _, _ = socket.recv_fds(ours, 1, 1)
        listener = socket.socket(fileno=fds[0])
        listener.setblocking(False)
        return Listener(listener, *listener.getsockname())
    except FileNotFoundError:
        raise ConfigError(
            "network: door needs nsenter, which is not on this machine",
            hint="install util-linux (`apt-get install util-linux`)",
        ) from None
    except TimeoutError:
        raise SandboxLost(
            "no listener in the sandbox: its helper does not end", peer=peer
        ) from None
    finally:
        ours.close()
        theirs.close()


async def _helper_output(helper: asyncio.subprocess.Process) -> str:
    """Wait for the helper; what it said. It is killed if it does not end."""
    try:
        async with asyncio.timeout(SECONDS):
            _, output = await helper.communicate()
            return output.decode(errors="replace").strip()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            helper.kill()
        await helper.wait()
        raise


def _failure(pid: int, said: str, peer: str) -> ConfigError | SandboxLost:
    """Why there is no listener: a missing permission, or a sandbox that has ended."""
    if not Path(f"/proc/{pid}").exists():
        return SandboxLost("the sandbox is gone", peer=peer)
    if "ermission denied" in said or "not permitted" in said:
        return ConfigError(
            "this user may not open a door into the sandbox's network",
            hint="see that `nsenter` may enter what this user has made, or use another sandbox",
        )
    return SandboxLost(f"no listener in the sandbox: {said[-300:]}", peer=peer)
