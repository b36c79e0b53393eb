"""The ``local`` backend: bubblewrap, rlimits, seccomp, and cgroups where they can be written.

A command is a fresh process tree in fresh namespaces; it is gone, with all it started, before
``exec`` returns: its init is the first process of a pid namespace, which the kernel ends with it;
and that namespace lies in the holder's, which ends with the owner, however the owner ends. No
file is ever written to the host's disk. A root owner gives every sandbox a host user of its own,
since root is exempt from the limit on processes; the user inside is ``spec.user`` in either case.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import posixpath
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import ConfigError
from . import bwrap, cgroups, seccomp, transfer
from .contract import MAX_TRANSFER, Command, ExecResult, Limits, SandboxLost, SandboxSpec
from .finishing import finish
from .owner import Owner, find_owner, this_process
from .streams import Kept

_TOOLS = {
    "bwrap": "bubblewrap",
    "prlimit": "util-linux",
    "nsenter": "util-linux",
    "mount": "util-linux (mount)",
    "tar": "tar",
}
_FIRST_USER, _USERS = 61_184, 4_000
"""Host users of root's sandboxes; within what a rootless container maps."""
_GONE = 10.0
"""Seconds the kernel gets to end what was killed."""
_ENTER = """\
for f in $1; do echo $$ > "$f" || exit 70; done
echo 1000 > /proc/self/oom_score_adj 2>/dev/null
shift; exec "$@"
"""
"""Enters cgroups, offers itself first when memory runs out, and becomes the command."""
_ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}


class LocalBackend:
    """Sandboxes on this machine without a container engine (Linux)."""

    name = "local"

    def __init__(self, *, run_id: str | None = None) -> None:
        self.owner: Owner = this_process(run_id)
        self.flags: frozenset[str] = frozenset()
        self.cgroups: cgroups.Cgroups | None = None
        self.filter: bytes | None = None
        self.group_failures = 0
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
        return await asyncio.to_thread(_reap)

    async def close(self) -> None:
        """End every sandbox that is still open."""
        await asyncio.gather(*(box.close() for box in list(self._open.values())))

    async def _look(self) -> Mapping[str, str]:
        _require_tools()
        known = await asyncio.to_thread(_output, ["bwrap", "--help"])
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
            raise _unusable(str(error)) from None
        if not result.ok:
            raise _unusable(result.stderr.strip()[:300] or f"exit code {result.exit_code}")
        version = await asyncio.to_thread(_output, ["bwrap", "--version"])
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
            await box.start()
        except BaseException:
            await finish(box.close())
            raise
        return box

    def forget(self, box: LocalSandbox) -> None:
        """A sandbox has ended."""
        self._open.pop(id(box), None)


class LocalSandbox:
    """See `Sandbox`."""

    def __init__(
        self,
        backend: LocalBackend,
        spec: SandboxSpec,
        group: cgroups.Group | None,
        user: int | None,
    ) -> None:
        self.spec = spec
        self._backend, self._group, self._user = backend, group, user
        self._holder: asyncio.subprocess.Process | None = None
        self._inside = 0
        self._running: set[int] = set()
        self._ends = time.monotonic() + spec.limits.lifetime

    async def start(self) -> None:
        """Start the holder and lay out the files. Raises SandboxLost."""
        spec = self.spec
        archive = _memory_file(bwrap.box(transfer.rooted(spec), spec.cwd))
        status, options = _memory_file(b""), _options(bwrap.holder_options(spec))
        fds = [archive, status, options]
        words = ["bwrap", "--setenv", "NEL_SANDBOX", str(self._backend.owner)]
        words += ["--json-status-fd", str(status), "--args", str(options), "--"]
        try:
            self._holder = await self._spawn(
                [*words, *bwrap.holder_command(spec, archive)], fds, stdin=True
            )
            await self._greet(self._holder)
            self._inside = int(_status(status)["child-pid"])
        except (KeyError, TimeoutError, OSError) as error:
            raise SandboxLost(f"bubblewrap did not start: {error!r}", peer="local") from None
        finally:
            for fd in fds:
                os.close(fd)

    async def exec(
        self,
        command: Command,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        output_bytes: int | None = None,
    ) -> ExecResult:
        """See `Sandbox.exec`."""
        limits = self.spec.limits
        kept = limits.output_bytes if output_bytes is None else output_bytes
        out, err = Kept(kept), Kept(kept)
        kills = 0 if self._group is None else self._group.oom_kills()
        begin = time.monotonic()
        code = await self._run(
            shell(command),
            limits.timeout if timeout is None else timeout,
            cwd,
            env,
            stdin,
            out,
            err,
        )
        return ExecResult(
            exit_code=124 if code is None else code,
            stdout=out.text,
            stderr=err.text,
            stdout_truncated=out.truncated,
            stderr_truncated=err.truncated,
            timed_out=code is None,
            oom=self._group is not None and self._group.oom_kills() > kills,
            duration=time.monotonic() - begin,
        )

    async def upload(self, path: str, data: bytes | Path) -> None:
        """See `Sandbox.upload`."""
        await transfer.upload(self._trusted, path, await transfer.content(data))

    async def download(self, path: str, *, max_bytes: int = MAX_TRANSFER) -> bytes:
        """See `Sandbox.download`."""
        return await transfer.download(self._trusted, path, max_bytes)

    async def upload_folder(self, path: str, folder: Path) -> None:
        """See `Sandbox.upload_folder`."""
        await transfer.upload_folder(self._trusted, path, folder)

    async def download_folder(
        self, path: str, folder: Path, *, max_bytes: int = MAX_TRANSFER
    ) -> None:
        """See `Sandbox.download_folder`."""
        await transfer.download_folder(self._trusted, path, folder, max_bytes)

    async def close(self) -> None:
        """See `Sandbox.close`."""
        self._ends = 0.0
        for pid in list(self._running):
            _kill_group(pid)
        if (holder := self._holder) is not None:
            self._holder = None
            _kill_group(holder.pid)
            await _reaped(holder)
        if self._group is not None:
            end = time.monotonic() + _GONE
            while not (self._group.kill() and self._group.remove()):
                if time.monotonic() > end:
                    raise SandboxLost("a killed sandbox does not end", peer="local")
                await asyncio.sleep(0.002)
        self._backend.forget(self)

    async def _trusted(
        self, argv: list[str], *, timeout: float, stdin: bytes | None, limit: int
    ) -> transfer.Output:
        out, err = Kept(limit), Kept(1 << 12)
        code = await self._run(argv, timeout, None, None, stdin, out, err)
        if code is None:
            raise SandboxLost("a transfer did not end in time", peer="local")
        return transfer.Output(code, bytes(out.data), out.truncated, err.text)

    async def _run(
        self,
        argv: Sequence[str],
        timeout: float,
        cwd: str | None,
        env: Mapping[str, str] | None,
        stdin: bytes | None,
        out: Kept,
        err: Kept,
    ) -> int | None:
        """Exit code of a command; None when its time ran out."""
        spec, backend = self.spec, self._backend
        if self._holder is None or self._holder.returncode is not None:
            raise SandboxLost("the sandbox is gone", peer="local")
        timeout = max(0.0, min(timeout, self._ends - time.monotonic()))
        where = posixpath.normpath(posixpath.join(spec.cwd, cwd or ""))
        options = bwrap.inner_options(spec, where, bwrap.environment(spec, env), backend.flags)
        status, fds = _memory_file(b""), []
        if backend.filter is not None:
            fds.append(_memory_file(backend.filter))
            options += ["--seccomp", str(fds[0])]
        fds += [status, _options(options)]
        counted = self._group is not None
        words = [
            "nsenter",
            "--preserve-credentials",
            "-U",
            "-m",
            "-p",
            "-t",
            str(self._inside),
            "--",
        ]
        words += ["bwrap", "--setenv", "NEL_SANDBOX", str(backend.owner)]
        words += ["--json-status-fd", str(status), "--args", str(fds[-1]), "--"]
        words += bwrap.limited(argv, spec.limits, timeout, counted)
        try:
            process = await self._spawn(words, fds, stdin=stdin is not None)
            in_time = await self._attend(process, timeout, stdin, out, err, status)
            if not in_time:
                return None
            if (code := _status(status).get("exit-code")) is None:
                raise SandboxLost(f"bubblewrap failed: {err.text.strip()[:300]}", peer="local")
            return code
        finally:
            for fd in fds:
                os.close(fd)

    async def _attend(
        self,
        process: asyncio.subprocess.Process,
        timeout: float,
        stdin: bytes | None,
        out: Kept,
        err: Kept,
        status: int,
    ) -> bool:
        """See a command to its end; False when it had to be ended. Leaves nothing running."""
        assert process.stdout is not None and process.stderr is not None
        self._running.add(process.pid)
        work = asyncio.gather(
            out.drain(process.stdout),
            err.drain(process.stderr),
            _feed(process.stdin, stdin),
            process.wait(),
        )
        try:
            async with asyncio.timeout(timeout):
                await work
            return True
        except TimeoutError:
            return False
        finally:
            _kill_group(process.pid)
            await finish(self._ended(process, status, out, err))
            self._running.discard(process.pid)

    async def _ended(
        self, process: asyncio.subprocess.Process, status: int, out: Kept, err: Kept
    ) -> None:
        """Wait until nothing of a killed command is left. SandboxLost if the kernel will not."""
        assert process.stdout is not None and process.stderr is not None
        try:
            async with asyncio.timeout(_GONE):
                await asyncio.gather(
                    out.drain(process.stdout), err.drain(process.stderr), process.wait()
                )
                patience = time.monotonic() + 1.0
                # The init of a pid namespace ends only after all in the namespace did.
                while self._has_init(_status(status).get("child-pid")):
                    # Killed while it was being set up, it may not have learnt of it.
                    if time.monotonic() > patience and self._holder is not None:
                        _kill_group(self._holder.pid)
                    await asyncio.sleep(0.001)
        except TimeoutError:
            raise SandboxLost("a killed program does not end", peer="local") from None

    def _has_init(self, pid: int | None) -> bool:
        """Whether a command's init still runs; its pid is one of the holder's namespace."""
        return pid is not None and _alive(pid, Path(f"/proc/{self._inside}/root/proc"))

    async def _greet(self, holder: asyncio.subprocess.Process) -> None:
        """Wait until the holder says that everything is laid out."""
        assert holder.stdout is not None and holder.stderr is not None
        async with asyncio.timeout(30):
            if await holder.stdout.readline() != bwrap.READY:
                said = (await holder.stderr.read(2000)).decode(errors="replace").strip()
                raise SandboxLost(f"bubblewrap did not start: {said}", peer="local")

    async def _spawn(
        self, words: list[str], fds: Sequence[int], *, stdin: bool
    ) -> asyncio.subprocess.Process:
        entrances = "" if self._group is None else " ".join(self._group.entrances)
        argv = ["/bin/sh", "-c", _ENTER, "sh", entrances]
        if self._user is not None:
            user = str(self._user)
            argv += ["setpriv", "--reuid", user, "--regid", user, "--clear-groups"]
        if max(map(len, words)) >= 1 << 17:
            raise ValueError("an argument is longer than 128 KiB: use stdin or a file")
        return await asyncio.create_subprocess_exec(
            *argv,
            *words,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=fds,
            start_new_session=True,
            env=_ENV,
            cwd="/",
        )


def shell(command: Command) -> list[str]:
    """The argument vector of a command; a text is run by bash where there is one."""
    if not isinstance(command, str):
        return list(command)
    script = 'if command -v bash >/dev/null 2>&1; then exec bash -c "$1"; fi; exec sh -c "$1"'
    return ["sh", "-c", script, "sh", command]


def _require_tools() -> None:
    if not sys.platform.startswith("linux"):
        raise ConfigError(
            "the local sandbox needs Linux (bubblewrap)",
            hint="use `sandbox: {type: docker}` with Docker running",
        )
    tools = dict(_TOOLS)
    if os.geteuid() == 0:
        tools["setpriv"] = "util-linux"
    missing = [tool for tool in tools if shutil.which(tool, path=_ENV["PATH"]) is None]
    if missing:
        packages = sorted({tools[tool] for tool in missing})
        raise ConfigError(
            f"the local sandbox needs {', '.join(missing)}, not found on this machine",
            hint=f"install {', '.join(packages)} (`apt-get install bubblewrap util-linux tar`, "
            "`dnf install bubblewrap util-linux tar`), or use `sandbox: {type: docker}` with "
            "Docker running",
        )


def _unusable(why: str) -> ConfigError:
    return ConfigError(
        f"bubblewrap cannot make a sandbox here: {why}",
        hint="unprivileged user namespaces may be off (`sysctl kernel.unprivileged_userns_clone=1`"
        " or `kernel.apparmor_restrict_unprivileged_userns=0`), or this is a container without"
        " them; or use `sandbox: {type: docker}` with Docker running",
    )


def _output(argv: list[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, env=_ENV, timeout=20, check=False)
    return done.stdout + done.stderr


def _memory_file(data: bytes) -> int:
    """A file without a name, read from its start by whoever inherits it."""
    fd = os.memfd_create("nel")
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _options(words: Sequence[str]) -> int:
    """Options for ``--args``: in no command line, where any user of the host could read them."""
    return _memory_file(b"".join(word.encode() + b"\0" for word in words))


def _status(fd: int) -> dict[str, int]:
    """What bubblewrap told of itself: one JSON object per line."""
    told: dict[str, int] = {}
    for line in os.pread(fd, 1 << 14, 0).splitlines():
        told.update(json.loads(line))
    return told


async def _feed(pipe: asyncio.StreamWriter | None, data: bytes | None) -> None:
    if pipe is None or data is None:
        return
    # A program need not read what it is given.
    with contextlib.suppress(ConnectionError):
        pipe.write(data)
        await pipe.drain()
        pipe.close()


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


async def _reaped(process: asyncio.subprocess.Process) -> None:
    try:
        await asyncio.wait_for(process.wait(), _GONE)
    except TimeoutError:
        raise SandboxLost("a killed program does not end", peer="local") from None


def _alive(pid: int, processes: Path = Path("/proc")) -> bool:
    """Whether that is a bubblewrap, and no zombie that somebody has yet to collect."""
    try:
        stat = (processes / str(pid) / "stat").read_text()
    except OSError:
        return False
    return "(bwrap)" in stat and stat.rpartition(")")[2].split()[0] != "Z"


def _reap() -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _alive(int(entry.name)):
            with contextlib.suppress(OSError):
                owner = find_owner((entry / "cmdline").read_bytes().decode(errors="replace"))
                if owner is not None and owner.abandoned:
                    os.kill(int(entry.name), signal.SIGKILL)
                    found.append(f"process {entry.name}")
    where = cgroups.find()
    for group in where.abandoned() if where is not None else []:
        if cgroups.settle(group):
            found.append(f"cgroup {group.places[0].name}")
    return found
