"""``type: custom`` with a ``command``: any program is the agent.

The program is told by environment variables where its model is (``OPENAI_BASE_URL`` and its like,
with the key of its session and no other) and what its task is (``NEL_TASK_FILE``, JSON). Its
standard output, or a file that it leaves, is the answer.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import mimetypes
import posixpath
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from ..config.agent_solvers import CustomSolverConfig
from ..errors import ConfigError
from ..sandboxes.contract import ExecResult
from ..steps import steps_from
from ..traffic.images import image_url
from ..types import EndedBy, Json, Problem, Solution
from .contract import SolverNeeds, SolveTools
from .programs import Place, judge_failure, place_for
from .time_limits import time_limit

TASK_FILE, AGENT_DIR = "task.json", "files"
ANSWER_BYTES = 1 << 20
TRAJECTORY_BYTES = 16 << 20
STDERR_CHARS = 2000


class CommandSolver:
    """Runs one program for each problem."""

    def __init__(self, config: CustomSolverConfig) -> None:
        assert config.command is not None
        self._config, self._command = config, config.command
        self._given = {path.name: path for path in map(Path, config.files)}
        for path in self._given.values():
            if not path.exists():
                raise ConfigError(f"there is no {str(path)!r}", where="solver.files")
        if len(self._given) < len(config.files):
            raise ConfigError("two files have one name", where="solver.files")

    @property
    def needs(self) -> SolverNeeds:
        """What its configuration says."""
        return self._config.needs

    async def solve(self, problem: Problem, tools: SolveTools) -> Solution:
        """What the program answers. Raises InfraError where it could not do its work."""
        async with place_for(problem, tools, self._config.where) as place:
            env = await self._prepared(problem, tools, place)
            limit = time_limit(self._config, problem, tools)
            result = await place.runs.exec(
                self._command,
                cwd=place.cwd,
                env=env,
                timeout=limit.seconds,
                output_bytes=ANSWER_BYTES,
            )
            ended_by = EndedBy.TIME if result.timed_out else None
            if result.exit_code != 0 and not result.timed_out:
                ended_by = judge_failure(tools, result, result.stderr or result.stdout)
            return await self._solution(place, result, ended_by)

    async def _prepared(
        self, problem: Problem, tools: SolveTools, place: Place
    ) -> Mapping[str, str]:
        """Put what the program needs where it finds it; its environment."""
        task_file = posixpath.join(place.own, TASK_FILE)
        images, files = await asyncio.to_thread(_images, problem, place.own)
        files |= await asyncio.to_thread(self._files, posixpath.join(place.own, AGENT_DIR))
        for path, data in files.items():
            await place.runs.upload(path, data)
        task = {
            "problem_idx": problem.idx,
            "repeat": tools.context.repeat,
            "prompt": problem.prompt,
            "system": problem.system,
            "messages": problem.messages,
            "images": images,
            "metadata": self._visible_metadata(problem),
            "workspace": place.cwd,
        }
        await place.runs.upload(task_file, msgspec.json.encode(task, enc_hook=str))
        env = {"NEL_TASK_FILE": task_file, "NEL_AGENT_DIR": posixpath.join(place.own, AGENT_DIR)}
        if self._config.service is not None:
            env |= (await place.door(tools)).env()
        return {**env, **self._config.env}

    def _files(self, folder: str) -> dict[str, bytes]:
        """The agent's files by their path there. Blocks."""
        return {
            posixpath.join(folder, name, below).rstrip("/"): path.read_bytes()
            for name, given in self._given.items()
            for below, path in _files_below(given)
        }

    def _visible_metadata(self, problem: Problem) -> Mapping[str, Json]:
        """Nothing of the metadata unless it was asked for: a row may hold the answer."""
        if "*" in self._config.metadata_fields:
            return problem.metadata
        wanted = self._config.metadata_fields
        return {name: problem.metadata[name] for name in wanted if name in problem.metadata}

    async def _solution(
        self, place: Place, result: ExecResult, ended_by: EndedBy | None
    ) -> Solution:
        details: dict[str, Json] = {"exit_code": result.exit_code}
        if result.exit_code != 0:
            details["stderr"] = result.stderr.strip()[-STDERR_CHARS:]
        text = result.stdout
        if self._config.answer_file is not None:
            path = posixpath.join(place.cwd, self._config.answer_file)
            text, details["answer_file"] = await _read(place, path, ANSWER_BYTES)
        elif result.stdout_truncated:
            details["stdout_truncated"] = True
        trajectory: Json = None
        if self._config.trajectory_file is not None:
            path = posixpath.join(place.cwd, self._config.trajectory_file)
            written, details["trajectory_file"] = await _read(place, path, TRAJECTORY_BYTES)
            trajectory, wrong = _decoded(written)
            details |= wrong
        return Solution(
            response=text.removesuffix("\n"),
            steps=steps_from(trajectory),
            details=details,
            ended_by=ended_by,
        )

    def identity(self) -> Mapping[str, Json]:
        """The command and what it is given; of programs of this machine, their content."""
        config = self._config
        words = [config.command] if isinstance(config.command, str) else config.command or []
        programs = {Path(word).name: _digest(Path(word)) for word in words if Path(word).is_file()}
        files = {name: _digest(path) for name, path in self._given.items()}
        return {
            "type": "command",
            "command": config.command,
            "where": config.where,
            "env": sorted(config.env),
            "files": {**programs, **files},
            "metadata_fields": list(config.metadata_fields),
            "answer_file": config.answer_file,
            "time_limit": [config.run_timeout, config.timeout_strategy, config.max_agent_timeout],
        }

    async def close(self) -> None:
        """Nothing to release: a program ends with its problem."""


async def _read(place: Place, path: str, most: int) -> tuple[str, str]:
    """A file that the program left, and what is to be said of it."""
    try:
        return (await place.runs.download(path, max_bytes=most)).decode(errors="replace"), "read"
    except FileNotFoundError:
        return "", "missing"
    except ValueError:
        return "", f"more than {most} bytes"


def _decoded(text: str) -> tuple[Json, dict[str, Json]]:
    try:
        return msgspec.json.decode(text.encode()) if text else None, {}
    except msgspec.DecodeError as error:
        return None, {"trajectory_file": f"not valid JSON: {error}"}


def _files_below(given: Path) -> Iterator[tuple[str, Path]]:
    """The files of a folder by their path below it; a file by none."""
    if given.is_file():
        yield "", given
        return
    for path in sorted(given.rglob("*")):
        if path.is_file():
            yield path.relative_to(given).as_posix(), path


def _digest(given: Path) -> str:
    found = hashlib.sha256()
    for below, path in _files_below(given):
        found.update(f"{below}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()[:16]


def _images(problem: Problem, own: str) -> tuple[list[str], dict[str, bytes]]:
    """What the program is told of a problem's images (a path, or a URL of the web), and the files.
    Blocks."""
    references, files = [], {}
    for number, image in enumerate(problem.images):
        url = image_url(image)
        head, _, encoded = url.partition(";base64,")
        if not url.startswith("data:") or not encoded:
            references.append(url)
            continue
        suffix = mimetypes.guess_extension(head.removeprefix("data:")) or ""
        path = posixpath.join(own, "images", f"{number}{suffix}")
        references.append(path)
        files[path] = base64.b64decode(encoded)
    return references, files
