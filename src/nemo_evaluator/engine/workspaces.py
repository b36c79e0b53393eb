"""The workspace of an attempt, from before its problem is solved until its answer is verified.

Invariants: every workspace that is opened is closed, whatever becomes of the attempt; the verifier
gets it, or its files, only after every process of the agent is dead; a workspace that fails is an
InfraError, never an answer. The files of one that is to be verified elsewhere are kept in the run's
directory until there is a verdict, so that an interrupted run need not ask again.
"""

from __future__ import annotations

import asyncio
import logging
import stat
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec

from ..config.benchmark import BenchmarkConfig
from ..config.sandboxes import LifecycleFields, NoSandbox, OwnFields
from ..environments.contract import Environment
from ..errors import ConfigError
from ..files.writing import replacing
from ..sandbox_spec import HandoverSpec
from ..sandboxes import Sandbox, SandboxLost, SandboxSpec
from ..sandboxes.contract import Limits
from ..sandboxes.finishing import finish
from ..solvers.contract import Archive, Handover, Solver, SolverNeeds, needs_of
from ..types import Json, Phase, Problem, RolloutKey
from .git_scrub import scrub
from .handover import Handed, as_verifier, captured
from .kept_workspaces import Keeper
from .sandboxing import Lender, Turn, open_sandboxes

FOLDER = "workspaces"
SLACK_SECONDS = 300.0
"""What a workspace lives beyond the limits of solving and verifying."""
PREPARE_SECONDS = 900.0

log = logging.getLogger(__name__)


Keeping = Callable[[Path], Keeper]
"""Who keeps workspaces of the benchmark of a folder."""


class Lease:
    """See `Workspace`. Who opened it closes it."""

    def __init__(
        self,
        workspaces: Workspaces,
        sandbox: Sandbox,
        stack: AsyncExitStack,
        how: HandoverSpec,
    ) -> None:
        self._workspaces, self._sandbox, self._stack = workspaces, sandbox, stack
        self._how = how
        self._handover: Handover | None = None
        self._finishing = asyncio.Lock()

    @property
    def sandbox(self) -> Sandbox:
        """See `Workspace.sandbox`."""
        return self._sandbox

    async def finish(self) -> Handover:
        """See `Workspace.finish`."""
        async with self._finishing:
            if self._handover is None:
                await self._sandbox.end_processes()
                self._handover = await self._workspaces.taken(self._sandbox, self._how)
                if isinstance(self._handover, Archive):
                    await self.close()
            return self._handover

    async def close(self) -> None:
        """Remove the sandbox; safe to call twice."""
        self._workspaces.forget(self)
        await finish(self._stack.aclose())


class Workspaces:
    """The workspaces of one benchmark."""

    def __init__(
        self,
        lender: Lender,
        config: LifecycleFields,
        needs: SolverNeeds,
        folder: Path,
        *,
        seconds: float,
        keeper: Keeper,
    ) -> None:
        """``seconds``: how long an attempt and its verification may take together."""
        self.keeper = keeper
        self._lender, self._config, self._needs = lender, config, needs
        self._folder = folder / FOLDER
        self._seconds = seconds + SLACK_SECONDS
        self._open: set[Lease] = set()

    @property
    def limit(self) -> int:
        """How many can be open at the same time."""
        return self._lender.limit

    def spec(self, problem: Problem | None) -> SandboxSpec:
        """The sandbox of a problem's workspace. Raises ConfigError if no agent could work there."""
        spec = self._lender.spec((problem and problem.workspace) or SandboxSpec())
        if self._needs.network != "none" and spec.network == "none":
            if not self._lender.sets("network"):
                spec = msgspec.structs.replace(spec, network=self._needs.network)
            elif not self._needs.optional:
                raise ConfigError(
                    f"the solver needs `network: {self._needs.network}` of its sandbox",
                    hint=f"set it to {self._needs.network}, or leave it out",
                )
        if self._needs.folders:
            folders = tuple(dict.fromkeys((*spec.folders, *self._needs.folders)))
            spec = msgspec.structs.replace(spec, folders=folders)
        return msgspec.structs.replace(spec, limits=self._limits(spec.limits, problem))

    def _limits(self, limits: Limits, problem: Problem | None) -> Limits:
        """The limits, where they are less than what is needed and not what the user has set."""
        verifying = (problem.verify_timeout if problem is not None else None) or 0.0
        least = {
            "lifetime": self._seconds + verifying,
            "memory_mb": self._needs.memory_mb,
            "pids": self._needs.pids,
        }
        raised = {
            name: value
            for name, value in least.items()
            if value > getattr(limits, name) and not self._lender.sets(name)
        }
        return msgspec.structs.replace(limits, **raised) if raised else limits

    def has_image(self, needed: SandboxSpec) -> bool:
        """Whether it is known what a sandbox is made of."""
        return self._lender.has_image(self._lender.spec(needed))

    def wanted(self, needed: SandboxSpec) -> SandboxSpec:
        """A sandbox of a problem, with what the user has set."""
        return self._lender.spec(needed)

    async def have_image(self, spec: SandboxSpec) -> None:
        """Have the image of a sandbox at hand. Raises ConfigError, or BuildFailed."""
        await self._lender.have_image(spec)

    async def check(self) -> None:
        """Open a workspace, and a door into it where one is needed. Raises ConfigError."""
        spec = self.spec(None)
        if not self._lender.has_image(spec):
            return  # every problem names its own
        async with self._lender.as_given(spec) as sandbox:
            if spec.network == "door" and not self._needs.optional:
                (await sandbox.listen()).close()
            for program in self._needs.programs:
                found = await sandbox.exec(["sh", "-c", 'command -v -- "$1"', "sh", program])
                if not found.ok:
                    raise ConfigError(
                        f"the workspace has no {program!r}", hint=_hint_for_missing(program)
                    )

    async def open(self, problem: Problem, key: RolloutKey) -> Lease:
        """A workspace; waits until there is room for one. Raises SandboxLost."""
        stack = AsyncExitStack()
        try:
            sandbox = await stack.enter_async_context(self._lender.as_given(self.spec(problem)))
            lease = Lease(self, sandbox, stack, problem.handover)
            await self._make_ready(sandbox, key, problem.handover.pre_agent_cmd)
        except ConfigError as error:
            await finish(stack.aclose())
            # The run has begun: an image that is gone, say, is no fault of this problem's answer.
            raise SandboxLost(f"no workspace: {error}", phase=Phase.SOLVE) from None
        except BaseException:
            await finish(stack.aclose())
            raise
        self._open.add(lease)
        return lease

    async def taken(self, sandbox: Sandbox, handover: HandoverSpec) -> Handover:
        """What the verifier gets of a workspace whose processes are dead."""
        if self._stays(sandbox.spec):
            return as_verifier(sandbox)
        return await captured(sandbox, self._config.capture_cmd or handover.capture_cmd)

    def _stays(self, spec: SandboxSpec) -> bool:
        """Whether a workspace is verified as it is, and not its files elsewhere."""
        is_set = "stateful" in self._config.model_fields_set
        return self._config.stateful if is_set else spec.stateful

    async def keep(self, key: RolloutKey, attempt: int, archive: Archive) -> None:
        """Keep the files of a workspace until there is a verdict."""
        try:
            await asyncio.to_thread(self._write, self._path(key, attempt), archive.data)
        except OSError as error:
            log.warning("the workspace of %s is not kept for a later run: %s", key, error)

    def kept(self, key: RolloutKey, attempt: int) -> bool:
        """Whether the files of an attempt's workspace are there."""
        return self._path(key, attempt).is_file()

    def recovered(self, key: RolloutKey, attempt: int) -> Archive | None:
        """The files of a workspace that an earlier invocation left. Blocks."""
        path = self._path(key, attempt)
        return Archive(data=path.read_bytes()) if path.is_file() else None

    def drop(self, key: RolloutKey, attempt: int) -> None:
        """There is a verdict: the files are not needed any more. Blocks."""
        self._path(key, attempt).unlink(missing_ok=True)

    def forget(self, lease: Lease) -> None:
        """A workspace is closed."""
        self._open.discard(lease)

    async def close(self) -> None:
        """Close what is still open; safe to call twice."""
        await asyncio.gather(*(lease.close() for lease in list(self._open)))

    def handed(
        self, handover: Handover, problem: Problem, release: Callable[[], Awaitable[None]]
    ) -> Handed:
        """Where a verifier works on what a solver left; ``release`` closes the workspace."""
        seconds = self._config.verify_timeout
        return Handed(self._lender, handover, problem, release, seconds=seconds)

    async def _make_ready(self, sandbox: Sandbox, key: RolloutKey, command: str | None) -> None:
        """What is done in a workspace before the solver sees it."""
        if command is not None:
            root = 0 if sandbox.spec.plain else None
            done = await sandbox.exec(command, timeout=PREPARE_SECONDS, user=root)
            if not done.ok:
                why = done.stderr.strip()[-300:]
                raise SandboxLost(
                    f"pre_agent_cmd ended with exit code {done.exit_code}: {why}", phase=Phase.SOLVE
                )
        if self._config.scrub_git_history:
            await scrub(sandbox, key)

    def _path(self, key: RolloutKey, attempt: int) -> Path:
        return self._folder / f"{key.problem_idx}-{key.repeat}-{attempt}.tar"

    @staticmethod
    def _write(path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(data)


async def open_workspaces(
    benchmark: BenchmarkConfig,
    environment: Environment,
    solver: Solver,
    folder: Path,
    stack: AsyncExitStack,
    turn: Turn,
    keeping: Keeping,
) -> tuple[Lender | None, Workspaces | None]:
    """Where a benchmark's answers are verified, and where its solver works; None where neither
    needs a sandbox. What cannot work is a ConfigError now, before anything is paid."""
    needs, config = needs_of(solver), benchmark.sandbox
    wanted = _works_in_sandbox(needs, config)
    lender = await open_sandboxes(benchmark, environment, stack, turn, for_solver=wanted)
    if lender is None or not wanted or not isinstance(config, LifecycleFields):
        return lender, None
    seconds = benchmark.timeout + benchmark.verify_timeout
    workspaces = Workspaces(lender, config, needs, folder, seconds=seconds, keeper=keeping(folder))
    stack.push_async_callback(workspaces.close)
    await workspaces.check()
    return lender, workspaces


def _works_in_sandbox(needs: SolverNeeds, config: object) -> bool:
    return needs.sandbox and not (needs.optional and isinstance(config, NoSandbox))


_OF_THE_IDENTITY = (
    *("type", "image", "image_template", "network", "memory", "cpus"),
    *("stateful", "capture_cmd", "scrub_git_history"),
)


def workspace_identity(benchmark: BenchmarkConfig, solver: Solver) -> dict[str, Json]:
    """What of the places where a solver works changes the meaning of its answers."""
    config = benchmark.sandbox
    if not _works_in_sandbox(needs_of(solver), config):
        return {}
    settings = {name: getattr(config, name, None) for name in _OF_THE_IDENTITY}
    settings["needs"] = needs_of(solver).network
    if isinstance(config, OwnFields):  # as it may be written down: without secrets
        further = config.model_dump(mode="json", exclude={"type", *OwnFields.model_fields})
        settings["options"] = further or None
    return {"workspace": {name: value for name, value in settings.items() if value is not None}}


def _hint_for_missing(program: str) -> str:
    """What helps where a workspace has no such program: a folder of this machine that only its
    owner may enter cannot be shown to the user of a sandbox."""
    others = stat.S_IXOTH
    for folder in reversed(Path(program).parents):
        if folder.is_absolute() and folder.is_dir() and not folder.stat().st_mode & others:
            return f"only its owner may enter {folder}: install it below another folder"
    return "install it on this machine, or name an image that has it"
