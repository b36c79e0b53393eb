"""The ``docker`` backend: one container per sandbox, one ``exec`` per command.

The container is idle: its only process of its own is a ``sleep`` of the image, run by root
without capabilities, so that untrusted programs (another user) can neither end it nor trace it,
while ``kill -9 -1`` as their user ends all of them and nothing else. The sleep ends with the
sandbox's lifetime and the container removes itself then, even if no process is left to ask for it.
Nothing is used twice: the writable state (tmpfs) goes with the container, and starting one
afresh costs as much as restarting an old one would.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import posixpath
import time
from collections.abc import Callable, Mapping, Sequence

from ..errors import ConfigError
from ..types import Json
from . import seccomp, transfer
from .commands import CommandSandbox, Job
from .contract import SandboxLost, SandboxSpec
from .docker_api import Attached, Engine, demultiplex
from .finishing import finish
from .owner import LABEL, Owner, find_owner, this_process
from .streams import Kept

_KILL = "kill -9 -1 2>/dev/null"
"""Ends every process of the user; the shell itself and init (pid 1) are exempt by POSIX."""
_ANSWER = 5.0
"""Seconds a killed command gets to end before its container is killed."""
_KILLED = 128 + 9
_PULL = 3600.0
_OVERHEAD = 8
"""Processes of our own in a container: init, the sleep, and those of a transfer."""


class DockerBackend:
    """Sandboxes in containers of a local Docker (or Podman) engine."""

    name = "docker"

    def __init__(
        self, *, image: str | None = None, run_id: str | None = None, socket: str | None = None
    ) -> None:
        self.image = image
        self.owner: Owner = this_process(run_id)
        self._socket = socket
        self._engine: Engine | None = None
        self._security = ["no-new-privileges"]
        self._volumes: dict[str, tuple[str, ...]] = {}

    @property
    def engine(self) -> Engine:
        """The engine's client. ConfigError where DOCKER_HOST names no local one."""
        if self._engine is None:
            self._engine = Engine(self._socket)
        return self._engine

    async def preflight(self) -> Mapping[str, str]:
        """See `Backend.preflight`."""
        try:
            version = await self.engine.expect("GET", "/version", timeout=20)
            info = await self.engine.expect("GET", "/info", timeout=20)
        except SandboxLost as error:
            raise ConfigError(
                f"the docker sandbox needs a Docker engine: {error}",
                hint="start Docker (`systemctl start docker`, Docker Desktop, or `dockerd`) or "
                "install it (`apt-get install docker.io`), and see that `docker info` works for "
                "this user; or use `sandbox: {type: local}`, which needs bubblewrap "
                "(`apt-get install bubblewrap`)",
            ) from None
        missing = [
            what
            for what, key in (("memory", "MemoryLimit"), ("process", "PidsLimit"))
            if info.get(key) is False
        ]
        if missing:
            raise ConfigError(
                f"this Docker engine enforces no {' and no '.join(missing)} limits",
                hint="enable the cgroup controllers (a rootless engine needs cgroup v2 with "
                "delegation), or use `sandbox: {type: local}`",
            )
        ours = not _confines_vsock(version)
        self._security = ["no-new-privileges"]
        if ours:
            self._security.append(f"seccomp={json.dumps(seccomp.profile())}")
        return {
            "engine": f"Docker {version['Version']}",
            "runtime": str(info["DefaultRuntime"]),
            "seccomp": "the evaluator's profile" if ours else "the engine's profile",
        }

    def check(self, spec: SandboxSpec) -> None:
        """See `Backend.check`."""
        self._image(spec.image)
        if not spec.cwd.startswith("/") or spec.cwd.rstrip("/") == "":
            raise ConfigError(f"{spec.cwd!r} cannot be the working directory of a sandbox")
        transfer.rooted(spec)

    async def pull(self, image: str | None) -> None:
        """See `Backend.pull`."""
        name = self._image(image)
        got = await self.engine.request("GET", f"/images/{name}/json")
        if got.status == 404:
            await self._fetch(name)
            got = await self.engine.request("GET", f"/images/{name}/json")
        if got.status != 200:
            raise ConfigError(f"image {name}: {got.message}", hint=f"try `docker pull {name}`")
        self._volumes[name] = tuple(got.json()["Config"].get("Volumes") or ())

    async def create(self, spec: SandboxSpec) -> DockerSandbox:
        """See `Backend.create`."""
        self.check(spec)
        name = self._image(spec.image)
        if name not in self._volumes:
            await self.pull(name)
        body = _container(spec, name, str(self.owner), self._volumes[name], self._security)
        box = DockerSandbox(self.engine, spec)
        try:
            # A cancelled request may still make a container: wait for its id.
            await finish(box.make(body))
            await self.engine.expect("POST", f"/containers/{box.id}/start")
            if files := transfer.rooted(spec):
                await box.fill(files)
        except BaseException:
            await finish(box.close())
            raise
        return box

    async def reap(self) -> list[str]:
        """See `Backend.reap`."""
        return await self._remove(lambda owner: owner.abandoned)

    async def close(self) -> None:
        """Remove the sandboxes that this backend made and that were not closed."""
        if self._engine is not None:
            await self._remove(lambda owner: owner == self.owner)

    async def _remove(self, ours: Callable[[Owner], bool]) -> list[str]:
        query = {"all": "1", "filters": json.dumps({"label": [LABEL]})}
        removed = []
        for container in await self.engine.expect("GET", "/containers/json", query=query):
            owner = find_owner(container["Labels"].get(LABEL, ""))
            if owner is not None and ours(owner):
                await _delete(self.engine, container["Id"])
                removed.append(f"container {container['Id'][:12]}")
        return removed

    async def _fetch(self, name: str) -> None:
        where, _, tag = name.rpartition(":")
        tagged = {"fromImage": where, "tag": tag} if where and "/" not in tag else None
        query = tagged or {"fromImage": name, "tag": "" if "@" in name else "latest"}
        got = await self.engine.request("POST", "/images/create", query=query, timeout=_PULL)
        told = got.body.decode(errors="replace").strip().splitlines() or [""]
        if got.status >= 400 or '"error"' in told[-1]:
            raise ConfigError(
                f"image {name} cannot be pulled: {told[-1][:300]}",
                hint=f"`docker pull {name}` (after `docker login` for a private registry), "
                "or name an image that is there",
            )

    def _image(self, image: str | None) -> str:
        if (name := image or self.image) is None:
            raise ConfigError("the docker sandbox has no image", hint="set `image:` of the sandbox")
        return name


class DockerSandbox(CommandSandbox):
    """See `Sandbox`."""

    engine = "docker"

    def __init__(self, engine: Engine, spec: SandboxSpec) -> None:
        super().__init__(spec)
        self.id = ""
        self._engine = engine
        self._dirty = False
        self._kills = 0
        self._gone: str | None = None

    async def make(self, container: Json) -> None:
        """Create the container."""
        self.id = (await self._engine.expect("POST", "/containers/create", container))["Id"]

    async def fill(self, files: Mapping[str, bytes]) -> None:
        """Write the spec's files, absolute paths, in one go."""
        archive = transfer.pack({path.lstrip("/"): data for path, data in files.items()})
        argv = ["tar", "-x", "--no-same-owner", "-C", "/", "-f", "-"]
        got = await self._trusted(argv, timeout=120, stdin=archive, limit=1 << 12)
        if got.code != 0:
            raise self._lost(
                f"the files could not be copied into the sandbox: {got.error.strip()[:300]}"
            )

    async def close(self) -> None:
        """See `Sandbox.close`."""
        self._gone = self._gone or "closed"
        if self.id:
            await _delete(self._engine, self.id)
            self.id = ""

    async def _run(self, job: Job) -> int | None:
        if self._gone is not None:
            raise self._lost(f"the sandbox is gone: {self._gone}")
        argv = ["sh", "-c", f'{_KILL}; exec "$@"', "sh", *job.argv] if self._dirty else job.argv
        # Whatever ran last may have left processes.
        self._dirty = True
        number, attached = await self._start(argv, job)
        work = asyncio.create_task(_converse(attached, job))
        try:
            in_time = await self._attend(work, number, job.timeout)
            return await self._exit_code(number) if in_time else None
        except asyncio.CancelledError:
            self._gone = "interrupted"
            raise
        finally:
            work.cancel()
            attached.writer.close()

    async def _starved(self, code: int | None) -> bool:
        """By the container's own cgroup, which counts over its whole life.

        Raises SandboxLost when the container was killed, which takes its commands along so.
        """
        if code != _KILLED or self._gone is not None:
            return False
        files = "/sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control"
        argv = ["sh", "-c", f"cat {files} 2>/dev/null | sed -n 's/^oom_kill //p'"]
        told = None
        with contextlib.suppress(SandboxLost):
            told = await self._trusted(argv, timeout=10, stdin=None, limit=100)
        if told is None or told.code != 0:
            await self._must_stand()
            return False
        before = self._kills
        self._kills = int(told.data or b"0")
        return self._kills > before

    async def _must_stand(self) -> None:
        """SandboxLost if the container has ended, of which the engine learns a little late."""
        for _ in range(10):
            got = await self._engine.request("GET", f"/containers/{self.id}/json")
            if got.status != 200 or not got.json()["State"]["Running"]:
                raise self._lost("the container ended while a command was running")
            await asyncio.sleep(0.1)

    async def _start(self, argv: Sequence[str], job: Job | None = None) -> tuple[str, Attached]:
        body = {
            "Cmd": list(argv),
            "User": f"{self.spec.user}:{self.spec.user}",
            "WorkingDir": posixpath.join(self.spec.cwd, job.cwd if job else ""),
            "Env": [f"{key}={value}" for key, value in job.env.items()] if job else [],
            "AttachStdin": job is not None and job.stdin is not None,
            "AttachStdout": True,
            "AttachStderr": True,
        }
        number = (await self._engine.expect("POST", f"/containers/{self.id}/exec", body))["Id"]
        start = {"Detach": False, "Tty": False}
        return number, await self._engine.attach(f"/exec/{number}/start", start)

    async def _attend(self, work: asyncio.Task[None], number: str, timeout: float) -> bool:
        """See a command to its end; False when it had to be ended."""
        end, patience = time.monotonic() + timeout, 0.2
        while not work.done():
            left = end - time.monotonic()
            if left <= 0:
                await self._end(number)
                await asyncio.wait({work}, timeout=0.1)
                return False
            await asyncio.wait({work}, timeout=min(left, patience))
            patience = min(2 * patience, 2.0)
            # What it left running may hold its output open: the command itself has ended.
            if not work.done() and not await self._running(number):
                await asyncio.wait({work}, timeout=0.5)
                return True
        return True

    async def _end(self, number: str) -> None:
        """End all untrusted processes; with the whole container if they do not."""
        with contextlib.suppress(SandboxLost, TimeoutError):
            async with asyncio.timeout(_ANSWER):
                _, attached = await self._start(["sh", "-c", _KILL])
                nothing = Kept(0)
                await demultiplex(attached.reader, nothing, nothing)
                attached.writer.close()
                while await self._running(number):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
                return
        self._gone = "its processes could only be killed together with the container"
        await self._engine.request("POST", f"/containers/{self.id}/kill")

    async def _running(self, number: str) -> bool:
        return bool((await self._engine.expect("GET", f"/exec/{number}/json"))["Running"])

    async def _exit_code(self, number: str) -> int:
        state = await self._engine.expect("GET", f"/exec/{number}/json")
        if (code := state.get("ExitCode")) is None:
            raise self._lost("the container ended while a command was running")
        return int(code)


async def _converse(attached: Attached, job: Job) -> None:
    async def feed() -> None:
        # A program need not read what it is given.
        with contextlib.suppress(ConnectionError):
            attached.writer.write(job.stdin or b"")
            await attached.writer.drain()
            attached.writer.write_eof()

    await asyncio.gather(feed(), demultiplex(attached.reader, job.out, job.err))


def _confines_vsock(version: Json) -> bool:
    """Whether the engine's own seccomp profile keeps programs from the hypervisor's sockets.

    Docker's does since 23.0 (moby pull request 44562); of others that is not known.
    """
    names = [part.get("Name", "") for part in version.get("Components") or ()]
    major = str(version["Version"]).partition(".")[0]
    return "Engine" in names and major.isdigit() and int(major) >= 23


async def _delete(engine: Engine, container: str) -> None:
    query = {"force": "1", "v": "1"}
    got = await engine.request("DELETE", f"/containers/{container}", query=query)
    # 404: gone by itself; 409: its removal is under way.
    if got.status >= 400 and got.status not in (404, 409):
        raise SandboxLost(f"a container cannot be removed: {got.message}", peer="docker")


def _container(
    spec: SandboxSpec, image: str, owner: str, volumes: Sequence[str], security: list[str]
) -> dict[str, Json]:
    limits = spec.limits
    memory = limits.memory_mb << 20
    # The spec's own variables may be secrets: they go with each command, never where
    # `docker inspect` shows them.
    env = {"HOME": spec.cwd, "LANG": "C.UTF-8", "TMPDIR": "/tmp"}
    return {
        "Image": image,
        "Entrypoint": ["sleep", str(int(limits.lifetime) + 1)],
        "Cmd": [],
        "User": "0:0",
        "WorkingDir": "/",
        "Env": [f"{key}={value}" for key, value in env.items()],
        "Labels": {LABEL: owner},
        "Hostname": "sandbox",
        "NetworkDisabled": spec.network == "none",
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {
            "NetworkMode": spec.network,
            "AutoRemove": True,
            # Root may signal the sleep too, unless that is pid 1 itself.
            "Init": spec.user != 0,
            "ReadonlyRootfs": spec.read_only,
            "Tmpfs": _tmpfs(spec, volumes),
            "ShmSize": limits.disk_mb << 20,
            "Memory": memory,
            "MemorySwap": memory,
            "PidsLimit": limits.pids + _OVERHEAD,
            "NanoCpus": int(limits.cpus * 1e9),
            "CapDrop": ["ALL"],
            "SecurityOpt": security,
            "IpcMode": "private",
            "OomScoreAdj": 1000,
            "Ulimits": [
                {"Name": "core", "Soft": 0, "Hard": 0},
                {"Name": "nofile", "Soft": 1024, "Hard": 1024},
                {"Name": "msgqueue", "Soft": 65536, "Hard": 65536},
                {"Name": "fsize", "Soft": limits.disk_mb << 20, "Hard": limits.disk_mb << 20},
            ],
            "LogConfig": {"Type": "none"},
        },
    }


def _tmpfs(spec: SandboxSpec, volumes: Sequence[str]) -> dict[str, str]:
    """Mounts for all that may be written; volumes of the image too, which are on disk else."""
    disk = spec.limits.disk_mb
    options = f"rw,nosuid,nodev,exec,size={disk}m,nr_inodes={max(1024, 64 * disk)},mode=1777"
    places = ["/tmp", *volumes, *([spec.cwd] if spec.read_only else [])]
    return dict.fromkeys(places, options)
