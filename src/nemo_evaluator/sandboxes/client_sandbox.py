"""Sandboxes whose commands are run by a client program, a process of this machine for each of them:
``apptainer exec``, ``srun``. A `Holder` keeps the sandbox from `begin` to `close`.

Variables may be secrets: they are handed on by the client's environment under neutral names, which
a script inside changes to their own; nothing of them is on a command line. An engine says how its
client is called (`_client`), and how what commands have left is ended.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Self

from ..errors import ConfigError
from . import processes, transfer
from .commands import CommandSandbox, Job, Launch
from .contract import SandboxLost, SandboxSpec
from .docker_kills import MARK
from .finishing import finish
from .holder import Holder
from .local_process import LocalProcess, open_terminal
from .streams import drain

KILLED = 128 + 9
OWN = -1
"""The user inside whom commands have without being changed to another."""
LINGER = 0.5
"""Seconds for the last output of what has ended."""
_ANSWER = 5.0
"""Seconds a command that was killed gets to end."""
SWITCH = """\
user=$1; shift
if command -v setpriv >/dev/null 2>&1; then
  exec setpriv --reuid="$user" --regid="$user" --clear-groups --inh-caps=-all "$@"
elif chroot --userspec="$user:$user" --groups="$user" / true 2>/dev/null; then
  exec chroot --userspec="$user:$user" --groups="$user" / "$@"
elif command -v python3 >/dev/null 2>&1; then
  exec python3 -I -S -c 'import os, sys
u = int(sys.argv[1]); os.setgroups([]); os.setresgid(u, u, u); os.setresuid(u, u, u)
os.execvp(sys.argv[2], sys.argv[2:])' "$user" "$@"
fi
echo "the image has no setpriv, chroot --userspec or python3 to change the user with" >&2
exit 126
"""
"""Becomes another user, as root of the container."""
OTHER = """\
user=$1; shift
exec unshare --user --map-user="$user" --map-group="$user" -- "$@"
"""
"""Is called otherwise, for who is not root: the files stay those of one user."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class ClientSandbox(CommandSandbox):
    """A `Sandbox` over a client program."""

    def __init__(self, spec: SandboxSpec) -> None:
        super().__init__(spec)
        self._clients: set[int] = set()
        self._background: dict[LocalProcess, str] = {}
        """Processes of ``start``, and the marks they carry in their environment."""
        self._marks = self._relays = 0
        self._gone: str | None = None
        self._holder: Holder | None = None
        self._then: Callable[[], Awaitable[None]] | None = None
        self._is_root = os.geteuid() == 0
        """Commands begin as root inside. If not, all users inside are the one who runs us, called
        otherwise in a namespace of their own."""

    @abstractmethod
    async def _hold(self, image: str) -> Holder:
        """Start the container. Raises SandboxLost."""

    @abstractmethod
    async def _let_go(self, holder: Holder) -> None:
        """End the container. Raises SandboxLost if it does not end."""

    @abstractmethod
    def _client(self, argv: list[str], names: Sequence[str], user: int, *, tty: bool) -> list[str]:
        """The command line that runs ``argv`` inside, with these variables of `_environment`."""

    @abstractmethod
    def _environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """The client's environment, which hands the variables on."""

    @abstractmethod
    async def _swept(self, argv: list[str], user: int) -> list[str]:
        """``argv``, after what earlier commands have left was ended, or with that in front."""

    @abstractmethod
    async def _end(self, user: int) -> None:
        """End what the command of this user runs."""

    @abstractmethod
    async def _end_marked(self, mark: str) -> None:
        """End the processes that carry a mark in their environment."""

    @abstractmethod
    async def _must_stand(self) -> None:
        """Raise SandboxLost if the sandbox has ended."""

    def on_close(self, then: Callable[[], Awaitable[None]]) -> None:
        """What is to be done once, when it has ended."""
        self._then = then

    async def begin(self, image: str) -> Self:
        """Start the sandbox, with the files of its spec; closed where that fails. Raises
        SandboxLost."""
        try:
            self._holder = await self._hold(image)
            await self._begun()
            if files := transfer.rooted(self.spec):
                await self.fill(files)
        except BaseException:
            await finish(self.close())
            raise
        return self

    async def _begun(self) -> None:
        """What is to be done before its first command."""

    async def close(self) -> None:
        """See `Sandbox.close`."""
        await self._abandon("closed")
        holder, self._holder = self._holder, None
        if holder is not None:
            await self._let_go(holder)
        if (then := self._then) is not None:
            self._then = None
            await then()

    async def _run(self, job: Job) -> int | None:
        self._must_be_there()
        argv = await self._swept(job.argv, job.user)
        words, env = self._call(argv, job.user, job.cwd, job.env, tty=False)
        pipe = subprocess.DEVNULL if job.stdin is None else subprocess.PIPE
        client = await self._spawn(words, env, stdin=pipe)
        try:
            if not await self._attend(client, job):
                return None
        except asyncio.CancelledError:
            self._gone = "interrupted"
            raise
        finally:
            await finish(self._end_client(client))
        return await self._code(client)

    async def _start(self, launch: Launch) -> LocalProcess:
        self._must_be_there()
        self._marks += 1
        mark = f"{id(self):x}-{self._marks}"
        env = {**launch.env, MARK: mark}
        words, env = self._call(launch.argv, launch.user, launch.cwd, env, tty=launch.tty)
        terminal = open_terminal() if launch.tty else None
        end = terminal.inside if terminal else subprocess.PIPE
        try:
            client = await self._spawn(words, env, stdin=end, output=end)
        finally:
            if terminal is not None:
                terminal.close_inside()
        process = LocalProcess(self, client, terminal, self.spec.limits.output_bytes)
        self._background[process] = mark
        process.attend(launch.seconds)
        return process

    async def pipe(self, argv: list[str]) -> asyncio.subprocess.Process:
        """See `stdio_relay.Pipe`."""
        self._must_be_there()
        self._relays += 1
        words, env = self._call(argv, self.user, "/", {MARK: f"relay-{self._relays}"}, tty=False)
        return await self._spawn(words, env, stdin=subprocess.PIPE)

    async def end(self, box: LocalProcess) -> int:
        """End a process of ``start``, with all it started; its exit code."""
        client = box.process
        ended = client.returncode is not None
        if not ended and self._gone is None:
            await self._end_marked(self._background[box])
        output = [
            asyncio.create_task(drain(stream, flow))
            for stream, flow in ((client.stdout, box.stdout), (client.stderr, box.stderr))
            if stream is not None
        ]
        if output:
            await asyncio.wait(output, timeout=LINGER)
        await finish(self._end_client(client))
        for task in output:
            task.cancel()
        await asyncio.gather(*output, return_exceptions=True)
        return _exit_code(client) if ended else KILLED

    def forget(self, box: LocalProcess) -> None:
        """A process of ``start`` has ended."""
        self._background.pop(box, None)

    async def _abandon(self, why: str) -> None:
        """The sandbox is over: so are its clients."""
        self._gone = self._gone or why
        for pid in list(self._clients):
            processes.kill_group(pid)
        for process in list(self._background):
            await process.kill()

    @property
    def _runs_on(self) -> bool:
        """Whether something inside shall not be ended with a command."""
        return bool(self._background or self._relays)

    def _must_be_there(self) -> None:
        if self._gone is not None:
            raise self._lost(f"the sandbox is gone: {self._gone}")

    async def _quietly(self, script: str, user: int, *words: str, timeout: float) -> int:
        """The exit code of a script of ours, run beside everything else."""
        call = self._call(["sh", "-c", script, "sh", *words], user, "/", {}, tty=False)
        client = await self._spawn(*call, stdin=subprocess.DEVNULL, output=subprocess.DEVNULL)
        try:
            async with asyncio.timeout(timeout):
                await client.wait()
            return _exit_code(client)
        except TimeoutError:
            raise self._lost("processes in the sandbox do not end") from None
        finally:
            await finish(self._end_client(client))

    def _call(
        self, argv: list[str], user: int, cwd: str, extra: Mapping[str, str], *, tty: bool
    ) -> tuple[list[str], dict[str, str]]:
        """The client's command line and environment."""
        home = {"HOME": self.spec.cwd, "LANG": "C.UTF-8", "TMPDIR": "/tmp"}
        values = {**home, **extra}
        if wrong := [name for name in values if not _NAME.fullmatch(name)]:
            raise ConfigError(f"{wrong[0]!r} cannot be the name of an environment variable")
        hidden = {f"NEL_{number}": value for number, value in enumerate(values.values())}
        named = " ".join(f'{own}="${name}"' for own, name in zip(values, hidden, strict=True))
        script = f'export {named}; unset {" ".join(hidden)}; {self._limits}cd -- "$1" || exit 1; '
        script += 'shift; exec "$@"'
        where = cwd if cwd.startswith("/") else f"{self.spec.cwd.rstrip('/')}/{cwd}"
        inner = ["sh", "-c", script, "sh", where, *argv]
        return self._client(inner, list(hidden), user, tty=tty), self._environment(hidden)

    def _as_user(self, user: int, argv: Sequence[str]) -> list[str]:
        """A command by a user inside."""
        own = 0 if self._is_root else os.geteuid()
        script = SWITCH if self._is_root else OTHER
        return [*argv] if user in (own, OWN) else ["sh", "-c", script, "sh", str(user), *argv]

    @property
    def _limits(self) -> str:
        """What a shell inside says to bound each process."""
        return f"ulimit -c 0; ulimit -f {self.spec.limits.disk_mb << 11} 2>/dev/null; "

    async def _spawn(
        self, words: list[str], env: Mapping[str, str], *, stdin: int, output: int = subprocess.PIPE
    ) -> asyncio.subprocess.Process:
        client = await asyncio.create_subprocess_exec(
            *words,
            stdin=stdin,
            stdout=output,
            stderr=output,
            env=dict(env),
            cwd="/",
            start_new_session=True,
        )
        self._clients.add(client.pid)
        return client

    async def _attend(self, client: asyncio.subprocess.Process, job: Job) -> bool:
        """See a command to its end; False when it had to be ended."""
        assert client.stdout is not None and client.stderr is not None
        work = asyncio.gather(
            drain(client.stdout, job.out),
            drain(client.stderr, job.err),
            processes.feed(client.stdin, job.stdin),
        )
        ended = asyncio.ensure_future(client.wait())
        try:
            done, _ = await asyncio.wait({ended}, timeout=job.timeout)
            if not done:
                await self._stop(ended, job.user)
            # What it left running may hold its output open.
            await asyncio.wait({work}, timeout=LINGER)
            return bool(done)
        finally:
            ended.cancel()
            work.cancel()
            await asyncio.gather(ended, work, return_exceptions=True)

    async def _stop(self, ended: asyncio.Future[int], user: int) -> None:
        """End a command whose time is over; the sandbox is gone if it does not end."""
        await self._end(user)
        await asyncio.wait({ended}, timeout=_ANSWER)
        if not ended.done():
            self._gone = "a killed command did not end"

    async def _end_client(self, client: asyncio.subprocess.Process) -> None:
        """See that a client is gone."""
        if client.returncode is None:
            processes.kill_group(client.pid)
            await processes.reaped(client)
        self._clients.discard(client.pid)

    async def _code(self, client: asyncio.subprocess.Process) -> int:
        """How a command ended. SandboxLost if the sandbox did."""
        code = _exit_code(client)
        # A client has codes of its own, and dies with what it waits for.
        if code >= KILLED:
            await self._must_stand()
        self._must_be_there()
        return code


def _exit_code(client: asyncio.subprocess.Process) -> int:
    """The exit code as a shell reports it."""
    code = client.returncode
    if code is None:
        raise SandboxLost("a client program does not end")
    return 128 - code if code < 0 else code
