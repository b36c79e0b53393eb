"""Slurm's commands as small programs on PATH: jobs are only noted, and what is to go wrong is said
before. For what a real cluster does too rarely; the real one is in ``slurm_cluster``."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

COMMANDS = ("sbatch", "squeue", "sacct", "scancel")
PROGRAM = Path(__file__).with_name("slurm_played_command.py")


class Shims:
    """The commands, and what was asked of them."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        programs = folder / "bin"
        programs.mkdir(parents=True)
        for name in COMMANDS:
            words = shlex.join([sys.executable, "-S", str(PROGRAM), str(folder), name])
            (programs / name).write_text(f'#!/bin/sh\nexec {words} "$@"\n')
            (programs / name).chmod(0o755)
        (folder / "jobs").write_text("[]")
        (folder / "asked").touch()
        monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")

    def fail(self, name: str, *faults: str) -> None:
        """What goes wrong with the next calls of a command: ``away``, ``lost`` (it is done, but not
        confirmed), or what the command complains of; an empty text goes well."""
        (self._folder / f"faults-{name}").write_text(json.dumps(faults))

    @property
    def jobs(self) -> list[dict[str, Any]]:
        """The jobs that were submitted."""
        found: list[dict[str, Any]] = json.loads((self._folder / "jobs").read_text())
        return found

    def turn(self, state: str, reason: str = "None") -> None:
        """Put all jobs into a state."""
        jobs = [{**job, "state": state, "reason": reason} for job in self.jobs]
        (self._folder / "jobs").write_text(json.dumps(jobs))

    def as_one(self) -> None:
        """List each array as one job, as Slurm does where it was cancelled before it began."""
        jobs = [{**job, "tasks": None} for job in self.jobs]
        (self._folder / "jobs").write_text(json.dumps(jobs))

    def asked(self, name: str) -> list[list[str]]:
        """The words of each call of a command."""
        calls = map(json.loads, (self._folder / "asked").read_text().splitlines())
        return [words for command, *words in calls if command == name]
