"""Benchmarks by name: built in, from entry points, from a file, or ``module:attribute``.

Listing names imports nothing; a benchmark is imported when it is asked for.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from ..aliases import attributes
from ..errors import ConfigError
from ..plugins import installed
from .contract import Environment
from .define import DEFINED, Definition, defined
from .defined import DefinedEnvironment
from .subclass import REGISTERED, EvalEnvironment, construct
from .tables import is_table, table_benchmark
from .templates import Style

GROUP = "nemo_evaluator.benchmarks"
SCHEMES = {
    "lm-eval": "lm-eval://TASK, tasks of lm-evaluation-harness",
    "skills": "skills://NAME, benchmarks of NeMo Skills",
    "vlmevalkit": "vlmevalkit://DATASET, benchmarks of VLMEvalKit",
    "gym": "gym://HOST:PORT, environments of NeMo Gym",
    "harbor": "harbor://SUITE@VERSION, agents in containers",
    "container": "container://IMAGE#TASK, a harness in an image",
}
"""Schemes of the known system that this version does not have → what is planned."""
PLANNED = {
    "nmp_harbor": "agents in containers",
    "pinchbench": "agents in containers",
    "swebench": "agents in containers",
    "terminal-bench-hard": "agents in containers",
    "terminal-bench-hard-aa-split": "agents in containers",
    "terminal-bench-v1": "agents in containers",
}
"""Benchmarks of the known system that this version does not have → what they wait for."""
BUILT_IN = {
    "drop": "reading comprehension with arithmetic, 3-shot; official EM and F1",
    "gpqa": "graduate-level science, multiple choice (diamond)",
    "gsm8k": "grade-school mathematics, exact number",
    "healthbench": "medical conversations, graded by physicians' rubrics; needs a judge",
    "humaneval": "164 Python functions to complete; the official tests, in a sandbox",
    "math500": "competition mathematics, equality by mathematics",
    "mgsm": "grade-school mathematics in eleven languages",
    "mmlu": "57 subjects, multiple choice",
    "mmlu_pro": "harder MMLU with up to ten options",
    "sample": "120 mixed problems of our own, for trying things out",
    "simpleqa": "short factual questions: correct, incorrect or not attempted; needs a judge",
    "triviaqa": "trivia without context; official EM and F1 over aliases",
    "xstest": "refusals of safe and of unsafe prompts; needs a judge, or grader: string",
}
"""Name → one line; the module is ``nemo_evaluator.benchmarks.<name>``."""

Found = Definition | type[EvalEnvironment]


def list_benchmarks() -> list[tuple[str, str]]:
    """Name and one line about each."""
    return sorted([*benchmarks_from("builtin"), *benchmarks_from("installed")])


def benchmarks_from(source: str) -> list[tuple[str, str]]:
    """Benchmarks of one source: ``builtin``, or ``installed`` with another package."""
    if source == "builtin":
        return sorted(BUILT_IN.items())
    return sorted((entry.name, f"from {entry.value}") for entry in installed(GROUP))


def resolve(
    name: str,
    *,
    params: Mapping[str, Any],
    fewshot: int | None = None,
    template: str | None = None,
) -> list[Environment]:
    """The environments a name stands for (a file may define several). Raises ConfigError."""
    if is_table(name):
        return [open_found(table_benchmark(Path(name), params), {}, fewshot, template)]
    return [open_found(found, params, fewshot, template) for found in find(name)]


def find(name: str) -> list[Found]:
    """What a name stands for: definitions and classes. Raises ConfigError."""
    scheme, separator, _ = name.partition("://")
    if separator:
        if (plan := SCHEMES.get(scheme)) is not None:
            raise _not_yet(name, plan)
        raise ConfigError(
            f"unknown scheme {scheme}://", where=name, hint="`nel list benchmarks` shows all"
        )
    if match := re.fullmatch(r"(.+\.py)(?::(\w[\w.-]*))?", name):
        return benchmarks_of_file(Path(match[1]), match[2] or "")
    if name in BUILT_IN:
        return _in_module(import_module(f"nemo_evaluator.benchmarks.{name}"), name, name)
    for entry in installed(GROUP, name):
        return _as_found(_loaded(entry.load, name, entry.value), name)
    if (own := REGISTERED.get(name) or defined(name)) is not None:
        return [own]
    module, separator, attribute = name.partition(":")
    if separator and module and attribute:
        loaded = _loaded(lambda: getattr(import_module(module), attribute), name, name)
        return _as_found(loaded, name)
    if (plan := PLANNED.get(name.lower().replace("_", "-"), PLANNED.get(name.lower()))) is not None:
        raise _not_yet(name, plan)
    known = [row[0] for row in list_benchmarks()]
    close = get_close_matches(name.lower(), known, n=3, cutoff=0.6)
    suggestion = f"did you mean {' or '.join(close)}? " if close else ""
    raise ConfigError(
        f"unknown benchmark {name!r}",
        hint=f"{suggestion}`nel list benchmarks` shows all; "
        "a file is given as ./my_bench.py or ./rows.csv",
    )


def _not_yet(name: str, plan: str) -> ConfigError:
    return ConfigError("is not available in this version", where=name, hint=f"planned: {plan}")


def benchmarks_of_file(path: Path, attribute: str = "") -> list[Found]:
    """The benchmarks a file defines, or the one of a given name. Raises ConfigError."""
    if not path.is_file():
        raise ConfigError("there is no such file", where=str(path))
    module_name = f"nel_benchmark_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    DEFINED.pop(module_name, None)
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)  # a file beside it wins while it loads, ...
    try:
        _loaded(lambda: spec.loader.exec_module(module), path.name, str(path))
    finally:
        sys.path.remove(folder)
        if folder not in sys.path:
            sys.path.append(folder)  # ... and can be imported by a scorer later, shadowing nothing
    return _in_module(module, attribute, str(path))


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
    if isinstance(definition, Definition):
        return [definition]
    if isinstance(value, type) and issubclass(value, EvalEnvironment):
        return [value]
    raise ConfigError(f"is not a benchmark but a {type(value).__name__}", where=name)


def _loaded(load: Any, name: str, where: str) -> Any:
    try:
        return load()
    except ConfigError:
        raise
    except Exception as error:
        line = _line_in(error, where)
        raise ConfigError(
            f"the benchmark cannot be loaded: {type(error).__name__}: {error}",
            where=f"{where}:{line}" if line else where,
        ) from error


def _line_in(error: BaseException, path: str) -> int | None:
    if isinstance(error, SyntaxError):
        return error.lineno
    line, frame = None, error.__traceback__
    while frame is not None:
        if Path(frame.tb_frame.f_code.co_filename).name == Path(path).name:
            line = frame.tb_lineno
        frame = frame.tb_next
    return line


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
    return construct(found, params)


__getattr__ = attributes(__name__)
