"""The workspace of a rollout as harbor's agents know environments: what harbor would do in a
container of its own is done by the other side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from harbor.environments.base import BaseEnvironment, ExecResult
from harbor.environments.capabilities import (
    EnvironmentCapabilities,
    EnvironmentResourceCapabilities,
)
from harbor.models.task.config import EnvironmentConfig, NetworkMode, NetworkPolicy
from harbor.models.trial.paths import EnvironmentPaths, TrialPaths

if TYPE_CHECKING:
    from nemo_evaluator.foreign.child import Peer


class Bridge(BaseEnvironment):  # type: ignore[misc]
    """The workspace of a rollout, as harbor's agents know environments."""

    def __init__(
        self, peer: Peer, rollout: str, workdir: str, open_network: bool, logs: Path
    ) -> None:
        self._peer, self._rollout = peer, rollout
        trial_paths = TrialPaths(trial_dir=logs.parent)
        trial_paths.mkdir()
        mode = NetworkMode.PUBLIC if open_network else NetworkMode.NO_NETWORK
        super().__init__(
            environment_dir=logs.parent / "environment",
            environment_name="workspace",
            session_id=rollout,
            trial_paths=trial_paths,
            task_env_config=EnvironmentConfig(workdir=workdir),
            network_policy=NetworkPolicy(network_mode=mode),
        )

    @staticmethod
    def type() -> str:
        """The environment's name in messages of harbor."""
        return "nemo-evaluator"

    @property
    def capabilities(self) -> EnvironmentCapabilities:
        """What a task may ask for; the workspace decides."""
        return EnvironmentCapabilities(disable_internet=True, gpus=True, tpus=True)

    @classmethod
    def resource_capabilities(cls) -> EnvironmentResourceCapabilities:
        """See ``capabilities``."""
        return EnvironmentResourceCapabilities(
            cpu_limit=True, memory_limit=True, fractional_cpus=True
        )

    def _validate_definition(self) -> None:
        """There is nothing to build."""

    async def start(self, force_build: bool) -> None:
        """The workspace is open; make the folders that agents expect."""
        paths = EnvironmentPaths()
        await self.ensure_dirs([paths.agent_dir, paths.verifier_dir, paths.artifacts_dir])
        await self.empty_dirs([paths.agent_dir])  # an earlier step of the task may have left some

    async def stop(self, delete: bool) -> None:
        """The other side closes the workspace."""

    async def exec(
        self,
        command: str,
        cwd: str | None = None,
        env: dict[str, str] | None = None,
        timeout_sec: float | None = None,
        user: str | int | None = None,
        **_: Any,
    ) -> ExecResult:
        """Run a command in the workspace; what it leaves running goes on."""
        done = await self._ask(
            "exec",
            command=command,
            cwd=cwd or self.task_env_config.workdir,
            env=self._merge_env(env) or {},
            seconds=timeout_sec,
            user=self._resolve_user(user),
        )
        if (emit := self._output_callback()) is not None and done["stdout"]:
            await emit(done["stdout"], "stdout")
        return ExecResult(
            stdout=done["stdout"], stderr=done["stderr"], return_code=done["exit_code"]
        )

    async def upload_file(self, source_path: Path | str, target_path: str) -> None:
        """See BaseEnvironment."""
        await self._ask("upload_file", source=_absolute(source_path), target=str(target_path))

    async def upload_dir(self, source_dir: Path | str, target_dir: str) -> None:
        """See BaseEnvironment."""
        await self._ask("upload_folder", source=_absolute(source_dir), target=str(target_dir))

    async def download_file(self, source_path: str, target_path: Path | str) -> None:
        """See BaseEnvironment."""
        await self._ask("download_file", source=str(source_path), target=_absolute(target_path))

    async def download_dir(self, source_dir: str, target_dir: Path | str) -> None:
        """See BaseEnvironment."""
        await self._ask("download_folder", source=str(source_dir), target=_absolute(target_dir))

    async def _ask(self, method: str, **params: Any) -> Any:
        return await self._peer.call(method, rollout=self._rollout, **params)


def _absolute(path: Path | str) -> str:
    return str(Path(path).absolute())
