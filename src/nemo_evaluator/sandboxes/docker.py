"""The ``docker`` backend: one container per sandbox, one ``exec`` per command.

The container is idle: its only process of its own is a ``sleep`` of the image, run by root
without capabilities, so that untrusted programs (another user) can neither end it nor trace it,
while ``kill -9 -1`` as their user ends all of them and nothing else. The sleep ends with the
sandbox's lifetime and the container removes itself then, even with nobody left to ask for it.
Nothing is used twice: the writable state (tmpfs) goes with the container, and starting one
afresh costs as much as restarting an old one would.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..errors import ConfigError
from ..types import Json
from . import transfer
from .contract import MAX_TRANSFER, Command, ExecResult, SandboxLost, SandboxSpec
from .docker_api import Attached, Engine, demultiplex
from .finishing import finish
from .local import shell
from .owner import LABEL, Owner, find_owner, this_process
from .streams import Kept

_KILL = "kill -9 -1 2>/dev/null"
"""Ends every process of the user; the shell itself and init (pid 1) are exempt by POSIX."""
_ANSWER = 5.0
"""Seconds a killed command gets to end before its container is killed."""
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
        return {"engine": f"Docker {version['Version']}", "runtime": str(info["DefaultRuntime"])}

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
        body = _container(spec, name, str(self.owner), self._volumes[name])
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
        """Remove what this backend made and nobody closed."""
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


class DockerSandbox:
    """See `Sandbox`."""

    def __init__(self, engine: Engine, spec: SandboxSpec) -> None:
        self.spec = spec
        self.id = ""
        self._engine = engine
        self._dirty = False
        self._lost: str | None = None
        self._ends = time.monotonic() + spec.limits.lifetime

    async def make(self, container: Json) -> None:
        """Create the container."""
        self.id = (await self._engine.expect("POST", "/containers/create", container))["Id"]

    async def fill(self, files: Mapping[str, bytes]) -> None:
        """Write the spec's files, absolute paths, in one go."""
        archive = transfer.pack({path.lstrip("/"): data for path, data in files.items()})
        argv = ["tar", "-x", "--no-same-owner", "-C", "/", "-f", "-"]
        got = await self._trusted(argv, timeout=120, stdin=archive, limit=1 << 12)
        if got.code != 0:
            raise SandboxLost(
                f"the files did not get into the sandbox: {got.error.strip()[:300]}",
                peer="docker",
            )

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
        begin = time.monotonic()
        wanted = limits.timeout if timeout is None else timeout
        code = await self._run(shell(command), wanted, cwd, env, stdin, out, err)
        duration = time.monotonic() - begin
        self._dirty = True
        return ExecResult(
            exit_code=124 if code is None else code,
            stdout=out.text,
            stderr=err.text,
            stdout_truncated=out.truncated,
            stderr_truncated=err.truncated,
            timed_out=code is None,
            oom=code == 137 and await self._out_of_memory(),
            duration=duration,
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
        self._lost = self._lost or "closed"
        if self.id:
            await _delete(self._engine, self.id)
            self.id = ""

    async def _trusted(
        self, argv: list[str], *, timeout: float, stdin: bytes | None, limit: int
    ) -> transfer.Output:
        out, err = Kept(limit), Kept(1 << 12)
        code = await self._run(argv, timeout, None, None, stdin, out, err)
        if code is None:
            raise SandboxLost("a transfer did not end in time", peer="docker")
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
        if self._lost is not None:
            raise SandboxLost(f"the sandbox is gone: {self._lost}", peer="docker")
        if max(map(len, argv)) >= 1 << 17:
            raise ValueError("an argument is longer than 128 KiB: use stdin or a file")
        if self._dirty:
            argv = ["sh", "-c", f'{_KILL}; exec "$@"', "sh", *argv]
        timeout = max(0.0, min(timeout, self._ends - time.monotonic()))
        number, attached = await self._start(argv, cwd, env, stdin is not None)
        work = asyncio.create_task(_converse(attached, stdin, out, err))
        try:
            in_time = await self._attend(work, number, timeout)
            return await self._exit_code(number) if in_time else None
        except asyncio.CancelledError:
            self._lost = "interrupted"
            raise
        finally:
            work.cancel()
            attached.writer.close()

    async def _start(
        self,
        argv: Sequence[str],
        cwd: str | None,
        env: Mapping[str, str] | None,
        has_input: bool,
    ) -> tuple[str, Attached]:
        body = {
            "Cmd": list(argv),
            "User": f"{self.spec.user}:{self.spec.user}",
            "WorkingDir": str(Path(self.spec.cwd) / (cwd or "")),
            "Env": [f"{key}={value}" for key, value in (env or {}).items()],
            "AttachStdin": has_input,
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
                await self._end(work)
                return False
            await asyncio.wait({work}, timeout=min(left, patience))
            patience = min(2 * patience, 2.0)
            # What it left running may hold its output open: the command itself has ended.
            if not work.done() and not await self._running(number):
                await asyncio.wait({work}, timeout=0.5)
                return True
        return True

    async def _end(self, work: asyncio.Task[None]) -> None:
        """End all untrusted processes; with the whole container if they do not."""
        with contextlib.suppress(SandboxLost, TimeoutError):
            async with asyncio.timeout(_ANSWER):
                _, attached = await self._start(["sh", "-c", _KILL], None, None, False)
                nothing = Kept(0)
                await demultiplex(attached.reader, nothing, nothing)
                attached.writer.close()
                await asyncio.wait({work})
                return
        self._lost = "its processes had to be killed with it"
        await self._engine.request("POST", f"/containers/{self.id}/kill")

    async def _running(self, number: str) -> bool:
        return bool((await self._engine.expect("GET", f"/exec/{number}/json"))["Running"])

    async def _exit_code(self, number: str) -> int:
        state = await self._engine.expect("GET", f"/exec/{number}/json")
        if (code := state.get("ExitCode")) is None:
            raise SandboxLost("the container ended under its command", peer="docker")
        return int(code)

    async def _out_of_memory(self) -> bool:
        """Whether the kernel has killed in this container, by its cgroup's own count."""
        files = "/sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control"
        argv = ["sh", "-c", f"cat {files} 2>/dev/null | grep '^oom_kill [1-9]'"]
        try:
            return (await self._trusted(argv, timeout=10, stdin=None, limit=100)).code == 0
        except SandboxLost:
            return False


async def _converse(attached: Attached, stdin: bytes | None, out: Kept, err: Kept) -> None:
    async def feed() -> None:
        # A program need not read what it is given.
        with contextlib.suppress(ConnectionError):
            attached.writer.write(stdin or b"")
            await attached.writer.drain()
            attached.writer.write_eof()

    await asyncio.gather(feed(), demultiplex(attached.reader, out, err))


async def _delete(engine: Engine, container: str) -> None:
    query = {"force": "1", "v": "1"}
    got = await engine.request("DELETE", f"/containers/{container}", query=query)
    # 404: gone by itself; 409: its removal is under way.
    if got.status >= 400 and got.status not in (404, 409):
        raise SandboxLost(f"a container cannot be removed: {got.message}", peer="docker")


def _container(
    spec: SandboxSpec, image: str, owner: str, volumes: Sequence[str]
) -> dict[str, Json]:
    limits = spec.limits
    memory = limits.memory_mb << 20
    env = {"HOME": spec.cwd, "LANG": "C.UTF-8", "TMPDIR": "/tmp"} | dict(spec.env)
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
            "SecurityOpt": ["no-new-privileges"],
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
