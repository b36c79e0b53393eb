"""Programs checked in a process of this machine: harmless ones, which need no sandbox."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nemo_evaluator.environments.code_check import CheckResult, CodeProblem, check_code
from nemo_evaluator.sandboxes.contract import ExecResult, SandboxSpec


class ThisMachine:
    """Not a sandbox: runs what this file brings along."""

    spec = SandboxSpec()

    async def exec(
        self,
        command: str | Sequence[str],
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        output_bytes: int | None = None,
    ) -> ExecResult:
        assert not isinstance(command, str)
        started = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *command[1:],
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            out, err = await process.communicate(stdin)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # what it left behind
        return ExecResult(
            exit_code=process.returncode or 0,
            stdout=out.decode(errors="replace"),
            stderr=err.decode(errors="replace"),
            duration=time.perf_counter() - started,
        )

    async def upload(self, path: str, data: bytes | Path) -> None:
        raise AssertionError

    async def download(self, path: str, *, max_bytes: int = 0) -> bytes:
        raise AssertionError

    async def upload_folder(self, path: str, folder: Path) -> None:
        raise AssertionError

    async def download_folder(self, path: str, folder: Path, *, max_bytes: int = 0) -> None:
        raise AssertionError

    async def close(self) -> None:
        pass


async def checked(source: str, test: str, **more: Any) -> CheckResult:
    """The verdict on a program whose function is ``add``."""
    problem = CodeProblem(**{"source": source, "entry_point": "add", "test": test} | more)
    return await check_code(ThisMachine(), problem)
