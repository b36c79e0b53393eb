"""How a plug-in is found, loaded and opened: built in, of an installed package, or named by path.

A `Kind` is a table of built-in names, the entry-point group ``nemo_evaluator.<plural>`` of
installed packages, and, where users may name their own, ``module:Class`` and ``file.py:Class``.
Listing imports no plug-in. What is loaded is an ``object`` until the package that owns the contract
has checked it. ``kinds`` has every kind. The standard library's reader of package metadata takes
30 ms to import, so it is imported when a name is none of ours.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, reduce
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, cast

from .errors import ConfigError, suggest
from .types import Json

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from pydantic import BaseModel

    Options = type[BaseModel]

FEW = 20
"""Names that an error lists; of more it says how to list them."""


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """What of one sort can be named in a configuration."""

    name: str
    """What one is called in messages: ``solver``."""
    plural: str
    """The word of ``nel list``, and of the entry-point group."""
    about: str
    """What one is, in a line."""
    built_in: Mapping[str, tuple[str, str]]
    """Name → ``module:attribute`` below this package, and one line about it."""
    by_path: str = "module:Class"
    """How users name their own; empty: only installed packages bring further ones."""

    @property
    def group(self) -> str:
        """The entry-point group of installed packages."""
        return f"nemo_evaluator.{self.plural}"

    def listed(self) -> list[tuple[str, str]]:
        """Name and one line about each, without importing any."""
        rows = [(name, about) for name, (_, about) in self.built_in.items()]
        return rows + [(entry.name, f"from {entry.value}") for entry in self.offered()]

    def names(self) -> list[str]:
        """Every name that can be loaded."""
        return [name for name, _ in self.listed()]

    def offered(self) -> list[EntryPoint]:
        """What installed packages bring, by name; a built-in one is never replaced."""
        found = {(e.name, e.value): e for e in installed(self.group) if e.name not in self.built_in}
        return [found[key] for key in sorted(found)]

    def offers(self, name: str) -> bool:
        """Whether a name is built in, or of an installed package. Imports none."""
        return name in self.built_in or self._entry(name) is not None

    def has(self, name: str) -> bool:
        """Whether a name is offered, or is the path of one's own. Imports none."""
        return self._is_path(name) or self.offers(name)

    def load(self, name: str) -> object:
        """The class or function of a name. Raises ConfigError, which names the plug-in."""
        if name in self.built_in:
            with self._loading(name):
                return object_at(f"{__package__}.{self.built_in[name][0]}")
        if (entry := self._entry(name)) is not None:
            with self._loading(name, entry.value):
                loaded: object = entry.load()
                return loaded
        if self._is_path(name):
            with self._loading(name):
                return object_at(name)
        raise self.unknown(name)

    def options(self, name: str) -> Options | None:
        """The record that its options are validated by; None: it takes what its arguments are.
        Raises ConfigError."""
        return self._record_of(name, self.load(name))

    def open(self, name: str, config: Mapping[str, Json] | BaseModel) -> object:
        """Call the plug-in with its options: a validated record as it is, a mapping by way of the
        plug-in's ``Options`` or, if it has none, as keyword arguments. Raises ConfigError."""
        plugin = self.load(name)
        if not callable(plugin):
            raise self.wrong(name, "it is no class and no function")
        with self.foreign(name):
            if not isinstance(config, Mapping):
                return plugin(config)
            record = self._record_of(name, plugin)
            return plugin(**config) if record is None else plugin(record.model_validate(config))

    def instance(self, name: str) -> object:
        """The plug-in where its options are not its own affair: an object as it is, a class called
        without arguments. Raises ConfigError."""
        plugin = self.load(name)
        with self.foreign(name):
            return plugin() if isinstance(plugin, type) else plugin

    @contextmanager
    def foreign(self, name: str) -> Iterator[None]:
        """Around code of a plug-in: what it raises becomes a ConfigError that names the plug-in."""
        try:
            yield
        except ConfigError:
            raise
        except (Exception, SystemExit) as error:
            file = name.rpartition(":")[0]
            at = f" ({file}:{line})" if (line := _line_in(error, file)) else ""
            raise ConfigError(f"{_error_line(error)}{at}", where=self.where(name)) from error

    def where(self, name: str) -> str:
        """The plug-in as errors name it."""
        return f"{self.name} {name!r}"

    def wrong(self, name: str, needs: str) -> ConfigError:
        """The error for what does not fulfil the contract."""
        article = "an" if self.name[0] in "aeiou" else "a"
        return ConfigError(f"is not {article} {self.name}", where=self.where(name), hint=needs)

    def unknown(self, name: str) -> ConfigError:
        """The error for a name that stands for nothing."""
        return ConfigError(f"there is no {self.name} {name!r}", hint=self.hint(name))

    def hint(self, name: str) -> str:
        """Which name was meant, and how one's own is named."""
        known = self.names()
        text = suggest(name, known)
        if len(known) > FEW and text.startswith("known:"):
            text = f"`nel list {self.plural}` shows all"
        return f"{text}; your own is named {self.by_path}" if self.by_path else text

    def _record_of(self, name: str, plugin: object) -> Options | None:
        record = getattr(plugin, "Options", None)
        if record is None or callable(getattr(record, "model_validate", None)):
            return cast("Options | None", record)
        raise ConfigError(
            "its Options are no pydantic model",
            where=self.where(name),
            hint="class Options(nemo_evaluator.config.base.ConfigRecord)",
        )

    def _is_path(self, name: str) -> bool:
        module, colon, attribute = name.rpartition(":")
        return bool(self.by_path and colon and module and attribute) and "//" not in name

    def _entry(self, name: str) -> EntryPoint | None:
        found = {entry.value: entry for entry in installed(self.group, name)}
        if len(found) > 1:
            raise ConfigError(
                f"several installed packages offer it: {', '.join(sorted(found))}",
                where=self.where(name),
                hint="uninstall all but one",
            )
        return next(iter(found.values()), None)

    @contextmanager
    def _loading(self, name: str, value: str = "") -> Iterator[None]:
        where = f"{self.where(name)} ({value})" if value else self.where(name)
        with loading(where, value or name):
            yield


def installed(group: str, name: str | None = None) -> list[EntryPoint]:
    """Entry points of a group, or those of one name in it."""
    from importlib.metadata import entry_points

    return list(entry_points(group=group) if name is None else entry_points(group=group, name=name))


def object_at(path: str) -> object:
    """What stands at ``module:attribute`` or ``file.py:attribute``. Raises ConfigError for a file
    that is not there or has no such attribute, and whatever importing raises."""
    module, _, attribute = path.rpartition(":")
    if module.endswith(".py"):
        file = Path(module).resolve()
        if not file.is_file():
            raise ConfigError(f"there is no file {module}", hint="paths start where nel is started")
        state = file.stat()
        found: object = _module_as_of(file, state.st_mtime_ns, state.st_size)
    else:
        found = import_module(module)
    try:
        return reduce(getattr, attribute.split("."), found)
    except AttributeError:
        offered = [
            name
            for name, value in vars(found).items()
            if getattr(value, "__module__", None) == getattr(found, "__name__", "")
        ]
        hint = suggest(attribute, offered) if offered else None
        raise ConfigError(f"{module} has no {attribute!r}", hint=hint) from None


def module_of_file(path: Path) -> ModuleType:
    """Run a Python file as a module of its own; a folder's other files can be imported by it."""
    name = module_name(path)
    spec = spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)  # a file beside it wins while it loads, ...
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(folder)
        if folder not in sys.path:
            sys.path.append(folder)  # ... and can be imported later, shadowing nothing
    return module


def module_name(path: Path) -> str:
    """The name a file is a module under."""
    return f"nel_file_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"


@contextmanager
def loading(where: str, path: str = "") -> Iterator[None]:
    """Around importing a plug-in: what goes wrong is one ConfigError, with the line of the file."""
    try:
        yield
    except ConfigError as error:
        if error.where is not None:
            raise
        raise ConfigError(error.what, where=where, hint=error.hint) from None
    except (Exception, SystemExit) as error:  # foreign code
        file = path.rpartition(":")[0] if path.rpartition(":")[0].endswith(".py") else path
        if line := _line_in(error, file):
            where = f"{file}:{line}"
        hint = _way_to(error, path) if isinstance(error, ModuleNotFoundError) else None
        raise ConfigError(
            f"cannot be loaded: {_error_line(error)}", where=where, hint=hint
        ) from error


def _way_to(error: ModuleNotFoundError, path: str) -> str:
    """How a module that was not found may be named."""
    module, _, attribute = path.rpartition(":")
    file = Path(f"{module.replace('.', '/')}.py")
    if error.name == module.partition(".")[0] and file.is_file():
        return f"name it by its file: {file}:{attribute}"
    return "the module must be importable from here"


@cache
def _module_as_of(path: Path, _modified: int, _size: int) -> ModuleType:
    """A file's module, made again when the file has changed."""
    return module_of_file(path)


def _line_in(error: BaseException, path: str) -> int | None:
    """The line of a Python file at which something went wrong."""
    if not path.endswith(".py"):
        return None
    if isinstance(error, SyntaxError):
        return error.lineno
    line, frame = None, error.__traceback__
    while frame is not None:
        if Path(frame.tb_frame.f_code.co_filename).name == Path(path).name:
            line = frame.tb_lineno
        frame = frame.tb_next
    return line


def _error_line(error: BaseException) -> str:
    """The error in one line; of pydantic's, what is wrong with which option."""
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        found = error.errors(include_url=False, include_input=False)
        return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in found)
    return f"{type(error).__name__}: {error}"
