"""Beside ``worker.py`` in the interpreter that has Inspect: finds a task by what the user wrote,
and makes it.

Invariant: a task that shuffles is the same each time it is made. It is made again by every shard
and by a run that goes on, which must find the samples that were planned.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import importlib.metadata
import importlib.util
import os
import random
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

Theirs = Any
"""An object of Inspect, whose types are not ours to know."""
SEED = 1234
SHOWN = 8
"""Names of tasks in a message, at most."""
WAYS = "FILE.py@TASK, module@TASK or package/TASK"


class UserError(Exception):
    """What the user must change."""


def absolute(named: str) -> str:
    """The same task, also after the working directory has changed."""
    where, at, name = named.rpartition("@")
    path = where if at else named
    return f"{Path(path).absolute()}{at}{name if at else ''}" if path.endswith(".py") else named


def made(named: str, args: Mapping[str, Any]) -> Theirs:
    """A new task: ``FILE.py@TASK``, ``module@TASK``, or ``package/TASK`` of an installed one; of a
    file with one task, ``FILE.py``. As with `inspect eval`, a file's own folder is the working
    directory, so that what it names beside itself is found."""
    where, at, name = named.rpartition("@")
    if not at:
        where, name = (named, "") if named.endswith(".py") else _registered(named)
    with same_draws():
        try:
            module = _module(where)
        except ModuleNotFoundError as error:
            raise UserError(f"{where} cannot be imported: {error}") from None
        task = _function(module, where, name)(**args)
    if task.scorer is None:
        raise UserError(f"{task.name} has no scorer, so no sample would have a score")
    return task


@contextlib.contextmanager
def same_draws() -> Iterator[None]:
    """Chance falls the same way each time, also where no seed is given: Inspect shuffles samples
    by `random` and `numpy` as they are, and choices by a new generator."""
    own, before, numpys = random.Random, random.getstate(), np.random.get_state()

    class Seeded(own):  # type: ignore[valid-type, misc]
        def __init__(self, seed: Any = None) -> None:
            super().__init__(SEED if seed is None else seed)

    random.seed(SEED)
    np.random.seed(SEED)
    random.Random = Seeded  # type: ignore[assignment, misc]
    try:
        yield
    finally:
        random.Random = own  # type: ignore[misc]
        random.setstate(before)
        np.random.set_state(numpys)


def _registered(named: str) -> tuple[str, str]:
    package, _, name = named.partition("/")
    if not package or not name:
        raise UserError(f"{named!r} names no task: {WAYS}")
    points = importlib.metadata.entry_points(group="inspect_ai")
    modules = [point.value.partition(":")[0] for point in points if point.name == package]
    return (modules[0] if modules else package), name


def _module(where: str) -> Theirs:
    path = Path(where)
    if path.suffix != ".py":
        return importlib.import_module(where.replace("/", "."))
    if not path.is_file():
        raise UserError(f"there is no file {where}")
    sys.path.insert(0, str(path.parent.resolve()))
    os.chdir(path.parent)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _function(module: Theirs, where: str, name: str) -> Theirs:
    """By its own name, or by that under which it is registered (``@task(name=...)``)."""
    tasks = {key: value for key, value in vars(module).items() if _is_task(value)}
    registered = {task.__registry_info__.name.rpartition("/")[2]: task for task in tasks.values()}
    if not name and len(tasks) == 1:
        return next(iter(tasks.values()))
    found = registered.get(name) or getattr(module, name, None)
    if callable(found):
        return found
    if not name:
        raise UserError(
            f"say which task of {where}, as {where}@TASK; it has {_first_names(registered)}"
        )
    close = difflib.get_close_matches(name, registered, SHOWN, 0.5)
    hint = f"did you mean {', '.join(close)}?" if close else f"it has {_first_names(registered)}"
    raise UserError(f"{where} has no task {name!r}; {hint}")


def _first_names(names: Collection[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(sorted(names)[:SHOWN]) or 'none'}{more}"


def _is_task(value: object) -> bool:
    return getattr(getattr(value, "__registry_info__", None), "type", None) == "task"
