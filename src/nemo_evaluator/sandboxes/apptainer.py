"""The ``apptainer`` backend: one instance per sandbox, one ``apptainer exec`` per command.

A holder, a shell in a session of its own, starts the instance and reads from a pipe that only its
owner holds: it stops the instance when the owner lets go of the pipe, however the owner ends, and
at the end of the sandbox's lifetime. On a node of a Slurm job the holder is a step of the job.
Root's instances have cgroup limits, and any user inside; those of other users have limits where
systemd delegates them, and one user, whose files are everybody's.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from ..errors import ConfigError
from ..files.owner import Owner, find_owner, this_process
from .apptainer_images import SifCache, cache_folder
from .apptainer_sandbox import ApptainerSandbox, Place
from .contract import SandboxSpec
from .slurm_nodes import Nodes, client_environment, require_srun
from .spec_checks import check_container, named_image

OLDEST = (1, 1)
FOLDER = "nel-apptainer-"
_HINT = (
    "install Apptainer 1.1 or newer (`apt-get install apptainer`, `dnf install apptainer`), or use "
    "`sandbox: {type: docker}`"
)


class ApptainerBackend:
    """Sandboxes in Apptainer instances, on this machine or on nodes of a Slurm job."""

    name = "apptainer"

    def __init__(
        self,
        *,
        image: str | None = None,
        sif_cache_dir: str | None = None,
        nodes: Nodes | None = None,
        run_id: str | None = None,
    ) -> None:
        self.image = image
        self.owner: Owner = this_process(run_id)
        self._nodes = nodes
        self._cache_dir = cache_folder(sif_cache_dir)
        self._program = ""
        self._open: dict[str, ApptainerSandbox] = {}

    async def preflight(self) -> Mapping[str, str]:
        """See `Backend.preflight`."""
        if self._nodes is not None:
            require_srun(self.name)
        self._program = shutil.which("apptainer") or ""
        if not self._program:
            raise ConfigError(
                "the apptainer sandbox needs apptainer, not found on this machine", hint=_HINT
            )
        output = await asyncio.to_thread(_output, [self._program, "--version"])
        if (version := _version(output)) is None:
            raise ConfigError(f"apptainer does not run here: {output[-300:]}", hint=_HINT)
        if version < OLDEST:
            raise ConfigError(f"Apptainer 1.1 or newer is needed, not {output!r}", hint=_HINT)
        limited = "the sandbox (cgroup)" if _bounds() else "each process (rlimit)"
        found = {"engine": output, "memory and processes bounded for": limited}
        found["disk"] = "each file is bounded; the sum is not"
        if self._nodes is not None:
            found["nodes"] = ", ".join(self._nodes.names)
        return found

    def check(self, spec: SandboxSpec) -> None:
        """See `Backend.check`."""
        self._image(spec.image)
        check_container(spec, self.name)
        if spec.network == "bridge" and self._nodes is None:
            raise ConfigError(
                "the apptainer sandbox has no bridge network", hint="use none, door or host"
            )

    async def pull(self, image: str | None) -> None:
        """See `Backend.pull`."""
        await self._cache().have(self._image(image))

    async def create(self, spec: SandboxSpec) -> ApptainerSandbox:
        """See `Backend.create`."""
        self.check(spec)
        if not self._program:
            await self.preflight()
        image = self._cache().path(self._image(spec.image))
        node = None if self._nodes is None else await self._nodes.take()
        number = secrets.token_hex(6)
        staging = Path(tempfile.gettempdir()) / f"{FOLDER}{self.owner}-{number}"
        place = Place(
            program=self._program,
            name=f"nel-{number}",
            staging=str(staging),
            env=self._env(),
            step=None if self._nodes is None or node is None else (self._nodes, node),
            bounded=_bounds(),
        )
        box = ApptainerSandbox(spec, place)
        box.on_close(self._forgetting(number, node))
        self._open[number] = box
        return await box.begin(image)

    async def reap(self) -> list[str]:
        """See `Backend.reap`. Holders do it by themselves, unless they were killed too."""
        return await asyncio.to_thread(_reap, self._program or "apptainer")

    async def close(self) -> None:
        """End every sandbox that is still open."""
        await asyncio.gather(*(box.close() for box in list(self._open.values())))

    def _forgetting(self, number: str, node: str | None) -> Callable[[], Awaitable[None]]:
        async def forget() -> None:
            self._open.pop(number, None)
            if self._nodes is not None and node is not None:
                await self._nodes.give(node)

        return forget

    def _cache(self) -> SifCache:
        return SifCache(self._cache_dir, self._program or "apptainer", self._env())

    def _env(self) -> dict[str, str]:
        kept = client_environment("APPTAINER_", "XDG_", "DBUS_")
        # Binds and options of the user's own calls are not for sandboxes.
        named = ("CACHEDIR", "TMPDIR", "CONFIGDIR", "DOCKER_USERNAME", "DOCKER_PASSWORD")
        wanted = {f"APPTAINER_{name}" for name in named}
        return {
            name: value
            for name, value in kept.items()
            if not name.startswith("APPTAINER_") or name in wanted
        }

    def _image(self, image: str | None) -> str:
        return named_image(image, self.image, self.name)


def _reap(program: str) -> list[str]:
    """Stop the instances of dead owners of this machine; what that was. Blocks."""
    removed = []
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER}*"):
        owner = find_owner(folder.name.removeprefix(FOLDER))
        if owner is not None and owner.abandoned:
            name = f"nel-{folder.name.rpartition('-')[2]}"
            _output([program, "instance", "stop", "--force", name])
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(f"instance {name}")
    return removed


def _bounds() -> bool:
    """Whether Apptainer can set cgroup limits for this user."""
    if os.geteuid() == 0:
        return True
    unified = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    return unified and "DBUS_SESSION_BUS_ADDRESS" in os.environ


def _version(said: str) -> tuple[int, int] | None:
    match = re.search(r"apptainer version (\d+)\.(\d+)", said)
    return None if match is None else (int(match[1]), int(match[2]))


def _output(words: list[str]) -> str:
    """What a tool prints. Blocks."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return (done.stdout or done.stderr).strip()
