"""Serves one benchmark over HTTP: ``nel serve``."""

from __future__ import annotations

import asyncio
import os
import secrets
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import msgspec

from ..config.load import Loaded
from ..config.runnable import check_runnable
from ..config.scrubber import KNOWN
from ..engine.job import Job
from ..engine.prepare import prepare
from ..environments.gym.app import Guarded, gym_app
from ..environments.gym.served import Served, Solve
from ..errors import ConfigError, suggest
from ..files.writing import make_folder, replace_file
from ..http.server.contract import MEGABYTE, Limits
from ..http.server.server import Server
from ..http.urls import bracketed
from ..results.layout import slug
from ..solvers.contract import SolveTools, needs_of
from ..traffic.door.access import is_loopback
from ..traffic.types import CallContext
from ..types import Problem, Solution
from .stopping import stop_signal

TOKEN = "NEL_SERVE_TOKEN"
NATIVE, GYM = "evaluator", "gym"
"""What ``/health`` names as protocol."""


@dataclass(frozen=True, slots=True)
class Door:
    """Where and how to listen, and what clients may know."""

    host: str = "127.0.0.1"
    port: int = 9090
    gym_compat: bool = False
    hide_answers: bool = False
    max_concurrent: int = 32
    max_body_mb: int = 64
    drain_seconds: float = 30.0
    token_env: str = TOKEN
    """Variable that holds what clients must send; beyond loopback one is made where it is not set.
    """


class Audience(Protocol):
    """Callbacks about what the server does."""

    def listening(self, url: str, token: str | None) -> None:
        """Called when the server can be reached. ``token``: what clients must send, or where the
        token is set."""

    def say(self, text: str) -> None:
        """Called with a text for the user."""


async def serve(
    loaded: Loaded,
    door: Door,
    audience: Audience,
    *,
    solves: bool,
    export: Path | None = None,
    stays: bool = True,
) -> None:
    """Serve the only benchmark of a configuration until the command is stopped.

    ``solves``: whole rollouts too, by its solver. ``export``: first write its problems there;
    ``stays``: serve then. Raises ConfigError.
    """
    check_runnable(loaded)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nel-serve-")))
        job = await _opened(loaded, folder, stack, audience)
        served = Served(
            job.environment,
            job.plan.dataset_size,
            sandboxes=job.sandboxes,
            solve=_solving(job) if solves else None,
            hidden=door.hide_answers,
            most=door.max_concurrent,
        )
        if export is not None:
            audience.say(f"wrote {await _export(served, export)}")
        if stays:
            await _serve(served, door, audience, stack)


def only(loaded: Loaded, name: str | None) -> Loaded:
    """The configuration with one of its benchmarks: that of a name or label, or the only one.
    Raises ConfigError."""
    found = [
        benchmark
        for benchmark in loaded.config.benchmarks
        if name is None or name in (benchmark.name, benchmark.label)
    ]
    if len(found) != 1:
        names = [benchmark.label or benchmark.name for benchmark in loaded.config.benchmarks]
        what = "there are several benchmarks" if name is None else f"there is no benchmark {name!r}"
        if len(found) > 1 and name is not None:
            what = f"there are several benchmarks {name!r}"
        hint = f"-b {' or '.join(names)}" if name is None else suggest(name, names)
        raise ConfigError(what, hint=hint)
    return replace(loaded, config=loaded.config.model_copy(update={"benchmarks": found}))


async def _opened(loaded: Loaded, folder: Path, stack: AsyncExitStack, audience: Audience) -> Job:
    """The benchmark, with its judges there. Raises ConfigError."""
    prepared = await prepare(loaded, folder, stack, say=audience.say)
    if len(prepared.jobs) != 1:
        names = ", ".join(job.plan.name for job in prepared.jobs)
        raise ConfigError(f"it holds several benchmarks: {names}", hint="-b FILE.py:NAME")
    [job] = prepared.jobs
    if job.environment.harness is not None:
        what = "asks and grades by itself, which cannot be served"
        raise ConfigError(what, where=job.plan.name, hint="use nel eval run")
    await asyncio.to_thread(make_folder, job.folder)  # for what judges say
    for judge in job.judges:
        try:
            warning = await judge.check()
        except ConfigError as error:
            raise ConfigError(f"judge {judge.service_name}: {error}") from None
        if warning:
            audience.say(f"warning: judge {judge.service_name}: {warning}")
    return job


def _solving(job: Job) -> Solve | None:
    """What answers a problem by the configured solver; None where it needs a workspace."""
    if needs_of(job.solver).sandbox:
        return None

    async def solve(problem: Problem, name: str) -> Solution:
        for server in job.servers.values():
            await server.ready()
        context = CallContext(
            session=f"{job.plan.slug}/{name}",
            benchmark=job.plan.slug,
            problem_idx=problem.idx,
            target=problem.target,
        )
        tools = SolveTools(job.model, context, job.models, servers=job.servers)
        try:
            async with asyncio.timeout(job.timeout):
                return await job.solver.solve(problem, tools)
        finally:
            for model in job.models.values():
                model.end_session(context)

    return solve


async def _export(served: Served, path: Path) -> Path:
    """Write the problems as NeMo Gym reads them, a line each; the file."""
    lines = [msgspec.json.encode(await served.row(idx)) for idx in range(served.size)]
    return await asyncio.to_thread(_written, path, b"\n".join([*lines, b""]), served.name)


def _written(path: Path, data: bytes, name: str) -> Path:
    if path.is_dir() or not path.suffix:
        path = path / f"{slug(name)}.jsonl"
    try:
        make_folder(path.parent)
        replace_file(path, data)
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", where=str(path)) from None
    return path


async def _serve(served: Served, door: Door, audience: Audience, stack: AsyncExitStack) -> None:
    given = os.environ.get(door.token_env, "")
    KNOWN.learn(given)
    token = given or (None if is_loopback(door.host) else secrets.token_hex(16))
    protocol = GYM if door.gym_compat else NATIVE
    app = Guarded(gym_app(served, protocol=protocol, max_body_mb=door.max_body_mb), token)
    server = Server(app, Limits(body_bytes=door.max_body_mb * MEGABYTE), failure=app.failure)
    stop = stop_signal()
    port = await server.start(door.host, door.port)
    stack.push_async_callback(server.stop, door.drain_seconds)
    app.open_at(door.host, port)
    url = f"http://{bracketed(door.host)}:{port}"
    audience.listening(url, f"the value of {door.token_env}" if given else token)
    await stop.wait()
