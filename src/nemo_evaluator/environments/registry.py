"""Benchmarks by name: built in, from entry points, from a file, or ``module:attribute``.

Listing names imports nothing; a benchmark is imported when it is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from ..aliases import attributes
from ..errors import ConfigError
from ..kinds import BENCHMARKS, SCHEMES
from ..plugins import loading, module_name, module_of_file
from .contract import Environment
from .define import DEFINED, Definition, defined
from .defined import DefinedEnvironment
from .harbor.registered import TaskSuite
from .harness import Harness
from .harness_environment import HarnessEnvironment
from .params import check_params
from .subclass import REGISTERED, EvalEnvironment, construct
from .tables import is_table, table_benchmark
from .templates import Style

PLANNED = {
    "swebench": "agents in containers",
}
"""Benchmarks of NVIDIA NeMo Evaluator that this version does not have → what they wait for."""
NEEDS_OF_A_SCHEME = "it needs to be a function of (uri, params) that gives a list of benchmarks"
_FILE = r"(.+\.py)(?::(\w[\w.-]*))?"
"""A file with benchmarks, and perhaps the name of one of them."""
Found = Definition | type[EvalEnvironment] | type[Environment] | TaskSuite


def list_benchmarks() -> list[tuple[str, str]]:
    """Name and one line about each."""
    return sorted(BENCHMARKS.listed())


def benchmarks_from(source: str) -> list[tuple[str, str]]:
    """Benchmarks of one source: ``builtin``, or ``installed`` with another package."""
    ours = source == "builtin"
    return [row for row in list_benchmarks() if (row[0] in BENCHMARKS.built_in) is ours]


def resolve(
    name: str,
    *,
    params: Mapping[str, Any],
    fewshot: int | None = None,
    template: str | None = None,
) -> list[Environment]:
    """The environments a name stands for (a file may define several). Raises ConfigError."""
    if "://" in name:
        return _of_a_scheme(name, params, fewshot, template)
    if is_table(name):
        return [open_found(table_benchmark(Path(name), params), {}, fewshot, template)]
    return [open_found(found, params, fewshot, template) for found in find(name)]


def missing(name: str) -> ConfigError | None:
    """Why a name stands for no benchmark, as far as that is known without loading any code."""
    file = re.fullmatch(_FILE, name)
    try:
        if "://" in name:
            _checked_scheme(name)
        elif file is not None or is_table(name):
            _is_file(Path(file[1] if file is not None else name))
        elif not (REGISTERED.get(name) or defined(name) or BENCHMARKS.has(name)):
            raise BENCHMARKS.unknown(name)
    except ConfigError as error:
        return error
    return None


def find(name: str) -> list[Found]:
    """What a name stands for: definitions and classes. Raises ConfigError; also for a URI, of whose
    scheme ``resolve`` asks."""
    if "://" in name:
        scheme = _checked_scheme(name)
        hint = "run it by name, with nel eval run or nemo_evaluator.evaluate"
        raise ConfigError(f"{scheme}:// benchmarks are no objects", where=name, hint=hint)
    if match := re.fullmatch(_FILE, name):
        return benchmarks_of_file(Path(match[1]), match[2] or "")
    own = REGISTERED.get(name) or defined(name)
    if own is not None and not BENCHMARKS.offers(name):
        return [own]
    if BENCHMARKS.has(name):
        return _as_found(BENCHMARKS.load(name), name)
    if (plan := PLANNED.get(name.lower().replace("_", "-"), PLANNED.get(name.lower()))) is not None:
        raise _not_yet(name, plan)
    raise BENCHMARKS.unknown(name)


def _of_a_scheme(
    uri: str, params: Mapping[str, Any], fewshot: int | None, template: str | None
) -> list[Environment]:
    """The environments that a scheme has for ``scheme://...``. Raises ConfigError."""
    scheme = _checked_scheme(uri)
    opens = SCHEMES.load(scheme)
    if not callable(opens):
        raise SCHEMES.wrong(scheme, NEEDS_OF_A_SCHEME)
    with SCHEMES.foreign(scheme):
        found = list(opens(uri, params))
        if not found:
            raise ConfigError("holds no benchmark", where=uri)
        return [_environment_of(one, uri, fewshot, template) for one in found]


def _environment_of(
    found: object, uri: str, fewshot: int | None, template: str | None
) -> Environment:
    if isinstance(found, Harness):
        found = HarnessEnvironment(found)
    if isinstance(found, Environment):
        for field, value in (("fewshot", fewshot), ("template", template)):
            if value is not None:
                raise ConfigError(f"{field} has no effect on this benchmark", where=uri)
        return found
    [one] = _as_found(found, uri)
    return open_found(one, {}, fewshot, template)


def _checked_scheme(uri: str) -> str:
    """The scheme of a URI. Raises ConfigError for one that nothing brings."""
    scheme = uri.partition("://")[0]
    if SCHEMES.has(scheme):
        return scheme
    raise ConfigError(f"unknown scheme {scheme}://", where=uri, hint=SCHEMES.hint(scheme))


def _not_yet(name: str, plan: str) -> ConfigError:
    return ConfigError("is not available in this version", where=name, hint=f"planned: {plan}")


def benchmarks_of_file(path: Path, attribute: str = "") -> list[Found]:
    """The benchmarks a file defines, or the one of a given name. Raises ConfigError."""
    _is_file(path)
    DEFINED.pop(module_name(path), None)
    with loading(path.name, str(path)):
        module = module_of_file(path)
    return _in_module(module, attribute, str(path))


def _is_file(path: Path) -> None:
    if not path.is_file():
        raise ConfigError("there is no such file", where=str(path))


def _in_module(module: ModuleType, wanted: str, where: str) -> list[Found]:
    """All benchmarks a module defines (not those it imports), or the one of a given name."""
    found: dict[str, Found] = {}
    classes = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and value.__module__ == module.__name__
        if "__nel_registered__" in vars(value)
    ]
    for definition in DEFINED.get(module.__name__, ()):
        _add(found, definition.name, definition, where)
    for cls in dict.fromkeys(classes):
        _add(found, vars(cls)["__nel_registered__"], cls, where)
    if wanted:
        if wanted not in found:
            raise ConfigError(
                f"defines no benchmark {wanted!r}",
                where=where,
                hint=f"it defines {', '.join(found) or 'none'}",
            )
        return [found[wanted]]
    if not found:
        raise ConfigError(
            "defines no benchmark", where=where, hint="decorate a scorer with @benchmark(...)"
        )
    return list(found.values())


def _add(found: dict[str, Found], name: str, value: Found, where: str) -> None:
    if name in found:
        raise ConfigError(f"defines two benchmarks called {name!r}", where=where)
    found[name] = value


def _as_found(value: Any, name: str) -> list[Found]:
    definition = getattr(value, "__nel_benchmark__", value)
    if isinstance(definition, Definition | TaskSuite):
        return [definition]
    if isinstance(value, type) and {EvalEnvironment, Environment} & set(value.__mro__):
        return [value]
    raise ConfigError(f"is not a benchmark but a {type(value).__name__}", where=name)


def open_found(
    found: Found, params: Mapping[str, Any], fewshot: int | None, template: str | None = None
) -> Environment:
    """The environment of a definition or class. Raises ConfigError."""
    if isinstance(found, Definition):
        definition = found.with_params(params)
        if fewshot is not None:
            definition = replace(definition, num_fewshot=fewshot)
        if template is not None:
            definition = replace(definition, template=Style(template))
        return DefinedEnvironment(definition)
    for name, value in (("fewshot", fewshot), ("template", template)):
        if value is not None:
            raise ConfigError(f"{name} has no effect on this benchmark", where=found.name)
    if isinstance(found, TaskSuite):
        return found.open(params)
    if issubclass(found, EvalEnvironment):
        return construct(found, params)
    check_params(found, params, where=found.name)
    return found(**params)


__getattr__ = attributes(__name__)
