"""What harbor's agents do to their environment, done in the workspace of a rollout.

Invariant: what a command leaves running goes on, as in a container of harbor's own; a command that
is cancelled or out of time is dead, with all it started.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path

from ...foreign.worker import Handler
from ...sandboxes.contract import Process, Sandbox
from ...sandboxes.finishing import finish
from ...types import Json

LONG = 100_000
"""Bytes of a command that is run from a file instead: one argument has 128 KiB."""
TIMED_OUT = 124
TERMINATE = "kill -TERM -1"
"""Asks all processes of the user to end; sent by the user who works."""

log = logging.getLogger(__name__)


class Bridge:
    """One workspace, as the script's own ``Bridge`` uses it. Paths on this machine are those of
    the agent's logs, and of harbor's own files."""

    def __init__(self, sandbox: Sandbox, command_seconds: float | None) -> None:
        self._sandbox, self._most = sandbox, command_seconds
        self._transfers = asyncio.Lock()
        self._users: dict[str, int | None] = {}
        self._keeper: Process | None = None
        self._files = 0

    async def open(self) -> None:
        """Start a process that lasts, so that no transfer ends what commands left running."""
        self._keeper = await self._sandbox.start(["sh", "-c", "exec sleep 2147483647"])

    async def close(self) -> None:
        """End that process; safe to call twice."""
        if self._keeper is not None:
            keeper, self._keeper = self._keeper, None
            with contextlib.suppress(Exception):
                await keeper.kill()

    async def exec(
        self,
        command: str,
        cwd: str | None,
        env: dict[str, str],
        seconds: float | None,
        user: str | int | None,
    ) -> Json:
        """Run a command to its end, or to its time limit."""
        number = await self._user(user)
        if len(command.encode()) > LONG:
            command = await self._from_file(command)
        process = await self._sandbox.start(command, cwd=cwd, env=env, user=number)
        await process.close_stdin()
        limits = [limit for limit in (seconds, self._most) if limit is not None]
        try:
            code = await process.wait(min(limits, default=None))
        except TimeoutError:
            await process.kill()
            code = TIMED_OUT
        except asyncio.CancelledError:
            await finish(process.kill())
            raise
        return {
            "stdout": process.stdout.text,
            "stderr": process.stderr.text,
            "exit_code": code,
        }

    async def terminate(self) -> None:
        """Ask everything that the agent runs to end."""
        with contextlib.suppress(TimeoutError):
            process = await self._sandbox.start(["sh", "-c", TERMINATE])
            await process.wait(5.0)

    async def upload_file(self, source: str, target: str) -> None:
        """Copy a file into the workspace."""
        async with self._transfers:
            await self._sandbox.upload(target, Path(source))

    async def upload_folder(self, source: str, target: str) -> None:
        """Copy a folder into the workspace."""
        async with self._transfers:
            await self._sandbox.upload_folder(target, Path(source))

    async def download_file(self, source: str, target: str) -> None:
        """Copy a file out of the workspace."""
        async with self._transfers:
            data = await self._sandbox.download(source)
        await asyncio.to_thread(_write, Path(target), data)

    async def download_folder(self, source: str, target: str) -> None:
        """Copy a folder out of the workspace."""
        async with self._transfers:
            await self._sandbox.download_folder(source, Path(target))

    async def _user(self, user: str | int | None) -> int | None:
        """The number of a user. Root is the workspace's own user where that is not allowed more."""
        if user is None:
            return None
        name = str(user)
        if name not in self._users:
            self._users[name] = await self._number(name)
        return self._users[name]

    async def _number(self, name: str) -> int | None:
        spec = self._sandbox.spec
        if name in ("root", "0"):
            return 0 if 0 in (spec.user, spec.verify_user) else None
        if name.isdigit():
            return int(name)
        process = await self._sandbox.start(["id", "-u", name])
        code = await process.wait(10.0)
        return int(process.stdout.text) if code == 0 else None

    async def _from_file(self, command: str) -> str:
        self._files += 1
        path = f"/tmp/.nel-command-{self._files}"
        async with self._transfers:
            await self._sandbox.upload(path, command.encode())
        return f". {path}"


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def handlers(bridges: dict[str, Bridge]) -> dict[str, Handler]:
    """The calls of the script, each on the workspace of the rollout that it names."""
    names = (
        "exec",
        "terminate",
        "upload_file",
        "upload_folder",
        "download_file",
        "download_folder",
    )

    def handler(name: str) -> Handler:
        async def handle(rollout: str, **params: Json) -> Json:
            done: Json = await getattr(bridges[rollout], name)(**params)
            return done

        return handle

    return {name: handler(name) for name in names}
