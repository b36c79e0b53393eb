"""Which executor runs a configuration, and which one knows the run in a directory."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from ..config.load import Loaded
from ..config.mistakes import as_error
from ..errors import ConfigError
from ..kinds import EXECUTORS
from .contract import Executor, RunHandle

LOCAL = "local"
METHODS = ("problems", "submit", "attach")


def executor_of(loaded: Loaded) -> Executor:
    """The executor of ``cluster.type``. Raises ConfigError for what it cannot run."""
    with loaded.at(("cluster", "type")):
        executor = open_executor(loaded.config.cluster.type)
    with EXECUTORS.foreign(loaded.config.cluster.type):
        failure = as_error(executor.problems(loaded), loaded.locate)
    if failure is not None:
        raise failure
    return executor


def open_executor(name: str) -> Executor:
    """An executor by its name; its options stand in the configuration it is given (``cluster``).
    Raises ConfigError."""
    executor = EXECUTORS.instance(name)
    if not all(callable(getattr(executor, method, None)) for method in METHODS):
        raise EXECUTORS.wrong(name, f"it needs the methods {', '.join(METHODS)}")
    return cast(Executor, executor)


def attach(directory: Path) -> RunHandle | None:
    """The run in a directory; None where no executor knows one. What installed packages bring is
    asked first: to the local one, a directory that others write is just a directory."""
    for name in [*(entry.name for entry in EXECUTORS.offered()), LOCAL]:
        try:
            with EXECUTORS.foreign(name):
                handle = open_executor(name).attach(directory)
        except ConfigError:
            if name == LOCAL:
                raise
            continue  # a package that is broken does not hide the runs of the others
        if handle is not None:
            return handle
    return None
