"""What is put into an image of somebody's benchmark: files, packages, and names.

A benchmark in a file keeps its file, beside what it uses; a small module makes its names known to
`nel list` and to configurations, as those of an installed package are. A folder with a
``pyproject.toml`` is installed as it is, and names its benchmarks itself.
"""

from __future__ import annotations

import dataclasses
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..environments.define import Definition
from ..environments.judged import REQUIREMENT
from ..environments.registry import Found, benchmarks_of_file
from ..environments.tables import is_table
from ..errors import ConfigError
from ..executors.images.wheel import INFO, PACKAGE, pack_wheel
from ..files.reading import first_line
from ..kinds import BENCHMARKS

HOME = "/opt/benchmarks"
"""Where benchmarks are in an image, a folder for each."""
_MODULE = '''\
"""Benchmarks of the files in {folder}, under their names."""

from pathlib import Path

from nemo_evaluator.environments.registry import benchmarks_of_file

_found = {{
    (file, one.name): one
    for file in {files!r}
    for one in benchmarks_of_file(Path({folder!r}, file))
}}
'''


@dataclass(frozen=True, slots=True)
class Packaged:
    """A benchmark, or several, that an image is made of."""

    name: str
    """Of the folder in the image."""
    root: Path
    files: tuple[Path, ...]
    """Below ``root``."""
    benchmarks: tuple[str, ...]
    """Names to run them by; for a table its path in the image."""
    sources: tuple[tuple[str, str], ...] = ()
    """File and name of each benchmark that a file defines."""
    requirements: tuple[str, ...] = ()
    is_project: bool = False
    """It is installed by pip."""

    @property
    def folder(self) -> str:
        """Where the benchmark is in the image."""
        return f"{HOME}/{self.name}"

    @property
    def module(self) -> str:
        """The module that knows the benchmarks of files."""
        return f"nel_packaged_{re.sub(r'[^a-z0-9]', '_', self.name.lower())}"

    def write_module(self, folder: Path) -> None:
        """Write the wheel that makes the benchmarks of files known."""
        text = _MODULE.format(folder=self.folder, files=sorted({file for file, _ in self.sources}))
        entries = [f"[{BENCHMARKS.group}]"]
        for number, source in enumerate(self.sources):
            text += f"benchmark_{number} = _found[{source!r}]\n"
            entries.append(f"{source[1]} = {self.module}:benchmark_{number}")
        files = {
            f"{self.module}.py": text,
            f"{INFO}/METADATA": f"Metadata-Version: 2.1\nName: {self.module}\nVersion: 1\n",
            f"{INFO}/entry_points.txt": "\n".join([*entries, ""]),
        }
        pack_wheel(
            folder, self.module, "1", [(name, data.encode()) for name, data in files.items()]
        )


def packaged(path: Path) -> Packaged:
    """What belongs to the benchmark at a path: a Python file, a table, a folder of such, or a
    project. Imports the files. Raises ConfigError."""
    if path.is_dir():
        return _folder(path.resolve())
    if not path.is_file():
        hint = "name a file or a folder with a benchmark"
        raise ConfigError("there is nothing", where=str(path), hint=hint)
    path = path.resolve()
    if is_table(str(path)):
        name = _name(path.stem)
        return Packaged(name, path.parent, (path,), (f"{HOME}/{name}/{path.name}",))
    if path.suffix != ".py":
        hint = "a benchmark is a Python file, a table or a folder"
        raise ConfigError("is no benchmark", where=str(path), hint=hint)
    found = benchmarks_of_file(path)
    used = [path, *_imported(path.parent), *_referenced_files(found, path.parent)]
    files = tuple(sorted({file for file in used if file.is_relative_to(path.parent)}))
    return _of_files(path.stem, path.parent, files, {path.name: found})


def _folder(folder: Path) -> Packaged:
    files = tuple(sorted(_files_below(folder)))
    if (names := _names_of_project(folder / "pyproject.toml")) is not None:
        return Packaged(_name(folder.name), folder, files, names, is_project=True)
    found = {}
    for path in sorted(folder.glob("*.py")):
        if "nemo_evaluator" in path.read_text(errors="replace"):
            found[path.name] = benchmarks_of_file(path)
    tables = [path for path in files if path.parent == folder and is_table(str(path))]
    if not found and not tables:
        hint = "it needs a Python file that defines one, a table, or a pyproject.toml"
        raise ConfigError("holds no benchmark", where=str(folder), hint=hint)
    made = _of_files(folder.name, folder, files, found)
    rows = (f"{made.folder}/{path.name}" for path in tables if not found)
    return dataclasses.replace(made, benchmarks=(*made.benchmarks, *rows))


def _names_of_project(file: Path) -> tuple[str, ...] | None:
    """The benchmarks that a project says it brings; None where it is none to install."""
    if not file.is_file():
        return None
    try:
        project = tomllib.loads(file.read_text()).get("project")
        if project is None:
            return None
        return tuple(project.get("entry-points", {}).get(BENCHMARKS.group, {}))
    except (ValueError, AttributeError, TypeError) as error:
        raise ConfigError(f"cannot be read: {first_line(error)}", where=str(file)) from None


def _of_files(
    name: str, root: Path, files: tuple[Path, ...], found: dict[str, list[Found]]
) -> Packaged:
    sources = tuple((file, one.name) for file, ones in found.items() for one in ones)
    names = [benchmark for _, benchmark in sources]
    for benchmark in names:
        if names.count(benchmark) > 1:
            raise ConfigError(f"two files define {benchmark!r}", where=str(root))
        if benchmark in BENCHMARKS.built_in:
            hint = "give it another name"
            raise ConfigError(f"{benchmark!r} is built in", where=str(root), hint=hint)
    return Packaged(_name(name), root, files, tuple(names), sources, tuple(_required(found)))


def _required(found: dict[str, list[Found]]) -> Iterator[str]:
    for ones in found.values():
        for one in ones:
            texts = getattr(one, "requirements", ())
            texts = [texts] if isinstance(texts, str) else texts
            yield from (text for text in texts if text != REQUIREMENT)


def _imported(folder: Path) -> Iterator[Path]:
    """Modules beside a file that was just imported."""
    for module in list(sys.modules.values()):
        path = Path(getattr(module, "__file__", None) or "/")
        installed = path.is_relative_to(PACKAGE) or "site-packages" in path.parts
        if path.is_relative_to(folder) and not installed:
            yield path


def _referenced_files(found: Iterable[Found], folder: Path) -> Iterator[Path]:
    """Files beside a benchmark that its definition names: rows, a prompt."""
    for one in found:
        if not isinstance(one, Definition):
            continue
        for field in dataclasses.fields(one):
            value = getattr(one, field.name)
            if isinstance(value, str) and 0 < len(value) < 4096 and "\n" not in value:
                path = (folder / value).resolve()
                if "\0" not in value and path.is_file():
                    yield path


def _files_below(folder: Path) -> Iterator[Path]:
    """The files of a folder; hidden ones and what Python makes are left out."""
    for child in folder.iterdir():
        if child.name.startswith(".") or child.name == "__pycache__" or child.is_symlink():
            continue
        if child.is_dir():
            yield from _files_below(child)
        elif child.is_file():
            yield child


def _name(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "benchmark"
