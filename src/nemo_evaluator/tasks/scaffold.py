"""Writes what a user begins with: a configuration, or a package with a benchmark."""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from string import Template

import yaml

from ..config.base import NO_VARIABLE, VARIABLE
from ..config.environment import environment
from ..config.load import load
from ..errors import ConfigError
from ..files.writing import make_folder, replace_file
from ..kinds import BENCHMARKS
from ..version import __version__

TEMPLATES = Path(__file__).parent / "new_benchmark"
NAME = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")
HEAD = "# yaml-language-server: $schema=nel-schema.json (nel config schema > nel-schema.json)\n"


@dataclass(frozen=True, slots=True)
class Answers:
    """What is asked for a first configuration."""

    model_url: str
    model_id: str | None
    api_key_env: str | None
    benches: Sequence[str]
    max_problems: int | None
    output_dir: str


def write_config(path: Path, answers: Answers) -> Path:
    """Write a configuration that can be run. Raises ConfigError; a file that is there stays."""
    if path.exists():
        raise ConfigError("is there already", where=str(path), hint="name another file")
    check_variable(answers.api_key_env)
    for name in answers.benches:
        if not ("://" in name or Path(name).exists() or BENCHMARKS.has(name)):
            raise BENCHMARKS.unknown(name)
    simulated = answers.model_url == "simulated"
    service: dict[str, object] = {"type": "simulated"} if simulated else _service(answers)
    bench = {"max_problems": answers.max_problems} if answers.max_problems else {}
    document = {
        "services": {"model": service},
        "benchmarks": [{"name": name, **bench} for name in answers.benches],
        "output": {"dir": answers.output_dir, "report": ["markdown", "html"]},
    }
    _save(path, HEAD + yaml.safe_dump(document, sort_keys=False))
    unset = {answers.api_key_env: "not set yet"} if answers.api_key_env else {}
    try:
        load(path, env={**unset, **environment([Path.cwd()])})
    except ConfigError:
        path.unlink()
        raise
    return path


def check_variable(name: str | None) -> None:
    """Raise ConfigError for what is no name of a variable; perhaps it is the key, so the message
    does not show it."""
    if name is not None and re.fullmatch(VARIABLE, name) is None:
        hint = "export NAME=... holds the key, and no file does"
        raise ConfigError(NO_VARIABLE, where="--api-key-env", hint=hint)


def _service(answers: Answers) -> dict[str, object]:
    from ..config.endpoints import url_protocol

    fields: dict[str, object] = {
        "type": "api",
        "url": answers.model_url,
        "protocol": url_protocol(answers.model_url) or "chat_completions",
    }
    if answers.model_id:
        fields["model"] = answers.model_id
    if answers.api_key_env:
        fields["api_key"] = f"${{{answers.api_key_env}}}"
    return fields


def write_benchmark(name: str, folder: Path) -> list[Path]:
    """Write an installable package with a benchmark, its data and its tests. The files. Raises
    ConfigError for a name that is none, and where the folder holds something."""
    if not NAME.fullmatch(name):
        hint = "small letters, digits, - and _, e.g. capital-cities"
        raise ConfigError(f"{name!r} is no name of a package", hint=hint)
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError("is not empty", where=str(folder), hint="name another folder (-o)")
    module = name.replace("-", "_")
    if (taken := _taken(module)) is not None:
        raise ConfigError(f"{name!r} is the name of {taken}", hint="choose another name")
    variables = {"name": name, "module": module, "version": __version__}
    written = []
    for source in sorted(TEMPLATES.rglob("*.txt")):
        place = source.relative_to(TEMPLATES).with_suffix("")
        path = folder / str(place).replace("MODULE", module)
        _save(path, Template(source.read_text(encoding="utf-8")).substitute(variables))
        written.append(path)
    return written


def _taken(module: str) -> str | None:
    """What has the name already: the package could not be imported, or its benchmark not found."""
    if module in BENCHMARKS.built_in:
        return "a built-in benchmark"
    if module in sys.stdlib_module_names or keyword.iskeyword(module):
        return "a part of Python"
    installed = find_spec(module)
    if installed is not None and installed.origin is not None:  # a mere folder has none
        return f"an installed package ({installed.origin})"
    return None


def _save(path: Path, text: str) -> None:
    try:
        make_folder(path.parent)
        replace_file(path, text.encode())
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", where=str(path)) from None
