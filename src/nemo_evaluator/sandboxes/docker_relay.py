"""A door for containers whose network namespace this user may not enter.

A folder of the host with a unix socket is mounted into the container, and a relay inside forwards
from 127.0.0.1 to it. The relay is run by the container's root without capabilities, so that the
untrusted user cannot end it; it needs python3 in the image. Who reaches the socket still needs the
token of a session.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

from ..errors import ConfigError
from ..files.owner import Owner, find_owner
from ..http.listener import Listener
from .contract import Process

INSIDE = "/run/nel-door"
RELAY = f"""\
import asyncio

async def copy(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.close()

async def serve(reader, writer):
    try:
        there = await asyncio.open_unix_connection("{INSIDE}/s")
    except OSError:
        writer.close()
        return
    await asyncio.gather(copy(reader, there[1]), copy(there[0], writer))
    writer.close()
    there[1].close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""
SECONDS = 20.0
_PREFIX = "nel-door-"


def make_folder(owner: Owner) -> Path:
    """A new folder, named by its owner, that containers may look into."""
    folder = Path(tempfile.gettempdir()) / f"{_PREFIX}{owner}-{secrets.token_hex(4)}"
    folder.mkdir(mode=0o755)
    return folder


def listen(folder: Path) -> socket.socket:
    """The socket in a folder. ConfigError where the folder's path is too long for one."""
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(str(folder / "s"))
        (folder / "s").chmod(0o666)
        listener.listen(1024)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"cannot listen in {folder}: {error}", hint="set TMPDIR to a folder with a short path"
        ) from None
    return listener


async def relayed(listener: socket.socket, relay: Process) -> Listener:
    """The address inside of a relay that was just started. ConfigError if it did not start."""
    received = b""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SECONDS):
            async for chunk in relay.stdout:
                received += chunk
                if received.endswith(b"\n"):
                    break
    if not received.strip().isdigit():
        listener.close()
        raise ConfigError(
            f"no door into the container: {relay.stderr.text.strip()[-300:] or 'no answer'}",
            hint="for a user who is not root, `network: door` needs python3 in the image",
        )
    return Listener(listener, "127.0.0.1", int(received))


def remove_folders(ours: Callable[[Owner], bool]) -> list[str]:
    """Remove the folders of some owners; what that was."""
    removed = []
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        owner = find_owner(folder.name.removeprefix(_PREFIX))
        if owner is not None and ours(owner):
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(f"folder {folder.name}")
    return removed
