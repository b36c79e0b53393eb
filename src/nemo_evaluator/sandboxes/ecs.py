"""The ``ecs_fargate`` backend: a task of AWS Fargate per sandbox, reached over SSH.

A task has two containers: the image, in which our exec server (`ecs_exec_server`) runs commands,
and a sidecar with an SSH server, which alone is reached from outside. The exec server speaks the
part of the Docker API that a sandbox needs, so that commands, their ends and transfers are those of
the ``docker`` backend. A task ends by itself when it is asked nothing for some minutes.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import Callable, Mapping
from typing import Any

from ..config.sandboxes import EcsFargateSandbox
from ..errors import ConfigError
from ..files.owner import Owner, this_process
from ..http.listener import Listener
from . import docker_relay, transfer
from .contract import SandboxLost, SandboxSpec
from .docker_api import Engine
from .docker_sandbox import DockerSandbox
from .ecs_settings import (
    EcsSettings,
    assemble,
    check_supported,
    image_of,
    parameter_name,
    stored_settings,
)
from .ecs_tasks import EcsTasks
from .ecs_tunnel import Keys, Tunnel
from .finishing import finish
from .spec_checks import check_container, named_image

_PING = 60.0
_READY = 60.0
Clients = Callable[[str], Any]
"""A client of AWS by the name of its service."""


class EcsSandbox(DockerSandbox):
    """See `Sandbox`."""

    engine = "ecs_fargate"

    def __init__(
        self, spec: SandboxSpec, tasks: EcsTasks, task: str, tunnel: Tunnel, seconds: float
    ) -> None:
        token = {"X-Nel-Token": secrets.token_urlsafe(32)}
        super().__init__(Engine(tunnel.socket, headers=token), spec)
        self.id = "task"
        self._tasks, self._task, self._tunnel, self._seconds = tasks, task, tunnel, seconds
        self._pings: asyncio.Task[None] | None = None
        self._then: Callable[[], None] = lambda: None

    async def connect(self, then: Callable[[], None]) -> None:
        """Reach the exec server; ``then`` is called when the sandbox is closed."""
        self._then = then
        await self._tunnel.open(self._seconds)
        end = asyncio.get_running_loop().time() + _READY
        while True:
            try:
                await self._engine.expect("GET", f"/containers/{self.id}/json", timeout=10)
                break
            except SandboxLost:
                if asyncio.get_running_loop().time() > end:
                    raise
                await asyncio.sleep(0.3)
        self._pings = asyncio.create_task(self._ping())

    async def close(self) -> None:
        """See `Sandbox.close`."""
        self._gone = self._gone or "closed"
        if self._pings is not None:
            self._pings.cancel()
            await asyncio.gather(self._pings, return_exceptions=True)
        if not self.id:
            return
        self.id = ""
        try:
            await asyncio.to_thread(self._tasks.stop, self._task)
        finally:
            await self._tunnel.close()
            for process in list(self._background):
                await process.ended()
            self._then()

    async def listen(self) -> Listener:
        """See `Sandbox.listen`."""
        self._must_be_there()
        folder = self._tunnel.door / secrets.token_hex(4)
        folder.mkdir()
        listener = docker_relay.listen(folder)
        try:
            return Listener(listener, "127.0.0.1", await self._tunnel.forward(str(folder / "s")))
        except BaseException:
            listener.close()
            raise

    async def _ping(self) -> None:
        """Show that somebody is there, and connect again where the connection was lost."""
        while True:
            await asyncio.sleep(_PING)
            try:
                await self._tunnel.open(self._seconds)
                await self._engine.expect("GET", f"/containers/{self.id}/json", timeout=30)
            except SandboxLost:
                why = await asyncio.to_thread(self._tasks.why_stopped, self._task)
                if why is not None:
                    self._gone = why
                    return


class EcsBackend:
    """Sandboxes in tasks of AWS Fargate."""

    name = "ecs_fargate"

    def __init__(
        self,
        config: EcsFargateSandbox,
        *,
        clients: Clients | None = None,
        run_id: str | None = None,
    ) -> None:
        """``clients``: None makes them with boto3."""
        check_supported(config)
        self._config, self._clients = config, clients
        self.owner: Owner = this_process(run_id)
        self._settings: EcsSettings | None = None
        self._tasks: EcsTasks | None = None
        self._keys: Keys | None = None
        self._open: set[EcsSandbox] = set()
        self._preparing = asyncio.Lock()

    async def preflight(self) -> Mapping[str, str]:
        """See `Backend.preflight`."""
        for tool in ("ssh", "ssh-agent", "ssh-add"):
            if shutil.which(tool) is None:
                raise ConfigError(
                    f"the ecs_fargate sandbox needs {tool}, not found on this machine",
                    hint="install the OpenSSH client (`apt-get install openssh-client`)",
                )
        settings, _ = await self._prepared()
        return {
            "engine": "AWS Fargate",
            "cluster": settings.cluster,
            "memory and CPUs": f"{settings.memory} MiB, {settings.cpu} units for each task",
            "network": "that of the security groups",
        }

    def check(self, spec: SandboxSpec) -> None:
        """See `Backend.check`."""
        named_image(spec.image, self._config.image, self.name)
        check_container(spec, self.name)
        if spec.folders:
            raise ConfigError("a task of Fargate can show no folders of this machine")
        if spec.network != "bridge":
            raise ConfigError(
                f"a task of Fargate reaches what its security groups allow; `network: "
                f"{spec.network}` cannot be had",
                hint="set `network: bridge` of the sandbox, or use `sandbox: {type: docker}`",
            )

    async def pull(self, image: str | None) -> None:
        """Fargate pulls for every task; that an image is missing is known then."""
        named_image(image, self._config.image, self.name)

    async def create(self, spec: SandboxSpec) -> EcsSandbox:
        """See `Backend.create`."""
        self.check(spec)
        settings, tasks = await self._prepared()
        keys = await self._agent()
        image = image_of(settings, named_image(spec.image, self._config.image, self.name))
        task = await asyncio.to_thread(tasks.start, spec, image)
        box: EcsSandbox | None = None
        try:
            host = await asyncio.to_thread(tasks.wait, task)
            tunnel = Tunnel(keys, host, settings.sshd_port, settings.exec_port)
            box = EcsSandbox(spec, tasks, task, tunnel, settings.ready_seconds)
            self._open.add(box)
            await box.connect(lambda made=box: self._open.discard(made))  # type: ignore[misc]
            if placed := transfer.rooted(spec):
                await box.fill(placed)
        except BaseException:
            await finish(box.close() if box is not None else _stop(tasks, task))
            raise
        return box

    async def reap(self) -> list[str]:
        """See `Backend.reap`."""
        _, tasks = await self._prepared()
        return await asyncio.to_thread(tasks.reap)

    async def close(self) -> None:
        """Stop every task that still runs, and remove what this process registered."""
        await asyncio.gather(*(box.close() for box in list(self._open)))
        if self._keys is not None:
            await self._keys.close()
            self._keys = None
        if self._tasks is not None:
            await asyncio.to_thread(self._tasks.close)

    async def _prepared(self) -> tuple[EcsSettings, EcsTasks]:
        """Settings and cluster, looked up once. Raises ConfigError."""
        async with self._preparing:
            if self._settings is None or self._tasks is None:
                self._settings = await asyncio.to_thread(self._look)
                ecs, ec2 = await asyncio.to_thread(lambda: (self._aws("ecs"), self._aws("ec2")))
                self._tasks = EcsTasks(ecs, ec2, self._settings, self.owner)
            return self._settings, self._tasks

    def _look(self) -> EcsSettings:
        config, stored = self._config, {}
        if config.region is not None and config.cluster is None:
            name = parameter_name(config.ssm_project)
            ssm = self._aws("ssm")
            try:
                parameter = ssm.get_parameter(Name=name, WithDecryption=True)
            except Exception as error:  # botocore's errors have no useful common base
                raise ConfigError(
                    f"SSM parameter {name} cannot be read: {error}",
                    where="sandbox.ssm_project",
                    hint="name the project whose stack made it, or set cluster, subnets and so on",
                ) from None
            stored = stored_settings(parameter["Parameter"]["Value"], name)
        settings = assemble(config, stored)
        self._require_cluster(settings)
        return settings

    def _require_cluster(self, settings: EcsSettings) -> None:
        try:
            reply = self._aws("ecs").describe_clusters(clusters=[settings.cluster])
        except Exception as error:  # botocore's errors have no useful common base
            raise ConfigError(
                f"AWS cannot be asked: {error}",
                where="sandbox",
                hint="see that `aws ecs describe-clusters` works with the same credentials",
            ) from None
        if not any(one.get("status") == "ACTIVE" for one in reply["clusters"]):
            raise ConfigError(f"there is no active cluster {settings.cluster!r}", where="sandbox")

    async def _agent(self) -> Keys:
        settings, _ = await self._prepared()
        async with self._preparing:
            if self._keys is None:
                key = await asyncio.to_thread(self._private_key, settings.private_key)
                self._keys = await Keys.open(key)
            return self._keys

    def _private_key(self, secret: str) -> str:
        try:
            return str(
                self._aws("secretsmanager").get_secret_value(SecretId=secret)["SecretString"]
            )
        except Exception as error:  # botocore's errors have no useful common base
            raise ConfigError(f"the private key cannot be read: {error}", where="sandbox") from None

    def _aws(self, service: str) -> Any:
        if self._clients is not None:
            return self._clients(service)
        try:
            import boto3
            from botocore.config import Config
        except ImportError:
            raise ConfigError(
                "the ecs_fargate sandbox needs boto3",
                hint="pip install 'nemo-evaluator[ecs]'",
            ) from None
        retries = {"max_attempts": 8, "mode": "adaptive"}
        config = Config(connect_timeout=30, read_timeout=60, retries=retries)
        return boto3.client(service, region_name=self._config.region, config=config)


async def _stop(tasks: EcsTasks, task: str) -> None:
    await asyncio.to_thread(tasks.stop, task)
