"""An agent that is a folder: a configuration and two templates of scripts."""

from __future__ import annotations

import re
import shlex
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import jinja2
from harbor.agents.base import BaseAgent
from harbor.environments.base import BaseEnvironment
from harbor.models.agent.context import AgentContext


class FolderAgent(BaseAgent):  # type: ignore[misc]
    """An agent that is a folder: ``agent.toml``, ``install.sh.j2`` and ``run.sh.j2``."""

    INSTALLED = "/installed-agent"

    def __init__(
        self, logs_dir: Path, folder: Path, told: dict[str, Any], extra_env: dict[str, str]
    ) -> None:
        config = tomllib.loads((folder / "agent.toml").read_text(encoding="utf-8"))
        config |= config.pop("agent", {})
        self._config, self._folder, self._told = config, folder, told
        super().__init__(logs_dir, extra_env={**config.get("env", {}), **extra_env})

    @staticmethod
    def name() -> str:
        """The agent's name in messages of harbor."""
        return "folder"

    def version(self) -> str | None:
        """The agent's version as ``agent.toml`` says."""
        version = self._config.get("version")
        return None if version is None else str(version)

    async def setup(self, environment: BaseEnvironment) -> None:
        """Run ``install.sh.j2``, where there is one."""
        template = self._folder / "install.sh.j2"
        if not template.exists():
            return
        target = f"{self.INSTALLED}/install.sh"
        await self._upload(environment, rendered(template, **self._told), target)
        done = await environment.exec(
            f"bash {target}", env={"DEBIAN_FRONTEND": "noninteractive"}, user="root"
        )
        if done.return_code != 0:
            last = (done.stderr or done.stdout or "").strip()[-500:]
            raise RuntimeError(f"install.sh ended with exit code {done.return_code}: {last}")

    async def run(
        self, instruction: str, environment: BaseEnvironment, context: AgentContext
    ) -> None:
        """Run ``run.sh.j2``; what it prints is the answer."""
        template = self._folder / "run.sh.j2"
        script = rendered(template, instruction=instruction, **self._told)
        target = f"{self.INSTALLED}/run.sh"
        await self._upload(environment, script, target)
        await self._upload(environment, instruction, f"{self.INSTALLED}/instruction.md")
        seconds = float(self._config.get("timeout_sec", 1800))
        done = await environment.exec(f"bash {target}", timeout_sec=seconds)
        logs = self.logs_dir / "command-0"
        logs.mkdir(parents=True, exist_ok=True)
        files = {"command": script, "return-code": str(done.return_code)}
        files |= {"stdout": done.stdout or "", "stderr": done.stderr or ""}
        for name, text in files.items():
            (logs / f"{name}.txt").write_text(text, encoding="utf-8")
        context.metadata = {"response": done.stdout or "", "exit_code": done.return_code}

    @staticmethod
    async def _upload(environment: BaseEnvironment, text: str, target: str) -> None:
        with tempfile.NamedTemporaryFile("w", suffix=".sh", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            await environment.upload_file(file.name, target)


def rendered(template: Path, **variables: Any) -> str:
    """A script. The instruction is one word of the shell in it, whether the template quotes it or
    not; ``instruction_raw`` is the text itself."""
    text = template.read_text(encoding="utf-8")
    text = re.sub(r"""(["'])(\{\{-?\s*instruction\s*-?\}\})\1""", r"\2", text)
    if "instruction" in variables:
        variables |= {"instruction_raw": variables["instruction"]}
        variables["instruction"] = shlex.quote(variables["instruction"])
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    return environment.from_string(text).render(**variables)
