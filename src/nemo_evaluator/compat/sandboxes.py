"""A workspace under the names that solvers of NVIDIA NeMo Evaluator use."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError
from ..sandboxes.contract import Sandbox, SandboxSpec
from ..solvers.contract import SolveTools

SECONDS = 180.0


@dataclass(frozen=True, slots=True)
class ExecResult:
    """What became of a command."""

    stdout: str
    stderr: str
    return_code: int
    """-1 where the command took too long."""


class TaskSandbox:
    """The sandbox of one attempt; the engine opens and closes it."""

    is_running = True

    def __init__(self, inner: Sandbox, env: Mapping[str, str]) -> None:
        self._inner, self._env = inner, env

    @property
    def spec(self) -> SandboxSpec:
        """What the sandbox is made of."""
        return self._inner.spec

    async def exec(
        self,
        command: str,
        timeout_sec: float = SECONDS,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        user: int | str | None = None,
    ) -> ExecResult:
        """Run a command of the shell; MODEL_BASE_URL and OPENAI_API_KEY are set for it."""
        done = await self._inner.exec(
            command,
            timeout=timeout_sec,
            cwd=cwd,
            env={**self._env, **(env or {})},
            user=None if user is None else int(user),
        )
        if done.timed_out:
            return ExecResult("", "timeout", -1)
        return ExecResult(done.stdout, done.stderr, done.exit_code)

    async def upload(self, local: str | Path, remote: str) -> None:
        """Copy a file or a folder of the host into it."""
        if await asyncio.to_thread(Path(local).is_dir):
            await self._inner.upload_folder(remote, Path(local))
        else:
            await self._inner.upload(remote, Path(local))

    async def download(self, remote: str, local: str | Path) -> None:
        """Copy a file out of it."""
        data = await self._inner.download(remote)
        await asyncio.to_thread(Path(local).write_bytes, data)

    def resolved_endpoint_url(self, env_var: str) -> str | None:
        """The address in a variable that commands find (``MODEL_BASE_URL``)."""
        return self._env.get(env_var)


async def task_sandbox(tools: SolveTools) -> TaskSandbox | None:
    """The sandbox that ``solve(task, sandbox)`` is given; None where none is configured."""
    if tools.workspace is None:
        return None
    env: Mapping[str, str] = {}
    # Without a service, or where there can be no door, the solver may need none.
    with suppress(ConfigError):
        env = (await tools.door(inside=True)).env()
    return TaskSandbox(tools.workspace.sandbox, env)
