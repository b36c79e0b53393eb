"""``container://IMAGE[:TAG]#TASK``: a harness in an image, run as it is against our door.

Invariants: no secret is in a command line or in what ``docker inspect`` shows; the harness is given
the key of its session and not the endpoint's; the container is removed whatever happens; a harness
that fails gives an error, never a score. One run of the harness is one rollout: it tells its scores
of all samples at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import yaml

from ...config.scrubber import KNOWN
from ...config.secrecy import masked
from ...config.solvers import ContainerSolverConfig
from ...errors import ConfigError
from ...files.lines import LineFile
from ...files.reading import last_line
from ...measured import Measure
from ...sandboxes.contract import Limits, Process, Sandbox, SandboxLost, SandboxSpec
from ...sandboxes.docker import DockerBackend
from ...sandboxes.pool import SandboxPool
from ...types import Json, Problem, RolloutKey, Score, Solution
from ..harness import Finished, HarnessTools, Meeting
from ..scored import ScoredProblem
from .results import NAMES, Found, measures_of, read_results, results_file

CONFIG, RESULTS = "/config/run_config.yaml", "/results"
KEY, LIMIT = "NEMO_API_KEY", "limit_samples"
HOW = {"parallelism", "max_retries", "request_timeout"}
"""Parameters of NeMo Evaluator's harnesses that change how fast answers come, and not which."""
LOG, DONE, OUTPUT, ANSWERS = "log.txt", "done", "results", "answers.jsonl"
KILLED = 128 + 9
SECONDS = 7 * 86_400.0
"""The longest a harness may take; a benchmark's ``timeout`` ends one that does nothing."""
POLL_SECONDS = 0.2
LINE_BYTES = 1 << 16
"""A longer line of the log is broken."""
COMMAND = """\
exec 2>&1
for name in nemo-evaluator eval-factory; do
  command -v $name > /dev/null && exec $name run_eval --run_config {config}
done
echo "the image has neither nemo-evaluator nor eval-factory"
exit 127
"""
"""Output and errors are one stream: two would reach the log in any order."""
PATHS = {"chat": "/chat/completions", "completions": "/completions", "vlm": "/chat/completions"}


def open_container(uri: str, params: Mapping[str, Json]) -> list[ContainerHarness]:
    """The harness of a URI; ``params`` are its own. Raises ConfigError."""
    image, _, task = uri.partition("://")[2].rpartition("#")
    if not image or not task:
        raise ConfigError("names no task", where=uri, hint="container://IMAGE:TAG#TASK")
    return [ContainerHarness(image, task, params)]


class ContainerHarness:
    """One task of one image."""

    def __init__(self, image: str, task: str, params: Mapping[str, Json]) -> None:
        self.name = task
        self._where = f"container://{image}#{task}"
        self._image, self._task, self._params = image, task, params
        self._told = ContainerSolverConfig(service="")

    def take(self, solver: object) -> bool:
        """See `TakesSolver`."""
        found = getattr(solver, "container", None)
        if isinstance(found, ContainerSolverConfig):
            self._told = found
            return True
        return False

    def meet(self, meeting: Meeting) -> None:
        """``max_problems`` is the harness's own limit on samples."""
        if meeting.max_problems is not None:
            self._params = {LIMIT: meeting.max_problems, **self._params}

    async def prepare(self) -> None:
        """Raises ConfigError for mounts that are not there."""
        missing = await asyncio.to_thread(
            lambda: [path for path in self._told.mounts if not Path(path).exists()]
        )
        if missing:
            raise ConfigError(f"there is no {missing[0]!r}", where="solver.mounts")

    def identity(self) -> Mapping[str, Json]:
        """The image, the task, and its parameters but for secrets and those of ``HOW``."""
        params = {name: value for name, value in self._params.items() if name not in HOW}
        return {"harness": self._where, "params": KNOWN.json(masked(params))}

    async def plan(self) -> Sequence[str]:
        """One: the whole task."""
        return [self._task]

    async def run(self, todo: Sequence[RolloutKey], tools: HarnessTools) -> AsyncIterator[Finished]:
        """Each repeat in a container of its own; what an earlier invocation finished is read."""
        for key in todo:
            if tools.stopping.is_set():
                return
            folder = (tools.folder / f"{key.problem_idx}-{key.repeat}").absolute()
            if not await asyncio.to_thread(_is_done, folder):
                await asyncio.to_thread(_begin, folder)
                if not await self._ran(folder, key, tools):
                    return
                await asyncio.to_thread(self._end, folder)
            found = await asyncio.to_thread(read_results, folder / OUTPUT, self._task)
            yield self._finished(key, found)

    async def aggregate(self, finished: Sequence[ScoredProblem]) -> Sequence[Measure]:
        """The harness's own scores. With several repeats, the mean over them."""
        scores = [one.score.details.get("scores") for one in finished]
        return measures_of(msgspec.convert(scores, list[list[Found]]))

    async def close(self) -> None:
        """Nothing to release: a container is removed with its run."""

    async def _ran(self, folder: Path, key: RolloutKey, tools: HarnessTools) -> bool:
        """Run the container to its end; False where the run is to end. Raises ConfigError."""
        backend = DockerBackend()
        try:
            async with await self._opened(backend) as pool:
                spec = self._spec(folder)
                await pool.prepull([spec])
                async with pool.acquire(spec) as sandbox:
                    code = await self._run_in(sandbox, folder, key, tools)
        except SandboxLost as error:
            raise ConfigError(
                f"the container was lost: {error}", where=self._where, hint="--resume runs it again"
            ) from None
        finally:
            await backend.close()
        if code is None:
            return False
        if code:
            killed = ", killed, perhaps for want of memory" if code == KILLED else ""
            raise ConfigError(
                f"the harness ended with exit code {code}{killed}: {last_line(folder / LOG)}",
                where=self._where,
                hint=f"its output is in {folder / LOG}; --resume runs it again",
            )
        return True

    async def _opened(self, backend: DockerBackend) -> SandboxPool:
        pool = SandboxPool(backend, limit=1)
        try:
            await pool.open()
        except ConfigError as error:
            hint = "start Docker on this machine and see that `docker info` works for this user"
            raise ConfigError(error.what, where=self._where, hint=hint) from None
        return pool

    def _end(self, folder: Path) -> None:
        """The harness has ended well. Raises ConfigError where it left nothing."""
        if results_file(folder / OUTPUT) is None:
            raise ConfigError(
                f"the harness ended well and left no results.yml: {last_line(folder / LOG)}",
                where=self._where,
                hint=f"its output is in {folder / LOG}; --resume runs it again",
            )
        (folder / DONE).touch()

    def _spec(self, folder: Path) -> SandboxSpec:
        """A container as its author means it, with a folder for the results."""
        own = {RESULTS: str(folder / OUTPUT)}
        for path, inside in self._told.mounts.items():
            target = inside.removesuffix(":ro")
            own[target] = f"{Path(path).absolute()}{':ro' if target != inside else ''}"
        cpus = float(os.cpu_count() or 1)
        return SandboxSpec(
            image=self._image,
            plain=True,
            cwd="",
            account=0,
            network=self._told.network,
            mounts=own,
            limits=Limits(memory_mb=16_384, pids=8192, cpus=cpus, lifetime=SECONDS),
        )

    async def _run_in(
        self, sandbox: Sandbox, folder: Path, key: RolloutKey, tools: HarnessTools
    ) -> int | None:
        """The exit code of the harness; None where the run is to end before."""
        env = dict(self._told.env_vars)
        listener = None if self._told.network == "host" else await sandbox.listen()
        answers = folder / ANSWERS
        endpoint = await tools.endpoint(key, listener=listener, answers=answers)
        kind = self._told.endpoint_type or (
            "completions" if tools.protocol == "completions" else "chat"
        )
        api: dict[str, Any] = {
            "url": endpoint.openai_url + PATHS.get(kind, ""),
            "model_id": endpoint.model,
            "type": kind,
            "api_key_name": KEY,
        }
        if self._told.adapter_config is not None:
            api["adapter_config"] = self._told.adapter_config
        document = {
            "config": {"type": self._task, "output_dir": RESULTS, "params": dict(self._params)},
            "target": {"api_endpoint": api},
        }
        await sandbox.upload(CONFIG, yaml.safe_dump(document, sort_keys=False).encode())
        command = COMMAND.format(config=shlex.quote(CONFIG))
        process = await sandbox.start(command, env={**env, KEY: endpoint.token})
        with contextlib.closing(LineFile(folder / LOG)) as log:
            copy = asyncio.create_task(_copied(process.stdout, log))
            try:
                return await _exit_code(process, tools.stopping)
            finally:
                await process.kill()
                await asyncio.wait([copy], timeout=5)
                copy.cancel()

    def _finished(self, key: RolloutKey, found: list[Found]) -> Finished:
        """The first score is the benchmark's; all are measures of it. One that is no share of a
        whole (a percentage, a perplexity) is no reward."""
        scores = [msgspec.to_builtins(one) for one in found]
        rated = 0.0 <= found[0].value <= 1.0
        score = Score(
            reward=found[0].value if rated else 0.0,
            rated=rated,
            metrics={} if rated else {one.name: one.value for one in found},
            details={"score": found[0].name, "scores": scores},
            extracted=found[0].name,
        )
        return Finished(
            key=key,
            solution=Solution(response="", calls=0),
            score=score,
            problem=Problem(idx=key.problem_idx, prompt=self._where),
        )


async def _exit_code(process: Process, stopping: asyncio.Event) -> int | None:
    """The exit code; None where it is to stop before."""
    while not stopping.is_set():
        with contextlib.suppress(TimeoutError):
            return await process.wait(POLL_SECONDS)
    return None


async def _copied(stream: AsyncIterable[bytes], log: LineFile) -> None:
    """Follow what the harness prints into the log, line by line and without known secrets."""
    begun = b""
    async for chunk in stream:
        *lines, begun = (begun + chunk).split(b"\n")
        if len(begun) > LINE_BYTES:
            lines, begun = [*lines, begun], b""
        _write(log, lines)
    _write(log, [begun] if begun else [])


def _write(log: LineFile, lines: Iterable[bytes]) -> None:
    text = "".join(f"{KNOWN(line.decode(errors='replace'))}\n" for line in lines)
    with contextlib.suppress(OSError):  # a full disk stops no harness
        log.append(text.encode())


def _is_done(folder: Path) -> bool:
    return (folder / DONE).is_file() and results_file(folder / OUTPUT) is not None


def _begin(folder: Path) -> None:
    """A folder for a run: what an earlier one left may help it, but its scores are not those of
    this one."""
    (folder / OUTPUT).mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        with contextlib.suppress(FileNotFoundError):
            (folder / OUTPUT / name).replace(folder / OUTPUT / f"{name}.earlier")
