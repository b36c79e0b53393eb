"""Which executor runs a configuration, and which one knows the run in a directory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

from ..config.load import Loaded
from ..config.mistakes import as_error
from ..errors import ConfigError
from ..kinds import EXECUTORS
from .contract import Describes, Executor, RunHandle
from .submission import find_submission

LOCAL = "local"
METHODS = ("problems", "submit", "attach")
INNER = "NEL_INNER_EXECUTION"
"""``1`` in what an executor starts elsewhere: there the run is made, whatever the cluster says."""


def inner_execution() -> bool:
    """Whether this process is what an executor started."""
    return os.environ.get(INNER) == "1"


def place_of(loaded: Loaded) -> str:
    """The name of the executor that runs a configuration: ``cluster.type``, or this machine in what
    was submitted already."""
    return LOCAL if inner_execution() else loaded.config.cluster.type


def executor_of(loaded: Loaded) -> Executor:
    """The executor of a configuration. Raises ConfigError for what it cannot run."""
    name = place_of(loaded)
    with loaded.at(("cluster", "type")):
        executor = open_executor(name)
    with EXECUTORS.foreign(name):
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


def is_detached(executor: Executor) -> bool:
    """Whether what is submitted to it is left alone, unless the user waits for it."""
    return bool(getattr(executor, "detached", False))


def describer(executor: Executor) -> Describes | None:
    """The executor, if it can say what it would submit."""
    return executor if isinstance(executor, Describes) else None


def attach(directory: Path) -> RunHandle | None:
    """The run in a directory; None where no executor knows one.

    What was submitted says to which executor. Otherwise what installed packages bring is asked
    first: to the local one, a directory that others write is just a directory.
    """
    found = find_submission(directory)
    if found is not None:
        name = found.submission.executor
        with EXECUTORS.foreign(name):
            return open_executor(name).attach(directory)
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
