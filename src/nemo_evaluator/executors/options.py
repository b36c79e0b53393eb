"""How to run, as opposed to what."""

from __future__ import annotations

from dataclasses import dataclass

from ..engine.prepare import Given
from ..engine.shards import Shard
from .observers import Observer


@dataclass(frozen=True, slots=True)
class Options:
    """How to run, as opposed to what."""

    resume: bool = False
    shard: Shard | None = None
    """Do only this part, in a folder of its own below the directory."""
    set_aside: bool = False
    """Rename an earlier run found in the directory instead of refusing (the default directory)."""
    command: str = ""
    """The command line as it may be recorded: without secrets."""
    handle_signals: bool = False
    observers: tuple[Observer, ...] = ()
    """Who is told what happens in the run."""
    given: Given | None = None
    """A benchmark, and its solver, that Python code hands over."""
