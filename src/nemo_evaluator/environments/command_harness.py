"""``command://PROGRAM``: an evaluation program of the user's, run as it is against our door.

The program is told by environment variables what to do (``NEL_TASK``), what to read (``NEL_IN``),
where to write (``NEL_OUT``), one JSON object a line; and where its model is (``OPENAI_BASE_URL``
and its like). Invariants: it dies with us, so that nothing is asked or graded behind our back; a
result that it wrote is taken in after a crash, and never asked for again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import msgspec

from ..errors import ConfigError
from ..files.reading import last_line
from ..measured import Measure
from ..types import Json, Record, RolloutKey
from .command_lines import Lines, finished_of, measure_of, read_ids, row_line, todo_line
from .fingerprint import digest
from .harness import Finished, HarnessTools
from .scored import ScoredProblem

POLL_SECONDS = 0.05
GRACE_SECONDS = 5.0
"""For a program that is to end at once, before it is killed."""
RESULTS, ASKED, LOG = "results.jsonl", "todo.jsonl", "log.txt"
_BOUND = """
import ctypes, os, signal, sys
getattr(ctypes.CDLL(None), "prctl", lambda *_: 0)(1, signal.SIGKILL)
os.getppid() == int(sys.argv[1]) or sys.exit(1)
os.execvp(sys.argv[2], sys.argv[2:])
"""
"""Becomes the program, and is killed when we die (PR_SET_PDEATHSIG, where there is one)."""


def open_command(uri: str, params: Mapping[str, Json]) -> list[CommandHarness]:
    """The program of ``command://PROGRAM``. Raises ConfigError."""
    try:
        options = msgspec.convert(dict(params), CommandOptions)
    except msgspec.ValidationError as error:
        known = ", ".join(CommandOptions.__struct_fields__)
        raise ConfigError(f"params: {error}", where=uri, hint=f"it accepts {known}") from None
    return [CommandHarness(uri.partition("://")[2], options)]


class CommandOptions(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``params`` of a program."""

    args: tuple[str | int | float, ...] = ()
    """Its arguments."""
    samples: int | str | None = None
    """How many samples it has, or a file with their ids; None: the program tells
    (``NEL_TASK=plan``)."""
    aggregate: bool = False
    """It makes measures of all rows (``NEL_TASK=aggregate``)."""


class CommandHarness:
    """One evaluation program."""

    def __init__(self, program: str, options: CommandOptions) -> None:
        self.where = f"command://{program}"
        self.name = Path(program).stem
        self._program = program
        self._args = tuple(map(str, options.args))
        self._samples, self._aggregates = options.samples, options.aggregate
        self._ids: Sequence[str] = ()

    async def prepare(self) -> None:
        """Find the program. Raises ConfigError."""
        if not await asyncio.to_thread(self._is_there):
            raise ConfigError(
                "there is no such program",
                where=self.where,
                hint="the path of a .py file, or of a file that can be executed",
            )

    def _is_there(self) -> bool:
        if self._program.endswith(".py"):
            return Path(self._program).is_file()
        return shutil.which(self._program) is not None

    def identity(self) -> Mapping[str, Json]:
        """The program's own text and arguments. Not what it imports: name a version in ``args``."""
        path = Path(self._program)
        content = path.read_bytes() if path.is_file() else b""
        return {"harness": f"{path.name}:{digest(content)}", "args": list(self._args)}

    async def plan(self) -> Sequence[str]:
        """The ids of its samples."""
        if isinstance(self._samples, int):
            self._ids = [str(number) for number in range(self._samples)]
        elif self._samples is not None:
            self._ids = read_ids(Path(self._samples))
        else:
            output = await self._output_of("plan", b"", "or give params: {samples: NUMBER or FILE}")
            self._ids = [line.strip() for line in output.decode().splitlines() if line.strip()]
        if not self._ids:
            hint = "give params: {samples: NUMBER or FILE}, or tell them where NEL_TASK is plan"
            raise ConfigError("has no samples", where=self.where, hint=hint)
        return self._ids

    async def run(self, todo: Sequence[RolloutKey], tools: HarnessTools) -> AsyncIterator[Finished]:
        """Results that an earlier invocation left, then those of the program as it writes them."""
        left = {(self._ids[key.problem_idx], key.repeat): key for key in todo}
        lines = Lines(tools.folder / RESULTS)
        for line in lines.new():
            finished = finished_of(line, left)
            if finished is not None and finished.score is not None:
                left.pop((self._ids[finished.key.problem_idx], finished.key.repeat))
                yield finished
        if not left:
            return
        lines.end_last()
        env = await self._write_tasks(left, tools)
        with (tools.folder / LOG).open("ab") as log:
            async with self._running(env, log.fileno()) as process:
                async for finished in _results(process, lines, left, tools):
                    yield finished
        if process.returncode and not tools.stopping.is_set():
            raise ConfigError(
                f"the program ended with exit code {process.returncode}: "
                f"{last_line(tools.folder / LOG)}",
                where=self.where,
                hint=f"its output is in {tools.folder / LOG}; --resume goes on with what is open",
            )

    async def aggregate(self, finished: Sequence[ScoredProblem]) -> Sequence[Measure]:
        """What the program makes of all rows (``NEL_TASK=aggregate``)."""
        if not self._aggregates:
            return ()
        output = await self._output_of(
            "aggregate", b"".join(map(row_line, finished)), "fix it, --resume"
        )
        return [measure_of(line, self.where) for line in output.splitlines() if line.strip()]

    async def close(self) -> None:
        """Nothing to release: a program ends with its task."""

    async def _write_tasks(
        self, left: Mapping[tuple[str, int], RolloutKey], tools: HarnessTools
    ) -> dict[str, str]:
        """Write what is to be done; the program's variables."""
        with (tools.folder / ASKED).open("wb") as file:
            for (name, repeat), key in left.items():
                url = None if tools.model is None else (await tools.endpoint(key)).openai_url
                file.write(todo_line(name, repeat, key, url))
        files = {"NEL_IN": tools.folder / ASKED, "NEL_OUT": tools.folder / RESULTS}
        env = {name: str(path.absolute()) for name, path in files.items()}
        if tools.model is not None:
            env |= (await tools.endpoint()).env()
        return {"NEL_TASK": "run", **env}

    async def _output_of(self, task: str, given: bytes, hint: str) -> bytes:
        """What the program writes for a task that asks no model."""
        with tempfile.TemporaryDirectory(prefix="nel-") as name:
            folder = Path(name)
            (folder / "in").write_bytes(given)
            (folder / "out").touch()
            files = {"NEL_IN": str(folder / "in"), "NEL_OUT": str(folder / "out")}
            with (folder / LOG).open("ab") as log:
                async with self._running({"NEL_TASK": task, **files}, log.fileno()) as process:
                    await process.wait()
            if process.returncode:
                end = f"exit code {process.returncode}: {last_line(folder / LOG)}"
                raise ConfigError(f"NEL_TASK={task} ended with {end}", where=self.where, hint=hint)
            return (folder / "out").read_bytes()

    @contextlib.asynccontextmanager
    async def _running(self, env: Mapping[str, str], log: int) -> AsyncIterator[Process]:
        """The program, in a session of its own; whatever happens, nothing of it is left."""
        python = [sys.executable] if self._program.endswith(".py") else []
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _BOUND, str(os.getpid())),
            *(*python, self._program, *self._args),
            env={**os.environ, **env},
            stdin=DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                _signal(process, signal.SIGTERM)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), GRACE_SECONDS)
            _signal(process, signal.SIGKILL)
            await process.wait()


async def _results(
    process: Process,
    lines: Lines,
    left: Mapping[tuple[str, int], RolloutKey],
    tools: HarnessTools,
) -> AsyncIterator[Finished]:
    """What the program writes while it runs. It is interrupted, once, where the run is to end."""
    warned = False
    while True:
        ended = process.returncode is not None
        for line in lines.new(whole=ended):
            if (finished := finished_of(line, left)) is not None:
                yield finished
        if ended:
            return
        if tools.stopping.is_set() and not warned:
            warned = True
            _signal(process, signal.SIGINT)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), POLL_SECONDS)


def _signal(process: Process, number: signal.Signals) -> None:
    """To the program and all it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
