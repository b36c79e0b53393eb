"""The `openclaw` solver: runs OpenClaw's command line for each rollout, one turn after the other.

Invariants: it knows one model, that of its session, and no key but the session's; each rollout has
a state folder and a home of its own, removed before anything is verified.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ...config.agent_solvers import OpenClawSolverConfig
from ...errors import ConfigError
from ...judging.prompts import problem_text
from ...sandboxes.contract import ExecResult
from ...steps import Step, StepSource
from ...traffic.ledger import Totals
from ...types import EndedBy, Json, Problem, Record, Solution
from ..contract import SolverNeeds, SolveTools
from ..programs import Place, judge_failure, place_for
from ..time_limits import time_limit
from .installed import INSTALL, Program, checked, find, inside
from .settings import model_of, settings, user_settings
from .transcript import DATABASE, OUTPUT_BYTES, READER, events_of, steps_of

SESSIONS = "sessions"
"""Where the metadata of a problem says what is asked one after the other."""
START_SECONDS = 5.0
"""What a turn needs beside the time that OpenClaw itself counts."""
MEMORY_MB, PIDS = 4096, 512
"""What it needs: node reserves far more address space than it uses, and starts many threads."""
TRANSCRIPT = ".nel_transcript.jsonl"
"""Where verifiers find the events of OpenClaw's sessions, as NeMo Evaluator leaves them."""
LOOK_SECONDS, REFUSED_SECONDS = 0.5, 10.0
"""How often it is looked whether a limit refused a call, and how long it may go on then."""
TIMED_OUT = 2
"""Exit code of OpenClaw where its time was up."""
KEY = {"tavily": "TAVILY_API_KEY"}
MAX_TOKENS = ("max_tokens", "max_completion_tokens")


class Session(Record, frozen=True, kw_only=True):
    """One thing that is asked. Without ``new_session`` the conversation goes on."""

    prompt: str
    id: str = ""
    new_session: bool = False


class Turn(NamedTuple):
    """What one run of the command came to."""

    result: ExecResult
    text: str
    session: str
    error: str


class OpenClawSolver:
    """See the module."""

    def __init__(self, config: OpenClawSolverConfig) -> None:
        self._config = config
        self._base = user_settings(config.config_path)
        self._program: Program | None = None

    async def prepare(self) -> None:
        """Find OpenClaw, and see that it can be used. Raises ConfigError."""
        config = self._config
        key = KEY.get(config.web_search_provider or "")
        if key is not None and not os.environ.get(key) and not config.skip_preflight:
            raise ConfigError(
                f"{key} is not set", where="solver.web_search_provider", hint=f"export {key}=..."
            )
        found = find(config.openclaw_bin)
        if found is not None:
            found = found if config.skip_preflight else await checked(found)
        elif config.where == "host":
            raise ConfigError(
                f"there is no {config.openclaw_bin!r} on this machine",
                where="solver.openclaw_bin",
                hint=INSTALL,
            )
        self._program = found or inside(config.openclaw_bin)

    @property
    def needs(self) -> SolverNeeds:
        """A workspace that shows OpenClaw and reaches the model."""
        needs = self._config.needs
        if self._program is None or self._config.where == "host":
            return needs
        return msgspec.structs.replace(
            needs,
            folders=self._program.folders,
            programs=self._program.argv[:1],
            memory_mb=MEMORY_MB,
            pids=PIDS,
        )

    async def solve(self, problem: Problem, tools: SolveTools) -> Solution:
        """What OpenClaw answers. Raises InfraError where it could not do its work."""
        sessions = sessions_of(problem)
        async with place_for(problem, tools, self._config.where) as place:
            run = await self._open_run(place, tools)
            ends = time.monotonic() + self._seconds(problem, tools)
            turns: list[Turn] = []
            ended_by: EndedBy | None = None
            try:
                for session in sessions:
                    last = turns[-1].session if turns and not session.new_session else None
                    turn = await run.turn(session.prompt, last, ends - time.monotonic())
                    turns.append(turn)
                    if turn.result.timed_out or turn.result.exit_code == TIMED_OUT:
                        ended_by = EndedBy.TIME
                    elif turn.result.exit_code != 0:
                        ended_by = judge_failure(tools, turn.result, turn.error)
                    if turn.result.exit_code != 0 or ends <= time.monotonic():
                        break
            finally:
                for step in await run.told():
                    tools.steps.add(step)
        return self._solution(turns, ended_by, len(sessions), tools.steps.taken())

    async def _open_run(self, place: Place, tools: SolveTools) -> Run:
        """Everything but the prompt is where OpenClaw finds it."""
        assert self._program is not None and tools.model is not None
        endpoint = await place.door(tools)
        params = tools.model.params
        limits = [n for name in MAX_TOKENS if isinstance(n := params.get(name), int)]
        document = settings(
            self._config,
            endpoint,
            place.cwd,
            log=f"{place.own}/openclaw.log",
            max_tokens=limits[0] if limits else None,
            base=self._base,
        )
        run = Run(
            place,
            self._program,
            partial(tools.model.session, tools.context),
            model=model_of(endpoint),
            thinking=self._config.thinking,
            keys=self._keys(),
        )
        await run.prepare(msgspec.json.encode(document))
        return run

    def _keys(self) -> dict[str, str]:
        name = KEY.get(self._config.web_search_provider or "")
        return {name: os.environ.get(name, "")} if name is not None else {}

    def _seconds(self, problem: Problem, tools: SolveTools) -> float:
        """How long it may work: ``task`` is the smaller of the configured and the task's time."""
        seconds = time_limit(self._config, problem, tools).seconds
        if self._config.timeout_strategy == "task" and self._config.run_timeout is not None:
            return min(seconds, self._config.run_timeout)
        return seconds

    def _solution(
        self, turns: Sequence[Turn], ended_by: EndedBy | None, asked: int, steps: Sequence[Step]
    ) -> Solution:
        last = turns[-1]
        details: dict[str, Json] = {
            "openclaw": self._program.version if self._program else None,
            "exit_code": last.result.exit_code,
        }
        if asked > 1:
            details["sessions"] = f"{len(turns)} of {asked}"
        if last.error and last.result.exit_code != 0 and ended_by is None:
            details["error"] = last.error
        text = "\n\n".join(turn.text for turn in turns if turn.text)
        if not last.text:  # it was ended before it could say so: its last words stand in the steps
            messages = [
                str(step.message or "") for step in steps if step.source is StepSource.AGENT
            ]
            text = next((words for words in reversed(messages) if words), text)
        return Solution(response=text, details=details, ended_by=ended_by)

    def identity(self) -> Mapping[str, Json]:
        """OpenClaw's version and settings."""
        settings = self._config.model_dump(exclude={"service", "skip_preflight", "openclaw_bin"})
        if (path := settings.pop("config_path")) is not None:
            data = Path(path).expanduser().read_bytes()
            settings["config"] = hashlib.sha256(data).hexdigest()[:16]
        version = self._program.version if self._program else None
        return {**{k: v for k, v in settings.items() if v is not None}, "version": version}

    async def close(self) -> None:
        """Nothing to release: the command ends with its turn."""


class Run:
    """The turns of one rollout: one state folder, and what OpenClaw needs around it."""

    def __init__(
        self,
        place: Place,
        program: Program,
        used: Callable[[], Totals],
        *,
        model: str,
        thinking: str,
        keys: Mapping[str, str],
    ) -> None:
        """``used``: what its session has used so far."""
        self._place, self._program, self._used = place, program, used
        self._model, self._thinking = model, thinking
        self._config = f"{place.own}/openclaw.json"
        self._state, self._prompt = f"{place.own}/state", f"{place.own}/prompt.md"
        self._env = {
            "HOME": f"{place.own}/home",
            "TMPDIR": f"{place.own}/tmp",
            "OPENCLAW_STATE_DIR": self._state,
            "OPENCLAW_CONFIG_PATH": self._config,
            "NODE_NO_WARNINGS": "1",
            **keys,
        }

    async def prepare(self, document: bytes) -> None:
        """Make the folders and write the configuration."""
        own = self._place.own
        await self._place.runs.upload(self._config, document)
        private = ["mkdir", "-m", "700", *(f"{own}/{name}" for name in ("state", "home", "tmp"))]
        await self._place.runs.exec(private)
        await self._place.runs.exec(["chmod", "600", self._config])

    async def turn(self, prompt: str, session: str | None, seconds: float) -> Turn:
        """Ask one thing, in a new session or in one that was begun."""
        await self._place.runs.upload(self._prompt, prompt.encode())
        allowed = str(max(1, int(seconds - START_SECONDS)))
        common = ["--message-file", self._prompt, "--model", self._model, "--json"]
        common += ["--timeout", allowed]
        if self._thinking:
            common += ["--thinking", self._thinking]
        if session is None:
            state = ["--config", self._config, "--cwd", self._place.cwd]
            command = ["agent", "exec", *common, *state, "--state-dir", self._state]
        else:
            command = ["agent", "--local", "--agent", "main", "--session-id", session, *common]
        running = self._place.runs.exec(
            [*self._program.argv, *command],
            cwd=self._place.cwd,
            env=self._env,
            timeout=max(1.0, seconds),
            output_bytes=OUTPUT_BYTES,
        )
        return read_turn(await self._seen_through(running), session or "")

    async def _seen_through(self, running: Coroutine[Any, Any, ExecResult]) -> ExecResult:
        """The result of the command. It is ended soon after a limit has refused a call: OpenClaw
        takes that for a passing state, and would ask again for minutes."""
        task, refused = asyncio.create_task(running), 0.0
        try:
            while not (await asyncio.wait({task}, timeout=LOOK_SECONDS))[0]:
                if self._used().ended_by is None:
                    continue
                refused = refused or time.monotonic()
                if time.monotonic() - refused > REFUSED_SECONDS:
                    return ExecResult(exit_code=1, stderr="a limit of its session was reached")
            return task.result()
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def told(self) -> Sequence[Step]:
        """What the agent did so far. Its own account is left in the workspace too, for
        verifiers."""
        read = await self._place.runs.exec(
            [self._program.node, "-e", READER, "--", f"{self._state}/{DATABASE}"],
            env=self._env,
            timeout=60,
            output_bytes=OUTPUT_BYTES,
        )
        if read.stdout:
            await self._place.runs.upload(f"{self._place.cwd}/{TRANSCRIPT}", read.stdout.encode())
        return steps_of(events_of(read.stdout))


def read_turn(result: ExecResult, session: str) -> Turn:
    """What a run of the command says of itself: the envelope of ``agent exec``, or of ``agent``."""
    reply: Any = None
    if (start := result.stdout.find("{")) >= 0:
        try:
            reply = msgspec.json.decode(result.stdout[start:])
        except msgspec.DecodeError:
            reply = None
    if not isinstance(reply, dict):
        lines = result.stderr.strip().splitlines()[-3:] or ["it said nothing"]
        return Turn(result, "", session, " ".join(lines))
    payloads = [p for p in reply.get("payloads") or () if isinstance(p, dict)]
    text = "\n".join(str(p["text"]).strip() for p in payloads if p.get("text"))
    meta = reply.get("meta")
    below = meta.get("error") if isinstance(meta, dict) else None
    error = reply.get("error") or below or {}
    message = error.get("message") if isinstance(error, dict) else error
    return Turn(
        result,
        str(reply.get("final") or text),
        str(reply.get("sessionId") or session),
        str(message or ""),
    )


def sessions_of(problem: Problem) -> Sequence[Session]:
    """What is asked one after the other. Raises ConfigError for sessions that cannot be read."""
    given = problem.metadata.get(SESSIONS)
    if not given:
        return [Session(prompt=problem_text(problem))]
    try:
        return msgspec.convert(given, list[Session])
    except msgspec.ValidationError as error:
        raise ConfigError(f"sessions: {error}", where=f"problem {problem.idx}") from None
