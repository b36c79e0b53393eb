"""What a machine has once (ports, GPUs), claimed by number among the evaluations of one user: locks
on small files, which end with the process that holds them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path


def claimed(what: str, numbers: Iterable[int]) -> contextlib.ExitStack | None:
    """Hold all of some numbers until the stack is closed; None where another evaluation holds any.
    Where files cannot be locked, that is not known, and a number counts as not held."""
    with contextlib.ExitStack() as held:
        for number in numbers:
            try:
                flags = os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
                descriptor = os.open(_folder(what) / str(number), flags, 0o600)
                held.callback(os.close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return None
            except OSError:
                continue
        return held.pop_all()


def _folder(what: str) -> Path:
    folder = Path(tempfile.gettempdir()) / f"nel-{what}-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder
