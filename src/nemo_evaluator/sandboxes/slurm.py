"""The ``slurm`` backend: a named pyxis container per sandbox, one step of the job per command.

A sandbox is on a node of the job that the evaluator runs in. What a command leaves is ended with
its step where Slurm tracks processes by cgroups, and by a mark in its environment everywhere. Steps
share the network of their node (``bridge``), and all users inside are the user of the job.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping

from ..errors import ConfigError
from ..files.owner import Owner, this_process
from .contract import SandboxSpec
from .slurm_nodes import Nodes, client_environment, nodes_of_job, require_srun
from .slurm_sandbox import SlurmSandbox
from .spec_checks import check_container, named_image

_PULL = 3600.0
_TAIL = 400


class SlurmBackend:
    """Sandboxes in containers that Slurm's pyxis plug-in starts."""

    name = "slurm"

    def __init__(
        self,
        *,
        image: str | None = None,
        slots_per_node: int = 4,
        nodes: Nodes | None = None,
        run_id: str | None = None,
    ) -> None:
        """``nodes``: None takes those that the environment of the job names."""
        self.image = image
        self.owner: Owner = this_process(run_id)
        self._slots, self._nodes = slots_per_node, nodes
        self._counts_memory = self._tracks_processes = False
        self._open: set[SlurmSandbox] = set()

    @property
    def nodes(self) -> Nodes:
        """The nodes of the job. Raises ConfigError where there are none."""
        if self._nodes is None:
            self._nodes = nodes_of_job(self._slots)
        return self._nodes

    async def preflight(self) -> Mapping[str, str]:
        """See `Backend.preflight`."""
        require_srun(self.name)
        names = self.nodes.names
        code, help_text = await _output(["srun", "--help"], 30)
        if code == 0 and "--container-image" not in help_text:
            raise ConfigError(
                "the slurm sandbox needs pyxis, and this srun has no --container-image",
                hint="install pyxis and enroot on the cluster (github.com/NVIDIA/pyxis), or use "
                "`sandbox: {type: apptainer}`, which needs only Apptainer",
            )
        _, output = await _output(["scontrol", "show", "config"], 30)
        settings = dict(_setting(line) for line in output.splitlines() if "=" in line)
        self._counts_memory = settings.get("ConstrainRAMSpace", "no") == "yes"
        self._tracks_processes = settings.get("ProctrackType") == "proctrack/cgroup"
        return {
            "engine": f"Slurm {settings.get('SLURM_VERSION', 'of unknown version')} with pyxis",
            "nodes": f"{', '.join(names)}; {self.nodes.slots} sandboxes each",
            "memory bounded for": "each command" if self._counts_memory else "each process",
            "leftovers ended by": settings.get("ProctrackType", "a mark in their environment"),
            "network": "that of the node",
        }

    def check(self, spec: SandboxSpec) -> None:
        """See `Backend.check`."""
        self._image(spec.image)
        if spec.network != "bridge":
            raise ConfigError(
                f"a step of Slurm shares the network of its node; `network: {spec.network}` cannot "
                "be had",
                hint="set `network: bridge` of the sandbox, or use `sandbox: {type: apptainer}`",
            )
        check_container(spec, self.name)

    async def pull(self, image: str | None) -> None:
        """See `Backend.pull`. Every node imports it by a step that does nothing."""
        name = self._image(image)
        done = await asyncio.gather(*(self._import(node, name) for node in self.nodes.names))
        for node, (code, output) in zip(self.nodes.names, done, strict=True):
            if code != 0:
                raise ConfigError(
                    f"node {node} cannot start image {name}: {output[-_TAIL:]}",
                    hint=f"try `srun --nodelist={node} --container-image={pyxis_image(name)} true`",
                )

    async def create(self, spec: SandboxSpec) -> SlurmSandbox:
        """See `Backend.create`."""
        self.check(spec)
        image = pyxis_image(self._image(spec.image))
        node = await self.nodes.take()
        name = f"nel-{secrets.token_hex(6)}"
        box = SlurmSandbox(
            spec,
            self.nodes,
            node,
            name,
            client_environment(),
            counts_memory=self._counts_memory,
            tracks_processes=self._tracks_processes,
        )
        self._open.add(box)
        box.on_close(lambda: self._forget(box, node))
        return await box.begin(image)

    async def reap(self) -> list[str]:
        """Nothing is left to remove: a holder ends its sandbox with its owner."""
        return []

    async def close(self) -> None:
        """End every sandbox that is still open."""
        await asyncio.gather(*(box.close() for box in list(self._open)))

    async def _forget(self, box: SlurmSandbox, node: str) -> None:
        self._open.discard(box)
        await self.nodes.give(node)

    async def _import(self, node: str, image: str) -> tuple[int, str]:
        step = self.nodes.step(node, f"--container-image={pyxis_image(image)}")
        return await _output([*step, "true"], _PULL)

    def _image(self, image: str | None) -> str:
        return named_image(image, self.image, self.name)


def pyxis_image(image: str) -> str:
    """An image as enroot names it: ``#`` stands between a registry and what is in it.

    >>> pyxis_image("ghcr.io/org/task:1"), pyxis_image("python:3.12"), pyxis_image("/images/a.sqsh")
    ('ghcr.io#org/task:1', 'python:3.12', '/images/a.sqsh')
    """
    name = image.removeprefix("docker://")
    if name.startswith(("/", "./")) or "#" in name:
        return name
    registry, slash, rest = name.partition("/")
    is_registry = "." in registry or ":" in registry or registry == "localhost"
    return f"{registry}#{rest}" if slash and is_registry else name


def _setting(line: str) -> tuple[str, str]:
    name, _, value = line.partition("=")
    return name.strip(), value.strip()


async def _output(words: list[str], seconds: float) -> tuple[int, str]:
    """Exit code and output of a program of the cluster."""
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=client_environment(),
        )
    except FileNotFoundError:
        return 127, ""
    try:
        async with asyncio.timeout(seconds):
            output, _ = await process.communicate()
    except TimeoutError:
        output = b"no answer in time"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, output.decode(errors="replace").strip()
