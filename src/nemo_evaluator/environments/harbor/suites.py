"""Where the tasks of ``harbor://...`` are on this machine: a folder of tasks, one task, a list of
task folders, or a suite by name and version that was downloaded before.

Nothing is downloaded here: an error says how that is done.
"""

from __future__ import annotations

import fnmatch
import logging
import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

import msgspec

from ...errors import ConfigError, suggest
from ...files.reading import read_json
from ...task_folders.files import read_text
from ...task_folders.folder import is_task

FOLDERS = ("NEL_HARBOR_DIR", "HARBOR_DATASETS_DIR")
"""Variables that name the folder with downloaded suites."""
DEFAULT = "harbor_datasets"
LISTS = (".txt", ".jsonl", ".json")
PARTS = (
    "task.toml", "task.yaml", "instruction.md", "environment", "tests", "solution", "run-tests.sh",
)  # fmt: skip
"""What a task folder has some of."""
_SUITE = re.compile(r"(?:[\w.-]+/)?[\w.-]+(?:@[\w.-]+)?")


log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Source:
    """What a URI names."""

    name: str
    """Of the benchmark."""
    folders: tuple[Path, ...]
    """Of its tasks, by name."""


def parse(uri: str) -> tuple[str, dict[str, str]]:
    """The place and the options of a URI. Raises ConfigError."""
    place, _, query = uri.partition("://")[2].partition("?")
    found = {}
    for key, values in parse_qs(query, keep_blank_values=True).items():
        if key not in ("tasks", "exclude"):
            hint = suggest(key, ("tasks", "exclude"))
            raise ConfigError(
                f"unknown option {key!r} of a harbor:// benchmark", where=uri, hint=hint
            )
        found[key] = ",".join(values)
    return unquote(place), found


def find(place: str, registry: str | None, where: str) -> Source:
    """The tasks of a place. Raises ConfigError."""
    path = Path(place).expanduser()
    if registry is None and (path.is_absolute() or place.startswith((".", "~")) or path.exists()):
        return at_path(path, where)
    if not _SUITE.fullmatch(place):
        raise ConfigError(
            "names neither a folder nor a suite",
            where=where,
            hint="harbor:///path/to/tasks, or harbor://SUITE@VERSION",
        )
    suite, _, version = place.partition("@")
    if registry is not None:
        return Source(f"harbor://{place}", _registered(Path(registry), suite, version))
    return Source(f"harbor://{place}", _downloaded(suite, version, where))


def at_path(path: Path, where: str) -> Source:
    """The tasks of a folder, of a list of folders, or the one that a folder is."""
    if path.suffix in LISTS and path.is_file():
        return Source(path.stem, _ordered(_listed_folders(path), str(path)))
    if not path.is_dir():
        raise ConfigError(
            "there is no such folder", where=where if str(path) in where else str(path)
        )
    path = path.resolve()
    if is_task(path):
        return Source(path.name, (path,))
    return Source(path.name, tasks_below(path))


def tasks_below(folder: Path) -> tuple[Path, ...]:
    """The task folders in a folder. Raises ConfigError where there is none, and for one that is
    none: a task must not be left out by mistake."""
    if (folder / "tasks").is_dir() and not any(map(is_task, _folders(folder))):
        folder = folder / "tasks"
    found = list(_folders(folder))
    if not found:
        raise ConfigError(
            "holds no task folders",
            where=str(folder),
            hint="a task is a folder with task.toml, instruction.md, environment/ and tests/",
        )
    return _ordered(found, str(folder))


def chosen(
    folders: Collection[Path], wanted: Collection[str], unwanted: Collection[str], where: str
) -> tuple[Path, ...]:
    """The folders that are asked for by name. Raises ConfigError for a name that fits none."""
    names = [folder.name for folder in folders]
    for pattern in (*wanted, *unwanted):
        if not any(fnmatch.fnmatchcase(name, pattern) for name in names):
            raise ConfigError(
                f"there is no task {pattern!r}", where=where, hint=suggest(pattern, names)
            )
    left = [
        folder
        for folder in folders
        if not wanted or any(fnmatch.fnmatchcase(folder.name, one) for one in wanted)
        if not any(fnmatch.fnmatchcase(folder.name, one) for one in unwanted)
    ]
    if not left:
        raise ConfigError("no task is left by `tasks` and `exclude`", where=where)
    return tuple(left)


def suite_folders() -> list[Path]:
    """Folders that may hold downloaded suites, the first one first."""
    folders = [Path(value).expanduser() for name in FOLDERS if (value := os.environ.get(name))]
    cache = Path.home() / ".cache" / "harbor"
    return [*folders, Path(DEFAULT), cache / "datasets", cache / "tasks"]


def _downloaded(suite: str, version: str, where: str) -> tuple[Path, ...]:
    short = suite.rpartition("/")[2]
    names = [*([f"{suite}@{version}", f"{suite}/{version}"] if version else []), suite]
    names += [name.replace(suite, short, 1) for name in names if short != suite]
    for folder in suite_folders():
        for name in names:
            if (folder / name).is_dir() and any(folder.joinpath(name).iterdir()):
                return tasks_below((folder / name).resolve())
    searched = ", ".join(str(folder) for folder in suite_folders())
    asked = f"{suite}@{version}" if version else suite
    raise ConfigError(
        f"the tasks of {asked} are not on this machine (looked in {searched})",
        where=where,
        hint=f"`harbor dataset download {asked} -o DIR` (package harbor, Python 3.12) and "
        "NEL_HARBOR_DIR=DIR, or name the folder: harbor:///path/to/tasks",
    )


class _Entry(msgspec.Struct):
    """A task of a registry."""

    path: str
    name: str | None = None
    git_url: str | None = None


class _Dataset(msgspec.Struct):
    """A suite of a registry."""

    name: str
    version: str
    tasks: list[_Entry]


def _registered(path: Path, suite: str, version: str) -> tuple[Path, ...]:
    """The tasks that a registry of harbor lists for a suite, in the folder (a clone, say) that the
    registry is in."""
    file = path / "registry.json" if path.is_dir() else path
    if not file.is_file():
        raise ConfigError("there is no such registry", where=str(file))
    datasets = read_json(file, list[_Dataset])
    named = [one for one in datasets if one.name == suite]
    found = [one for one in named if not version or one.version == version]
    if not found:
        known = [f"{one.name}@{one.version}" for one in (named or datasets)]
        asked = f"{suite}@{version}" if version else suite
        raise ConfigError(f"has no suite {asked}", where=str(file), hint=suggest(asked, known))
    folders = [(file.parent / entry.path).resolve() for entry in found[-1].tasks]
    for folder, entry in zip(folders, found[-1].tasks, strict=True):
        if not folder.is_dir():
            source = f" (of {entry.git_url})" if entry.git_url else ""
            raise ConfigError(
                f"the task {entry.path}{source} is not there",
                where=str(file),
                hint="point `registry` to the registry.json of a clone that has the tasks",
            )
    return _ordered(folders, str(file))


def _listed_folders(path: Path) -> Iterator[Path]:
    """The folders that a file lists: one a line, or as ``path`` of JSON objects."""
    for number, line in enumerate(_entries(path), 1):
        named_folder: Any = (
            line.get("path", line.get("task_dir")) if isinstance(line, Mapping) else line
        )
        if not isinstance(named_folder, str) or not named_folder:
            raise ConfigError("names no task folder", where=f"{path}:{number}")
        folder = path.parent / Path(named_folder).expanduser()
        if not folder.is_dir():
            raise ConfigError(f"there is no folder {named_folder}", where=f"{path}:{number}")
        yield folder.resolve()


def _entries(path: Path) -> list[Any]:
    text = read_text(path)
    try:
        if path.suffix == ".json":
            found = msgspec.json.decode(text)
            return found if isinstance(found, list) else [found]
        lines = [line.strip() for line in text.splitlines()]
        kept = [line for line in lines if line and not line.startswith("#")]
        return [msgspec.json.decode(line) if path.suffix == ".jsonl" else line for line in kept]
    except msgspec.DecodeError as error:
        raise ConfigError(f"is no valid JSON: {error}", where=str(path)) from None


def _folders(folder: Path) -> Iterator[Path]:
    """The folders in a folder that are tasks, or would be but for what is missing."""
    for path in folder.iterdir():
        if not path.is_dir() or path.name.startswith((".", "_")):
            continue
        if any((path / part).exists() for part in PARTS):
            yield path
        else:
            log.warning("%s is no task folder, and is left out", path)


def _ordered(folders: Iterator[Path] | list[Path], where: str) -> tuple[Path, ...]:
    """By name, which must be unique: results are told apart by it."""
    found = sorted(folders, key=lambda folder: folder.name)
    for one, other in pairwise(found):
        if one.name == other.name:
            raise ConfigError(
                f"two tasks are called {one.name!r}: {one} and {other}",
                where=where,
                hint="rename one of the folders",
            )
    return tuple(found)
