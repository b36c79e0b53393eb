"""One sandbox of the ``apptainer`` backend: an instance and its holder."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError
from ..http.listener import Listener
from . import docker_kills, netns, processes, stdio_relay
from .client_sandbox import KILLED, ClientSandbox
from .commands import Job
from .contract import SandboxLost, SandboxSpec
from .holder import Holder
from .slurm_nodes import Nodes, drop_report, exported

_START, _STOP = 120.0, 30.0
HOLDER = """\
life=$1 program=$2 name=$3 staging=$4; shift 4
trap '' HUP INT TERM
umask 022
mkdir "$staging" && mkdir "$staging/work" "$staging/scratch" && chmod 700 "$staging" &&
chmod 1777 "$staging/work" &&
"$@" </dev/null >&2 && echo nel-ready && timeout "$life" cat >/dev/null
"$program" --silent instance stop --force "$name" </dev/null >&2
rm -rf -- "$staging"
"""
"""Starts the instance and stops it when its input ends."""
_CAPABILITIES = "CAP_SETUID,CAP_SETGID,CAP_SYS_CHROOT,CAP_KILL"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an instance is and how it is called."""

    program: str
    name: str
    staging: str
    env: Mapping[str, str]
    step: tuple[Nodes, str] | None
    """The node of a Slurm job it is on; None: this machine."""
    bounded: bool
    """Apptainer sets its cgroup limits."""


class ApptainerSandbox(ClientSandbox):
    """See `Sandbox`."""

    engine = "apptainer"

    def __init__(self, spec: SandboxSpec, place: Place) -> None:
        super().__init__(spec)
        self._place = place
        self._pid = 0
        self._dirty: set[int] = set()
        self._users = {self.user}
        self._kills = 0
        self._fake_root = not self._is_root and self.runs_as_root
        self._is_root |= self._fake_root

    async def _hold(self, image: str) -> Holder:
        place = self._place
        words = ["sh", "-c", HOLDER, "sh", str(int(self.spec.limits.lifetime) + 1), place.program]
        words += [place.name, place.staging, place.program, "--silent", "instance", "start"]
        words += [*self._options(), image, place.name]
        if place.step is not None:
            nodes, node = place.step
            words = [*nodes.step(node, exported(place.env)), *words]
        return await Holder.start(words, place.env, seconds=_START, peer=self.engine)

    async def _begun(self) -> None:
        if self._place.step is None:
            self._pid = await self._find_pid()
        if not self.spec.read_only:
            await self._make_cwd()

    async def _let_go(self, holder: Holder) -> None:
        await holder.end(_STOP)

    async def listen(self) -> Listener:
        """See `Sandbox.listen`."""
        self._must_be_there()
        if self._place.step is not None:
            return await stdio_relay.listen(self)
        if self.spec.network == "host":
            raise ConfigError("a sandbox with `network: host` has no network of its own")
        return await netns.listen_inside(self._pid, own_users=os.geteuid() != 0, peer=self.engine)

    async def end_processes(self) -> None:
        """See `Sandbox.end_processes`."""
        self._must_be_there()
        for user in sorted({self._killer(user) for user in self._users}):
            code = await self._quietly(docker_kills.END, user, timeout=docker_kills.END_SECONDS)
            if code != 0:
                raise self._lost(f"processes of user {user} do not end")
        self._dirty.clear()
        for process in list(self._background):
            await process.kill()

    def _options(self) -> list[str]:
        spec, limits = self.spec, self.spec.limits
        words = ["--cleanenv", "--no-home", "--containall", "--no-privs"]
        words += ["--workdir", f"{self._place.staging}/scratch"]
        if self._fake_root:
            words.append("--fakeroot")
        if spec.network in ("none", "door"):
            words += ["--net", "--network", "none"]
        if self._place.bounded:
            memory = f"{limits.memory_mb}M"
            words += ["--memory", memory, "--memory-swap", memory, "--cpus", str(limits.cpus)]
            words += ["--pids-limit", str(limits.pids + 16)]  # the instance's own, and clients
        if spec.read_only:
            words += ["--bind", f"{self._place.staging}/work:{spec.cwd}"]
        else:
            words.append("--writable-tmpfs")
        for folder in spec.folders:
            words += ["--bind", f"{folder}:{folder}:ro"]
        return words

    def _client(self, argv: list[str], names: Sequence[str], user: int, *, tty: bool) -> list[str]:
        words = [self._place.program, "--silent", "exec", "--cleanenv", "--no-privs", "--pwd", "/"]
        if self._is_root:
            words += ["--add-caps", _CAPABILITIES]
        words += [f"instance://{self._place.name}", *self._as_user(user, argv)]
        if self._place.step is None:
            return words
        nodes, node = self._place.step
        export = exported([*self._place.env, *(f"APPTAINERENV_{name}" for name in names)])
        return [*nodes.step(node, export, *(["--pty"] if tty else [])), *words]

    def _environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        hidden = {f"APPTAINERENV_{name}": value for name, value in variables.items()}
        return {**self._place.env, **hidden}

    @property
    def _limits(self) -> str:
        if self._place.bounded:
            return super()._limits
        return f"{super()._limits}ulimit -v {self.spec.limits.memory_mb << 10} 2>/dev/null; "

    async def _run(self, job: Job) -> int | None:
        code = await super()._run(job)
        if self._place.step is not None:
            drop_report(job.err)
        return code

    async def _swept(self, argv: list[str], user: int) -> list[str]:
        if not self._is_root:
            if self._dirty:
                await self._end(user)
            self._dirty = {user}
            return argv
        for other in self._dirty - {user}:
            await self._end(other)
        if user in self._dirty:
            argv = ["sh", "-c", f'{self._sweep}; exec "$@"', "sh", *argv]
        self._dirty = {user}
        self._users.add(user)
        return argv

    async def _end(self, user: int) -> None:
        with contextlib.suppress(SandboxLost):
            await self._quietly(self._sweep, self._killer(user), timeout=docker_kills.SECONDS)

    async def _end_marked(self, mark: str) -> None:
        for user in sorted({self._killer(user) for user in self._users}):
            await self._quietly(docker_kills.MARKED, user, mark, timeout=docker_kills.SECONDS)

    def _killer(self, user: int) -> int:
        """Who may end the processes of a user."""
        return user if self._is_root else os.geteuid()

    @property
    def _sweep(self) -> str:
        return docker_kills.UNMARKED if self._runs_on else docker_kills.ALL

    async def _starved(self, code: int | None) -> bool:
        if code != KILLED or not self._pid:
            return False
        before = self._kills
        self._kills = await asyncio.to_thread(_oom_kills, self._pid)
        return self._kills > before

    async def _must_stand(self) -> None:
        there = self._holder is not None and self._holder.running
        if there and self._pid:
            there = processes.running(self._pid, Path("/proc"))
        if not there:
            raise self._lost("the instance ended while a command was running")

    async def _find_pid(self) -> int:
        """The first process of the instance, on this machine."""
        words = [self._place.program, "instance", "list", "--json", self._place.name]
        found = await asyncio.create_subprocess_exec(
            *words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(self._place.env),
        )
        output, _ = await found.communicate()
        with contextlib.suppress(ValueError, KeyError, IndexError):
            return int(json.loads(output)["instances"][0]["pid"])
        raise self._lost("the instance is gone")

    async def _make_cwd(self) -> None:
        """The working folder of an image that is written to; it may not be there."""
        script = 'mkdir -p -- "$1" && { [ -w "$1" ] || chmod 1777 -- "$1"; }'
        if await self._quietly(script, self._killer(0), self.spec.cwd, timeout=30):
            raise self._lost(f"the image has no folder {self.spec.cwd}, and none can be made")


def _oom_kills(pid: int) -> int:
    """How often the kernel killed something of the instance for want of memory. Blocks."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "":
                file = Path(f"/sys/fs/cgroup{path}/memory.events")
            elif "memory" in controllers.split(","):
                file = Path(f"/sys/fs/cgroup/memory{path}/memory.oom_control")
            else:
                continue
            if file.exists():
                for row in file.read_text().splitlines():
                    if row.startswith("oom_kill "):
                        return int(row.split()[1])
    return 0
