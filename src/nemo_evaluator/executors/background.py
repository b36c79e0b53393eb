"""Starts a run in a process of its own that outlives the one that asked for it.

The new process gets the checked configuration through a pipe, so that no secret is on a command
line or in a file. It says what it has to say through another pipe until its directory is open: what
is wrong with a run that cannot start is told to whoever started it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from ..config.load import Loaded
from ..errors import ConfigError
from .observers import Observers
from .options import Options

PROGRAM = "nemo_evaluator.cli.detached"
STARTED = b"\x1estarted "
"""Begins the last line of a run that has started; its directory follows."""
ERROR = "error: "


@dataclass(frozen=True, slots=True)
class Submission:
    """What the new process runs."""

    loaded: Loaded
    options: Options


async def submit(
    loaded: Loaded, options: Options, folder: Path | None = None, program: str = PROGRAM
) -> Path:
    """Start a run in the background, in a folder. Returns its directory. ``program``: the module
    that runs it.

    Raises ConfigError if it did not start.
    """
    alone = replace(options, observers=(), handle_signals=True)
    try:
        sent = pickle.dumps(Submission(loaded, alone))
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        hint = "run it in the foreground"
        raise ConfigError(f"cannot be handed to another process: {error}", hint=hint) from None
    process = _begin(folder, program)
    try:
        directory = await asyncio.to_thread(_listen, process, sent, Observers(options.observers))
    except BaseException:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
                os.killpg(process.pid, signal.SIGTERM)
        raise
    return directory


def _begin(folder: Path | None, program: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-m", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        cwd=folder,
    )
    # Somebody has to take note of its end, or a dead process stays in the system's table.
    threading.Thread(target=process.wait, daemon=True).start()
    return process


def _listen(process: subprocess.Popen[bytes], sent: bytes, observers: Observers) -> Path:
    """Pass on what the process says until it has started: its directory. Raises ConfigError."""
    assert process.stdin is not None and process.stdout is not None
    errors: list[str] = []
    with process.stdout as out:
        _send(process.stdin, sent)
        for line in out:
            if line.startswith(STARTED):
                return Path(os.fsdecode(line.removeprefix(STARTED).rstrip(b"\n")))
            text = line.decode(errors="replace").rstrip("\n")
            if errors or text.startswith(ERROR):
                errors.append(text.removeprefix(ERROR))
            else:
                observers.said(text)
    if errors:
        raise ConfigError("\n".join(errors))
    raise ConfigError(f"the run did not start (exit code {process.wait()})")


def _send(pipe: IO[bytes], sent: bytes) -> None:
    try:
        with pipe:
            pipe.write(sent)
    except BrokenPipeError:
        return  # it died, and what it said before tells why
