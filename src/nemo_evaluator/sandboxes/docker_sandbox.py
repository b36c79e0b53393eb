"""One sandbox of the ``docker`` backend: a container, one ``exec`` per command."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from dataclasses import replace
from pathlib import Path

from ..errors import ConfigError
from ..http.listener import Listener
from ..types import Json
from . import docker_kills, docker_relay, netns
from .commands import CommandSandbox, Job, Launch
from .contract import SandboxLost, SandboxSpec
from .docker_api import Attached, Engine, demultiplex
from .docker_bodies import exec_body
from .docker_process import DockerProcess
from .streams import Kept

_ANSWER = 5.0
"""Seconds a killed command gets to end before its container is killed."""
_REFUSED = (126, 127)
"""Exit codes of the engine for what it did not start; of a shell too."""
_OWN_REASONS = (
    *("executable file not found", "permission denied", "is a directory", "exec format error"),
    *("chdir to cwd", '": stat '),
)
"""What the engine says where a command cannot be started by its own fault."""
_REMOVAL = 30.0
"""Seconds the engine gets for a removal that it has begun."""
_KILLED = 128 + 9


class DockerSandbox(CommandSandbox):
    """See `Sandbox`."""

    engine = "docker"
    own_processes = 2
    """How many run in a container where nothing else does: init, and the sleep."""

    def __init__(self, engine: Engine, spec: SandboxSpec) -> None:
        super().__init__(spec)
        self.id = ""
        self.folder: Path | None = None
        """Where the socket of its door is, if that has a relay."""
        self._engine = engine
        self._dirty: set[int] = set()
        """Users whose commands may have left processes."""
        self._background: set[DockerProcess] = set()
        self._users = {self.user}
        if self.runs_as_root:
            self.own_processes = 1  # the sleep itself is pid 1
        """Users who have run anything."""
        self._kills = 0
        self._ended = False
        """Nothing was started since all processes were ended."""
        self._gone: str | None = None

    async def make(self, container: Json) -> None:
        """Create the container."""
        self.id = (await self._engine.expect("POST", "/containers/create", container))["Id"]

    async def started(self) -> None:
        """The container runs now."""

    async def close(self) -> None:
        """See `Sandbox.close`."""
        self._gone = self._gone or "closed"
        if self.id:
            await delete(self._engine, self.id)
            self.id = ""
        for process in list(self._background):
            await process.ended()
        if self.folder is not None:
            await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)

    async def listen(self) -> Listener:
        """See `Sandbox.listen`."""
        if self.spec.network == "host":
            raise ConfigError("a sandbox with `network: host` has no network of its own")
        if self.folder is not None:
            listener = docker_relay.listen(self.folder)
            program = ["python3", "-I", "-S", "-c", docker_relay.RELAY]
            launch = Launch(program, user=0, cwd="/", env={}, seconds=self._seconds_left, tty=False)
            return await docker_relay.relayed(listener, await self._start(launch))
        state = await self._engine.expect("GET", f"/containers/{self.id}/json")
        pid = int(state["State"]["Pid"])
        # With Docker Desktop, or an engine elsewhere, the pid is that of another machine.
        if not pid or not await asyncio.to_thread(docker_kills.is_of_container, pid, self.id):
            raise ConfigError(
                "`network: door` needs a Docker engine whose processes run on this machine",
                hint="run the evaluator where the engine runs, or use `sandbox: {type: local}`",
            )
        return await netns.listen_inside(pid, own_users=False, peer=self.engine)

    async def end_processes(self) -> None:
        """See `Sandbox.end_processes`."""
        self._must_be_there()
        if not self._ended and not await self._is_idle():
            await self._end_all()
        self._ended = True

    async def _is_idle(self) -> bool:
        """Whether nothing runs but the container's own processes, as is seen from outside. False
        also where the engine cannot tell."""
        got = await self._engine.request("GET", f"/containers/{self.id}/top")
        if got.status != 200 or len(got.json()["Processes"]) > self.own_processes:
            return False
        for process in list(self._background):  # their end may not have been noticed yet
            await process.ended()
        return True

    async def _end_all(self) -> None:
        for user in sorted(self._users):
            code = await self._quietly(docker_kills.END, user, timeout=docker_kills.END_SECONDS)
            if code != 0:
                raise self._lost(f"processes of user {user} do not end")
        self._dirty.clear()
        for process in list(self._background):
            await process.ended()

    async def _run(self, job: Job) -> int | None:
        self._must_be_there()
        for user in self._dirty - {job.user}:
            await self._quietly(self._sweep, user)
        argv = job.argv
        if job.user in self._dirty:
            argv = ["sh", "-c", f'{self._sweep}; exec "$@"', "sh", *job.argv]
        # Whatever runs last may leave processes.
        self._dirty = {job.user}
        self._users.add(job.user)
        return await self._seen_through(replace(job, argv=argv))

    async def _seen_through(self, job: Job) -> int | None:
        """Exit code of a command; None when it had to be ended."""
        number, attached = await self._begin(job)
        work = asyncio.create_task(_converse(attached, job))
        try:
            in_time = await self._attend(work, number, job)
            if not in_time:
                return None
            code = await self.exit_code(number)
            if code in _REFUSED:
                await self._must_have_run(number, job.out.text)
            return code
        except asyncio.CancelledError:
            self._gone = "interrupted"
            raise
        finally:
            work.cancel()
            attached.drop()

    async def _start(self, launch: Launch) -> DockerProcess:
        self._must_be_there()
        if launch.user or self.runs_as_root:  # a relay is not of those who may be ended
            self._users.add(launch.user)
        process = DockerProcess(self, self.spec.limits.output_bytes)
        body = exec_body(
            self.spec, launch.argv, launch.user, launch.cwd, {**launch.env, **process.mark}
        )
        body |= {"AttachStdin": True, "Tty": launch.tty}
        number, attached = await self._open(body, tty=launch.tty)
        process.attach(number, attached, tty=launch.tty, seconds=launch.seconds)
        self._background.add(process)
        return process

    def forget(self, process: DockerProcess) -> None:
        """A process of ``start`` has ended."""
        self._background.discard(process)

    async def kill_marked(self, mark: str) -> None:
        """End the processes that carry a mark in their environment."""
        for user in sorted(self._users):
            await self._quietly(docker_kills.MARKED, user, mark)

    async def is_running(self, number: str) -> bool:
        """Whether the command of an exec still runs."""
        return bool((await self._engine.expect("GET", f"/exec/{number}/json"))["Running"])

    async def exit_code(self, number: str) -> int:
        """How an exec ended. SandboxLost if the container ended under it."""
        end = time.monotonic() + _ANSWER
        while await self.is_running(number) and time.monotonic() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        state = await self._engine.expect("GET", f"/exec/{number}/json")
        if (code := state.get("ExitCode")) is None:
            raise self._lost("the container ended while a command was running")
        return int(code)

    async def _must_have_run(self, number: str, said: str) -> None:
        """SandboxLost if the engine could not start a command, which it says where the command's
        output would be; except for reasons that are the command's own."""
        state = await self._engine.expect("GET", f"/exec/{number}/json")
        if not state["Pid"] and not any(reason in said for reason in _OWN_REASONS):
            raise self._lost(f"the engine could not run a command: {said.strip()[-200:]}")

    def _must_be_there(self) -> None:
        if self._gone is not None:
            raise self._lost(f"the sandbox is gone: {self._gone}")

    @property
    def _sweep(self) -> str:
        """The script that ends what commands have left, and nothing that shall run on."""
        return docker_kills.UNMARKED if self._background else docker_kills.ALL

    async def _quietly(
        self, script: str, user: int, *words: str, timeout: float = docker_kills.SECONDS
    ) -> int:
        """The exit code of a script of ours."""
        argv = ["sh", "-c", script, "sh", *words]
        try:
            async with asyncio.timeout(timeout):
                number, attached = await self._open(exec_body(self.spec, argv, user))
                try:
                    nothing = Kept(0)
                    await demultiplex(attached.reader, nothing, nothing)
                finally:
                    attached.drop()
                return await self.exit_code(number)
        except TimeoutError:
            raise self._lost("processes in the sandbox do not end") from None

    async def _starved(self, code: int | None) -> bool:
        """By the container's own cgroup, which counts over its whole life.

        Raises SandboxLost when the container was killed, which takes its commands along so.
        """
        if code != _KILLED or self._gone is not None:
            return False
        files = "/sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control"
        argv = ["sh", "-c", f"cat {files} 2>/dev/null | sed -n 's/^oom_kill //p'"]
        answer = None
        with contextlib.suppress(SandboxLost):
            answer = await self._trusted(argv, timeout=10, stdin=None, limit=100)
        if answer is None or answer.code != 0:
            await self._must_stand()
            return False
        before = self._kills
        self._kills = int(answer.data or b"0")
        return self._kills > before

    async def _must_stand(self) -> None:
        """SandboxLost if the container has ended, of which the engine learns a little late."""
        for _ in range(10):
            got = await self._engine.request("GET", f"/containers/{self.id}/json")
            if got.status != 200 or not got.json()["State"]["Running"]:
                raise self._lost("the container ended while a command was running")
            await asyncio.sleep(0.1)

    async def _begin(self, job: Job) -> tuple[str, Attached]:
        body = exec_body(self.spec, job.argv, job.user, job.cwd, job.env)
        return await self._open(body | {"AttachStdin": job.stdin is not None})

    async def _open(self, body: dict[str, Json], *, tty: bool = False) -> tuple[str, Attached]:
        """Start an exec: its number and its two directions."""
        self._ended = False
        number = (await self._engine.expect("POST", f"/containers/{self.id}/exec", body))["Id"]
        start = {"Detach": False, "Tty": tty}
        return number, await self._engine.attach(f"/exec/{number}/start", start)

    async def _attend(self, work: asyncio.Task[None], number: str, job: Job) -> bool:
        """See a command to its end; False when it had to be ended."""
        end, patience = time.monotonic() + job.timeout, 0.2
        while not work.done():
            left = end - time.monotonic()
            if left <= 0:
                await self._end(number, job)
                await asyncio.wait({work}, timeout=0.1)
                return False
            await asyncio.wait({work}, timeout=min(left, patience))
            patience = min(2 * patience, 2.0)
            # What it left running may hold its output open: the command itself has ended.
            if not work.done() and not await self.is_running(number):
                await asyncio.wait({work}, timeout=0.5)
                return True
        return True

    async def _end(self, number: str, job: Job) -> None:
        """End what a command runs; with the whole container if it does not end."""
        with contextlib.suppress(SandboxLost, TimeoutError):
            async with asyncio.timeout(_ANSWER):
                await self._end_command(job)
                while await self.is_running(number):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
                return
        self._gone = "its processes could only be killed together with the container"
        await self._engine.request("POST", f"/containers/{self.id}/kill")

    async def _end_command(self, job: Job) -> None:
        """End what a command has started."""
        await self._quietly(self._sweep, job.user)


async def _converse(attached: Attached, job: Job) -> None:
    async def feed() -> None:
        # A program need not read what it is given.
        with contextlib.suppress(ConnectionError):
            attached.writer.write(job.stdin or b"")
            await attached.writer.drain()
            attached.writer.write_eof()

    await asyncio.gather(feed(), demultiplex(attached.reader, job.out, job.err))


async def delete(engine: Engine, container: str) -> None:
    """Remove a container, whatever it does; it is gone when this returns."""
    query = {"force": "1", "v": "1"}
    got = await engine.request("DELETE", f"/containers/{container}", query=query)
    if got.status == 409:  # its removal is under way
        end = time.monotonic() + _REMOVAL
        while (await engine.request("GET", f"/containers/{container}/json")).status != 404:
            if time.monotonic() > end:
                raise SandboxLost(f"a container is not removed: {got.message}", peer="docker")
            await asyncio.sleep(0.05)
    elif got.status >= 400 and got.status != 404:
        raise SandboxLost(f"a container cannot be removed: {got.message}", peer="docker")
