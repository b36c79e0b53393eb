"""The ``local`` backend: bubblewrap, rlimits, seccomp, and cgroups where they can be written.

A command is a fresh process tree in fresh namespaces; it is gone, with all it started, before
``exec`` returns: its init is the first process of a pid namespace, which the kernel ends with it;
and that namespace lies in the holder's, which ends with the owner, however the owner ends. No
file is ever written to the host's disk. A root owner gives every sandbox a host user of its own,
since root is exempt from the limit on processes; the user inside is ``spec.user`` in either case.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import posixpath
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import ConfigError
from ..files.owner import Owner, this_process
from ..http.listener import Listener
from . import bwrap, cgroups, netns, processes, seccomp, transfer
from .commands import CommandSandbox, Job, Launch
from .contract import Limits, SandboxLost, SandboxSpec
from .finishing import finish
from .local_process import LocalProcess, open_terminal
from .local_tools import ENV, output, require_tools, unusable
from .streams import Taker, drain

_FIRST_USER, _USERS = 61_184, 4_000
"""Host users of root's sandboxes; within what a rootless container maps."""
_ENTER = """\
for f in $1; do echo $$ > "$f" || exit 70; done
echo 1000 > /proc/self/oom_score_adj 2>/dev/null
shift; exec "$@"
"""
"""Enters cgroups, offers itself first when memory runs out, and becomes the command."""
_KILLED = 128 + 9


class LocalBackend:
    """Sandboxes on this machine without a container engine (Linux)."""

    name = "local"

    def __init__(self, *, run_id: str | None = None) -> None:
        self.owner: Owner = this_process(run_id)
        self.flags: frozenset[str] = frozenset()
        self.cgroups: cgroups.Cgroups | None = None
        self.filter: bytes | None = None
        self._numbers = itertools.count()
        self._open: dict[int, LocalSandbox] = {}
        self._ready: asyncio.Task[Mapping[str, str]] | None = None

    async def preflight(self) -> Mapping[str, str]:
        """See `Backend.preflight`. Looks once; runs a sandbox to be sure."""
        if self._ready is None:
            self._ready = asyncio.create_task(self._look())
        try:
            return await asyncio.shield(self._ready)
        except ConfigError:
            self._ready = None
            raise

    def check(self, spec: SandboxSpec) -> None:
        """See `Backend.check`."""
        bwrap.check(spec)
        transfer.rooted(spec)

    async def pull(self, image: str | None) -> None:
        """Nothing to pull; an image is refused."""
        self.check(SandboxSpec(image=image))

    async def create(self, spec: SandboxSpec) -> LocalSandbox:
        """See `Backend.create`."""
        self.check(spec)
        await self.preflight()
        return await self._start(spec)

    async def reap(self) -> list[str]:
        """See `Backend.reap`: processes and cgroups of dead owners."""
        if not sys.platform.startswith("linux"):
            return []
        return await asyncio.to_thread(processes.reap)

    async def close(self) -> None:
        """End every sandbox that is still open."""
        await asyncio.gather(*(box.close() for box in list(self._open.values())))

    async def _look(self) -> Mapping[str, str]:
        require_tools()
        known = await asyncio.to_thread(output, ["bwrap", "--help"])
        self.flags = frozenset(word for word in known.split() if word.startswith("--"))
        self.cgroups = await asyncio.to_thread(cgroups.find)
        self.filter = seccomp.build(memory_counted=self.cgroups is not None)
        try:
            box = await self._start(SandboxSpec(limits=Limits(memory_mb=256, disk_mb=8)))
            try:
                result = await box.exec(["true"], timeout=20)
            finally:
                await box.close()
        except SandboxLost as error:
            raise unusable(str(error)) from None
        if not result.ok:
            raise unusable(result.stderr.strip()[:300] or f"exit code {result.exit_code}")
        version = await asyncio.to_thread(output, ["bwrap", "--version"])
        bounds = "each process (rlimit)" if self.cgroups is None else "the sandbox (cgroup)"
        return {
            "engine": version.strip(),
            "memory and processes bounded for": bounds,
            "seccomp": "on" if self.filter is not None else "no filter for this machine",
        }

    async def _start(self, spec: SandboxSpec) -> LocalSandbox:
        number = next(self._numbers)
        group = None
        if self.cgroups is not None:
            try:
                group = self.cgroups.make(self.owner, str(number), spec.limits)
            except OSError as error:
                raise SandboxLost(f"no cgroup for a sandbox: {error}", peer="local") from None
        user = _FIRST_USER + (os.getpid() * 97 + number) % _USERS if os.geteuid() == 0 else None
        box = LocalSandbox(self, spec, group, user)
        self._open[id(box)] = box
        try:
            await box.hold()
        except BaseException:
            await finish(box.close())
            raise
        return box

    def forget(self, box: LocalSandbox) -> None:
        """A sandbox has ended."""
        self._open.pop(id(box), None)


class LocalSandbox(CommandSandbox):
    """See `Sandbox`."""

    engine = "local"

    def __init__(
        self,
        backend: LocalBackend,
        spec: SandboxSpec,
        group: cgroups.Group | None,
        user: int | None,
    ) -> None:
        super().__init__(spec)
        self._backend, self._group, self._user = backend, group, user
        self._holder: asyncio.subprocess.Process | None = None
        self._inside = 0
        self._running: set[int] = set()
        self._background: dict[LocalProcess, bwrap.Inner] = {}
        self._kills = 0

    async def hold(self) -> None:
        """Start the holder and lay out the files. Raises SandboxLost."""
        spec = self.spec
        archive = processes.memory_file(bwrap.box(transfer.rooted(spec), spec.cwd))
        status, options = processes.memory_file(b""), processes.options(bwrap.holder_options(spec))
        fds = [archive, status, options]
        words = ["bwrap", "--setenv", "NEL_SANDBOX", str(self._backend.owner)]
        words += ["--json-status-fd", str(status), "--args", str(options), "--"]
        try:
            self._holder = await self._spawn(
                [*words, *bwrap.holder_command(spec, archive)], fds, stdin=subprocess.PIPE
            )
            await self._greet(self._holder)
            self._inside = int(processes.status(status)["child-pid"])
        except (KeyError, TimeoutError, OSError) as error:
            raise SandboxLost(f"bubblewrap did not start: {error!r}", peer="local") from None
        finally:
            for fd in fds:
                os.close(fd)

    async def close(self) -> None:
        """See `Sandbox.close`."""
        self._ends = 0.0
        for pid in list(self._running):
            processes.kill_group(pid)
        background = list(self._background)
        if (holder := self._holder) is not None:
            self._holder = None
            processes.kill_group(holder.pid)
            await processes.reaped(holder)
        if self._group is not None:
            end = time.monotonic() + processes.GONE
            while not (self._group.kill() and self._group.remove()):
                if time.monotonic() > end:
                    raise self._lost("a killed sandbox does not end")
                await asyncio.sleep(0.002)
        self._backend.forget(self)
        for process in background:
            await process.kill()

    async def listen(self) -> Listener:
        """See `Sandbox.listen`."""
        if self.spec.network == "host":
            raise ConfigError("a sandbox with `network: host` has no network of its own")
        self._must_be_there()
        return await netns.listen_inside(self._inside, own_users=True, peer=self.engine)

    async def end_processes(self) -> None:
        """See `Sandbox.end_processes`. Those of an ``exec`` have ended with it."""
        self._must_be_there()
        await asyncio.gather(*(process.kill() for process in list(self._background)))

    async def _run(self, job: Job) -> int | None:
        counted = self._group is not None
        limited = bwrap.limited(job.argv, self.spec.limits, job.timeout, counted)
        inner = self._inner(limited, job.user, job.cwd, job.env)
        try:
            process = await self._spawn(
                inner.words, inner.fds, stdin=subprocess.PIPE if job.stdin is not None else None
            )
            if not await self._attend(process, job, inner.status):
                return None
            return self._code(inner, job.err.text)
        finally:
            inner.close()

    async def _start(self, launch: Launch) -> LocalProcess:
        self._must_be_there()
        counted = self._group is not None
        limited = bwrap.limited(launch.argv, self.spec.limits, launch.seconds, counted)
        inner = self._inner(limited, launch.user, launch.cwd, launch.env)
        terminal = open_terminal() if launch.tty else None
        try:
            process = await self._spawn(
                inner.words,
                inner.fds,
                stdin=terminal.inside if terminal else subprocess.PIPE,
                output=terminal.inside if terminal else subprocess.PIPE,
            )
        except BaseException:
            inner.close()
            raise
        finally:
            if terminal is not None:
                terminal.close_inside()
        self._running.add(process.pid)
        box = LocalProcess(self, process, terminal, self.spec.limits.output_bytes)
        self._background[box] = inner
        box.attend(launch.seconds)
        return box

    def forget(self, box: LocalProcess) -> None:
        """A process of ``start`` has ended."""
        if (inner := self._background.pop(box, None)) is not None:
            inner.close()

    async def end(self, box: LocalProcess) -> int:
        """End a process of ``start``, with all it started; its exit code."""
        process, inner = box.process, self._background[box]
        processes.kill_group(process.pid)
        await finish(self._wait_until_gone(process, box.stdout, box.stderr, inner.status))
        self._running.discard(process.pid)
        code = processes.status(inner.status).get("exit-code")
        return _KILLED if code is None else code

    def _must_be_there(self) -> None:
        if self._holder is None or self._holder.returncode is not None:
            raise self._lost("the sandbox is gone")

    def _inner(
        self, limited: list[str], user: int, cwd: str, env: Mapping[str, str]
    ) -> bwrap.Inner:
        """A command on its way into the sandbox. SandboxLost if that is gone."""
        self._must_be_there()
        status, mark = processes.memory_file(b""), processes.mark_file()
        fds = [status, mark, *self._inner_files(user, cwd, env)]
        words = ["nsenter", "--preserve-credentials", "-t", str(self._inside)]
        words += ["-U", "-m", "-p"]
        if self.spec.network != "host":
            words.append("-n")
        words += ["--", "bwrap", "--setenv", "NEL_SANDBOX", str(self._backend.owner)]
        words += ["--json-status-fd", str(status), "--args", str(fds[-1]), "--"]
        return bwrap.Inner([*words, *bwrap.first(limited, mark)], fds, status, mark)

    def _code(self, inner: bwrap.Inner, said: str) -> int:
        """How a command ended by itself."""
        if (code := processes.status(inner.status).get("exit-code")) is None:
            raise self._lost(f"bubblewrap failed: {said.strip()[:300]}")
        if not processes.is_marked(inner.mark):
            raise self._lost("the command was killed from outside of the sandbox")
        return code

    async def _starved(self, code: int | None) -> bool:
        before = self._kills
        if self._group is None:
            return False
        self._kills = self._group.oom_kills()
        if self._kills > before and not self._group.reached_limit():
            raise self._lost(
                "the machine has no memory left, and something in the sandbox was killed"
            )
        return self._kills > before

    def _inner_files(self, user: int, cwd: str, extra: Mapping[str, str]) -> list[int]:
        """The seccomp filter, where there is one, and last the options of the inner bubblewrap."""
        spec, backend, files = self.spec, self._backend, []
        where = posixpath.normpath(posixpath.join(spec.cwd, cwd))
        env = bwrap.environment(spec.cwd, extra)
        options = bwrap.inner_options(spec, where, env, backend.flags, user)
        if backend.filter is not None:
            files.append(processes.memory_file(backend.filter))
            options += ["--seccomp", str(files[0])]
        return [*files, processes.options(options)]

    async def _attend(self, process: asyncio.subprocess.Process, job: Job, status: int) -> bool:
        """See a command to its end; False when it had to be ended. Leaves nothing running."""
        assert process.stdout is not None and process.stderr is not None
        self._running.add(process.pid)
        work = asyncio.gather(
            drain(process.stdout, job.out),
            drain(process.stderr, job.err),
            processes.feed(process.stdin, job.stdin),
            process.wait(),
        )
        try:
            async with asyncio.timeout(job.timeout):
                await work
            return True
        except TimeoutError:
            return False
        finally:
            processes.kill_group(process.pid)
            await finish(self._wait_until_gone(process, job.out, job.err, status))
            self._running.discard(process.pid)

    async def _wait_until_gone(
        self, process: asyncio.subprocess.Process, out: Taker, err: Taker, status: int
    ) -> None:
        """Wait until nothing of a killed command is left. SandboxLost if the kernel will not."""
        streams = ((process.stdout, out), (process.stderr, err))
        try:
            async with asyncio.timeout(processes.GONE):
                await asyncio.gather(
                    *(drain(stream, taker) for stream, taker in streams if stream is not None),
                    process.wait(),
                )
                patience = time.monotonic() + 1.0
                # The init of a pid namespace ends only after all in the namespace did.
                while self._has_init(processes.status(status).get("child-pid")):
                    # Killed while it was being set up, it may not have learnt of it.
                    if time.monotonic() > patience and self._holder is not None:
                        processes.kill_group(self._holder.pid)
                    await asyncio.sleep(0.001)
        except TimeoutError:
            raise self._lost("a killed program does not end") from None

    def _has_init(self, pid: int | None) -> bool:
        """Whether a command's init still runs; its pid is one of the holder's namespace."""
        return pid is not None and processes.running(pid, Path(f"/proc/{self._inside}/root/proc"))

    async def _greet(self, holder: asyncio.subprocess.Process) -> None:
        """Wait until the holder says that everything is laid out."""
        assert holder.stdout is not None and holder.stderr is not None
        async with asyncio.timeout(30):
            if await holder.stdout.readline() != bwrap.READY:
                stderr = (await holder.stderr.read(2000)).decode(errors="replace").strip()
                raise SandboxLost(f"bubblewrap did not start: {stderr}", peer="local")

    async def _spawn(
        self,
        words: list[str],
        fds: Sequence[int],
        *,
        stdin: int | None,
        output: int = subprocess.PIPE,
    ) -> asyncio.subprocess.Process:
        entrances = "" if self._group is None else " ".join(self._group.entrances)
        argv = ["/bin/sh", "-c", _ENTER, "sh", entrances]
        if self._user is not None:
            user = str(self._user)
            argv += ["setpriv", "--reuid", user, "--regid", user, "--clear-groups"]
        return await asyncio.create_subprocess_exec(
            *argv,
            *words,
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=output,
            stderr=output,
            pass_fds=fds,
            start_new_session=True,
            env=ENV,
            cwd="/",
        )
