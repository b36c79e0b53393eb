"""Reads a task folder of Terminal-Bench 1: ``task.yaml``, ``Dockerfile`` or
``docker-compose.yaml``, ``run-tests.sh``, ``tests/`` and ``solution.sh``.

Its tests write no reward: the exit code of ``run-tests.sh`` is the verdict, as in harbor's own
conversion of these tasks.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError

from ..config.explain import explain
from ..config.mistakes import format_path
from ..errors import ConfigError
from .compose import compose_file, reduced
from .files import check_links, read_text
from .records import Check, Place, Solution, Stage, Task
from .settings import Part, Seconds

CONFIG = "task.yaml"
SCRIPT = "run-tests.sh"
SOLVE = "solution.sh"
TOLD = ("author_name", "author_email", "difficulty", "category", "tags", "parser_name")
STORAGE_MB = 10240


class TaskFile(Part):
    """What is read of a ``task.yaml``."""

    instruction: str = Field(min_length=1)
    author_name: str | None = None
    author_email: str | None = None
    difficulty: str | None = None
    category: str | None = None
    tags: list[str] = Field(default_factory=list)
    parser_name: str | None = None
    max_agent_timeout_sec: Seconds = 360.0
    max_test_timeout_sec: Seconds = 60.0
    run_tests_in_same_shell: bool = False


def is_task(folder: Path) -> bool:
    """Whether a folder looks like a task of Terminal-Bench 1."""
    return (folder / CONFIG).is_file()


def read_task(folder: Path) -> Task:
    """The task of a folder. Raises ConfigError."""
    check_links(folder)
    task_file = _task_file(folder / CONFIG)
    script = folder / SCRIPT
    if not script.is_file():
        raise ConfigError(f"has no {SCRIPT}: nothing would verify the task", where=str(folder))
    tests = folder / "tests"
    metadata = {name: value for name in TOLD if (value := getattr(task_file, name))}
    stage = Stage(
        name="",
        instruction=task_file.instruction,
        check=Check(
            sources=(*([tests] if tests.is_dir() else []), script),
            script=SCRIPT,
            timeout=task_file.max_test_timeout_sec,
            env={"TEST_DIR": "/tests"},
            by_exit_code=True,
        ),
        solution=_solution(folder),
        agent_timeout=task_file.max_agent_timeout_sec,
    )
    return Task(
        folder=folder,
        name=folder.name,
        metadata=metadata,
        place=_place(folder),
        stages=(stage,),
    )


def _task_file(path: Path) -> TaskFile:
    import yaml

    try:
        tree = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f"{path}:{mark.line + 1}" if mark is not None else str(path)
        raise ConfigError("is no valid YAML", where=at) from None
    try:
        return TaskFile.model_validate(tree)
    except ValidationError as error:
        mistake = next(iter(explain(error, (), TaskFile)))
        what = f"{format_path(mistake.path)}: {mistake.what}" if mistake.path else mistake.what
        raise ConfigError(what, where=str(path), hint=mistake.hint) from None


def _solution(folder: Path) -> Solution | None:
    script = folder / SOLVE
    return Solution(sources=(script,), script=SOLVE) if script.is_file() else None


def _place(folder: Path) -> Place:
    place = Place(image=None, context=folder, storage_mb=STORAGE_MB)
    if (compose := compose_file(folder)) is not None:
        place = reduced(compose, place)
    if place.image is None and (
        place.context is None or not (place.context / place.dockerfile).is_file()
    ):
        raise ConfigError(f"has no {place.dockerfile}: there is no environment", where=str(folder))
    return place
