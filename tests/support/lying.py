"""Programs in an environment where every file lock is granted to everybody."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from parts import needed

SOURCE = Path(__file__).with_name("lying_locks.c")


def lying_locks(folder: Path) -> dict[str, str]:
    """The environment of such a program."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        (pytest.fail if needed("cc") else pytest.skip)("no C compiler")
    library = folder / "lying_locks.so"
    argv = [compiler, "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(argv, check=True, capture_output=True)
    return {**os.environ, "LD_PRELOAD": str(library)}


NEL = """
import sys, time
from nemo_evaluator.results import lock, owner
owner.FRESH_SECONDS, lock.BEAT_SECONDS = float(sys.argv[1]), 0.1
machine, ahead = sys.argv[2], float(sys.argv[3])
if machine:
    import os, socket
    owner._kernel = lambda: machine
    socket.gethostname = lambda: machine
    touch = os.utime
    def utime(fd):
        now = time.time() + ahead
        touch(fd, (now, now))
    os.utime = utime
from nemo_evaluator.cli.main import main
sys.argv[:] = ["nel", *sys.argv[4:]]
main()
"""


def nel(*words: str, fresh: float = 1.0, machine: str = "", ahead: float = 0.0) -> list[str]:
    """The command, on a machine of a name whose clock is ``ahead``, giving up a silent owner
    after ``fresh`` seconds."""
    return [sys.executable, "-c", NEL, str(fresh), machine, str(ahead), *words]
