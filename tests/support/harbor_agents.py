"""Agents for harbor, run in harbor's own interpreter by the tests of the harbor solver."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from harbor import BaseAgent, BaseEnvironment, ExecResult
from harbor.environments.capabilities import EnvironmentCapabilities


class Writer(BaseAgent):
    """Writes what its model says."""

    def __init__(
        self,
        logs_dir: Path,
        *,
        crash: bool = False,
        api_base: str = "",
        api_key: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(logs_dir, **kwargs)
        self.crash, self.api_base, self.api_key = crash, api_base, api_key

    @staticmethod
    def name() -> str:
        return "writer"

    def version(self) -> str | None:
        return "3"

    async def setup(self, environment: Any) -> None:
        await environment.exec("sleep 300 & echo $! > /tmp/daemon")

    async def run(self, instruction: str, environment: Any, context: Any) -> None:
        said = await asyncio.to_thread(self.ask, instruction)
        alive = await environment.exec("kill -0 $(cat /tmp/daemon)")
        assert alive.return_code == 0, "what a command left running has ended"
        (self.logs_dir / "said.txt").write_text(said)
        await environment.upload_file(self.logs_dir / "said.txt", "/tmp/deep/said.txt")
        done = await environment.exec("cat /tmp/deep/said.txt > hello.txt; env > env.txt; pwd")
        context.metadata = {"response": f"wrote {said} in {done.stdout.strip()}"}
        if self.crash:
            raise ValueError("I am broken")

    def ask(self, instruction: str) -> str:
        body = {"model": "m", "messages": [{"role": "user", "content": instruction}]}
        request = urllib.request.Request(
            f"{self.api_base}/chat/completions",
            json.dumps(body).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {self.api_key}"},
        )
        with urllib.request.urlopen(request) as answer:
            found: str = json.load(answer)["choices"][0]["message"]["content"]
        return found


class Alone(BaseAgent):
    """Asks no model."""

    def __init__(self, logs_dir: Path, what: str | None = None, **kwargs: Any) -> None:
        super().__init__(logs_dir, **kwargs)
        self.what = what

    @staticmethod
    def name() -> str:
        return "alone"

    def version(self) -> str | None:
        return None

    async def setup(self, environment: Any) -> None:
        if self.what == "setup":
            raise OSError("nothing can be installed here")

    async def run(self, instruction: str, environment: Any, context: Any) -> None:
        if self.what == "crash":
            raise ValueError("I am broken")
        if self.what == "die":
            os._exit(3)
        if self.what == "exit":
            sys.exit(4)
        if self.what == "block":
            time.sleep(600)
        while self.what == "stubborn":
            with contextlib.suppress(asyncio.CancelledError):
                await environment.exec("echo Hello > hello.txt")
                await asyncio.sleep(600)
        await environment.exec("echo Hello > hello.txt")
        if self.what == "hang":
            await environment.exec("sleep 300")


class Container(BaseEnvironment):
    """A container of the docker command line: harbor's own needs compose."""

    container = ""

    @staticmethod
    def type() -> str:
        return "container"

    @property
    def capabilities(self) -> EnvironmentCapabilities:
        return EnvironmentCapabilities(disable_internet=True)

    def _validate_definition(self) -> None:
        assert self.task_env_config.docker_image, "the task names no image"

    async def docker(self, *words: str) -> ExecResult:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec("docker", *words, stdout=pipe, stderr=pipe)
        out, err = await process.communicate()
        code = process.returncode or 0
        return ExecResult(stdout=out.decode(), stderr=err.decode(), return_code=code)

    async def start(self, force_build: bool) -> None:
        image = self.task_env_config.docker_image or ""
        options = ["-d", "--network", "none", "--label", "nel-test=harbor", "-w", "/root"]
        started = await self.docker("run", *options, image, "sleep", "300")
        assert started.return_code == 0, started.stderr
        self.container = (started.stdout or "").strip()
        await self.ensure_dirs(["/logs/agent", "/logs/verifier", "/logs/artifacts"])

    async def stop(self, delete: bool) -> None:
        await self.docker("rm", "-f", self.container)

    async def exec(self, command: str, *_: Any, **__: Any) -> ExecResult:
        return await self.docker("exec", self.container, "bash", "-c", command)

    async def upload_file(self, source_path: Any, target_path: str) -> None:
        await self.exec(f"mkdir -p {Path(target_path).parent}")
        await self.docker("cp", str(source_path), f"{self.container}:{target_path}")

    async def upload_dir(self, source_dir: Any, target_dir: str) -> None:
        await self.exec(f"mkdir -p {target_dir}")
        await self.docker("cp", f"{source_dir}/.", f"{self.container}:{target_dir}")

    async def download_file(self, source_path: str, target_path: Any) -> None:
        await self.docker("cp", f"{self.container}:{source_path}", str(target_path))

    async def download_dir(self, source_dir: str, target_dir: Any) -> None:
        await self.docker("cp", f"{self.container}:{source_dir}/.", str(target_dir))
