"""Reads a task folder of Harbor: ``task.toml``, ``instruction.md``, ``environment/``, ``tests/``
and ``solution/``; several steps below ``steps/``.

Invariant: what would make the task impossible to run or to verify is a ConfigError here, before
anything is paid, that names the file (and the line of ``task.toml``).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
from pydantic import ValidationError

from ..config.explain import explain
from ..config.mistakes import format_path
from ..errors import ConfigError
from ..types import Json
from . import terminal_bench
from .compose import compose_file, reduced
from .files import check_links, read_text
from .records import TESTS, Check, Place, Solution, Stage, Task
from .settings import EnvironmentPart, Internet, Phase, Settings, StepPart, VerifierPart
from .toml_lines import line_of

CONFIG = "task.toml"
INSTRUCTION = "instruction.md"
SCRIPT = "test.sh"
SOLVE = "solve.sh"
ARTIFACTS = "/logs/artifacts"
"""What an agent leaves for a verifier in another container, by convention."""
_CANARY = re.compile(r"(?:<!--.*canary.*-->|#.*canary.*)", re.IGNORECASE)


def is_task(folder: Path) -> bool:
    """Whether a folder looks like a task of Harbor, or of Terminal-Bench 1."""
    return (folder / CONFIG).is_file() or terminal_bench.is_task(folder)


def read_task(folder: Path, dockerfile: Path | None = None) -> Task:
    """The task of a folder. ``dockerfile``: what its image is built of, in the folder of that file,
    instead of its own environment. Raises ConfigError."""
    folder = folder.resolve()
    if not folder.is_dir():
        raise ConfigError("there is no such folder", where=str(folder))
    if not (folder / CONFIG).is_file():
        if terminal_bench.is_task(folder):
            return terminal_bench.read_task(folder)
        raise ConfigError(f"has no {CONFIG}: it is no task folder", where=str(folder))
    check_links(folder)
    settings = read_settings(folder / CONFIG)
    place = _place(folder, "environment", settings.environment, shared=dockerfile)
    if settings.agent.network_mode is not None:
        place = replace(place, internet=settings.agent.network_mode)
    _check_internet(folder, settings)
    if settings.steps:
        stages = tuple(_step(folder, settings, step) for step in settings.steps)
    else:
        stages = (_only_stage(folder, settings),)
    return Task(
        folder=folder,
        name=folder.name,
        metadata=_json_metadata(settings.metadata),
        place=place,
        stages=stages,
        reward_of=settings.multi_step_reward_strategy,
    )


def read_settings(path: Path) -> Settings:
    """A ``task.toml``. Raises ConfigError with file and line."""
    text = read_text(path)
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"line (\d+)", str(error))
        line = at[1] if at else len(text.splitlines()) or 1
        raise ConfigError(f"is no valid TOML: {error}", where=f"{path}:{line}") from None
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        mistake = next(iter(explain(error, (), Settings)))
        where = f"{path}:{line_of(text, list(mistake.path))}"
        what = f"{format_path(mistake.path)}: {mistake.what}" if mistake.path else mistake.what
        raise ConfigError(what, where=where, hint=mistake.hint) from None


def without_canary(text: str) -> str:
    """An instruction without the marks at its beginning that keep it out of training data."""
    lines = text.split("\n")
    start = 0
    while start < len(lines) and _CANARY.fullmatch(lines[start].strip()):
        start += 1
    while start < len(lines) and not lines[start].strip():
        start += 1
    return "\n".join(lines[start:])


def _only_stage(folder: Path, settings: Settings) -> Stage:
    solve = folder / "solution" / SOLVE
    return Stage(
        name="",
        instruction=_instruction(folder / INSTRUCTION),
        check=_check(folder, settings, None),
        solution=_solution(settings, folder / "solution") if solve.is_file() else None,
        user=settings.agent.user,
        agent_timeout=settings.agent.timeout_sec,
    )


def _step(folder: Path, settings: Settings, step: StepPart) -> Stage:
    own = folder / "steps" / step.name
    if not own.is_dir():
        raise ConfigError("there is no such folder", where=str(own))
    solutions = [own / "solution", folder / "solution"]
    solved = next((one for one in solutions if (one / SOLVE).is_file()), None)
    agent = settings.agent
    if step.agent.user not in (None, agent.user):
        raise ConfigError(
            f"step {step.name!r} has an agent.user of its own; all steps have the task's here",
            where=str(folder / CONFIG),
            hint="leave the task out (?exclude=NAME), or run it with harbor itself",
        )
    return Stage(
        name=step.name,
        instruction=_instruction(own / INSTRUCTION),
        check=_check(folder, settings, step),
        solution=None if solved is None else _solution(settings, solved),
        user=agent.user,
        agent_timeout=step.agent.timeout_sec or agent.timeout_sec,
        files=own / "workdir" if (own / "workdir").is_dir() else None,
        step=step,
    )


def _instruction(path: Path) -> str:
    text = without_canary(read_text(path))
    if not text.strip():
        raise ConfigError("is empty", where=str(path))
    return text


def _solution(settings: Settings, folder: Path) -> Solution:
    return Solution(sources=(folder,), script=SOLVE, env=settings.solution.env)


def _check(folder: Path, settings: Settings, step: StepPart | None) -> Check:
    """How a task, or one step of it, is verified."""
    tests = [folder / "tests"]
    if step is not None:
        tests.append(folder / "steps" / step.name / "tests")
    of_task, own = settings.verifier, step.verifier if step is not None else None
    place, brings_tests = None, False
    if settings.separate(step):
        place, brings_tests = _verifier_place(folder, settings, step)
    _check_collect(folder, own or of_task)
    if not brings_tests and not any((one / SCRIPT).is_file() for one in tests):
        raise ConfigError(
            f"has no tests/{SCRIPT}: nothing would verify the task",
            where=str(tests[-1].parent),
        )
    return Check(
        sources=() if brings_tests else tuple(one for one in tests if one.is_dir()),
        script=SCRIPT,
        timeout=(own.timeout_sec if own is not None else None) or of_task.timeout_sec,
        env={**of_task.env, **(own.env if own is not None else {})},
        user=own.user if own is not None and own.user is not None else of_task.user,
        place=place,
        artifacts=_artifacts(folder, settings) if place is not None else (),
    )


def _verifier_place(folder: Path, settings: Settings, step: StepPart | None) -> tuple[Place, bool]:
    """The verifier's own container, and whether its image brings the tests along."""
    choices: list[tuple[EnvironmentPart | None, str]] = []
    if step is not None:
        choices.append((step.verifier.environment, f"steps/{step.name}/tests"))
    choices.append((settings.verifier.environment, "tests"))
    for part, name in choices:
        ready = part is not None and part.docker_image
        if ready or (folder / name / "Dockerfile").is_file() or compose_file(folder / name):
            return _place(folder, name, part or settings.environment, own=bool(ready)), True
    part = next((part for part, _ in choices if part is not None), settings.environment)
    image = settings.environment.docker_image
    if part is not settings.environment:
        part = part.model_copy(update={"docker_image": image})
    return _place(folder, "environment", part), False


def _place(
    folder: Path,
    name: str,
    part: EnvironmentPart,
    *,
    own: bool = True,
    shared: Path | None = None,
) -> Place:
    """The place that a table and a folder beside it describe. ``own``: the image of the table is
    that of this place; ``shared``: a Dockerfile that stands for both."""
    where, toml = folder / name, str(folder / CONFIG)
    for what, asked in (
        ("os", part.os != "linux" and part.os),
        ("gpus", part.gpus),
        ("tpu", part.tpu),
        ("mcp_servers", part.mcp_servers),
    ):
        if asked:
            raise ConfigError(
                f"environment.{what} = {asked!r} cannot be had here",
                where=toml,
                hint="leave the task out (?exclude=NAME), or run it with harbor itself",
            )
    place = Place(
        image=part.docker_image if own else None,
        context=where if where.is_dir() else None,
        build_timeout=part.build_timeout_sec,
        cwd=part.workdir,
        env=part.env,
        internet=part.network_mode,
        cpus=part.cpus,
        memory_mb=part.memory_mb,
        storage_mb=part.storage_mb,
        healthcheck=part.healthcheck,
    )
    if shared is not None:
        return replace(place, image=None, context=shared.parent, dockerfile=shared.name)
    if (compose := compose_file(where)) is not None:
        place = reduced(compose, place)
    if place.image is not None:
        return place
    if place.context is None or not (place.context / place.dockerfile).is_file():
        raise ConfigError(
            f"has neither {name}/{place.dockerfile} nor a docker_image: there is no environment",
            where=str(folder),
        )
    return place


def _check_internet(folder: Path, settings: Settings) -> None:
    """One container has one network, from its start to its end."""
    agent = settings.agent.network_mode or settings.environment.network_mode
    phases: list[Phase] = [settings.verifier]
    for step in settings.steps:
        phases += [step.agent, step.verifier]
    for phase in phases:
        own = phase.network_mode or settings.environment.network_mode
        if own is Internet.PUBLIC and agent is not own and not settings.separate():
            raise ConfigError(
                f"the agent has network_mode {agent.value!r} and the tests {own.value!r}, and both "
                "work in one container",
                where=str(folder / CONFIG),
                hint="leave the task out (?exclude=NAME), or run it with harbor itself",
            )


def _check_collect(folder: Path, part: VerifierPart) -> None:
    if part.collect:
        raise ConfigError(
            "verifier.collect cannot be run here",
            where=str(folder / CONFIG),
            hint="leave the task out (?exclude=NAME), or run it with harbor itself",
        )


def _artifacts(folder: Path, settings: Settings) -> tuple[str, ...]:
    """Paths that a verifier in its own container gets of the agent's."""
    found = [ARTIFACTS]
    for entry in settings.artifacts:
        fields: Mapping[str, Any] = {"source": entry} if isinstance(entry, str) else entry
        source = str(fields.get("source") or "")
        odd = sorted(set(fields) - {"source"})
        if odd or not source.startswith("/") or ".." in source.split("/"):
            raise ConfigError(
                f"artifact {source!r}: only an absolute path, and nothing else, can be carried",
                where=str(folder / CONFIG),
            )
        found.append(source.rstrip("/"))
    return tuple(dict.fromkeys(found))


def _json_metadata(metadata: Mapping[str, Any]) -> dict[str, Json]:
    """Metadata as JSON: TOML has dates too."""
    plain: dict[str, Json] = msgspec.to_builtins(metadata, enc_hook=str)
    return plain


__all__ = ["TESTS", "is_task", "read_settings", "read_task", "without_canary"]
