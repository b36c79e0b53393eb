"""A ``docker-compose.yaml`` of a task that says no more than one container: it is read as a place.

What needs more (a second service, volumes, privileges, a command that matters) is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from .files import read_text
from .records import Place

NAMES = ("docker-compose.yaml", "docker-compose.yml")
USED = {"build", "image", "environment", "working_dir"}
WITHOUT_EFFECT = {
    "container_name", "hostname", "stdin_open", "tty", "init", "restart", "expose", "pull_policy",
    "stop_grace_period", "labels", "platform", "ports", "deploy",
}  # fmt: skip
"""What makes no difference to a container that is alone, runs nothing by itself and has the limits
of ``task.toml``."""
OURS = {
    "CONTEXT_DIR": ".",
    "TEST_DIR": "/tests",
    "T_BENCH_TEST_DIR": "/tests",
    "T_BENCH_CONTAINER_LOGS_PATH": "/logs",
    "T_BENCH_CONTAINER_AGENT_LOGS_PATH": "/agent-logs",
}
"""Variables that Harbor and Terminal-Bench fill in."""
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_LOGS = re.compile(r"\$\{(?:T_BENCH|HARBOR|HOST)\w*\}:.*")
_IDLE = re.compile(r"(?:sh -c |bash -c |/bin/sh -c |/bin/bash -c )?(?:sleep infinity|tail -f \S+)")


def compose_file(folder: Path) -> Path | None:
    """The compose file of a folder, if it has one."""
    return next((folder / name for name in NAMES if (folder / name).is_file()), None)


def reduced(path: Path, place: Place) -> Place:
    """The place with what its only service says. Raises ConfigError for what one container cannot
    be."""
    service = _only_service(path)
    unknown = sorted(set(service) - USED - WITHOUT_EFFECT)
    for name in list(unknown):
        if name == "volumes" and all(_LOGS.fullmatch(str(one)) for one in service[name] or ()):
            unknown.remove(name)
        if name in ("command", "entrypoint") and _IDLE.fullmatch(_words(service[name])):
            unknown.remove(name)
        if name == "network_mode" and service[name] in ("none", "bridge"):
            unknown.remove(name)
    if unknown:
        raise _refused(path, f"uses {', '.join(unknown)}")
    image = service.get("image")
    if isinstance(image, str) and not _VARIABLE.search(image) and "build" not in service:
        place = replace(place, image=image, context=None)
    elif "build" in service:
        place = _built(path, service["build"], place)
    cwd = service.get("working_dir")
    env = {**_environment(path, service.get("environment")), **place.env}
    return replace(place, env=env, cwd=place.cwd or (cwd if isinstance(cwd, str) else None))


def _only_service(path: Path) -> Mapping[str, Any]:
    import yaml

    try:
        document = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f"{path}:{mark.line + 1}" if mark is not None else str(path)
        raise ConfigError("is no valid YAML", where=at) from None
    services = document.get("services") if isinstance(document, dict) else None
    if not isinstance(services, dict) or not services:
        raise ConfigError("has no services", where=str(path))
    if len(services) > 1:
        raise _refused(path, f"has {len(services)} services ({', '.join(map(str, services))})")
    more = sorted(set(document) - {"services", "version", "name"})
    if more:
        raise _refused(path, f"uses {', '.join(more)}")
    [service] = services.values()
    return service if isinstance(service, dict) else {}


def _built(path: Path, build: object, place: Place) -> Place:
    fields: Mapping[str, Any] = build if isinstance(build, dict) else {"context": build}
    if more := sorted(set(fields) - {"context", "dockerfile", "args", "target"}):
        raise _refused(path, f"uses build.{', build.'.join(more)}")
    context = (path.parent / _filled(str(fields.get("context") or "."))).resolve()
    if not context.is_relative_to(path.parent.resolve()):
        raise _refused(path, f"builds of a folder outside the task ({fields['context']})")
    args = fields.get("args") or {}
    pairs = [str(one).partition("=")[::2] for one in args] if isinstance(args, list) else args
    return replace(
        place,
        context=context,
        dockerfile=str(fields.get("dockerfile") or "Dockerfile"),
        build_args={str(key): _filled(str(value)) for key, value in dict(pairs).items()},
        target=fields.get("target"),
    )


def _environment(path: Path, variables: object) -> dict[str, str]:
    if variables is None:
        return {}
    if isinstance(variables, list):
        variables = dict(str(one).partition("=")[::2] for one in variables)
    if not isinstance(variables, dict):
        raise ConfigError("`environment` must be a list or a mapping", where=str(path))
    return {str(key): _filled(str(value)) for key, value in variables.items() if value is not None}


def _filled(text: str) -> str:
    return _VARIABLE.sub(lambda match: OURS.get(match[1], match[0]), text)


def _words(command: object) -> str:
    return " ".join(map(str, command)) if isinstance(command, list) else str(command)


def _refused(path: Path, what: str) -> ConfigError:
    return ConfigError(
        f"{what}, which one container cannot be",
        where=str(path),
        hint="leave the task out (?exclude=NAME), or run it with harbor itself",
    )
