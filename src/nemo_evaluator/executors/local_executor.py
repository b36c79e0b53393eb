"""The executor of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..config.load import Loaded
from ..config.mistakes import Mistake
from ..config.runnable import problems
from ..results.layout import PLAN_LOCK
from ..results.status import holder_of
from .background import submit
from .options import Options
from .run_handle import LocalRun


class LocalExecutor:
    """Runs evaluations on this machine, in processes of their own."""

    def problems(self, loaded: Loaded) -> Iterator[Mistake]:
        """See ``Executor``."""
        return problems(loaded.config)

    async def submit(self, loaded: Loaded, options: Options) -> LocalRun:
        """See ``Executor``."""
        return LocalRun(await submit(loaded, options))

    def attach(self, directory: Path) -> LocalRun | None:
        """See ``Executor``."""
        known = (directory / PLAN_LOCK).exists() or holder_of(directory) is not None
        return LocalRun(directory) if known else None
