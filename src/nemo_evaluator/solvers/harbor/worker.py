"""The process that runs harbor's agents, for all rollouts of a solver: started when it is needed,
again if it was lost, and ended with the solver."""

from __future__ import annotations

import asyncio
import logging
import re
from pathlib import Path
from typing import Any

from ...errors import ConfigError, InfraError, suggest
from ...foreign import ForeignError, Interpreter, Wanted, Worker, WorkerLost, find_interpreter
from .agent import Given, worker_env
from .bridge import Bridge, handlers

HARBOR = Wanted(
    package="harbor",
    version=(0, 26),
    python=(3, 12),
    variable="NEL_HARBOR_PYTHON",
    where="solver.python",
    harness="harbor",
)
ANSWER_SECONDS = 10.0
"""For a call that needs no time."""
SCRIPT = Path(__file__).parent / "script" / "nel_harbor.py"

log = logging.getLogger(__name__)


class HarborWorker:
    """See the module."""

    def __init__(self, python: str | None) -> None:
        self._python = python
        self._starting = asyncio.Lock()
        self._worker: Worker | None = None
        self.interpreter: Interpreter | None = None
        self.bridges: dict[str, Bridge] = {}
        """The workspaces of the rollouts that are running, by rollout."""

    async def call(self, method: str, **params: Any) -> Any:
        """What a method of the script returns. Raises ForeignError and WorkerLost."""
        return await (await self._started()).call(method, **params)

    async def folder(self, rollout: str) -> Path:
        """Where the files of a rollout are kept while it runs; they end with the process."""
        return (await self._started()).folder / rollout.replace("/", "-")

    async def describe(self, given: Given) -> Given:
        """What an agent is. Raises ConfigError where there is none of that name, or where it could
        not be made."""
        try:
            description: Given = await self.call("describe", given=given)
        except ForeignError as error:
            raise _refused(error) from None
        except WorkerLost as error:
            raise ConfigError(str(error), where=HARBOR.where) from None
        if (known := description.get("unknown")) is not None:
            raise ConfigError(
                f"harbor has no agent {given['agent']!r}",
                where="solver.agent",
                hint=f"{suggest(given['agent'], known)}; your own is module:Class",
            )
        if (known := description.get("unknown_environment")) is not None:
            name = given["environment"]["type"]
            raise ConfigError(
                f"harbor has no environment {name!r}",
                where="solver.environment",
                hint=f"{suggest(name, known)}; your own is module:Class",
            )
        for name in description.get("unknown_arguments", ()):
            raise ConfigError(
                f"the agent {given['agent']!r} has no such argument",
                where=f"solver.agent_kwargs.{name}",
                hint=suggest(name, description["known"]),
            )
        return description

    async def finish(self, rollout: str) -> None:
        """Forget a rollout. A process that does not answer is ended: an agent blocks it."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self.call("finish", rollout=rollout)
        except TimeoutError:
            log.warning("an agent blocks harbor's process, which is started again")
            await self.close()
        except (ForeignError, InfraError):
            pass

    async def close(self) -> None:
        """End the process; safe to call twice."""
        if self._worker is not None:
            await self._worker.close()

    async def _started(self) -> Worker:
        async with self._starting:
            if self._worker is not None and self._worker.alive:
                return self._worker
            await self.close()
            if self.interpreter is None:
                self.interpreter = await find_interpreter(HARBOR, self._python)
            self._worker = await Worker.start(
                SCRIPT,
                python=self.interpreter.python,
                name="harbor",
                env=worker_env(),
                handlers=handlers(self.bridges),
            )
            return self._worker


def _refused(error: ForeignError) -> ConfigError:
    """What harbor says about an agent that cannot be made, in the terms of a configuration."""
    message = " ".join(error.message.split())
    if error.kind == "MissingModelCredentialError":
        what = re.split(r"\s*Use --", message)[0].rstrip(". ")
        return ConfigError(
            what, where="solver.agent", hint="set the variable in container_env of the solver"
        )
    message = message.partition(" See harbor agent schema")[0]
    text = message if error.kind == "ValueError" else f"{error.kind}: {message}"
    return ConfigError(text, where="solver.agent")
