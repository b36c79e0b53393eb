"""An executor that runs the evaluation in a child process of its own, with a lower priority."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from nemo_evaluator.config.base import ConfigRecord
from nemo_evaluator.config.cluster import PluginCluster
from nemo_evaluator.config.load import Loaded
from nemo_evaluator.config.mistakes import Mistake
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.executors.contract import RunHandle
from nemo_evaluator.executors.options import Options as RunOptions
from nemo_evaluator.executors.run_handle import LocalRun

MARK = "greenhouse.json"


class Greenhouse:
    """Runs ``nel eval run`` as a process."""

    class Options(ConfigRecord):
        """How the process is run."""

        niceness: int = Field(10, ge=0, le=19)
        """Priority of the process."""

    def problems(self, loaded: Loaded) -> Iterator[Mistake]:
        """Shards are not made there."""
        if not loaded.sources:
            yield Mistake(("cluster",), "needs a configuration file", "nel eval run FILE")

    async def submit(self, loaded: Loaded, options: RunOptions) -> RunHandle:
        """Run the file, on this machine, to its end."""
        cluster = loaded.config.cluster
        assert isinstance(cluster, PluginCluster)
        niceness = getattr(cluster.options, "niceness", 0)
        words = [sys.executable, "-m", "nemo_evaluator.cli", "eval", "run", loaded.sources[0]]
        words += [f"-O{text}" for text in loaded.overrides]
        words += ["-O", "cluster={type: local}", *(["--resume"] if options.resume else [])]
        process = await asyncio.create_subprocess_exec(
            *words, preexec_fn=lambda: os.nice(niceness), stdout=asyncio.subprocess.DEVNULL
        )
        directory = Path(loaded.config.output.dir)
        if await process.wait() != 0:
            raise ConfigError("the run failed in the greenhouse", where=str(directory))
        (directory / MARK).write_text(json.dumps({"niceness": niceness}))
        return LocalRun(directory)

    def attach(self, directory: Path) -> RunHandle | None:
        """The run in a directory, if it was run there."""
        return LocalRun(directory) if (directory / MARK).exists() else None
