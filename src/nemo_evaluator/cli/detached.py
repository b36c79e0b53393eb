"""The process of a run in the background (``executors.background`` starts it).

What it is to run comes from standard input. What it says goes to who started it until the
directory of the run is open, and from then on into the log of the run.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..executors.observers import Observer
from .main import ended
from .output import guarded_streams, open_descriptors, printable
from .signals import Signals

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..executors.background import Submission
    from ..results.run_info import RunInfo


class Announcer(Observer):
    """Tells who started the run how it starts."""

    def __init__(self) -> None:
        self._started = False

    def said(self, text: str) -> None:
        """Pass the message on; the log of the run has it as well."""
        if not self._started:
            print(printable(text), file=sys.stderr, flush=True)

    def opened(self, directory: Path, info: RunInfo) -> None:
        """Say where the run is, and let go of who started it."""
        from ..executors.background import STARTED
        from ..results.layout import LOG

        self._started = True
        sys.stderr.flush()
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
        log = os.open(directory / LOG, flags, 0o644)
        with contextlib.suppress(OSError):  # who started it may be gone, the run is not
            os.write(2, STARTED + os.fsencode(directory.resolve()) + b"\n")
        for fd in (1, 2):
            os.dup2(log, fd)
        os.close(log)


def main(run: Callable[[], int] | None = None) -> None:
    """Run what standard input says; ``run``: how, if not on this machine."""
    signals = Signals()
    signals.install()
    open_descriptors()
    with guarded_streams():
        code = ended(run or _run, signals)
    sys.exit(code)


def received() -> Submission:
    """What standard input says; its secrets are known from now on, and there is no more input."""
    from ..config.environment import environment
    from ..config.scrubber import KNOWN
    from ..executors.background import Submission
    from .log import show_log

    submission = pickle.load(sys.stdin.buffer)
    assert isinstance(submission, Submission)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    environment([])  # learns the secrets that no configuration names
    KNOWN.learn(*submission.loaded.secrets)
    show_log()
    return submission


def _run() -> int:
    from ..executors.local import run
    from ..reports.console import print_summary
    from ..runtime import run_blocking
    from ..tasks.run_list import RunNotes

    submission = received()
    options = replace(submission.options, observers=(Announcer(), RunNotes()))
    result = run_blocking(run(submission.loaded, options))
    if result.summary.benchmarks:
        print_summary(result.summary, None)
    return result.exit_code


if __name__ == "__main__":
    main()
