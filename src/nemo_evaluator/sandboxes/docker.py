"""The ``docker`` backend: one container per sandbox, one ``exec`` per command.

The container (`docker_sandbox`) is idle: its only process of its own is a ``sleep`` of the image,
run by root without capabilities, so that untrusted programs (another user) can neither end it nor
trace it, while ``kill -9 -1`` as their user ends all of them and nothing else; where processes of
``start`` shall live on, they are spared by a variable of their environment. The sleep ends with the
sandbox's lifetime and the container removes itself then, even if no process is left to ask for it.
Nothing is used twice: the writable state (tmpfs) goes with the container, and starting one
afresh costs as much as restarting an old one would.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from socket import gethostname

from ..errors import ConfigError
from ..files.owner import LABEL, Owner, find_owner, this_process
from ..types import Json
from . import docker_relay, seccomp, transfer
from .contract import BuildSpec, SandboxLost, SandboxSpec
from .docker_api import Engine
from .docker_bodies import confines_vsock, container_body, plain_body
from .docker_build import Builder
from .docker_images import Image, Images
from .docker_plain import PlainSandbox, as_image
from .docker_sandbox import DockerSandbox, delete
from .finishing import finish

RESTART_SECONDS = 60.0
"""How long an engine that is gone is waited for: one that is restarted is back in a few."""

log = logging.getLogger(__name__)


class DockerBackend:
    """Sandboxes in containers of a local Docker (or Podman) engine."""

    name = "docker"

    def __init__(
        self,
        *,
        image: str | None = None,
        run_id: str | None = None,
        socket: str | None = None,
        relay: bool | None = None,
    ) -> None:
        """``relay``: make doors by a relay inside; None: where this process cannot enter the
        network of a container, not being root or being in a container itself."""
        self._relay = os.geteuid() != 0 if relay is None else relay
        self._relay_is_given = relay is not None
        self.image = image
        self.owner: Owner = this_process(run_id)
        self._socket = socket
        self._engine: Engine | None = None
        self._security = ["no-new-privileges"]
        self._answers = False
        """The engine is there: it may have containers of ours."""
        self._ours = False
        """The engine's own seccomp profile does not suffice."""

    @property
    def engine(self) -> Engine:
        """The engine's client. ConfigError where DOCKER_HOST names no local one."""
        if self._engine is None:
            self._engine = Engine(self._socket)
        return self._engine

    @cached_property
    def _images(self) -> Images:
        return Images(self.engine)

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
        self._answers = True
        if not self._relay_is_given and await self._is_inside():
            self._relay = True
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
        ours = self._ours = not confines_vsock(version)
        self._security = ["no-new-privileges"]
        if ours:
            self._security.append(f"seccomp={json.dumps(seccomp.profile())}")
        return {
            "engine": f"Docker {version['Version']}",
            "runtime": str(info["DefaultRuntime"]),
            "seccomp": "the evaluator's profile" if ours else "the engine's profile",
        }

    async def _is_inside(self) -> bool:
        """Whether this process is in a container of the engine, beside its sandboxes."""
        got = await self.engine.request("GET", f"/containers/{gethostname()}/json")
        return got.status == 200

    def check(self, spec: SandboxSpec) -> None:
        """See `Backend.check`."""
        if spec.build is None and not spec.plain:  # of which each problem names its own
            self._image(spec.image)
        of_the_image = spec.plain and not spec.cwd
        if not of_the_image and (not spec.cwd.startswith("/") or spec.cwd.rstrip("/") == ""):
            raise ConfigError(f"{spec.cwd!r} cannot be the working directory of a sandbox")
        if not of_the_image:
            transfer.rooted(spec)

    async def pull(self, image: str | None) -> None:
        """See `Backend.pull`."""
        await self._images.have(self._image(image))

    async def build(self, build: BuildSpec) -> str:
        """See `ImageBuilder.build`."""
        return await Builder(self.engine, self._images).build(build)

    async def create(self, spec: SandboxSpec) -> DockerSandbox:
        """See `Backend.create`. An engine that is being restarted is waited for."""
        self.check(spec)
        try:
            return await self._created(spec)
        except SandboxLost:
            if await self.engine.is_there():
                raise
            log.warning("the Docker engine is gone; waiting up to %g s", RESTART_SECONDS)
        await self.engine.back(RESTART_SECONDS)
        return await self._created(spec)

    async def _created(self, spec: SandboxSpec) -> DockerSandbox:
        name = self._image(spec.image)
        image = await self._images.have(name)
        if spec.plain:
            spec = as_image(spec, image)
        box = PlainSandbox(self.engine, spec) if spec.plain else DockerSandbox(self.engine, spec)
        if isinstance(box, PlainSandbox):
            box.owner, box.programs = str(self.owner), image.entrypoint
        try:
            if self._relay and spec.network in ("door", "bridge"):
                box.folder = await asyncio.to_thread(docker_relay.make_folder, self.owner)
            body = self._body(spec, name, image, box.folder)
            # A cancelled request may still make a container: wait for its id.
            await finish(box.make(body))
            files = transfer.rooted(spec)
            if isinstance(box, PlainSandbox):
                # Without an entry point, which may run as anybody, the container makes them itself.
                await box.place(files, spec.open_folders if image.entrypoint else ())
            await self.engine.expect("POST", f"/containers/{box.id}/start")
            await box.started()
            if files and not spec.plain:
                await box.fill(files)
        except BaseException:
            await finish(box.close())
            raise
        return box

    def _body(self, spec: SandboxSpec, name: str, image: Image, folder: Path | None) -> Json:
        owner = str(self.owner)
        binds = [f"{folder}:{docker_relay.INSIDE}:ro"] if folder else []
        if not spec.plain:
            return container_body(spec, name, owner, image.volumes, self._security, binds=binds)
        security = [f"seccomp={json.dumps(seccomp.profile(plain=True))}"] if self._ours else []
        return plain_body(
            spec,
            name,
            owner,
            security,
            user=image.user,
            entrypoint=image.entrypoint,
            binds=binds,
        )

    async def reap(self) -> list[str]:
        """See `Backend.reap`."""
        folders = await asyncio.to_thread(docker_relay.remove_folders, _is_abandoned)
        images = await Builder(self.engine, self._images).remove_unfinished()
        return [*await self._remove(_is_abandoned), *folders, *images]

    async def close(self) -> None:
        """Remove the sandboxes that this backend made and that were not closed."""
        if not self._answers:
            return
        try:
            await self._remove(lambda owner: owner == self.owner)
        except SandboxLost as error:
            log.warning("%s: what is left of this run's sandboxes is removed by the next", error)

    async def _remove(self, ours: Callable[[Owner], bool]) -> list[str]:
        query = {"all": "1", "filters": json.dumps({"label": [LABEL]})}
        removed = []
        for container in await self.engine.expect("GET", "/containers/json", query=query):
            owner = find_owner(container["Labels"].get(LABEL, ""))
            if owner is not None and ours(owner):
                await delete(self.engine, container["Id"])
                removed.append(f"container {container['Id'][:12]}")
        return removed

    def _image(self, image: str | None) -> str:
        if (name := image or self.image) is None:
            raise ConfigError("the docker sandbox has no image", hint="set `image:` of the sandbox")
        return name


def _is_abandoned(owner: Owner) -> bool:
    return owner.abandoned
