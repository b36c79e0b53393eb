"""What a worker of Ray does for a shard: starts the process that runs it, and reports on it.

The process gets the configuration and the secrets through a pipe, and ends when the pipe does: it
never outlives the worker, whatever kills that one. Where the directory of the run is not on this
node, the shard works in a folder of its own, whose files are sent to the driver as they change.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import IO, Any

from ...engine.shards import Shard
from ...files.reading import read_json
from ...results.layout import SUBMISSION
from ...results.status import holder_of
from ...version import __version__
from ..submission import Submission
from .files import Change, Sender, apply
from .mailbox import Beat, Command, Told

PROGRAM = "nemo_evaluator.cli.ray_shard"
BEAT_SECONDS = 1.0
ANSWER_SECONDS = 60.0
"""Without an answer for this long the driver is gone."""
GRACE_SECONDS = 120.0
"""For what is in flight, once the shard was told to stop."""
LAST_LINES = 20
WAIT_FOR_OWNER_SECONDS = 120.0
"""The lock of a node that was lost is free a minute after its last sign of life."""


@dataclass(frozen=True, slots=True)
class ShardJob:
    """One attempt at a shard."""

    run_id: str
    directory: str
    """Of the whole run, on the driver's host."""
    folder: str
    """The one that relative paths of the configuration are relative to."""
    shard: Shard
    attempt: int
    text: str
    command: str
    version: str = __version__


@dataclass(frozen=True, slots=True)
class ShardEnd:
    """How the process of a shard ended."""

    code: int
    """Its exit code; negative: the signal that killed it."""
    node: str
    lines: tuple[str, ...] = ()
    """The last that it said."""


def run_shard(job: ShardJob, secrets: Mapping[str, str], mailbox: Any) -> ShardEnd:
    """Run a shard to its end. ``mailbox``: the handle of a ``Mailbox``."""
    if job.version != __version__:
        return _refused(f"this node has version {__version__} of nemo-evaluator, not {job.version}")
    post = _Post(job, mailbox)
    with _directory(job, post) as (directory, shared):
        sender = None if shared else Sender(job.shard.directory(directory))
        if sender is not None:
            sender.known()
        if not _free(job.shard.directory(directory), post):
            return ShardEnd(-1, socket.gethostname())
        process = _start(job, directory, secrets)
        lines: deque[str] = deque(maxlen=LAST_LINES)
        assert process.stdout is not None
        reader = Thread(target=_read, args=(process.stdout, lines), daemon=True)
        reader.start()
        try:
            _watch(process, post, sender)
        finally:
            _end(process)
        reader.join(5.0)
        post.send(sender)
    return ShardEnd(process.returncode, socket.gethostname(), tuple(lines))


class _Post:
    """Tells the driver, through the mailbox."""

    def __init__(self, job: ShardJob, mailbox: Any) -> None:
        self._job, self._mailbox = job, mailbox
        self._waiter = ThreadPoolExecutor(1)

    def send(self, sender: Sender | None) -> Command:
        """A sign of life, with all changes; what to do. Without a driver: give up."""
        command = self._beat(sender, ())
        for change in sender.changes() if sender is not None else ():
            command = self._beat(sender, (change,))
        return command

    def _beat(self, sender: Sender | None, changes: Sequence[Change]) -> Command:
        shard, attempt, host = self._job.shard.index, self._job.attempt, socket.gethostname()
        beat = Beat(shard, attempt, host, sender is None, changes)
        command: Told = self._answer(self._mailbox.beat.remote(beat), Told(Command.GIVE_UP))
        if sender is not None:
            for request in command.requests:
                apply(sender.directory, request)
        return command.command

    def earlier(self) -> Sequence[Change]:
        """The files that an earlier attempt left with the driver."""
        shard = self._job.shard.index
        self._answer(self._mailbox.ask.remote(shard), None)
        until = time.monotonic() + ANSWER_SECONDS
        while time.monotonic() < until:
            found: Sequence[Change] | None
            found = self._answer(self._mailbox.files.remote(shard), ())
            if found is not None:
                return found
            time.sleep(BEAT_SECONDS / 4)
        return ()

    def _answer(self, reference: Any, otherwise: Any) -> Any:
        """What the mailbox answers. A task that waits on its main thread gives its CPUs back while
        it waits, so that Ray would start a further shard on them."""
        import ray

        try:
            return self._waiter.submit(ray.get, reference, timeout=ANSWER_SECONDS).result()
        except (ray.exceptions.RayError, OSError):
            return otherwise


@contextlib.contextmanager
def _directory(job: ShardJob, post: _Post) -> Iterator[tuple[Path, bool]]:
    """Where the shard works, and whether that is the directory of the run itself."""
    directory = Path(job.directory)
    if _is_shared(directory, job.run_id):
        yield directory, True
        return
    own = Path(tempfile.mkdtemp(prefix=f"nel-{job.shard.index}-"))
    try:
        for change in post.earlier():
            apply(job.shard.directory(own), change)
        yield own, False
    finally:
        shutil.rmtree(own, ignore_errors=True)


def _is_shared(directory: Path, run_id: str) -> bool:
    try:
        return read_json(directory / SUBMISSION, Submission).run_id == run_id
    except Exception:  # whatever is there is not this run's
        return False


def _free(directory: Path, post: _Post) -> bool:
    """Wait until no process holds the shard any more; whether it is to be run."""
    until = time.monotonic() + WAIT_FOR_OWNER_SECONDS
    while directory.is_dir() and holder_of(directory) is not None and time.monotonic() < until:
        if post.send(None) is not Command.GO_ON:
            return False
        time.sleep(BEAT_SECONDS)
    return True


def _start(job: ShardJob, directory: Path, secrets: Mapping[str, str]) -> subprocess.Popen[bytes]:
    folder = job.folder if Path(job.folder).is_dir() else None
    process = subprocess.Popen(
        [sys.executable, "-m", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=folder,
        start_new_session=True,
        env={**os.environ, "NEL_INNER_EXECUTION": "1"},
    )
    handed = {
        "text": job.text,
        "secrets": dict(secrets),
        "directory": str(directory),
        "command": job.command,
        "shard": [job.shard.index, job.shard.total],
    }
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it died; what it said tells why
        process.stdin.write(json.dumps(handed).encode() + b"\n")
        process.stdin.flush()
    return process


def _read(stream: IO[bytes], lines: deque[str]) -> None:
    for line in stream:
        lines.append(line.decode(errors="replace").rstrip())


def _watch(process: subprocess.Popen[bytes], post: _Post, sender: Sender | None) -> None:
    """Until the process has ended, or was told to and had its time."""
    obeyed, patience = Command.GO_ON, float("inf")
    while process.poll() is None and time.monotonic() < patience:
        command = post.send(sender)
        if command is not Command.GO_ON and command is not obeyed:
            process.terminate()  # the second time it gives up what is in flight
            if command is Command.GIVE_UP and obeyed is Command.GO_ON:
                time.sleep(BEAT_SECONDS / 2)
                process.terminate()
            obeyed, patience = command, time.monotonic() + GRACE_SECONDS
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(BEAT_SECONDS)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Whatever happens, no process is left: the end of its input ends it, or a signal."""
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
    try:
        process.wait(10.0 if process.poll() is None else 0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _refused(what: str) -> ShardEnd:
    hint = "install the same version on every node, or set cluster.runtime_env"
    return ShardEnd(2, socket.gethostname(), (f"error: {what} ({hint})",))
